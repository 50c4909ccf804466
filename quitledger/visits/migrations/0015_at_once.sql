-- Of a hundred thousand visits in one transaction the commit is left with what is a matter of the commit: each visit's window.

-- What a visit names (staff, medicine, who recorded it) is there before it: that is checked with each statement.
DO $$
DECLARE
  c record;
BEGIN
  FOR c IN SELECT conrelid::regclass AS t, conname FROM pg_constraint WHERE contype = 'f' AND condeferred
      AND conrelid IN ('visits_visit'::regclass, 'visits_service'::regclass, 'visits_medicationline'::regclass) LOOP
    EXECUTE format('ALTER TABLE %s ALTER CONSTRAINT %I DEFERRABLE INITIALLY IMMEDIATE', c.t, c.conname);
  END LOOP;
END $$;

-- True where this transaction recorded the visit before this statement and its month is open still: the visit's own check at
-- commit stands for what is added to it (which has its institution and day, by foreign keys). Where it is not known to (a visit
-- written in a savepoint or by this very statement; a later version, which the owner's functions make without a check), what
-- is added has a check of its own.
CREATE FUNCTION visits_written_now(p_visit bigint) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  RETURN EXISTS (
    SELECT FROM visits_visit v JOIN visits_servicemonth m
      ON m.institution_id = v.institution_id AND m.month = date_trunc('month', v.visit_on::timestamp)::date
    WHERE v.id = p_visit AND v.version = 1 AND v.xmin = pg_current_xact_id()::xid AND m.closes_at > programme_now());
END $$;
DROP TRIGGER within_window ON visits_service;
CREATE CONSTRAINT TRIGGER within_window AFTER INSERT ON visits_service DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (NOT is_owner() AND NOT visits_written_now(NEW.visit_id)) EXECUTE FUNCTION visits_check_window();
CREATE CONSTRAINT TRIGGER changed_within_window AFTER UPDATE OR DELETE ON visits_service
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION visits_check_window();
DROP TRIGGER within_window ON visits_medicationline;
CREATE CONSTRAINT TRIGGER within_window AFTER INSERT ON visits_medicationline DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (NOT is_owner() AND NOT visits_written_now(NEW.visit_id)) EXECUTE FUNCTION visits_check_line_window();
CREATE CONSTRAINT TRIGGER changed_within_window AFTER UPDATE OR DELETE ON visits_medicationline
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION visits_check_line_window();

-- As before (0003), and a course that is there is told by its key, whatever the planner believes of how many there are.
CREATE OR REPLACE FUNCTION visits_write_courses(
    p_persons bigint[], p_firsts bigint[], p_numbers smallint[], p_changed jsonb, p_cause uuid) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF current_scope() <> 0 AND (
      SELECT count(*) FROM cases_case c WHERE c.person_id = ANY (p_persons) AND c.institution_id = current_scope())
     < cardinality(p_persons) THEN
    RAISE EXCEPTION 'courses of another institution''s person' USING ERRCODE = 'insufficient_privilege';
  END IF;
  DELETE FROM visits_course c WHERE c.person_id = ANY (p_persons) AND NOT EXISTS (
    SELECT FROM unnest(p_firsts, p_numbers) f(service_id, course_no) JOIN visits_service s ON s.id = f.service_id
    WHERE s.in_force AND (s.person_id, s.institution_id, s.kind, s.visit_on, f.course_no)
      = (c.person_id, c.institution_id, c.kind, c.first_on, c.course_no));
  INSERT INTO visits_course (person_id, institution_id, kind, course_year, course_no, first_on)
    SELECT s.person_id, s.institution_id, s.kind, extract(year FROM s.visit_on), f.course_no, s.visit_on
    FROM unnest(p_firsts, p_numbers) f(service_id, course_no) JOIN visits_service s ON s.id = f.service_id
    WHERE s.in_force AND s.person_id = ANY (p_persons)
    ON CONFLICT ON CONSTRAINT visits_course_once DO NOTHING;
  INSERT INTO visits_coursefinding (visit_id, institution_id, kind, before_year, before_no, after_year, after_no,
      is_allowed, caused_by)
    SELECT s.visit_id, s.institution_id, s.kind, (c->>1)::smallint, (c->>2)::smallint, (c->>3)::smallint,
      (c->>4)::smallint, (c->>5)::boolean, p_cause
    FROM jsonb_array_elements(p_changed) c JOIN visits_service s ON s.id = (c->>0)::bigint
    WHERE s.person_id = ANY (p_persons);
END $$;
