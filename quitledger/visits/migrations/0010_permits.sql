-- A closed month is changed by a decided application alone. What says so is a permit: one version of one visit, used once,
-- given by somebody of the desk who is none of the applicants. (corrections/migrations holds it to the application.)

-- Who decides is the database's word; the owner's (none is known) is not asked.
CREATE FUNCTION visits_stamp_permit() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  NEW.decided_by_id := current_account();
  NEW.decided_at := programme_now();
  NEW.used_at := NULL;
  NEW.used_xid := NULL;
  IF NOT EXISTS (SELECT FROM accounts_user WHERE id = NEW.decided_by_id AND is_active
                   AND agency_role IN ('desk_officer', 'desk_supervisor')) THEN
    RAISE EXCEPTION 'the desk gives permits' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER stamp BEFORE INSERT ON visits_permit
  FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION visits_stamp_permit();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON visits_permit
  FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();

-- The permit that a row names is used by it, or the row is refused; what the application is, is read from the permit.
-- A permit says for one version only: the next version names another one, or none.
CREATE FUNCTION visits_use_permit() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  late boolean;
  v_before integer := 0;
  v_from date;
  v_kind text := 'record';
BEGIN
  NEW.authority := NULL;
  NEW.late_entry := NULL;
  IF TG_OP = 'UPDATE' THEN
    NEW.late_entry := OLD.late_entry;
    v_before := OLD.version;
    v_from := OLD.visit_on;
    v_kind := CASE WHEN NOT NEW.in_force THEN 'void' WHEN NOT OLD.in_force THEN 'restore' ELSE 'change' END;
    IF NEW.permit IS NOT DISTINCT FROM OLD.permit THEN
      NEW.permit := NULL;
      RETURN NEW;
    END IF;
  END IF;
  IF NEW.permit IS NULL THEN RETURN NEW; END IF;
  UPDATE visits_permit SET used_at = programme_now(), used_xid = pg_current_xact_id()::text::bigint
    WHERE uid = NEW.permit AND used_at IS NULL AND visit = NEW.uid AND kind = v_kind AND expected_version = v_before
      AND person_id = NEW.person_id AND institution_id = NEW.institution_id AND visit_on = NEW.visit_on
      AND from_on IS NOT DISTINCT FROM v_from
    RETURNING application, is_late INTO NEW.authority, late;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no unused permit for this version' USING ERRCODE = 'check_violation', CONSTRAINT = 'visits_permit';
  END IF;
  IF late THEN NEW.late_entry := coalesce(NEW.late_entry, NEW.authority); END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER permit_recorded BEFORE INSERT ON visits_visit FOR EACH ROW
  WHEN (NOT is_owner() AND (NEW.permit IS NOT NULL OR NEW.authority IS NOT NULL OR NEW.late_entry IS NOT NULL))
  EXECUTE FUNCTION visits_use_permit();
CREATE TRIGGER permit_changed BEFORE UPDATE ON visits_visit FOR EACH ROW
  WHEN (NOT is_owner() AND (NEW.permit IS NOT NULL OR NEW.authority IS NOT NULL OR NEW.late_entry IS NOT NULL
    OR OLD.late_entry IS NOT NULL)) EXECUTE FUNCTION visits_use_permit();

-- At commit: the months touched are open, or the visit stands in a version that this transaction wrote with a permit.
DROP FUNCTION visits_require_open(bigint, date) CASCADE;
CREATE FUNCTION visits_require_open(p_institution bigint, p_visit_on date, p_visit bigint) RETURNS void
  LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := programme_now();
  closing timestamptz;
BEGIN
  SELECT closes_at INTO closing FROM visits_servicemonth
    WHERE institution_id = p_institution AND month = date_trunc('month', p_visit_on::timestamp)::date;
  IF (closing IS NULL OR moment >= closing) AND NOT EXISTS (
      SELECT FROM visits_visit v JOIN visits_permit p ON p.uid = v.permit
      WHERE v.id = p_visit AND p.used_xid = pg_current_xact_id()::text::bigint) THEN
    RAISE EXCEPTION 'the recording window of % is closed', to_char(p_visit_on, 'YYYY-MM')
      USING ERRCODE = 'check_violation', CONSTRAINT = 'visits_window';
  END IF;
  IF p_visit_on > (moment AT TIME ZONE 'Asia/Taipei')::date THEN
    RAISE EXCEPTION 'a visit cannot lie in the future'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'visits_not_in_the_future';
  END IF;
END $$;

CREATE OR REPLACE FUNCTION visits_check_window() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_visit bigint;
BEGIN
  IF TG_TABLE_NAME = 'visits_service' THEN
    IF TG_OP = 'DELETE' THEN v_visit := OLD.visit_id; ELSE v_visit := NEW.visit_id; END IF;
  ELSIF TG_OP = 'DELETE' THEN
    v_visit := OLD.id;
  ELSE
    v_visit := NEW.id;
  END IF;
  IF TG_OP <> 'INSERT' THEN PERFORM visits_require_open(OLD.institution_id, OLD.visit_on, v_visit); END IF;
  IF TG_OP = 'INSERT' THEN
    PERFORM visits_require_open(NEW.institution_id, NEW.visit_on, v_visit);
  ELSIF TG_OP = 'UPDATE' AND (NEW.institution_id, NEW.visit_on) <> (OLD.institution_id, OLD.visit_on) THEN
    PERFORM visits_require_open(NEW.institution_id, NEW.visit_on, v_visit);
  END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION visits_check_line_window() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM visits_require_open(v.institution_id, v.visit_on, v.id) FROM visits_visit v
    WHERE v.id = CASE WHEN TG_OP = 'DELETE' THEN OLD.visit_id ELSE NEW.visit_id END;
  RETURN NULL;
END $$;

-- The new columns are null in every version there was: no version is added to say so.
ALTER TABLE visits_visit_history ADD COLUMN permit uuid, ADD COLUMN late_entry uuid;
ALTER TABLE visits_servicemonth_history ADD COLUMN settled_at timestamptz;
SELECT audit_follow('visits_visit'), audit_follow('visits_servicemonth'), audit_follow('visits_permit');
