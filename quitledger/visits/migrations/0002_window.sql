-- The window, held by the database; who may write what is in quitledger/ops/rights.sql.

ALTER TABLE visits_visit ADD CONSTRAINT visits_visit_case FOREIGN KEY (case_id, person_id, institution_id)
  REFERENCES cases_case (id, person_id, institution_id);
ALTER TABLE visits_service ADD CONSTRAINT visits_service_visit
  FOREIGN KEY (visit_id, person_id, institution_id, visit_on, in_force)
  REFERENCES visits_visit (id, person_id, institution_id, visit_on, in_force)
  ON UPDATE CASCADE DEFERRABLE INITIALLY IMMEDIATE;
-- A line's visit is its service's: a line of a closed month cannot pass for one of an open month.
ALTER TABLE visits_service ADD CONSTRAINT visits_service_key UNIQUE (id, visit_id, institution_id);
ALTER TABLE visits_medicationline ADD CONSTRAINT visits_medicationline_service
  FOREIGN KEY (service_id, visit_id, institution_id) REFERENCES visits_service (id, visit_id, institution_id);

-- When the month of an institution closes: the calendar's moment or the latest extension that reaches it. The county
-- is that of the month's last day. Without an institution: of the county named, or of the whole country.
CREATE FUNCTION visits_closes_at(p_institution bigint, p_month date, p_county text DEFAULT NULL) RETURNS timestamptz
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT greatest(m.closes_at, (
    SELECT max(e.closes_at) FROM visits_windowextension e
    WHERE e.month = m.month
      AND (e.reach = 'all' OR e.institution_id = p_institution
        OR e.reach = 'county' AND e.county = coalesce(p_county, (
          SELECT d.county FROM institutions_institutiondetails d
          WHERE d.institution_id = p_institution
          ORDER BY (daterange(d.starts_on, d.ends_on, '[]') @> (m.month + interval '1 month - 1 day')::date) DESC,
                   d.starts_on DESC LIMIT 1)))))
  FROM visits_month m WHERE m.month = p_month
$$;

CREATE FUNCTION visits_stamp_service_month() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    NEW.closes_at := greatest(OLD.closes_at, visits_closes_at(NEW.institution_id, NEW.month));
    NEW.prompt_hours := OLD.prompt_hours;
    RETURN NEW;
  END IF;
  -- An extension of this month that is being given just now is waited for; visits_apply_extension waits for us.
  SELECT prompt_hours INTO NEW.prompt_hours FROM visits_month WHERE month = NEW.month FOR SHARE;
  NEW.closes_at := visits_closes_at(NEW.institution_id, NEW.month);
  IF NEW.closes_at IS NULL THEN
    RAISE EXCEPTION 'no closing moment is known for %', NEW.month
      USING ERRCODE = 'check_violation', CONSTRAINT = 'visits_month_known';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON visits_servicemonth
  FOR EACH ROW EXECUTE FUNCTION visits_stamp_service_month();

-- The service months asked for, opened where they were not yet: one row for each pair. An institution opens its own.
CREATE FUNCTION visits_open_months(p_institutions bigint[], p_months date[])
  RETURNS TABLE (institution_id bigint, month date, closes_at timestamptz, prompt_hours smallint)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  IF NOT coalesce(current_scope() = 0 OR current_scope() = ALL (p_institutions), false) THEN
    RAISE EXCEPTION 'service months of another institution' USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF (SELECT count(*) FROM visits_servicemonth s
      JOIN unnest(p_institutions, p_months) a(i, m) ON s.institution_id = a.i AND s.month = a.m)
     < cardinality(p_months) THEN
    INSERT INTO visits_servicemonth (institution_id, month, closes_at, prompt_hours)
      SELECT DISTINCT a.i, a.m, 'epoch'::timestamptz, 0 FROM unnest(p_institutions, p_months) a(i, m)
        WHERE a.m IN (SELECT month FROM visits_month)   -- a month that policy does not know is not opened
        ORDER BY a.i, a.m                               -- two that open the same months wait for each other in turn
      ON CONFLICT (institution_id, month) DO NOTHING;
  END IF;
  RETURN QUERY SELECT s.institution_id, s.month, s.closes_at, s.prompt_hours FROM visits_servicemonth s
    JOIN (SELECT DISTINCT * FROM unnest(p_institutions, p_months)) a(i, m) ON s.institution_id = a.i AND s.month = a.m;
END $$;

-- An extension reaches the months that were opened before it; those opened later read it when they are opened.
-- It must lie after what it extends, so that it never shortens and never says nothing. Who gave it when is the
-- database's word; only the owner may supply it.
CREATE FUNCTION visits_apply_extension() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  extended timestamptz;
BEGIN
  IF TG_WHEN = 'BEFORE' THEN
    PERFORM FROM visits_month WHERE month = NEW.month FOR NO KEY UPDATE;   -- see visits_stamp_service_month
    extended := visits_closes_at(NEW.institution_id, NEW.month, nullif(NEW.county, ''));
    IF extended IS NULL THEN
      RAISE EXCEPTION 'no closing moment is known for %', NEW.month
        USING ERRCODE = 'check_violation', CONSTRAINT = 'visits_month_known';
    ELSIF NEW.closes_at <= extended THEN
      RAISE EXCEPTION 'an extension must end later than the window it extends'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'visits_window_extension_later';
    END IF;
    RETURN NEW;
  END IF;
  UPDATE visits_servicemonth s SET closes_at = NEW.closes_at
    WHERE s.month = NEW.month AND s.closes_at < visits_closes_at(s.institution_id, s.month);
  RETURN NULL;
END $$;
CREATE FUNCTION visits_stamp_extension() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.decided_at := programme_now();
  RETURN NEW;
END $$;
CREATE TRIGGER stamp BEFORE INSERT ON visits_windowextension
  FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION visits_stamp_extension();
CREATE TRIGGER later BEFORE INSERT ON visits_windowextension
  FOR EACH ROW EXECUTE FUNCTION visits_apply_extension();
CREATE TRIGGER apply AFTER INSERT ON visits_windowextension
  FOR EACH ROW EXECUTE FUNCTION visits_apply_extension();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON visits_windowextension
  FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON visits_windowextension
  FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();

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

-- At commit: the months touched are still open, and no visit lies in the future. The triggers are SECURITY DEFINER, so
-- that they read the closing moments whatever the scope; that they do not bind the owner is decided by WHEN, as the
-- invoking role.
CREATE FUNCTION visits_require_open(p_institution bigint, p_visit_on date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := programme_now();
  closing timestamptz;
BEGIN
  SELECT closes_at INTO closing FROM visits_servicemonth
    WHERE institution_id = p_institution AND month = date_trunc('month', p_visit_on::timestamp)::date;
  IF closing IS NULL OR moment >= closing THEN
    RAISE EXCEPTION 'the recording window of % is closed', to_char(p_visit_on, 'YYYY-MM')
      USING ERRCODE = 'check_violation', CONSTRAINT = 'visits_window';
  END IF;
  IF p_visit_on > (moment AT TIME ZONE 'Asia/Taipei')::date THEN
    RAISE EXCEPTION 'a visit cannot lie in the future'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'visits_not_in_the_future';
  END IF;
END $$;

CREATE FUNCTION visits_check_window() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN PERFORM visits_require_open(OLD.institution_id, OLD.visit_on); END IF;
  IF TG_OP = 'INSERT' THEN
    PERFORM visits_require_open(NEW.institution_id, NEW.visit_on);
  ELSIF TG_OP = 'UPDATE' AND (NEW.institution_id, NEW.visit_on) <> (OLD.institution_id, OLD.visit_on) THEN
    PERFORM visits_require_open(NEW.institution_id, NEW.visit_on);
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION visits_check_line_window() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM visits_require_open(v.institution_id, v.visit_on) FROM visits_visit v
    WHERE v.id = CASE WHEN TG_OP = 'DELETE' THEN OLD.visit_id ELSE NEW.visit_id END;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER within_window AFTER INSERT OR UPDATE OR DELETE ON visits_visit
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION visits_check_window();
CREATE CONSTRAINT TRIGGER within_window AFTER INSERT OR UPDATE OR DELETE ON visits_service
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION visits_check_window();
CREATE CONSTRAINT TRIGGER within_window AFTER INSERT OR UPDATE OR DELETE ON visits_medicationline
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION visits_check_line_window();

-- A visit always has a service, at commit.
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

SELECT audit_follow('visits_visit'), audit_follow('visits_service'), audit_follow('visits_medicationline'),
       audit_follow('visits_servicemonth');
