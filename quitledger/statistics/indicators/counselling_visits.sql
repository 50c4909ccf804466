SELECT place, whole, counselling, counselled FROM tally
