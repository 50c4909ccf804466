-- Every version of every row of the tables that are followed.

-- A followed table is not truncated: its rows would go without a last version.
CREATE FUNCTION audit_refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% keeps every version and is not truncated', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;

-- Keeps every version of every row of `t` in `t`_history. Call it again after a column was added to `t`: every row then
-- gets a version that has the column, so that the last version is the row. The rows of one statement are of one moment: the
-- clock is asked once for all of them.
-- The history table is written by the trigger alone (SECURITY DEFINER): the application role cannot write it.
CREATE FUNCTION audit_follow(t regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  h text := t::text || '_history';
  cols text;
  c record;
  before integer;
BEGIN
  SELECT count(*) INTO before FROM pg_attribute WHERE attrelid = to_regclass(quote_ident(h)) AND attnum > 0;
  EXECUTE format($f$
    CREATE TABLE IF NOT EXISTS %I (
      history_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      history_at     timestamptz NOT NULL DEFAULT programme_now(),
      history_change text NOT NULL CHECK (history_change IN ('insert', 'update', 'delete')),
      history_by     bigint DEFAULT current_account(),
      history_xid    xid8 NOT NULL DEFAULT pg_current_xact_id()
    ) $f$, h);
  FOR c IN SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute
           WHERE attrelid = t AND attnum > 0 AND NOT attisdropped ORDER BY attnum LOOP
    EXECUTE format('ALTER TABLE %I ADD COLUMN IF NOT EXISTS %I %s', h, c.attname, c.type);
  END LOOP;
  SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO cols FROM pg_attribute
    WHERE attrelid = t AND attnum > 0 AND NOT attisdropped;
  EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I (id, history_id)', h || '_row', h);
  IF before > 0 AND before < (SELECT count(*) FROM pg_attribute WHERE attrelid = h::regclass AND attnum > 0) THEN
    EXECUTE format('INSERT INTO %I (history_change, %s) SELECT ''update'', %2$s FROM %s', h, cols, t);
  END IF;
  EXECUTE format($f$
    CREATE OR REPLACE FUNCTION %1$I() RETURNS trigger LANGUAGE plpgsql
      SECURITY DEFINER SET search_path = public, pg_temp AS $b$
    DECLARE
      moment timestamptz := programme_now();
      account bigint := current_account();
    BEGIN
      IF TG_OP = 'DELETE' THEN
        INSERT INTO %2$I (history_at, history_by, history_change, %3$s) SELECT moment, account, 'delete', %3$s FROM old_rows;
      ELSE
        INSERT INTO %2$I (history_at, history_by, history_change, %3$s) SELECT moment, account, lower(TG_OP), %3$s FROM new_rows;
      END IF;
      RETURN NULL;
    END $b$ $f$, t::text || '_keep', h, cols);
  EXECUTE format('CREATE OR REPLACE TRIGGER keep_insert AFTER INSERT ON %s REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION %I()', t, t::text || '_keep');
  EXECUTE format('CREATE OR REPLACE TRIGGER keep_update AFTER UPDATE ON %s REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION %I()', t, t::text || '_keep');
  EXECUTE format('CREATE OR REPLACE TRIGGER keep_delete AFTER DELETE ON %s REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION %I()', t, t::text || '_keep');
  EXECUTE format('CREATE OR REPLACE TRIGGER no_truncate BEFORE TRUNCATE ON %s
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_truncate()', t);
  EXECUTE format('CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE ON %I
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change()', h);
  EXECUTE format('CREATE OR REPLACE TRIGGER no_truncate BEFORE TRUNCATE ON %I
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change()', h);
END $$;
