-- One institution ({institution}) with {visits} visits in March, one a person, written by the superuser as nation.sql is. A third has both
-- services, a third medication alone, a third counselling alone; every tenth medication says a day too many.
SET session_replication_role = replica;
CREATE TEMP TABLE many AS SELECT {base} + n AS id, n, '2025-03-01'::date + n % 31 AS on_ FROM generate_series(1, {visits}) n;
INSERT INTO cases_person (id, identity_kind, identity_country, identity_hash, identity_token, identity_key_id, birth_on, sex)
  SELECT m.id, 'national_id', '', sha256(('s' || m.id)::bytea), p.identity_token, p.identity_key_id, '1970-01-01', 'male'
  FROM many m, (SELECT identity_token, identity_key_id FROM cases_person ORDER BY id LIMIT 1) p;
INSERT INTO cases_case (id, uid, person_id, institution_id, name, chart_no, phone, opened_on, version, change_reason)
  SELECT id, gen_random_uuid(), id, {institution}, '示範清查' || n, 'S' || n, '', on_, 1, '' FROM many;
INSERT INTO cases_baseline (uid, case_id, person_id, institution_id, taken_on, first_cigarette, hard_to_refrain,
    hardest_to_give_up, most_cigarettes, more_in_first_hours, smokes_when_ill, ftnd_score, cigarettes_per_day,
    pregnant, insured, version, change_reason)
  SELECT gen_random_uuid(), id, id, {institution}, on_, 'within_5', 'yes', 'first_of_morning', '11_to_20', 'no', 'no',
    6, 20, false, true, 1, '' FROM many;
INSERT INTO visits_visit (id, uid, case_id, person_id, institution_id, visit_on, pregnant, cigarettes_per_day, co_ppm, note,
    in_force, version, recorded_at, recorded_by_id, changed_at, changed_by_id, change_reason)
  SELECT id, gen_random_uuid(), id, id, {institution}, on_, false, 20, 10, '', true, 1, on_ + interval '10 hours',
    {institution}, on_ + interval '10 hours', {institution}, '' FROM many;
INSERT INTO visits_service (visit_id, person_id, institution_id, visit_on, in_force, kind, staff_id, counselling_mode,
    spacing_days, entry_uid, version)
  SELECT id, id, {institution}, on_, true, kind, 2 * {institution} - (kind = 'counselling')::integer,
    CASE kind WHEN 'counselling' THEN 'in_person' ELSE '' END, 5, gen_random_uuid(), 1
  FROM many, (VALUES ('medication', 1), ('counselling', 2)) k(kind, other) WHERE n % 3 <> other;
INSERT INTO visits_medicationline (service_id, visit_id, institution_id, medicine_code, supply_weeks, supply_days, version)
  SELECT s.id, s.visit_id, s.institution_id, 'DEMO000001', 1, 7 + (m.n % 10 = 0)::integer, 1
  FROM visits_service s JOIN many m ON m.id = s.visit_id WHERE s.kind = 'medication';
INSERT INTO visits_course (person_id, institution_id, kind, course_year, course_no, first_on)
  SELECT s.person_id, s.institution_id, s.kind, 2025, 1, s.visit_on FROM visits_service s JOIN many m ON m.id = s.visit_id;
DROP TABLE many;
SET session_replication_role = origin;
ANALYZE;
