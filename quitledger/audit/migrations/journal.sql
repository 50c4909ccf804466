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
