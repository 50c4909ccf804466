WITH contracted AS (
  SELECT institution_id, max(least(ends_on, %(last)s)) AS day FROM institutions_contract
  WHERE starts_on <= %(last)s AND coalesce(ends_on, 'infinity') >= %(counted_from)s GROUP BY institution_id),
served AS (
  SELECT DISTINCT institution_id FROM visits_service WHERE in_force AND visit_on BETWEEN %(first)s AND %(last)s)
SELECT d.code, d.name, c.day, s.institution_id IS NOT NULL AS executing
FROM contracted c LEFT JOIN served s USING (institution_id)
LEFT JOIN institutions_institutiondetails d ON d.institution_id = c.institution_id
  AND d.starts_on <= c.day AND coalesce(d.ends_on, 'infinity') >= c.day
WHERE {of}
