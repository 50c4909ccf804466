-- Drafts are seen by whoever typed them alone. When somebody leaves, his institution (or the desk) may count them and pass
-- them on, without reading them.

CREATE FUNCTION visits_count_drafts(p_institution bigint) RETURNS TABLE (account_id bigint, drafts integer)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF current_scope() NOT IN (0, p_institution) THEN
    RAISE EXCEPTION 'drafts of another institution' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN QUERY SELECT d.account_id, count(*)::integer FROM visits_draft d
    WHERE d.institution_id = p_institution GROUP BY d.account_id;
END $$;

-- Passes the drafts of one account to another. What that one has begun himself (the same person, the same visit) stays
-- his: such drafts are not passed on and not lost. Returns how many were passed and how many stayed.
CREATE FUNCTION visits_hand_over_drafts(p_institution bigint, p_from bigint, p_to bigint)
  RETURNS TABLE (passed integer, kept integer)
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF current_scope() NOT IN (0, p_institution) THEN
    RAISE EXCEPTION 'drafts of another institution' USING ERRCODE = 'insufficient_privilege';
  END IF;
  UPDATE visits_draft d SET account_id = p_to
    WHERE d.institution_id = p_institution AND d.account_id = p_from
      AND NOT EXISTS (SELECT FROM visits_draft mine WHERE mine.account_id = p_to AND mine.case_id = d.case_id
                        AND mine.visit_id IS NOT DISTINCT FROM d.visit_id);
  GET DIAGNOSTICS passed = ROW_COUNT;
  SELECT count(*) INTO kept FROM visits_draft d WHERE d.institution_id = p_institution AND d.account_id = p_from;
  RETURN NEXT;
END $$;

-- Nothing is typed for a person who is a closed book (cases/migrations/closed_books.sql).
CREATE TRIGGER not_emptied BEFORE INSERT OR UPDATE ON visits_draft FOR EACH ROW EXECUTE FUNCTION cases_refuse_emptied();
