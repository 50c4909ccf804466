-- A file brings many persons at once: found and made in one statement each.

-- As cases_persons_found (0005), and by which hash each was found.
CREATE FUNCTION cases_persons_by_hash(p_hashes bytea[])
  RETURNS TABLE (identity_hash bytea, person_id bigint, birth_on date)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT p.identity_hash, coalesce(p.merged_into_id, p.id), p.birth_on FROM cases_person p
    WHERE p.identity_hash = ANY (p_hashes) AND (current_scope() = 0 OR EXISTS (
      SELECT FROM cases_case c WHERE c.person_id = coalesce(p.merged_into_id, p.id) AND c.institution_id = current_scope()));
END $$;

-- As cases_find_person was (0005), for each of p_persons: [[n, hashes in hex, birth date, sex, kind, country, token in hex, key
-- id], …], no two of one hash and birth date. Whoever registers somebody of these birth dates waits; of very many (a lock
-- each would be too many) whoever makes any person waits.
CREATE FUNCTION cases_find_persons(p_persons jsonb, p_very_many boolean) RETURNS TABLE (n integer, id bigint, uid uuid)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  IF current_scope() < 0 THEN
    RAISE EXCEPTION 'nobody registers persons without a place' USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF p_very_many THEN
    LOCK TABLE cases_person IN SHARE ROW EXCLUSIVE MODE;
  ELSE
    PERFORM pg_advisory_xact_lock(hashtext('cases_person'), d.day) FROM (
      SELECT DISTINCT (p->>2)::date - date '1900-01-01' AS day FROM jsonb_array_elements(p_persons) p ORDER BY 1) d;
  END IF;
  RETURN QUERY
  WITH asked AS MATERIALIZED (
    SELECT (p->>0)::integer AS n, decode(p->1->>0, 'hex') AS hash, (p->>2)::date AS birth_on, p->>3 AS sex, p->>4 AS kind,
      p->>5 AS country, decode(p->>6, 'hex') AS token, p->>7 AS key_id FROM jsonb_array_elements(p_persons) p),
  hashes AS MATERIALIZED (
    SELECT (p->>0)::integer AS n, decode(h, 'hex') AS hash, (p->>2)::date AS birth_on
    FROM jsonb_array_elements(p_persons) p, jsonb_array_elements_text(p->1) h),
  found AS MATERIALIZED (
    SELECT DISTINCT h.n, k.id, k.uid FROM hashes h
    JOIN cases_person p ON p.identity_hash = h.hash AND p.birth_on = h.birth_on
    JOIN cases_person k ON k.id = coalesce(p.merged_into_id, p.id)),
  made AS (
    INSERT INTO cases_person (identity_hash, birth_on, sex, identity_kind, identity_country, identity_token, identity_key_id)
      SELECT a.hash, a.birth_on, a.sex, a.kind, a.country, a.token, a.key_id FROM asked a
      WHERE a.n NOT IN (SELECT f.n FROM found f)
      RETURNING id, uid, identity_hash, birth_on)
  SELECT f.n, f.id, f.uid FROM found f
  UNION ALL SELECT a.n, m.id, m.uid FROM made m JOIN asked a ON a.hash = m.identity_hash AND a.birth_on = m.birth_on;
END $$;
DROP FUNCTION cases_find_person(bytea[], date, text, text, text, bytea, text);
