WITH contracted AS (
  SELECT institution_id, staff_id, max(least(ends_on, %(last)s)) AS day FROM institutions_staffcontract
  WHERE starts_on <= %(last)s AND coalesce(ends_on, 'infinity') >= %(counted_from)s GROUP BY 1, 2),
served AS (
  SELECT DISTINCT institution_id, staff_id FROM visits_service WHERE in_force AND visit_on BETWEEN %(first)s AND %(last)s)
SELECT min(d.code) AS code, string_agg(d.name, '、' ORDER BY d.code) AS name, max(c.day) AS day,
  bool_or(s.staff_id IS NOT NULL) AS executing, t.uid, t.profession, t.name AS staff
FROM contracted c LEFT JOIN served s USING (institution_id, staff_id)
LEFT JOIN institutions_institutiondetails d ON d.institution_id = c.institution_id
  AND d.starts_on <= c.day AND coalesce(d.ends_on, 'infinity') >= c.day
JOIN institutions_staffmember t ON t.id = c.staff_id
WHERE {of}
GROUP BY t.id
