-- What holds of applications whoever writes; who may write what is in quitledger/ops/rights.sql.

-- 案件編號: the months' counters. A number is used up by the transaction that commits it: no gap, none twice.
CREATE TABLE corrections_serial (month date PRIMARY KEY, last integer NOT NULL CHECK (last >= 1));
CREATE FUNCTION corrections_next_case_no() RETURNS text LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_month date := date_trunc('month', programme_today()::timestamp)::date;
  v_last integer;
BEGIN
  INSERT INTO corrections_serial (month, last) VALUES (v_month, 1)
    ON CONFLICT (month) DO UPDATE SET last = corrections_serial.last + 1 RETURNING last INTO v_last;
  RETURN format('%s-%s-%s', extract(year FROM v_month) - 1911, to_char(v_month, 'MM'), lpad(v_last::text, 4, '0'));
END $$;

-- How many accounts can sign for an institution today.
CREATE FUNCTION corrections_count_accounts(p_institution bigint) RETURNS integer LANGUAGE plpgsql STABLE
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF current_scope() NOT IN (0, p_institution) THEN
    RAISE EXCEPTION 'accounts of another institution' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN (SELECT count(*) FROM institutions_membership m JOIN accounts_user u ON u.id = m.user_id
    WHERE m.institution_id = p_institution AND u.is_active AND m.closed_at IS NULL
      AND daterange(m.starts_on, m.ends_on, '[]') @> programme_today());
END $$;

-- The ways between the states; corrections.rules says the same with whom and what for, and a test compares the two.
CREATE FUNCTION corrections_leads(p_from text, p_to text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT (p_from, p_to) IN (
    ('draft', 'draft'), ('draft', 'to_sign'), ('draft', 'new'), ('draft', 'withdrawn'),
    ('to_sign', 'new'), ('to_sign', 'draft'), ('to_sign', 'withdrawn'),
    ('new', 'in_review'), ('new', 'withdrawn'),
    ('in_review', 'new'), ('in_review', 'waiting'), ('in_review', 'second'), ('in_review', 'approved'),
    ('in_review', 'in_part'), ('in_review', 'rejected'), ('in_review', 'withdrawn'),
    ('waiting', 'in_review'), ('waiting', 'withdrawn'),
    ('second', 'approved'), ('second', 'in_part'), ('second', 'in_review'))
$$;

-- Who wrote, signed and decided, and when, is the database's word.
CREATE FUNCTION corrections_stamp_application() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  NEW.changed_at := programme_now();
  NEW.changed_by_id := current_account();
  IF TG_OP = 'INSERT' THEN
    NEW.written_by_id := current_account();
    NEW.written_at := NEW.changed_at;
    NEW.version := 1;
    NEW.signed_by_id := NULL; NEW.signed_at := NULL; NEW.single_person := false;
    NEW.claimed_by_id := NULL; NEW.decided_by_id := NULL; NEW.confirmed_by_id := NULL; NEW.decided_at := NULL;
    NEW.seen_at := NULL;
    IF NEW.state <> (CASE WHEN NEW.on_paper THEN 'new' ELSE 'draft' END) OR NEW.on_paper <> (current_scope() = 0) THEN
      RAISE EXCEPTION 'an institution writes a draft, the desk registers what came on paper'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'corrections_application_begins';
    END IF;
  ELSE
    IF NEW.version <> OLD.version + 1 THEN
      RAISE EXCEPTION 'a step makes the next version' USING ERRCODE = 'check_violation',
        CONSTRAINT = 'corrections_application_next_version';
    END IF;
    IF NEW.state <> OLD.state AND NOT corrections_leads(OLD.state, NEW.state) THEN
      RAISE EXCEPTION 'no way leads from % to %', OLD.state, NEW.state USING ERRCODE = 'check_violation',
        CONSTRAINT = 'corrections_application_way';
    END IF;
    IF (NEW.id, NEW.uid, NEW.institution_id, NEW.case_id, NEW.person_id, NEW.on_paper, NEW.written_by_id, NEW.written_at)
       IS DISTINCT FROM
       (OLD.id, OLD.uid, OLD.institution_id, OLD.case_id, OLD.person_id, OLD.on_paper, OLD.written_by_id, OLD.written_at)
       OR OLD.state <> 'draft' AND (NEW.reason, NEW.discovered_on, NEW.received_on)
         IS DISTINCT FROM (OLD.reason, OLD.discovered_on, OLD.received_on) THEN
      RAISE EXCEPTION 'what was sent stays as it was sent' USING ERRCODE = 'check_violation',
        CONSTRAINT = 'corrections_application_as_sent';
    END IF;
    -- Only the step that sends it says who signed; only the desk says who decided.
    IF OLD.sent_at IS NULL AND NEW.state = 'new' THEN
      NEW.signed_by_id := current_account();
      NEW.signed_at := NEW.changed_at;
      NEW.single_person := corrections_count_accounts(NEW.institution_id) = 1;
    ELSE
      NEW.signed_by_id := OLD.signed_by_id; NEW.signed_at := OLD.signed_at; NEW.single_person := OLD.single_person;
    END IF;
    NEW.case_no := OLD.case_no;
    NEW.sent_at := OLD.sent_at;
    IF NEW.state IN ('in_review', 'waiting', 'second', 'approved', 'in_part', 'rejected') AND NEW.state <> OLD.state
       AND OLD.state <> 'waiting' AND current_scope() <> 0 THEN
      RAISE EXCEPTION 'the desk decides' USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- Of two who decide, the first made it wait for the second.
    IF NEW.state <> OLD.state AND NEW.state IN ('second', 'approved', 'in_part', 'rejected') THEN
      IF OLD.state = 'second' THEN
        NEW.decided_by_id := OLD.decided_by_id;
        NEW.confirmed_by_id := current_account();
      ELSE
        NEW.decided_by_id := current_account();
        NEW.confirmed_by_id := NULL;
      END IF;
      NEW.decided_at := CASE WHEN NEW.state <> 'second' THEN NEW.changed_at END;
    ELSIF OLD.state = 'second' AND NEW.state = 'in_review' THEN
      NEW.decided_by_id := NULL;
    ELSE
      NEW.decided_by_id := OLD.decided_by_id; NEW.confirmed_by_id := OLD.confirmed_by_id; NEW.decided_at := OLD.decided_at;
    END IF;
  END IF;
  IF NEW.state = 'new' AND NEW.sent_at IS NULL THEN
    NEW.case_no := corrections_next_case_no();
    NEW.sent_at := NEW.changed_at;
  ELSIF TG_OP = 'INSERT' THEN
    NEW.case_no := NULL;
    NEW.sent_at := NULL;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON corrections_application
  FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION corrections_stamp_application();
CREATE TRIGGER not_emptied BEFORE INSERT ON corrections_application
  FOR EACH ROW EXECUTE FUNCTION cases_refuse_emptied();

ALTER TABLE corrections_application
  -- The case is the person's at the institution.
  ADD CONSTRAINT corrections_application_case FOREIGN KEY (case_id, person_id, institution_id)
    REFERENCES cases_case (id, person_id, institution_id) ON UPDATE CASCADE DEFERRABLE INITIALLY IMMEDIATE,
  ADD CONSTRAINT corrections_application_key UNIQUE (id, institution_id);

-- The steps that it took: who took one, when, on which side.
ALTER TABLE corrections_steptaken ADD CONSTRAINT corrections_steptaken_application
  FOREIGN KEY (application_id, institution_id) REFERENCES corrections_application (id, institution_id);
CREATE FUNCTION corrections_stamp_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.by_id := current_account();
  NEW.at := programme_now();
  NEW.from_desk := current_scope() = 0;
  RETURN NEW;
END $$;
CREATE TRIGGER stamp BEFORE INSERT ON corrections_steptaken
  FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION corrections_stamp_step();

SELECT audit_follow('corrections_application'), audit_follow('corrections_steptaken');
