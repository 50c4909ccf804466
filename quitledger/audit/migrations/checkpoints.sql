-- Checkpoints: what proves that no entry of the journal and no version was changed afterwards.

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
