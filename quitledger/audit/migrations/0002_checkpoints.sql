-- Checkpoints: what proves that no entry of the journal and no version was changed afterwards.

-- Which database this is: a file of checkpoints belongs to one.
ALTER TABLE audit_database ADD COLUMN uid uuid NOT NULL DEFAULT gen_random_uuid();
CREATE FUNCTION audit_database_keep_uid() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a database keeps its uid' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER keep_uid BEFORE UPDATE OF uid ON audit_database
  FOR EACH ROW WHEN (NEW.uid <> OLD.uid) EXECUTE FUNCTION audit_database_keep_uid();

-- A row, given as text, as its proof knows it. Without the ends of the row that are null: a column added later, which comes
-- last, changes no row that was there. (A value that ends in a comma or a parenthesis is quoted, so none of it is cut.)
-- Moments and bytes are written as the session's settings say: whoever compares leaves sets those of audit.ledger.
CREATE FUNCTION audit_leaf(r text) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN sha256(convert_to(rtrim(r, ',)'), 'UTF8'));

-- The lines of the anchor, the file outside the cluster, as the database has them.
CREATE TABLE audit_checkpoint (
  number     bigint PRIMARY KEY CHECK (number > 0),
  line       text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_checkpoint
  FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON audit_checkpoint
  FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();
