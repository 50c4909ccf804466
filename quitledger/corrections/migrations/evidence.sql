-- Who may attach what to which application, and when: the database's word, whoever writes.

-- The application, locked, where the transaction's account may attach to it now: the institution while it writes or is
-- asked, the desk with the paper that it registers and with what it has claimed. Nothing is attached for a person whose
-- keeping time has ended; the lock has whoever attaches wait for a run that is emptying just now.
CREATE FUNCTION corrections_check_attaching() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  a corrections_application;
BEGIN
  SELECT * INTO a FROM corrections_application
    WHERE id = NEW.application_id AND institution_id = NEW.institution_id FOR UPDATE;
  IF a.id IS NULL
     OR current_scope() = 0 AND NOT (a.state = 'new' AND a.on_paper AND a.written_by_id = current_account()
       OR a.state = 'in_review' AND a.claimed_by_id IS NOT DISTINCT FROM current_account())
     OR current_scope() <> 0 AND (current_scope() <> a.institution_id OR a.state NOT IN ('draft', 'waiting')) THEN
    RAISE EXCEPTION 'nothing can be attached to this application now' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'corrections_evidence_now';
  END IF;
  PERFORM FROM cases_person WHERE id = a.person_id AND emptied_run IS NULL FOR KEY SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the keeping time of this person has ended' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'cases_person_is_emptied';
  END IF;
  NEW.number := 1 + coalesce((SELECT max(number) FROM corrections_evidence WHERE application_id = a.id), 0);
  NEW.uploaded_by_id := current_account();
  NEW.uploaded_at := programme_now();
  NEW.removed_by_id := NULL;
  NEW.removed_at := NULL;
  RETURN NEW;
END $$;
CREATE TRIGGER stamp BEFORE INSERT ON corrections_evidence
  FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION corrections_check_attaching();

-- What was attached stays as it was, and what was sent stays: only out of a draft is something taken, once.
CREATE FUNCTION corrections_check_removing() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  s text;
BEGIN
  SELECT state INTO s FROM corrections_application WHERE id = OLD.application_id FOR UPDATE;
  IF s <> 'draft' OR current_scope() <> OLD.institution_id OR OLD.removed_at IS NOT NULL THEN
    RAISE EXCEPTION 'what was sent stays as it was sent' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'corrections_evidence_as_sent';
  END IF;
  NEW.removed_by_id := current_account();
  NEW.removed_at := programme_now();
  RETURN NEW;
END $$;
CREATE TRIGGER removed BEFORE UPDATE ON corrections_evidence
  FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION corrections_check_removing();

-- A file comes with its row, in the same transaction, and goes when its row was marked as taken out.
CREATE FUNCTION corrections_check_file() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  e corrections_evidence;
BEGIN
  SELECT * INTO e FROM corrections_evidence
    WHERE id = CASE WHEN TG_OP = 'DELETE' THEN OLD.evidence_id ELSE NEW.evidence_id END;
  IF TG_OP = 'DELETE' THEN
    IF e.removed_at IS NULL THEN
      RAISE EXCEPTION 'the file of evidence stays with it' USING ERRCODE = 'check_violation',
        CONSTRAINT = 'corrections_evidence_as_sent';
    END IF;
    RETURN OLD;
  END IF;
  IF e.id IS NULL OR e.uploaded_by_id IS DISTINCT FROM current_account() OR e.removed_at IS NOT NULL
     OR NOT EXISTS (SELECT FROM corrections_evidence_history WHERE id = e.id AND history_xid = pg_current_xact_id()) THEN
    RAISE EXCEPTION 'a file comes with its evidence' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'corrections_evidence_with_file';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER with_evidence BEFORE INSERT OR UPDATE OR DELETE ON corrections_evidencefile
  FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION corrections_check_file();

ALTER TABLE corrections_evidence
  ADD CONSTRAINT corrections_evidence_application FOREIGN KEY (application_id, institution_id)
    REFERENCES corrections_application (id, institution_id),
  ADD CONSTRAINT corrections_evidence_key UNIQUE (id, institution_id);
ALTER TABLE corrections_evidencefile
  ADD CONSTRAINT corrections_evidencefile_evidence FOREIGN KEY (evidence_id, institution_id)
    REFERENCES corrections_evidence (id, institution_id),
  -- What is encrypted cannot be packed: no time is spent on trying.
  ALTER COLUMN token SET STORAGE EXTERNAL;

SELECT audit_follow('corrections_evidence');
