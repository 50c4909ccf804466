-- As cases_refuse_emptied (0004, 0005), of all rows of a statement at once: whoever records thousands asks about each person
-- once. A case is still refused before its other keys are looked at: there is one of the person already.
CREATE FUNCTION cases_refuse_closed_books() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  persons bigint[] := ARRAY(SELECT DISTINCT person_id FROM new_rows);  -- looked up by key, however many there are
  run bigint;
  kept bigint;
BEGIN
  SELECT max(emptied_run), max(merged_into_id) INTO run, kept
    FROM (SELECT emptied_run, merged_into_id FROM cases_person WHERE id = ANY (persons) FOR KEY SHARE) p;
  IF run IS NOT NULL THEN
    RAISE EXCEPTION 'the keeping time of this person has ended' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'cases_person_is_emptied';
  ELSIF kept IS NOT NULL THEN
    RAISE EXCEPTION 'this person was merged into another' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'cases_person_is_merged';
  END IF;
  RETURN NULL;
END $$;
DROP TRIGGER not_emptied ON cases_baseline;
CREATE TRIGGER not_emptied AFTER INSERT ON cases_baseline REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION cases_refuse_closed_books();
