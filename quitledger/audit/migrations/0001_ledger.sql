-- What every other table stands on: extensions, the database's purpose and clock, the scope, the journal, history.

CREATE EXTENSION IF NOT EXISTS btree_gist;   -- spacing rule, dated values without overlap
CREATE EXTENSION IF NOT EXISTS pg_trgm;      -- search by part of a name

-- One row: what this database is for, and how far its clock is shifted. Only a demo or test database may shift it.
CREATE TABLE audit_database (
  id           smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
  purpose      text NOT NULL CHECK (purpose IN ('production', 'demo', 'test')),
  clock_offset interval NOT NULL DEFAULT '0',
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT audit_database_clock CHECK (purpose <> 'production' OR clock_offset = '0')
);
INSERT INTO audit_database (purpose)
  VALUES (coalesce(nullif(current_setting('quitledger.purpose', true), ''), 'production'));

CREATE FUNCTION audit_database_keep_purpose() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the purpose of a database is set once, when it is created' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER keep_purpose BEFORE UPDATE OF purpose ON audit_database
  FOR EACH ROW WHEN (NEW.purpose <> OLD.purpose) EXECUTE FUNCTION audit_database_keep_purpose();
CREATE TRIGGER keep_row BEFORE DELETE OR TRUNCATE ON audit_database
  FOR EACH STATEMENT EXECUTE FUNCTION audit_database_keep_purpose();

-- The one clock for rules. Shifted in UTC: there a day has 24 hours, whatever the session's time zone. BEGIN ATOMIC binds
-- the table's name now: a caller's temporary table of the same name is not the clock.
CREATE FUNCTION programme_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL RESTRICTED
  BEGIN ATOMIC
    SELECT (clock_timestamp() AT TIME ZONE 'UTC' + clock_offset) AT TIME ZONE 'UTC' FROM audit_database;
  END;
CREATE FUNCTION programme_today() RETURNS date LANGUAGE sql VOLATILE PARALLEL RESTRICTED
  BEGIN ATOMIC SELECT (programme_now() AT TIME ZONE 'Asia/Taipei')::date; END;

-- Whose data the running transaction may see: an institution's id, 0 = the agency (all), -1 = nobody's.
-- Raises when nobody said so: a forgotten scope is an error, never an empty or a whole list.
CREATE FUNCTION current_scope() RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
  scope text := current_setting('quitledger.scope', true);
BEGIN
  IF scope IS NULL OR scope = '' THEN
    RAISE EXCEPTION 'no scope was set for this transaction' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN scope::bigint;
END $$;
-- True, or the same error. IMMUTABLE is not what it is but when it is asked: while a statement is being planned, whether
-- or not there are rows to look at, and at no cost for each row. A statement that a connection has prepared is planned
-- once; after that current_scope() itself raises, as soon as there is a row to judge.
CREATE FUNCTION scope_was_set() RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  PERFORM current_scope();
  RETURN true;
END $$;
-- The account on whose behalf the transaction runs; null for the system itself.
CREATE FUNCTION current_account() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
  BEGIN ATOMIC SELECT nullif(current_setting('quitledger.account', true), '')::bigint; END;

-- True for the role that owns the tables (migrations, demo data, transfer of old data): it has every privilege on this
-- one, of which the application role is given SELECT alone. Asked by most triggers, so no look-up in the catalogue.
CREATE FUNCTION is_owner() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
  RETURN has_table_privilege('audit_database'::regclass, 'TRUNCATE');

-- The journal: who did or saw what, when; never values, names or identity numbers.
CREATE TABLE audit_journal (
  id             bigint GENERATED ALWAYS AS IDENTITY,
  at             timestamptz NOT NULL DEFAULT programme_now(),
  action         text NOT NULL,                                   -- visit.record, case.read …
  record_type    text NOT NULL DEFAULT '',
  record_uids    uuid[] NOT NULL DEFAULT '{}',
  record_version integer,
  fields         text[] NOT NULL DEFAULT '{}',
  account_id     bigint DEFAULT current_account(),
  institution_id bigint DEFAULT nullif(greatest(current_scope(), 0), 0),
  request_uid    uuid,
  xid            xid8 NOT NULL DEFAULT pg_current_xact_id(),
  PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE TABLE audit_journal_default PARTITION OF audit_journal DEFAULT;
CREATE INDEX audit_journal_uids ON audit_journal USING gin (record_uids);
CREATE INDEX audit_journal_institution ON audit_journal (institution_id, at);

-- Append-only, for the owner too: a row once written is never changed or removed by a statement on these tables.
CREATE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_journal
  FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON audit_journal
  FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON audit_journal_default   -- partitions do not inherit this one
  FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();

-- Monthly partitions of the journal, from the month of `first` on. Rows of a month that already lie in the default
-- partition keep it: that month is left out.
CREATE FUNCTION audit_make_partitions(first date, months integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  starts date; made integer := 0; part text;
BEGIN
  FOR n IN 0 .. months - 1 LOOP
    starts := date_trunc('month', first)::date + make_interval(months => n);
    part := 'audit_journal_' || to_char(starts, 'YYYYMM');
    CONTINUE WHEN to_regclass(part) IS NOT NULL;
    CONTINUE WHEN EXISTS (SELECT FROM audit_journal_default
      WHERE at >= starts::timestamp AT TIME ZONE 'Asia/Taipei'
        AND at < (starts + interval '1 month') AT TIME ZONE 'Asia/Taipei');
    EXECUTE format('CREATE TABLE %I PARTITION OF audit_journal FOR VALUES FROM (%L) TO (%L)', part,
      starts::timestamp AT TIME ZONE 'Asia/Taipei', (starts + interval '1 month') AT TIME ZONE 'Asia/Taipei');
    EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON %I
      FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change()', part);
    made := made + 1;
  END LOOP;
  RETURN made;
END $$;

-- A followed table is not truncated: its rows would go without a last version.
CREATE FUNCTION audit_refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% keeps every version and is not truncated', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;

-- Keeps every version of every row of `t` in `t`_history. Call it again after a column was added to `t`: every row then
-- gets a version that has the column, so that the last version is the row.
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
    BEGIN
      IF TG_OP = 'DELETE' THEN
        INSERT INTO %2$I (history_change, %3$s) SELECT 'delete', %3$s FROM old_rows;
      ELSE
        INSERT INTO %2$I (history_change, %3$s) SELECT lower(TG_OP), %3$s FROM new_rows;
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
