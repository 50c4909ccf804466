WITH contracted AS (
  SELECT institution_id, staff_id, max(least(ends_on, %(last)s)) AS day FROM institutions_staffcontract
  WHERE starts_on <= %(last)s AND coalesce(ends_on, 'infinity') >= %(counted_from)s GROUP BY 1, 2)
SELECT {group}, grouping({group}), count(DISTINCT s.staff_id), count(DISTINCT c.staff_id)
FROM contracted c LEFT JOIN worked s USING (institution_id, staff_id)
LEFT JOIN institutions_institutiondetails d ON d.institution_id = c.institution_id
  AND d.starts_on <= c.day AND coalesce(d.ends_on, 'infinity') >= c.day
GROUP BY GROUPING SETS (({group}), ())
