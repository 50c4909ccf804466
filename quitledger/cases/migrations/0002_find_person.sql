ALTER TABLE cases_baseline ADD CONSTRAINT cases_baseline_case FOREIGN KEY (case_id, person_id, institution_id)
  REFERENCES cases_case (id, person_id, institution_id);

-- The person with this identity number (as keyed hash) and birth date, made when there was none. The answer looks the
-- same whether or not the person was known; nothing of what other institutions know is given.
CREATE FUNCTION cases_find_person(p_hash bytea, p_birth_on date, p_sex text, p_kind text, p_country text,
                                  p_token bytea, p_key_id text)
  RETURNS TABLE (id bigint, uid uuid) LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  IF current_scope() < 0 THEN
    RAISE EXCEPTION 'nobody registers persons without a place' USING ERRCODE = 'insufficient_privilege';
  END IF;
  INSERT INTO cases_person (identity_hash, birth_on, sex, identity_kind, identity_country, identity_token,
                            identity_key_id)
    VALUES (p_hash, p_birth_on, p_sex, p_kind, p_country, p_token, p_key_id)
    ON CONFLICT (identity_hash, birth_on) DO NOTHING;
  RETURN QUERY SELECT p.id, p.uid FROM cases_person p WHERE p.identity_hash = p_hash AND p.birth_on = p_birth_on;
END $$;

-- Bookkeeping columns are the database's word.
CREATE FUNCTION cases_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.changed_at := programme_now();
  NEW.changed_by_id := current_account();
  IF TG_OP = 'INSERT' THEN
    NEW.version := 1;
  ELSIF NEW.version <> OLD.version + 1 THEN
    RAISE EXCEPTION 'a change makes the next version' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'cases_next_version';
  ELSE
    NEW.id := OLD.id;
    NEW.uid := OLD.uid;
  END IF;
  IF TG_TABLE_NAME = 'cases_baseline' THEN
    NEW.recorded_at := CASE TG_OP WHEN 'INSERT' THEN NEW.changed_at ELSE OLD.recorded_at END;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON cases_case
  FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION cases_stamp();
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON cases_baseline
  FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION cases_stamp();

SELECT audit_follow('cases_person'), audit_follow('cases_case'), audit_follow('cases_baseline');
