-- What holds of publications whoever writes; who may write is in quitledger/ops/rights.sql.

-- The moment of the running transaction's one snapshot: whatever was committed before it is counted, by every statement.
-- Shifted as programme_now() is. Raises where each statement would see a state of its own.
CREATE FUNCTION statistics_snapshot_moment() RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF current_setting('transaction_isolation') NOT IN ('repeatable read', 'serializable') THEN
    RAISE EXCEPTION 'tables that belong together are counted in one snapshot' USING ERRCODE = 'invalid_transaction_state';
  END IF;
  RETURN (SELECT (transaction_timestamp() AT TIME ZONE 'UTC' + clock_offset) AT TIME ZONE 'UTC' FROM audit_database);
END $$;

-- A publication is an analyst's or a desk supervisor's, in his own name, now; the next number of its year and basis, drawn up
-- in the snapshot that it names. Its columns say what its content says, and its fingerprint is that of the content.
CREATE FUNCTION statistics_stamp_publication() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.published_by_id := current_account();
  NEW.published_at := programme_now();
  RETURN NEW;
END $$;
CREATE TRIGGER stamp BEFORE INSERT ON statistics_publication
  FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION statistics_stamp_publication();

CREATE FUNCTION statistics_verify_publication() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  before statistics_publication;
  said jsonb := NEW.content::jsonb;
BEGIN
  IF NOT EXISTS (SELECT FROM accounts_user WHERE id = NEW.published_by_id AND is_active
      AND agency_role IN ('analyst', 'desk_supervisor')) THEN
    RAISE EXCEPTION 'an analyst or a desk supervisor publishes' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'statistics_publication_by_analyst';
  END IF;
  SELECT * INTO before FROM statistics_publication
    WHERE year = NEW.year AND basis = NEW.basis ORDER BY number DESC LIMIT 1;
  IF NEW.number <> 1 + coalesce(before.number, 0) OR NEW.previous_id IS DISTINCT FROM before.id THEN
    RAISE EXCEPTION 'publications of a year are numbered one by one' USING ERRCODE = 'unique_violation',
      CONSTRAINT = 'statistics_publication_once';
  END IF;
  IF current_setting('transaction_isolation') NOT IN ('repeatable read', 'serializable') THEN
    RAISE EXCEPTION 'tables that belong together are counted in one snapshot' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'statistics_publication_data_at';
  END IF;
  IF NEW.data_at IS DISTINCT FROM statistics_snapshot_moment() THEN
    RAISE EXCEPTION 'a publication is drawn up in the snapshot it names' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'statistics_publication_data_at';
  END IF;
  IF NOT coalesce(said, '{}') @> jsonb_build_object('roc_year', NEW.year, 'basis', NEW.basis, 'number', NEW.number, 'last', NEW.last_on)
      OR (said ->> 'data_at')::timestamptz IS DISTINCT FROM NEW.data_at
      OR said -> 'previous' ->> 'fingerprint' IS DISTINCT FROM before.fingerprint THEN
    RAISE EXCEPTION 'the columns of a publication say what its content says' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'statistics_publication_content';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER verify BEFORE INSERT ON statistics_publication   -- after stamp: triggers go by their names
  FOR EACH ROW EXECUTE FUNCTION statistics_verify_publication();
ALTER TABLE statistics_publication ADD CONSTRAINT statistics_publication_fingerprint
  CHECK (fingerprint = encode(sha256(convert_to(content, 'UTF8')), 'hex'));

-- Kept in a version each as the records are: the checkpoints cover them.
SELECT audit_follow('statistics_publication');
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON statistics_publication
  FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
