-- Persons are found, made and put right by these narrow functions alone; nothing of what other institutions know is given.

-- The persons with this identity number of whom the scope has a case (the agency: all): who is kept in the place of a merged
-- one, and the birth date under which the number was known. A merged person's own row is nobody's to see any more.
CREATE FUNCTION cases_persons_found(p_hashes bytea[]) RETURNS TABLE (person_id bigint, birth_on date)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT coalesce(p.merged_into_id, p.id), p.birth_on FROM cases_person p
    WHERE p.identity_hash = ANY (p_hashes) AND (current_scope() = 0 OR EXISTS (
      SELECT FROM cases_case c WHERE c.person_id = coalesce(p.merged_into_id, p.id) AND c.institution_id = current_scope()));
END $$;
-- The same for the numbers of a file, and by which hash each was found.
CREATE FUNCTION cases_persons_by_hash(p_hashes bytea[])
  RETURNS TABLE (identity_hash bytea, person_id bigint, birth_on date)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT p.identity_hash, coalesce(p.merged_into_id, p.id), p.birth_on FROM cases_person p
    WHERE p.identity_hash = ANY (p_hashes) AND (current_scope() = 0 OR EXISTS (
      SELECT FROM cases_case c WHERE c.person_id = coalesce(p.merged_into_id, p.id) AND c.institution_id = current_scope()));
END $$;

-- Each of p_persons, found by number and birth date, and made where there was none: [[n, hashes in hex, birth date, sex, kind,
-- country, token in hex, key id], …], no two of one hash and birth date. The answer looks the same whether or not the person
-- was known. A number has a hash under every key that is in use while keys are rotated: the person is looked for under all of
-- them, and made under the first; who was merged is answered by who is kept in his place.
-- Whoever registers somebody of these birth dates waits, so that two who know different keys do not make two persons; of very
-- many (a lock each would be too many) whoever makes any person waits.
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

-- What the desk decides, an account of the desk decides, in the agency's scope.
CREATE FUNCTION cases_require_desk() RETURNS void LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF current_scope() <> 0 OR NOT EXISTS (SELECT FROM accounts_user WHERE id = current_account() AND is_active
      AND agency_role IN ('desk_officer', 'desk_supervisor')) THEN
    RAISE EXCEPTION 'the desk decides this' USING ERRCODE = 'insufficient_privilege';
  END IF;
END $$;

-- What the rules need to know before a person is changed; locks him, and whoever registers somebody born on that day waits.
--   is_open   whether the scope may do it: the agency; an institution that alone has a case of him, while the window of his
--             first visit is open, and where nobody else has this number and birth date. One answer for all of these: it
--             does not tell which of them others know
--   is_known  to the agency alone: another person has this number and birth date
--   first_on  the first day of a visit in force or an intake; pregnant: whether one of them says so (of the scope's own)
CREATE FUNCTION cases_person_facts(p_person bigint, p_hashes bytea[], p_birth_on date)
  RETURNS TABLE (version integer, is_open boolean, is_known boolean, first_on date, pregnant boolean)
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_scope bigint := current_scope();
  v_person cases_person;
  v_known boolean;
BEGIN
  IF v_scope <> 0 AND NOT EXISTS (SELECT FROM cases_case WHERE person_id = p_person AND institution_id = v_scope) THEN
    RAISE EXCEPTION 'a person of another institution' USING ERRCODE = 'insufficient_privilege';
  END IF;
  PERFORM pg_advisory_xact_lock(hashtext('cases_person'), p_birth_on - date '1900-01-01');
  SELECT * INTO v_person FROM cases_person WHERE id = p_person FOR UPDATE;
  v_known := EXISTS (SELECT FROM cases_person WHERE id <> p_person AND identity_hash = ANY (p_hashes) AND birth_on = p_birth_on);
  RETURN QUERY SELECT v_person.version,
    v_person.merged_into_id IS NULL AND v_person.emptied_run IS NULL AND (v_scope = 0 OR NOT v_known
      AND NOT EXISTS (SELECT FROM cases_case WHERE person_id = p_person AND institution_id <> v_scope)
      AND visits_first_window_is_open(p_person)),
    v_known AND v_scope = 0,
    least((SELECT min(visit_on) FROM visits_visit WHERE person_id = p_person AND in_force AND v_scope IN (0, institution_id)),
          (SELECT min(taken_on) FROM cases_baseline WHERE person_id = p_person AND v_scope IN (0, institution_id))),
    EXISTS (SELECT FROM visits_visit WHERE person_id = p_person AND in_force AND pregnant AND v_scope IN (0, institution_id))
      OR EXISTS (SELECT FROM cases_baseline WHERE person_id = p_person AND pregnant AND v_scope IN (0, institution_id));
END $$;

-- Who a person is, as his next version: the only way to change one. An institution while it is open to it
-- (cases_person_facts), the desk always; p_authority is the decided application, which only the desk has. Returns the version.
CREATE FUNCTION cases_change_person(p_person bigint, p_version integer, p_hashes bytea[], p_birth_on date, p_sex text,
    p_kind text, p_country text, p_token bytea, p_key_id text, p_reason text, p_authority uuid) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_facts record;
BEGIN
  IF current_scope() <= 0 THEN
    PERFORM cases_require_desk();
  ELSIF p_authority IS NOT NULL THEN
    RAISE EXCEPTION 'the desk decides applications' USING ERRCODE = 'insufficient_privilege';
  END IF;
  SELECT * INTO v_facts FROM cases_person_facts(p_person, p_hashes, p_birth_on);
  IF NOT v_facts.is_open OR v_facts.is_known THEN
    RAISE EXCEPTION 'this person is not changed here' USING ERRCODE = 'check_violation', CONSTRAINT = 'cases_person_is_open';
  ELSIF v_facts.version <> p_version THEN
    RAISE EXCEPTION 'a change makes the next version' USING ERRCODE = 'check_violation', CONSTRAINT = 'cases_next_version';
  ELSIF coalesce(btrim(p_reason), '') = '' THEN
    RAISE EXCEPTION 'a change has a reason' USING ERRCODE = 'check_violation', CONSTRAINT = 'cases_person_reason';
  END IF;
  UPDATE cases_person SET identity_hash = p_hashes[1], birth_on = p_birth_on, sex = p_sex, identity_kind = p_kind,
      identity_country = p_country, identity_token = p_token, identity_key_id = p_key_id, version = version + 1,
      changed_at = programme_now(), changed_by_id = current_account(), change_reason = p_reason, authority = p_authority
    WHERE id = p_person;
  RETURN p_version + 1;
END $$;

SELECT audit_follow('cases_person'), audit_follow('cases_merge');
