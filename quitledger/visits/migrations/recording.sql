-- What the rules need to know before visits of the scope's own cases are recorded or changed: in one call, for it is
-- asked at every save, and with one look at the scope instead of one at each table. Locks the persons: writers of one
-- person wait for each other here, always in the same order; what is read after that holds what the others committed.
-- A list of lists of each, null where there is none, in the order in which visits/known.py reads them; then the clock.
-- What was taken over is in nobody's way, and nothing joins it.
CREATE FUNCTION visits_recording_facts(
    p_cases bigint[], p_staff uuid[], p_medicines text[], p_month_institutions bigint[], p_months date[],
    p_visits integer, p_services integer, p_lines integer) RETURNS json
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_persons bigint[];
  v_institutions bigint[];
BEGIN
  SELECT array_agg(DISTINCT c.person_id), array_agg(DISTINCT c.institution_id) INTO v_persons, v_institutions
    FROM cases_case c WHERE c.id = ANY (p_cases);
  IF current_scope() <> 0 AND NOT v_institutions <@ ARRAY[current_scope()] THEN
    RAISE EXCEPTION 'facts of another institution''s case' USING ERRCODE = 'insufficient_privilege';
  END IF;
  PERFORM FROM cases_person WHERE id = ANY (v_persons) ORDER BY id FOR NO KEY UPDATE;
  RETURN json_build_array(
    (SELECT json_agg(json_build_array(case_id, taken_on, ftnd_score, cigarettes_per_day, insured) ORDER BY recorded_at)
     FROM cases_baseline WHERE case_id = ANY (p_cases)),
    (SELECT json_agg(json_build_array(institution_id, starts_on, ends_on))
     FROM institutions_contract WHERE institution_id = ANY (v_institutions)),
    (SELECT json_agg(json_build_array(
       s.uid, s.id, s.profession, s.name, c.institution_id, c.starts_on, c.ends_on, c.may_medicate, c.may_counsel))
     FROM institutions_staffmember s JOIN institutions_staffcontract c ON c.staff_id = s.id
     WHERE s.uid = ANY (p_staff) AND c.institution_id = ANY (v_institutions)),
    (SELECT json_agg(json_build_array(code, starts_on, ends_on, name))
     FROM visits_medicine WHERE code = ANY (p_medicines)),
    -- a month is opened when its first visit is recorded
    (SELECT json_agg(json_build_array(institution_id, month, closes_at))
     FROM visits_open_months(p_month_institutions, p_months)),
    (SELECT json_agg(json_build_array(
       s.kind, s.entry_uid, v.id, v.uid, v.case_id, v.person_id, v.institution_id, v.visit_on, v.visit_time, v.pregnant,
       v.cigarettes_per_day, v.co_ppm, v.note, v.in_force, v.version))
     FROM visits_visit v JOIN visits_service s ON s.visit_id = v.id
     WHERE v.case_id = ANY (p_cases) AND NOT v.taken_over),
    (SELECT json_agg(json_build_array(person_id, sites, services, courses)) FROM visits_course_facts(p_cases)),
    -- primary keys for what will be written
    (SELECT json_agg(nextval('visits_visit_id_seq')) FROM generate_series(1, p_visits)),
    (SELECT json_agg(nextval('visits_service_id_seq')) FROM generate_series(1, p_services)),
    (SELECT json_agg(nextval('visits_medicationline_id_seq')) FROM generate_series(1, p_lines)),
    programme_now());
END $$;
