-- What the indicators count from (measures.py). PostgreSQL works out only what a statement asks for, and that once, however
-- many indicators ask: a year's services are passed over twice, in the index visits_service_day alone.
-- {group}: what is grouped by, of d; {key}: its number, or what is grouped by, of s; {place}: what a key stands for.
WITH places AS (  -- institutions as they stood, and the group of each; groups are numbered because numbers are hashed fastest
  SELECT d.institution_id, d.starts_on, coalesce(d.ends_on, 'infinity') AS until, {group} AS place,
    dense_rank() OVER (ORDER BY {group})::integer AS number
  FROM institutions_institutiondetails d WHERE d.starts_on <= %(last)s AND coalesce(d.ends_on, 'infinity') >= %(first)s),
people AS (  -- services of a person in a group, that of the institution on the day of the service
  SELECT {key} AS key, s.person_id,
    (count(*) FILTER (WHERE s.kind = 'medication'))::integer AS medication,
    (count(*) FILTER (WHERE s.kind = 'counselling'))::integer AS counselling
  FROM visits_service s LEFT JOIN places p ON p.institution_id = s.institution_id AND s.visit_on BETWEEN p.starts_on AND p.until
  WHERE s.in_force AND s.visit_on BETWEEN %(first)s AND %(last)s
  GROUP BY 1, 2),
tally AS (  -- of each group, and (whole: 1) in all, where everybody is one person however many groups he is in
  SELECT {place} AS place, 0 AS whole, t.medication, t.medicated, t.counselling, t.counselled, t.persons
  FROM (SELECT key, sum(medication) AS medication, count(*) FILTER (WHERE medication > 0) AS medicated,
          sum(counselling) AS counselling, count(*) FILTER (WHERE counselling > 0) AS counselled, count(*) AS persons
        FROM people GROUP BY key) t
  LEFT JOIN (SELECT DISTINCT number, place FROM places) n ON {is_place}
  UNION ALL
  SELECT NULL, 1, coalesce(sum(medication), 0), count(DISTINCT person_id) FILTER (WHERE medication > 0),
    coalesce(sum(counselling), 0), count(DISTINCT person_id) FILTER (WHERE counselling > 0), count(DISTINCT person_id)
  FROM people),
worked AS (  -- who of the staff gave a service where
  SELECT institution_id, staff_id FROM visits_service
  WHERE in_force AND visit_on BETWEEN %(first)s AND %(last)s GROUP BY 1, 2)
