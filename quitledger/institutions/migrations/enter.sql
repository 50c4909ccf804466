-- The first statement of a request: who acts, where, and what time it is. It sets the scope of the transaction from
-- the account and its membership, so that the database itself decides whose data may be seen.
--   p_account      the signed-in account, or null
--   p_institution  the institution chosen in the header, or null for the account's first one
-- An account without a place gets scope -1: it sees nobody's data.
CREATE FUNCTION institutions_enter(p_account bigint, p_institution bigint)
  RETURNS TABLE (moment timestamptz, purpose text, shifted boolean, scope bigint, role text, places integer,
                 institution_code text, institution_name text)
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  today date;
  v_agency_role text;
BEGIN
  SELECT programme_now(), d.purpose, d.clock_offset <> '0'
    INTO moment, purpose, shifted FROM audit_database d;
  today := (moment AT TIME ZONE 'Asia/Taipei')::date;
  scope := -1; role := ''; places := 0;
  IF p_account IS NOT NULL THEN
    SELECT u.agency_role INTO v_agency_role FROM accounts_user u WHERE u.id = p_account AND u.is_active;
    IF v_agency_role <> '' THEN
      role := v_agency_role;
      IF role IN ('desk_officer', 'desk_supervisor') THEN scope := 0; END IF;
    ELSIF FOUND THEN
      SELECT m.institution_id, m.role, count(*) OVER (), d.code, d.name
        INTO scope, role, places, institution_code, institution_name
        FROM institutions_membership m
        LEFT JOIN institutions_institutiondetails d ON d.institution_id = m.institution_id
          AND d.starts_on <= today AND (d.ends_on IS NULL OR d.ends_on >= today)
        WHERE m.user_id = p_account AND m.starts_on <= today AND (m.ends_on IS NULL OR m.ends_on >= today)
          AND m.closed_at IS NULL
        ORDER BY m.institution_id IS NOT DISTINCT FROM p_institution DESC, m.starts_on, m.id LIMIT 1;
      scope := coalesce(scope, -1); role := coalesce(role, ''); places := coalesce(places, 0);
    END IF;
  END IF;
  PERFORM set_config('quitledger.scope', scope::text, true),
          set_config('quitledger.account', coalesce(p_account::text, ''), true);
  RETURN NEXT;
END $$;
