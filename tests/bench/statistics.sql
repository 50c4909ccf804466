-- The three tables as somebody writes them who knows what they count: by tier, and in all (tier null). Of PostgreSQL and of
-- DuckDB (to which a column without a value is text). Nobody's contract ends in the made-up year, so that the day of institutions and staff is the last.
SELECT d.tier, count(*), count(s.institution_id)
FROM (SELECT institution_id FROM institutions_contract
      WHERE starts_on <= '{last}' AND coalesce(CAST(ends_on AS date), 'infinity') >= '{first}') c
LEFT JOIN (SELECT DISTINCT institution_id FROM visits_service
           WHERE in_force AND visit_on BETWEEN '{first}' AND '{last}') s ON s.institution_id = c.institution_id
LEFT JOIN institutions_institutiondetails d ON d.institution_id = c.institution_id
  AND d.starts_on <= '{last}' AND coalesce(CAST(d.ends_on AS date), 'infinity') >= '{last}'
GROUP BY ROLLUP (d.tier);

SELECT d.tier, count(DISTINCT c.staff_id), count(DISTINCT s.staff_id)
FROM (SELECT institution_id, staff_id FROM institutions_staffcontract
      WHERE starts_on <= '{last}' AND coalesce(CAST(ends_on AS date), 'infinity') >= '{first}') c
LEFT JOIN (SELECT DISTINCT institution_id, staff_id FROM visits_service
           WHERE in_force AND visit_on BETWEEN '{first}' AND '{last}') s
  ON s.institution_id = c.institution_id AND s.staff_id = c.staff_id
LEFT JOIN institutions_institutiondetails d ON d.institution_id = c.institution_id
  AND d.starts_on <= '{last}' AND coalesce(CAST(d.ends_on AS date), 'infinity') >= '{last}'
GROUP BY ROLLUP (d.tier);

SELECT d.tier, count(*) FILTER (WHERE s.kind = 'medication'), count(*) FILTER (WHERE s.kind = 'counselling'),
  count(DISTINCT s.person_id) FILTER (WHERE s.kind = 'medication'),
  count(DISTINCT s.person_id) FILTER (WHERE s.kind = 'counselling'), count(DISTINCT s.person_id)
FROM visits_service s
LEFT JOIN institutions_institutiondetails d ON d.institution_id = s.institution_id
  AND d.starts_on <= s.visit_on AND coalesce(CAST(d.ends_on AS date), 'infinity') >= s.visit_on
WHERE s.in_force AND s.visit_on BETWEEN '{first}' AND '{last}'
GROUP BY ROLLUP (d.tier)
