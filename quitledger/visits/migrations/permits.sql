-- A closed month is changed by a decided application alone. What says so is a permit: one version of one visit, used once,
-- given by somebody of the desk who is none of the applicants. (corrections/migrations/authority.sql holds it to the
-- application.)

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

SELECT audit_follow('visits_permit');
