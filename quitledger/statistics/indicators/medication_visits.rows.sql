SELECT s.id, s.visit_id, s.person_id, s.visit_on, s.kind, d.code, d.name
FROM visits_service s
LEFT JOIN institutions_institutiondetails d ON d.institution_id = s.institution_id
  AND d.starts_on <= s.visit_on AND coalesce(d.ends_on, 'infinity') >= s.visit_on
WHERE s.in_force AND s.kind = 'medication' AND s.visit_on BETWEEN %(first)s AND %(last)s AND {of}
