-- A service may be taken out of a visit while its window is open (history keeps it); a visit always keeps one, at commit.
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
