-- The services of a month (of its days within the period), by what they are grouped by and kind, and whom they helped.
-- {group}: an expression of s, or of d, the institution as it stood on the day of the service.
-- An indicator counts from `tally`, a row for each place and (whole: 1) one in all: medication and counselling are the services of
-- all months; medicated, counselled and persons the people of them, each once, however many months and places he is in.
SELECT {group} AS place, s.kind, count(*) AS services, array_agg(s.person_id) AS people
FROM visits_service s LEFT JOIN institutions_institutiondetails d
  ON d.institution_id = s.institution_id AND s.visit_on BETWEEN d.starts_on AND coalesce(d.ends_on, 'infinity')
WHERE s.in_force AND s.visit_on BETWEEN %(first)s AND %(last)s
GROUP BY 1, 2
