-- What is held of files, and lists that were compared: rows stand and fall with their batch.
ALTER TABLE batches_row
  ADD CONSTRAINT batches_row_batch FOREIGN KEY (batch_id, institution_id) REFERENCES batches_batch (id, institution_id),
  ADD CONSTRAINT batches_row_of_person FOREIGN KEY (person_id) REFERENCES cases_person (id);
ALTER TABLE batches_batchfile ADD CONSTRAINT batches_batchfile_batch
  FOREIGN KEY (batch_id, institution_id) REFERENCES batches_batch (id, institution_id);
-- What is encrypted cannot be packed: no time is spent on trying.
ALTER TABLE batches_batchfile ALTER COLUMN token SET STORAGE EXTERNAL;
ALTER TABLE batches_comparison ALTER COLUMN token SET STORAGE EXTERNAL;

-- Throws away what is held beyond its time, of all institutions, and nothing else; the uids of what it was. A batch that is
-- being recorded is given another day to its end.
CREATE FUNCTION batches_remove_expired() RETURNS uuid[] LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_moment timestamptz := programme_now();
  v_batches bigint[];
  v_uids uuid[];
  v_compared uuid[];
BEGIN
  SELECT array_agg(id), array_agg(uid) INTO v_batches, v_uids FROM (
    SELECT id, uid FROM batches_batch WHERE kept_until <= v_moment AND state NOT IN ('given_up', 'recorded')
      AND (state <> 'recording' OR kept_until <= v_moment - interval '1 day') FOR UPDATE SKIP LOCKED) b;
  DELETE FROM batches_row WHERE batch_id = ANY (v_batches);
  DELETE FROM batches_batchfile WHERE batch_id = ANY (v_batches);
  UPDATE batches_batch SET state = 'given_up', head = NULL, key_id = '' WHERE id = ANY (v_batches);
  WITH gone AS (DELETE FROM batches_comparison WHERE kept_until <= v_moment RETURNING uid)
  SELECT array_agg(uid) INTO v_compared FROM gone;
  RETURN coalesce(v_uids, '{}') || coalesce(v_compared, '{}');
END $$;
