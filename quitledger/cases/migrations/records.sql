-- Cases and intakes; who may write them is in quitledger/ops/rights.sql.

-- An intake's person and institution are its case's. A case changes its person together with its intakes and visits, in one
-- statement each (visits_merge_persons): the keys between them wait.
ALTER TABLE cases_baseline ADD CONSTRAINT cases_baseline_case FOREIGN KEY (case_id, person_id, institution_id)
  REFERENCES cases_case (id, person_id, institution_id) DEFERRABLE INITIALLY IMMEDIATE;

-- Bookkeeping columns are the database's word.
CREATE FUNCTION cases_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.changed_at := programme_now();
  NEW.changed_by_id := current_account();
  IF TG_OP = 'INSERT' THEN
    NEW.version := 1;
  ELSIF NEW.version <> OLD.version + 1 THEN
    RAISE EXCEPTION 'a change makes the next version' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'cases_next_version';
  ELSE
    NEW.id := OLD.id;
    NEW.uid := OLD.uid;
  END IF;
  IF TG_TABLE_NAME = 'cases_baseline' THEN
    NEW.recorded_at := CASE TG_OP WHEN 'INSERT' THEN NEW.changed_at ELSE OLD.recorded_at END;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON cases_case
  FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION cases_stamp();
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON cases_baseline
  FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION cases_stamp();

SELECT audit_follow('cases_case'), audit_follow('cases_baseline');
