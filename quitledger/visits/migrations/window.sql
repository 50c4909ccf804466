-- The window, held by the database at commit: the months touched are open, or the visit stands in a version that this
-- transaction wrote with a permit; no visit lies in the future; what was taken over stays as it was.

-- For each of a hundred thousand rows: an open month is told by one look, and permits are looked for where it is closed.
CREATE FUNCTION visits_require_open(p_institution bigint, p_visit_on date, p_visit bigint) RETURNS boolean
  LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz;
  closing timestamptz;
BEGIN
  SELECT closes_at, programme_now() INTO closing, moment FROM visits_servicemonth
    WHERE institution_id = p_institution AND month = date_trunc('month', p_visit_on::timestamp)::date;
  IF closing > moment THEN
    IF p_visit_on <= (moment AT TIME ZONE 'Asia/Taipei')::date THEN RETURN true; END IF;
  ELSIF NOT EXISTS (
      SELECT FROM visits_visit v JOIN visits_permit p ON p.uid = v.permit
      WHERE v.id = p_visit AND p.used_xid = pg_current_xact_id()::text::bigint) THEN
    RAISE EXCEPTION 'the recording window of % is closed', to_char(p_visit_on, 'YYYY-MM')
      USING ERRCODE = 'check_violation', CONSTRAINT = 'visits_window';
  END IF;
  IF p_visit_on > (programme_now() AT TIME ZONE 'Asia/Taipei')::date THEN
    RAISE EXCEPTION 'a visit cannot lie in the future'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'visits_not_in_the_future';
  END IF;
  RETURN true;
END $$;

-- Visits that come of the system before this one and break a rule are kept as they are, outside the spacing: nobody changes,
-- voids or adds to one, and only the owner takes over. (Persons merged, and personal data emptied, are re-pointed and emptied
-- here too: by functions and commands of the owner.)
CREATE FUNCTION visits_refuse_taken_over() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'what was taken over stays as it was' USING ERRCODE = 'check_violation',
    CONSTRAINT = 'visits_visit_taken_over';
END $$;

-- The triggers are SECURITY DEFINER, so that they read the closing moments whatever the scope; that they do not bind the
-- owner is decided by WHEN, as the invoking role.
CREATE FUNCTION visits_check_window() RETURNS trigger LANGUAGE plpgsql
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
CREATE FUNCTION visits_check_line_window() RETURNS trigger LANGUAGE plpgsql
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

-- True where this transaction recorded the visit before this statement and its month is open still: the visit's own check at
-- commit stands for what is added to it (which has its institution and day, by foreign keys), so that of a hundred thousand
-- visits each is checked once. Where it is not known to (a visit written in a savepoint or by this very statement; a later
-- version, which the owner's functions make without a check), what is added has a check of its own.
CREATE FUNCTION visits_written_now(p_visit bigint) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  RETURN EXISTS (
    SELECT FROM visits_visit v JOIN visits_servicemonth m
      ON m.institution_id = v.institution_id AND m.month = date_trunc('month', v.visit_on::timestamp)::date
    WHERE v.id = p_visit AND v.version = 1 AND v.xmin = pg_current_xact_id()::xid AND m.closes_at > programme_now());
END $$;

CREATE CONSTRAINT TRIGGER within_window AFTER INSERT OR UPDATE OR DELETE ON visits_visit
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION visits_check_window();
CREATE CONSTRAINT TRIGGER within_window AFTER INSERT ON visits_service DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (NOT is_owner() AND NOT visits_written_now(NEW.visit_id)) EXECUTE FUNCTION visits_check_window();
CREATE CONSTRAINT TRIGGER changed_within_window AFTER UPDATE OR DELETE ON visits_service
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION visits_check_window();
CREATE CONSTRAINT TRIGGER within_window AFTER INSERT ON visits_medicationline DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (NOT is_owner() AND NOT visits_written_now(NEW.visit_id)) EXECUTE FUNCTION visits_check_line_window();
CREATE CONSTRAINT TRIGGER changed_within_window AFTER UPDATE OR DELETE ON visits_medicationline
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION visits_check_line_window();
