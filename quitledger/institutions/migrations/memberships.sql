-- Whether an account has a place at another institution, today or later: yes or no, never where. Asked before one
-- institution resets the password of somebody who works at two.
CREATE FUNCTION institutions_is_elsewhere(p_account bigint, p_institution bigint, p_today date) RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM institutions_membership m
    WHERE m.user_id = p_account AND m.institution_id <> p_institution AND m.closed_at IS NULL
      AND (m.ends_on IS NULL OR m.ends_on >= p_today))
    OR EXISTS (SELECT FROM accounts_user u WHERE u.id = p_account AND u.agency_role <> '') $$;

SELECT audit_follow('institutions_membership');
