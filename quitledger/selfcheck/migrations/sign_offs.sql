-- What holds of sign-offs and reminders whoever writes; who may write what is in quitledger/ops/rights.sql.

-- A month is signed off by a supervisor of its institution, in his own name, now; the next number of the month.
CREATE FUNCTION selfcheck_stamp_signoff() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  NEW.signed_by_id := current_account();
  NEW.signed_at := programme_now();
  IF NOT EXISTS (SELECT FROM institutions_membership m JOIN accounts_user u ON u.id = m.user_id
      WHERE m.institution_id = NEW.institution_id AND m.user_id = NEW.signed_by_id AND m.role = 'supervisor'
        AND u.is_active AND m.closed_at IS NULL
        AND daterange(m.starts_on, m.ends_on, '[]') @> programme_today()) THEN
    RAISE EXCEPTION 'a supervisor of the institution signs' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'selfcheck_signoff_by_supervisor';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER stamp BEFORE INSERT ON selfcheck_signoff
  FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION selfcheck_stamp_signoff();

CREATE FUNCTION selfcheck_check_number() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF NEW.number <> 1 + coalesce((SELECT max(number) FROM selfcheck_signoff
      WHERE institution_id = NEW.institution_id AND month = NEW.month), 0) THEN
    RAISE EXCEPTION 'sign-offs of a month are numbered one by one' USING ERRCODE = 'unique_violation',
      CONSTRAINT = 'selfcheck_signoff_once';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER numbered BEFORE INSERT ON selfcheck_signoff
  FOR EACH ROW EXECUTE FUNCTION selfcheck_check_number();

ALTER TABLE selfcheck_signoff ADD CONSTRAINT selfcheck_signoff_month
  FOREIGN KEY (institution_id, month) REFERENCES visits_servicemonth (institution_id, month);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON selfcheck_signoff
  FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON selfcheck_signoff
  FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();
