-- Visits that come of the system before this one and break a rule: kept as they are, outside the spacing, never changed.

ALTER TABLE visits_service ADD CONSTRAINT visits_service_visit
  FOREIGN KEY (visit_id, person_id, institution_id, visit_on, in_force, taken_over)
  REFERENCES visits_visit (id, person_id, institution_id, visit_on, in_force, taken_over)
  ON UPDATE CASCADE DEFERRABLE INITIALLY IMMEDIATE;

-- As before (0012), and what was taken over stays as it was: nobody changes, voids or adds to it, and only the owner takes over.
-- (Persons merged, and personal data emptied, are re-pointed and emptied here too: by functions and commands of the owner.)
CREATE FUNCTION visits_refuse_taken_over() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'what was taken over stays as it was' USING ERRCODE = 'check_violation',
    CONSTRAINT = 'visits_visit_taken_over';
END $$;
CREATE OR REPLACE FUNCTION visits_check_window() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_visit bigint;
  v_open boolean;
BEGIN
  IF TG_TABLE_NAME = 'visits_service' THEN
    IF TG_OP = 'DELETE' THEN v_visit := OLD.visit_id; ELSE v_visit := NEW.visit_id; END IF;
  ELSIF TG_OP = 'DELETE' THEN
    v_visit := OLD.id;
  ELSE
    v_visit := NEW.id;
  END IF;
  IF TG_OP <> 'INSERT' THEN
    IF OLD.taken_over THEN v_open := visits_refuse_taken_over(); END IF;
    v_open := visits_require_open(OLD.institution_id, OLD.visit_on, v_visit);
  END IF;
  IF TG_OP = 'DELETE' THEN
    RETURN NULL;
  END IF;
  IF NEW.taken_over THEN v_open := visits_refuse_taken_over(); END IF;
  IF TG_OP = 'INSERT' THEN
    v_open := visits_require_open(NEW.institution_id, NEW.visit_on, v_visit);
  ELSIF (NEW.institution_id, NEW.visit_on) <> (OLD.institution_id, OLD.visit_on) THEN
    v_open := visits_require_open(NEW.institution_id, NEW.visit_on, v_visit);
  END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION visits_check_line_window() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_visit bigint;
  v_institution bigint;
  v_visit_on date;
  v_taken_over boolean;
  v_open boolean;
BEGIN
  IF TG_OP = 'DELETE' THEN v_visit := OLD.visit_id; ELSE v_visit := NEW.visit_id; END IF;
  SELECT institution_id, visit_on, taken_over INTO v_institution, v_visit_on, v_taken_over FROM visits_visit WHERE id = v_visit;
  IF FOUND THEN
    IF v_taken_over THEN v_open := visits_refuse_taken_over(); END IF;
    v_open := visits_require_open(v_institution, v_visit_on, v_visit);
  END IF;
  RETURN NULL;
END $$;

-- As before (0008); what was taken over is in nobody's way, and nothing joins it.
CREATE OR REPLACE FUNCTION visits_recording_facts(
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

-- The new columns are false in every version there was: no version is added to say so.
ALTER TABLE visits_visit_history ADD COLUMN taken_over boolean;
ALTER TABLE visits_service_history ADD COLUMN taken_over boolean;
SELECT audit_follow('visits_visit'), audit_follow('visits_service');
