-- What every other table stands on: extensions, the database's purpose and clock, the scope, who the owner is.

CREATE EXTENSION IF NOT EXISTS btree_gist;   -- spacing rule, dated values without overlap
CREATE EXTENSION IF NOT EXISTS pg_trgm;      -- search by part of a name

-- One row: what this database is for, and how far its clock is shifted. Only a demo or test database may shift it. Its uid:
-- a file of checkpoints belongs to one database.
CREATE TABLE audit_database (
  id           smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
  purpose      text NOT NULL CHECK (purpose IN ('production', 'demo', 'test')),
  clock_offset interval NOT NULL DEFAULT '0',
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  uid          uuid NOT NULL DEFAULT gen_random_uuid(),
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
CREATE FUNCTION audit_database_keep_uid() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a database keeps its uid' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER keep_uid BEFORE UPDATE OF uid ON audit_database
  FOR EACH ROW WHEN (NEW.uid <> OLD.uid) EXECUTE FUNCTION audit_database_keep_uid();

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
