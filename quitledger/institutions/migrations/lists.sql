-- The desk's lists: branches, and every version of what they said.

-- A branch's parent is no branch itself: the place of an institution is its parent or itself, one step away.
CREATE FUNCTION institutions_check_parent() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF NEW.parent_id IS NOT NULL THEN
    PERFORM FROM institutions_institution WHERE id IN (NEW.id, NEW.parent_id) ORDER BY id FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM institutions_institution WHERE id = NEW.parent_id AND parent_id IS NOT NULL)
       OR EXISTS (SELECT FROM institutions_institution WHERE parent_id = NEW.id) THEN
      RAISE EXCEPTION 'the parent of a branch is no branch' USING ERRCODE = 'check_violation',
        CONSTRAINT = 'institutions_parent_no_branch';
    END IF;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER parent_no_branch AFTER INSERT OR UPDATE OF parent_id ON institutions_institution
  FOR EACH ROW EXECUTE FUNCTION institutions_check_parent();

SELECT audit_follow('institutions_institution'), audit_follow('institutions_institutiondetails'),
       audit_follow('institutions_contract'), audit_follow('institutions_staffmember'),
       audit_follow('institutions_staffcontract'), audit_follow('institutions_certificate'),
       audit_follow('institutions_quota');
