-- What a decided application lets be done, and that nobody does it without one.

-- A permit comes of an application that is being decided by the one who gives it: for an item of it, as it was sent, in
-- the names of those who applied.
CREATE FUNCTION corrections_check_permit() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  a corrections_application;
  v_settled boolean;
BEGIN
  SELECT * INTO a FROM corrections_application WHERE uid = NEW.application FOR UPDATE;
  IF a.id IS NULL OR a.state NOT IN ('in_review', 'second') OR a.person_id <> NEW.person_id
     OR a.institution_id <> NEW.institution_id OR a.written_by_id <> NEW.applied_by_id
     OR a.signed_by_id IS DISTINCT FROM NEW.signed_by_id OR a.single_person AND a.state <> 'second'
     OR a.state = 'in_review' AND a.claimed_by_id IS DISTINCT FROM NEW.decided_by_id
     OR a.state = 'second' AND a.decided_by_id = NEW.decided_by_id
     OR NOT EXISTS (
       SELECT FROM corrections_item i LEFT JOIN visits_visit v ON v.id = i.visit_id
       WHERE i.application_id = a.id AND NOT i.taken_out AND coalesce(v.uid, i.uid) = NEW.visit
         AND coalesce(i.visit_version, 0) = NEW.expected_version AND i.visit_on = NEW.visit_on
         AND NEW.kind = (CASE i.kind WHEN 'late_entry' THEN 'record' WHEN 'void' THEN 'void' WHEN 'restore' THEN 'restore'
                                    ELSE 'change' END)) THEN
    RAISE EXCEPTION 'no application is being decided that asks for this' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'visits_permit_application';
  END IF;
  SELECT bool_or(settled_at IS NOT NULL) INTO v_settled FROM visits_servicemonth
    WHERE institution_id = NEW.institution_id AND month IN (
      date_trunc('month', NEW.visit_on::timestamp)::date, date_trunc('month', NEW.from_on::timestamp)::date);
  IF v_settled AND NOT EXISTS (
      SELECT FROM accounts_user WHERE id = NEW.decided_by_id AND agency_role = 'desk_supervisor') THEN
    RAISE EXCEPTION 'a desk supervisor decides what touches a settled month' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER under_application BEFORE INSERT ON visits_permit
  FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION corrections_check_permit();

-- A version of a person that names an application comes of one that asks for it and is being decided by this very account.
-- (A merge and its undoing name the merge.)
CREATE FUNCTION corrections_check_authority() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF NOT EXISTS (
      SELECT FROM corrections_application a JOIN corrections_item i ON i.application_id = a.id
      WHERE a.uid = NEW.authority AND a.person_id = NEW.id AND i.kind = 'person' AND NOT i.taken_out
        AND (a.state = 'in_review' AND NOT a.single_person AND a.claimed_by_id = current_account()
             OR a.state = 'second' AND a.decided_by_id <> current_account())) THEN
    RAISE EXCEPTION 'no application is being decided that asks for this' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'cases_person_authority';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER under_application BEFORE UPDATE OF authority ON cases_person
  FOR EACH ROW WHEN (NEW.authority IS NOT NULL AND NEW.authority IS DISTINCT FROM OLD.authority
    AND NEW.merged_into_id IS NOT DISTINCT FROM OLD.merged_into_id)
  EXECUTE FUNCTION corrections_check_authority();

-- An application is about a person as he stands: whoever has one that is not decided is neither merged nor taken apart.
CREATE FUNCTION corrections_keep_person() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM corrections_application WHERE person_id IN (NEW.kept_id, NEW.merged_id)
               AND state NOT IN ('approved', 'in_part', 'rejected', 'withdrawn')) THEN
    RAISE EXCEPTION 'an application about this person is not decided' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'corrections_application_open';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER no_application_open BEFORE INSERT OR UPDATE OF undone_at ON cases_merge
  FOR EACH ROW EXECUTE FUNCTION corrections_keep_person();
