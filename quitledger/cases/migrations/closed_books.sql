-- A person who was emptied or merged is a closed book: nothing is recorded for him any more (who was emptied and comes again
-- is registered anew). The lock has whoever records wait for a run that is emptying just now, and then see that it did.

-- Of one row. What is typed at a merged one's case may still be handed over to a colleague.
CREATE FUNCTION cases_refuse_emptied() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  person bigint;
  run bigint;
  kept bigint;
BEGIN
  IF TG_TABLE_NAME = 'visits_draft' THEN
    SELECT person_id INTO person FROM cases_case WHERE id = NEW.case_id;
  ELSE
    person := NEW.person_id;
  END IF;
  SELECT emptied_run, merged_into_id INTO run, kept FROM cases_person WHERE id = person FOR KEY SHARE;
  IF run IS NOT NULL THEN
    RAISE EXCEPTION 'the keeping time of this person has ended' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'cases_person_is_emptied';
  ELSIF kept IS NOT NULL AND NOT (TG_TABLE_NAME = 'visits_draft' AND TG_OP = 'UPDATE') THEN
    RAISE EXCEPTION 'this person was merged into another' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'cases_person_is_merged';
  END IF;
  RETURN NEW;
END $$;
-- Of all rows of a statement at once: whoever records thousands asks about each person once.
CREATE FUNCTION cases_refuse_closed_books() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  persons bigint[] := ARRAY(SELECT DISTINCT person_id FROM new_rows);  -- looked up by key, however many there are
  run bigint;
  kept bigint;
BEGIN
  SELECT max(emptied_run), max(merged_into_id) INTO run, kept
    FROM (SELECT emptied_run, merged_into_id FROM cases_person WHERE id = ANY (persons) FOR KEY SHARE) p;
  IF run IS NOT NULL THEN
    RAISE EXCEPTION 'the keeping time of this person has ended' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'cases_person_is_emptied';
  ELSIF kept IS NOT NULL THEN
    RAISE EXCEPTION 'this person was merged into another' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'cases_person_is_merged';
  END IF;
  RETURN NULL;
END $$;

-- A case is refused before its other keys are looked at: there is one of the person already.
CREATE TRIGGER not_emptied BEFORE INSERT ON cases_case FOR EACH ROW EXECUTE FUNCTION cases_refuse_emptied();
CREATE TRIGGER not_emptied AFTER INSERT ON cases_baseline REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION cases_refuse_closed_books();
-- The run itself changes rows, as the owner; nobody else changes one of an emptied person.
CREATE TRIGGER not_emptied_changed BEFORE UPDATE ON cases_case
  FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION cases_refuse_emptied();
CREATE TRIGGER not_emptied_changed BEFORE UPDATE ON cases_baseline
  FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION cases_refuse_emptied();

-- Only a run names the run, and no run is taken back.
CREATE FUNCTION cases_keep_emptied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT is_owner() OR TG_OP = 'INSERT' OR OLD.emptied_run IS NOT NULL THEN
    RAISE EXCEPTION 'a run of retention empties, once' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER emptied_once BEFORE UPDATE ON cases_person FOR EACH ROW
  WHEN (NEW.emptied_run IS DISTINCT FROM OLD.emptied_run) EXECUTE FUNCTION cases_keep_emptied();
CREATE TRIGGER emptied_later BEFORE INSERT ON cases_person FOR EACH ROW
  WHEN (NEW.emptied_run IS NOT NULL) EXECUTE FUNCTION cases_keep_emptied();
CREATE TRIGGER emptied_once BEFORE UPDATE ON cases_case FOR EACH ROW
  WHEN (NEW.emptied_run IS DISTINCT FROM OLD.emptied_run) EXECUTE FUNCTION cases_keep_emptied();
CREATE TRIGGER emptied_later BEFORE INSERT ON cases_case FOR EACH ROW
  WHEN (NEW.emptied_run IS NOT NULL) EXECUTE FUNCTION cases_keep_emptied();
