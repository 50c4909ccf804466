-- Who a person shall be, as an application asks for it: held to what holds of its item.

-- It is written with its item, while that may be written, and is never another item's. What was sent stays as it was sent.
CREATE FUNCTION corrections_keep_identity() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  i corrections_item;
  a corrections_application;
BEGIN
  SELECT * INTO i FROM corrections_item WHERE id = NEW.item_id;
  SELECT * INTO a FROM corrections_application WHERE id = i.application_id;
  IF i.kind IS DISTINCT FROM 'person' OR NEW.institution_id <> i.institution_id
     OR TG_OP = 'UPDATE' AND NEW.item_id <> OLD.item_id
     OR NOT (a.state = 'draft' OR TG_OP = 'INSERT' AND a.on_paper AND a.state = 'new' AND a.version = 1
             AND a.written_by_id = current_account()) THEN
    RAISE EXCEPTION 'what was sent stays as it was sent' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'corrections_identity_as_sent';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER as_sent BEFORE INSERT OR UPDATE ON corrections_askedidentity
  FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION corrections_keep_identity();

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
