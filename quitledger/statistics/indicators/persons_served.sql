SELECT place, whole, persons, NULL::bigint FROM tally
