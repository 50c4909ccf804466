-- A made-up nation of {institutions} institutions and 4 visits for each of its people, written by the superuser of a
-- throw-away cluster: no trigger runs, no foreign key is checked, no history is kept. Spread over the days from {first} on.
SET session_replication_role = replica;
SET maintenance_work_mem = '512MB';
SET synchronous_commit = off;

INSERT INTO institutions_institution (id, created_at) SELECT n, now() FROM generate_series(1, {institutions}) n;
INSERT INTO institutions_institutiondetails (institution_id, starts_on, code, name, tier, county, address)
  SELECT n, {first}, (9900000000 + n)::text, '示範機構 ' || n, 'clinic', '臺北市', ''
  FROM generate_series(1, {institutions}) n;
INSERT INTO institutions_contract (institution_id, starts_on, end_reason)
  SELECT n, {first}, '' FROM generate_series(1, {institutions}) n;
-- Two staff members each: a physician and a counsellor.
INSERT INTO institutions_staffmember (id, name, profession, identity_hash, identity_token, identity_key_id)
  SELECT n, '示範人員 ' || n, (ARRAY['physician', 'counsellor'])[1 + n % 2], sha256(n::text::bytea), '', ''
  FROM generate_series(1, 2 * {institutions}) n;
INSERT INTO institutions_staffcontract (staff_id, institution_id, starts_on, may_medicate, may_counsel)
  SELECT n, (n + 1) / 2, {first}, n % 2 = 0, true FROM generate_series(1, 2 * {institutions}) n;
INSERT INTO accounts_user (id, username, display_name, agency_role, password, is_active, created_at)
  SELECT n, 'recorder' || n, '示範帳號 ' || n, '', '!', true, now() FROM generate_series(1, {institutions}) n;
INSERT INTO institutions_membership (user_id, institution_id, role, starts_on)
  SELECT n, n, 'recorder', {first} FROM generate_series(1, {institutions}) n;
INSERT INTO visits_medicine (code, name, kind, prescription_only, starts_on)
  SELECT 'DEMO' || lpad(n::text, 6, '0'), '示範品項 ' || n, 'patch', false, {first} FROM generate_series(1, 12) n;

-- made_up (n, hash, token, key_id) holds the identity numbers. The first {recorders} × {cases} people have no visit yet:
-- they are those whose visits are recorded, at the institutions 1 to {recorders}. The others are spread so that the
-- largest institution has about 130 times the visits of the smallest, and come four times, a week apart.
CREATE TEMP TABLE resident AS
  SELECT n, n <= {recorders} * {cases} AS new,
    CASE WHEN n <= {recorders} * {cases} THEN 1 + (n - 1) / {cases}
         ELSE ceil(20 * power(1 + {institutions} / 20.0, (n * 0.6180339887) % 1) - 20)::integer END AS institution_id,
    {first}::date + floor((n * 0.7548776662 % 1) * ({today}::date - {first}::date - 22))::integer AS first_on
  FROM made_up;
INSERT INTO cases_person (id, identity_kind, identity_country, identity_hash, identity_token, identity_key_id, birth_on, sex)
  SELECT n, 'national_id', '', hash, token, key_id, '1950-01-01'::date + n % 18000, (ARRAY['male', 'female'])[1 + n % 2]
  FROM made_up;
INSERT INTO cases_case (id, uid, person_id, institution_id, name, chart_no, phone, opened_on, version, change_reason)
  SELECT n, gen_random_uuid(), n, greatest(institution_id, 1), '示範病人' || n, 'T' || n, '', first_on, 1, '' FROM resident;
INSERT INTO cases_baseline (uid, case_id, person_id, institution_id, taken_on, first_cigarette, hard_to_refrain,
    hardest_to_give_up, most_cigarettes, more_in_first_hours, smokes_when_ill, ftnd_score, cigarettes_per_day,
    pregnant, insured, version, change_reason)
  SELECT gen_random_uuid(), n, n, greatest(institution_id, 1), CASE WHEN new THEN {baseline_on} ELSE first_on END,
    'within_5', 'yes', 'first_of_morning', '11_to_20', 'no', 'no', 6, 20, false, true, 1, '' FROM resident;
INSERT INTO visits_servicemonth (institution_id, month, closes_at, prompt_hours)
  SELECT n, m.month, m.closes_at, m.prompt_hours FROM generate_series(1, {institutions}) n, visits_month m
  WHERE m.month BETWEEN date_trunc('month', {first}::date) AND {today};

CREATE TEMP TABLE visit AS
  SELECT row_number() OVER (ORDER BY first_on + 7 * j, n) AS id, n, greatest(institution_id, 1) AS institution_id,
    first_on + 7 * j AS visit_on, n + j AS chance
  FROM resident, generate_series(0, 3) j WHERE NOT new;
INSERT INTO visits_visit (id, uid, case_id, person_id, institution_id, visit_on, pregnant, cigarettes_per_day, co_ppm, note,
    in_force, version, recorded_at, recorded_by_id, changed_at, changed_by_id, change_reason)
  SELECT id, gen_random_uuid(), n, n, institution_id, visit_on, false, chance % 30, chance % 25,
    CASE WHEN chance % 4 = 0 THEN '戒菸第 ' || chance % 9 || ' 週，食慾增加。' ELSE '' END,
    true, 1, visit_on + interval '10 hours', institution_id, visit_on + interval '10 hours', institution_id, ''
  FROM visit ORDER BY id;
-- One visit in three has both services, one medication alone, one counselling alone.
INSERT INTO visits_service (visit_id, person_id, institution_id, visit_on, in_force, kind, staff_id, counselling_mode,
    spacing_days, entry_uid, version)
  SELECT id, n, institution_id, visit_on, true, kind, 2 * institution_id - (kind = 'counselling')::integer,
    CASE kind WHEN 'counselling' THEN 'in_person' ELSE '' END, 5, gen_random_uuid(), 1
  FROM visit, (VALUES ('medication', 1), ('counselling', 2)) k(kind, other) WHERE chance % 3 <> other
  ORDER BY id;
INSERT INTO visits_medicationline (service_id, visit_id, institution_id, medicine_code, supply_weeks, supply_days, version)
  SELECT id, visit_id, institution_id, 'DEMO' || lpad((1 + id % 12)::text, 6, '0'), 1, 7, 1
  FROM visits_service WHERE kind = 'medication' ORDER BY id;

-- What was numbered here goes on from there.
SELECT setval(pg_get_serial_sequence(t, 'id'), {highest})
  FROM unnest(ARRAY['institutions_institution', 'institutions_staffmember', 'accounts_user', 'cases_person', 'cases_case',
                    'visits_visit']) t;
DROP TABLE resident, visit, made_up;
