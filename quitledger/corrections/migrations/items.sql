-- What an application asks for stays what was signed.

ALTER TABLE corrections_item ADD CONSTRAINT corrections_item_application
  FOREIGN KEY (application_id, institution_id) REFERENCES corrections_application (id, institution_id);

-- What was signed is what is decided: items are written and taken out while it is a draft (or added by whoever registers
-- what came on paper, before anything else is done with it), and then only decided, by the desk. None is deleted.
CREATE FUNCTION corrections_keep_items() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  a corrections_application;
BEGIN
  SELECT * INTO a FROM corrections_application WHERE id = NEW.application_id;
  IF a.state = 'draft' OR TG_OP = 'INSERT' AND a.on_paper AND a.state = 'new' AND a.version = 1
     AND a.written_by_id = current_account() THEN
    IF NEW.decision <> '' OR NEW.made_version IS NOT NULL THEN
      RAISE EXCEPTION 'an item that was not sent is not decided' USING ERRCODE = 'check_violation',
        CONSTRAINT = 'corrections_item_undecided';
    END IF;
  ELSIF TG_OP <> 'UPDATE' OR a.state NOT IN ('in_review', 'second', 'approved', 'in_part', 'rejected')
     OR current_scope() <> 0
     OR (NEW.id, NEW.uid, NEW.application_id, NEW.position, NEW.kind, NEW.visit_id, NEW.visit_version, NEW.visit_on,
         NEW.contents, NEW.linked, NEW.taken_out) IS DISTINCT FROM
        (OLD.id, OLD.uid, OLD.application_id, OLD.position, OLD.kind, OLD.visit_id, OLD.visit_version, OLD.visit_on,
         OLD.contents, OLD.linked, OLD.taken_out) THEN
    RAISE EXCEPTION 'what was sent stays as it was sent' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'corrections_item_as_sent';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER as_sent BEFORE INSERT OR UPDATE ON corrections_item
  FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION corrections_keep_items();

-- Who a person shall be is written with its item, while that may be written, and is never another item's.
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

SELECT audit_follow('corrections_item');
