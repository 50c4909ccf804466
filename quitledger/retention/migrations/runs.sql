-- What the database holds by itself: that two persons stand behind every run, that a plan stays what was confirmed, and
-- that nobody is emptied but under such a run. For the owner too; the application role has no right to these tables.

CREATE FUNCTION retention_keep_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE'
     OR (NEW.id, NEW.uid, NEW.code, NEW.as_of, NEW.people, NEW.planned_by_id, NEW.planned_at)
        IS DISTINCT FROM (OLD.id, OLD.uid, OLD.code, OLD.as_of, OLD.people, OLD.planned_by_id, OLD.planned_at)
     OR OLD.confirmed_by_id IS NOT NULL
        AND (NEW.confirmed_by_id, NEW.confirmed_at) IS DISTINCT FROM (OLD.confirmed_by_id, OLD.confirmed_at)
     OR OLD.finished_at IS NOT NULL THEN
    RAISE EXCEPTION 'what was planned and confirmed stays' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON retention_run FOR EACH ROW EXECUTE FUNCTION retention_keep_run();

CREATE FUNCTION retention_keep_person() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  confirmed boolean;
BEGIN
  SELECT confirmed_at IS NOT NULL INTO confirmed FROM retention_run
    WHERE id = CASE WHEN TG_OP = 'DELETE' THEN OLD.run_id ELSE NEW.run_id END;
  IF TG_OP = 'DELETE'
     OR TG_OP = 'INSERT' AND (confirmed OR NEW.outcome <> '')
     OR TG_OP = 'UPDATE' AND (NOT confirmed OR OLD.outcome <> ''
       OR (NEW.id, NEW.run_id, NEW.person_id, NEW.kept_until)
          IS DISTINCT FROM (OLD.id, OLD.run_id, OLD.person_id, OLD.kept_until)) THEN
    RAISE EXCEPTION 'what was planned and confirmed stays' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER keep BEFORE INSERT OR UPDATE OR DELETE ON retention_plannedperson
  FOR EACH ROW EXECUTE FUNCTION retention_keep_person();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON retention_plannedperson
  FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();

CREATE FUNCTION retention_require_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM retention_run r JOIN retention_plannedperson p ON p.run_id = r.id
      WHERE r.id = NEW.emptied_run AND p.person_id = NEW.id AND r.confirmed_at IS NOT NULL AND r.finished_at IS NULL) THEN
    RAISE EXCEPTION 'a person is emptied under a run that names him and that a second person confirmed'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'cases_person_emptied_run';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER under_a_run BEFORE UPDATE ON cases_person FOR EACH ROW
  WHEN (NEW.emptied_run IS DISTINCT FROM OLD.emptied_run) EXECUTE FUNCTION retention_require_run();
ALTER TABLE cases_person ADD CONSTRAINT cases_person_emptied_run
  FOREIGN KEY (emptied_run, id) REFERENCES retention_plannedperson (run_id, person_id);
ALTER TABLE cases_case ADD CONSTRAINT cases_case_emptied_run
  FOREIGN KEY (emptied_run, person_id) REFERENCES retention_plannedperson (run_id, person_id);

SELECT audit_follow('retention_run');
