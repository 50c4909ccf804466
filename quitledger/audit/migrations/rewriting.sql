-- What is append-only is so for the owner too: a row once written is never changed or removed by a statement. One exception:
-- versions written anew in place, under another key, or emptied when their keeping time has ended. Never in silence: the
-- database notes the leaf of each before and after, and each transaction's notes are signed with the checkpoint key.

-- A row, given as text, as its proof knows it. Without the ends of the row that are null: a column added later, which comes
-- last, changes no row that was there. (A value that ends in a comma or a parenthesis is quoted, so none of it is cut.)
-- Moments and bytes are written as the session's settings say: whoever compares leaves sets those of audit.ledger.
CREATE FUNCTION audit_leaf(r text) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN sha256(convert_to(rtrim(r, ',)'), 'UTF8'));

CREATE TABLE audit_rewriting (
  number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  run        bigint NOT NULL,                       -- of the command; several transactions belong to one
  kind       text NOT NULL CHECK (kind IN ('keys', 'retention')),
  at         timestamptz NOT NULL DEFAULT clock_timestamp(),
  signed     text NOT NULL                          -- signature and payload, as in a line of the anchor
);
CREATE TABLE audit_rewritten (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  number     bigint NOT NULL REFERENCES audit_rewriting DEFERRABLE INITIALLY DEFERRED,
  table_name text NOT NULL,
  row_number bigint NOT NULL,
  before     bytea NOT NULL,
  after      bytea NOT NULL
);
CREATE INDEX audit_rewritten_row ON audit_rewritten (table_name, row_number);
CREATE INDEX audit_rewritten_number ON audit_rewritten (number);

-- The owner may write a version anew where the transaction says under which number; the deferred key above refuses the
-- commit where nobody signed that number. With the settings that leaves are made with (audit.ledger).
CREATE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql
  SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET bytea_output = 'hex' SET extra_float_digits = 1 AS $$
DECLARE
  number text := nullif(current_setting('quitledger.rewriting', true), '');
BEGIN
  IF TG_OP = 'UPDATE' AND number IS NOT NULL AND TG_TABLE_NAME LIKE '%\_history' AND is_owner() THEN
    INSERT INTO audit_rewritten (number, table_name, row_number, before, after)
      VALUES (number::bigint, TG_TABLE_NAME, OLD.history_id, audit_leaf(OLD::text), audit_leaf(NEW::text));
    RETURN NEW;
  END IF;
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_rewriting
  FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON audit_rewriting
  FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_rewritten
  FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON audit_rewritten
  FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();
