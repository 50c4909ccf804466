-- Who of the staff gave a service where, in a month; an indicator counts from `worked`, the pairs of all months.
SELECT institution_id, staff_id FROM visits_service
WHERE in_force AND visit_on BETWEEN %(first)s AND %(last)s
GROUP BY 1, 2
