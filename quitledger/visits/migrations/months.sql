-- Service months: when each closes, and what extends it. Who may write what is in quitledger/ops/rights.sql.

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

SELECT audit_follow('visits_servicemonth');
