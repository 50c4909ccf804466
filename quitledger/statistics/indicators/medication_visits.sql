SELECT place, whole, medication, medicated FROM tally
