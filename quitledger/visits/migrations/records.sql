-- What holds of a visit whoever writes it; who may write what is in quitledger/ops/rights.sql.

-- recorded_at is the database's word; only the owner (demo, synthesis, transfer of old data) may supply it.
CREATE FUNCTION visits_stamp_visit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    NEW.recorded_at := programme_now();
    NEW.changed_at := NEW.recorded_at;
    NEW.recorded_by_id := current_account();
    NEW.version := 1;
  ELSE
    IF NEW.version <> OLD.version + 1 THEN
      RAISE EXCEPTION 'a change makes the next version' USING ERRCODE = 'check_violation',
        CONSTRAINT = 'visits_visit_next_version';
    END IF;
    NEW.id := OLD.id;
    NEW.uid := OLD.uid;
    NEW.recorded_at := OLD.recorded_at;
    NEW.recorded_by_id := OLD.recorded_by_id;
    NEW.changed_at := programme_now();
  END IF;
  NEW.changed_by_id := current_account();
  RETURN NEW;
END $$;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON visits_visit
  FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION visits_stamp_visit();

-- Nothing is recorded for a person who is a closed book (cases/migrations/closed_books.sql); asked once of all visits of a
-- statement.
CREATE TRIGGER not_emptied AFTER INSERT ON visits_visit REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION cases_refuse_closed_books();
CREATE TRIGGER not_emptied_changed BEFORE UPDATE ON visits_visit
  FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION cases_refuse_emptied();

-- A visit always has a service, at commit. One may be taken out of it while its window is open (history keeps it).
CREATE FUNCTION visits_check_services() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM visits_service WHERE visit_id = NEW.id) THEN
    RAISE EXCEPTION 'a visit has a service' USING ERRCODE = 'check_violation', CONSTRAINT = 'visits_visit_services';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER has_services AFTER INSERT ON visits_visit
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION visits_check_services();
CREATE FUNCTION visits_check_last_service() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM visits_visit WHERE id = OLD.visit_id)
     AND NOT EXISTS (SELECT FROM visits_service WHERE visit_id = OLD.visit_id) THEN
    RAISE EXCEPTION 'a visit has a service' USING ERRCODE = 'check_violation', CONSTRAINT = 'visits_visit_services';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER has_services AFTER DELETE ON visits_service
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION visits_check_last_service();

SELECT audit_follow('visits_visit'), audit_follow('visits_service'), audit_follow('visits_medicationline');
