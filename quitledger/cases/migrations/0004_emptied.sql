-- A person who was emptied is a closed book: nothing is recorded for him any more (who comes again is registered anew).
-- The lock has whoever records wait for a run that is emptying just now, and then see that it did.
CREATE FUNCTION cases_refuse_emptied() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  person bigint;
  run bigint;
BEGIN
  IF TG_TABLE_NAME = 'visits_draft' THEN
    SELECT person_id INTO person FROM cases_case WHERE id = NEW.case_id;
  ELSE
    person := NEW.person_id;
  END IF;
  SELECT emptied_run INTO run FROM cases_person WHERE id = person FOR KEY SHARE;
  IF run IS NOT NULL THEN
    RAISE EXCEPTION 'the keeping time of this person has ended' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'cases_person_is_emptied';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER not_emptied BEFORE INSERT ON cases_case FOR EACH ROW EXECUTE FUNCTION cases_refuse_emptied();
CREATE TRIGGER not_emptied BEFORE INSERT ON cases_baseline FOR EACH ROW EXECUTE FUNCTION cases_refuse_emptied();
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
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['cases_person', 'cases_case'] LOOP
    EXECUTE format('CREATE TRIGGER emptied_once BEFORE UPDATE ON %I FOR EACH ROW
      WHEN (NEW.emptied_run IS DISTINCT FROM OLD.emptied_run) EXECUTE FUNCTION cases_keep_emptied()', t);
    EXECUTE format('CREATE TRIGGER emptied_later BEFORE INSERT ON %I FOR EACH ROW
      WHEN (NEW.emptied_run IS NOT NULL) EXECUTE FUNCTION cases_keep_emptied()', t);
  END LOOP;
END $$;

SELECT audit_follow('cases_person'), audit_follow('cases_case');
