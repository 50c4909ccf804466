-- A number has a hash under every key that is in use while keys are rotated: the person is looked for under all of them,
-- and made under the first. One at a time for a birth date, so that two who know different keys do not make two persons.
DROP FUNCTION cases_find_person(bytea, date, text, text, text, bytea, text);
CREATE FUNCTION cases_find_person(p_hashes bytea[], p_birth_on date, p_sex text, p_kind text, p_country text,
                                  p_token bytea, p_key_id text)
  RETURNS TABLE (id bigint, uid uuid) LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  IF current_scope() < 0 THEN
    RAISE EXCEPTION 'nobody registers persons without a place' USING ERRCODE = 'insufficient_privilege';
  END IF;
  PERFORM pg_advisory_xact_lock(hashtext('cases_person'), p_birth_on - date '1900-01-01');
  RETURN QUERY SELECT p.id, p.uid FROM cases_person p WHERE p.identity_hash = ANY (p_hashes) AND p.birth_on = p_birth_on;
  IF NOT FOUND THEN
    RETURN QUERY INSERT INTO cases_person (identity_hash, birth_on, sex, identity_kind, identity_country, identity_token,
                                           identity_key_id)
      VALUES (p_hashes[1], p_birth_on, p_sex, p_kind, p_country, p_token, p_key_id) RETURNING id, uid;
  END IF;
END $$;
