-- Two persons become one (ADR 0021): their cases, intakes, visits and drafts are re-pointed, nothing is deleted, and what was
-- re-pointed is noted so that it can be put back. Run as the owner: window and stamps bind whoever records, not the decision
-- of who somebody is; each re-pointed record gets its next version all the same.

-- True while the window of a person's first visit in force, at any institution, is open; where there is no visit, too.
CREATE FUNCTION visits_first_window_is_open(p_person bigint) RETURNS boolean LANGUAGE sql STABLE
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT coalesce((
    SELECT programme_now() < coalesce(visits_closes_at(institution_id, date_trunc('month', visit_on::timestamp)::date), '-infinity')
    FROM visits_visit WHERE person_id = p_person AND in_force ORDER BY visit_on LIMIT 1), true)
$$;

-- Merges one person into another. Where the one kept has no case at an institution, the merged one's case goes over as it is;
-- where he has, its visits and intakes go into that case and the case stays, empty, with the merged person. An intake of a day
-- that has one already stays there, too. Visits that would be too near each other are refused by their constraints.
CREATE FUNCTION visits_merge_persons(p_uid uuid, p_kept bigint, p_merged bigint, p_reason text) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_said constant text := '合併戒菸者';
  v_merge bigint;
BEGIN
  PERFORM cases_require_desk();
  IF coalesce(btrim(p_reason), '') = '' THEN
    RAISE EXCEPTION 'a merge has a reason' USING ERRCODE = 'check_violation', CONSTRAINT = 'cases_merge_reason';
  END IF;
  PERFORM FROM cases_person WHERE id IN (p_kept, p_merged) ORDER BY id FOR UPDATE;
  IF (SELECT count(*) FROM cases_person WHERE id IN (p_kept, p_merged) AND emptied_run IS NULL AND merged_into_id IS NULL) <> 2
     OR EXISTS (SELECT FROM cases_person WHERE merged_into_id = p_merged) THEN
    RAISE EXCEPTION 'these two are not merged' USING ERRCODE = 'check_violation', CONSTRAINT = 'cases_merge_of_two';
  END IF;
  INSERT INTO cases_merge (uid, kept_id, merged_id, reason, decided_by_id)
    VALUES (p_uid, p_kept, p_merged, p_reason, current_account()) RETURNING id INTO v_merge;

  -- What is re-pointed. A case of the merged person's goes over whole, or `ours` takes what is in it.
  WITH cases AS (
    SELECT c.id, ours.id AS ours FROM cases_case c
    LEFT JOIN cases_case ours ON ours.person_id = p_kept AND ours.institution_id = c.institution_id
    WHERE c.person_id = p_merged)
  INSERT INTO cases_mergedrecord (merge_id, kind, record_id, from_case_id)
    SELECT v_merge, 'case', id, id FROM cases WHERE ours IS NULL
    UNION ALL SELECT v_merge, 'visit', v.id, c.id FROM cases c JOIN visits_visit v ON v.case_id = c.id
    UNION ALL SELECT v_merge, 'baseline', b.id, c.id FROM cases c JOIN cases_baseline b ON b.case_id = c.id
      WHERE NOT EXISTS (SELECT FROM cases_baseline o WHERE o.case_id = c.ours AND o.taken_on = b.taken_on)
    UNION ALL SELECT v_merge, 'draft', d.id, c.id FROM cases c JOIN visits_draft d ON d.case_id = c.id
      WHERE c.ours IS NOT NULL AND NOT EXISTS (SELECT FROM visits_draft o
        WHERE o.case_id = c.ours AND o.account_id = d.account_id AND o.visit_id IS NOT DISTINCT FROM d.visit_id);

  SET CONSTRAINTS visits_visit_case, cases_baseline_case DEFERRED;
  UPDATE cases_case c SET person_id = p_kept, version = version + 1, changed_at = programme_now(),
      changed_by_id = current_account(), change_reason = v_said
    FROM cases_mergedrecord r WHERE r.merge_id = v_merge AND r.kind = 'case' AND c.id = r.record_id;
  UPDATE cases_baseline b SET person_id = p_kept, case_id = ours.id, version = b.version + 1, changed_at = programme_now(),
      changed_by_id = current_account(), change_reason = v_said
    FROM cases_mergedrecord r, cases_case ours WHERE r.merge_id = v_merge AND r.kind = 'baseline' AND b.id = r.record_id
      AND ours.person_id = p_kept AND ours.institution_id = b.institution_id;
  UPDATE visits_visit v SET person_id = p_kept, case_id = ours.id, version = v.version + 1, changed_at = programme_now(),
      changed_by_id = current_account(), change_reason = v_said, authority = p_uid
    FROM cases_mergedrecord r, cases_case ours WHERE r.merge_id = v_merge AND r.kind = 'visit' AND v.id = r.record_id
      AND ours.person_id = p_kept AND ours.institution_id = v.institution_id;
  UPDATE visits_draft d SET case_id = ours.id
    FROM cases_mergedrecord r, cases_case ours WHERE r.merge_id = v_merge AND r.kind = 'draft' AND d.id = r.record_id
      AND ours.person_id = p_kept AND ours.institution_id = d.institution_id;
  SET CONSTRAINTS visits_visit_case, cases_baseline_case IMMEDIATE;
  UPDATE cases_person SET merged_into_id = p_kept, version = version + 1, changed_at = programme_now(),
      changed_by_id = current_account(), change_reason = v_said, authority = p_uid WHERE id = p_merged;
END $$;

-- What was recorded since a merge, and is in force, at the cases that took in another's visits: whose it is, nobody can tell
-- from the rows.
CREATE FUNCTION visits_recorded_since_merge(p_merge bigint) RETURNS TABLE (kind text, uid uuid, institution_id bigint, day date)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  WITH shared AS (
    SELECT ours.id, m.decided_at FROM cases_merge m JOIN cases_case theirs ON theirs.person_id = m.merged_id
    JOIN cases_case ours ON ours.person_id = m.kept_id AND ours.institution_id = theirs.institution_id
    WHERE m.id = p_merge AND m.undone_at IS NULL AND current_scope() = 0)
  SELECT 'visit', v.uid, v.institution_id, v.visit_on FROM shared s JOIN visits_visit v ON v.case_id = s.id AND v.in_force
    AND v.recorded_at > s.decided_at
  UNION ALL SELECT 'baseline', b.uid, b.institution_id, b.taken_on FROM shared s
    JOIN cases_baseline b ON b.case_id = s.id AND b.recorded_at > s.decided_at
  ORDER BY 4, 2
$$;

-- Undoes a merge: every record goes back to where it was. A case that had gone over whole takes along what was recorded under
-- it since; of what was recorded since in a case that both share, p_staying must say that it stays with who is kept.
CREATE FUNCTION visits_undo_merge(p_merge bigint, p_reason text, p_staying uuid[]) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_said constant text := '撤銷合併';
  m cases_merge;
BEGIN
  PERFORM cases_require_desk();
  SELECT * INTO m FROM cases_merge WHERE id = p_merge;
  PERFORM FROM cases_person WHERE id IN (m.kept_id, m.merged_id) ORDER BY id FOR UPDATE;
  SELECT * INTO m FROM cases_merge WHERE id = p_merge;   -- as it is under the lock
  IF m.id IS NULL OR m.undone_at IS NOT NULL OR coalesce(btrim(p_reason), '') = ''
     OR EXISTS (SELECT FROM cases_merge l WHERE l.kept_id = m.kept_id AND l.undone_at IS NULL AND l.id > m.id)
     OR EXISTS (SELECT FROM cases_person WHERE id IN (m.kept_id, m.merged_id) AND emptied_run IS NOT NULL)
     OR EXISTS (SELECT FROM visits_recorded_since_merge(p_merge) s WHERE s.uid <> ALL (p_staying)) THEN
    RAISE EXCEPTION 'this merge is not undone' USING ERRCODE = 'check_violation', CONSTRAINT = 'cases_merge_undone';
  END IF;
  UPDATE cases_person SET merged_into_id = NULL, version = version + 1, changed_at = programme_now(),
      changed_by_id = current_account(), change_reason = v_said, authority = m.uid WHERE id = m.merged_id;

  SET CONSTRAINTS visits_visit_case, cases_baseline_case DEFERRED;
  UPDATE cases_case c SET person_id = m.merged_id, version = version + 1, changed_at = programme_now(),
      changed_by_id = current_account(), change_reason = v_said
    FROM cases_mergedrecord r WHERE r.merge_id = m.id AND r.kind = 'case' AND c.id = r.record_id;
  -- Of a case that is his again everything, of a shared one what was noted.
  UPDATE cases_baseline b SET person_id = m.merged_id, case_id = back.case_id, version = b.version + 1,
      changed_at = programme_now(), changed_by_id = current_account(), change_reason = v_said
    FROM (SELECT o.id, o.case_id FROM cases_baseline o JOIN cases_case c ON c.id = o.case_id
            WHERE c.person_id = m.merged_id AND o.person_id = m.kept_id
          UNION SELECT r.record_id, r.from_case_id FROM cases_mergedrecord r WHERE r.merge_id = m.id AND r.kind = 'baseline') back
    WHERE b.id = back.id;
  UPDATE visits_visit v SET person_id = m.merged_id, case_id = back.case_id, version = v.version + 1,
      changed_at = programme_now(), changed_by_id = current_account(), change_reason = v_said, authority = m.uid
    FROM (SELECT o.id, o.case_id FROM visits_visit o JOIN cases_case c ON c.id = o.case_id
            WHERE c.person_id = m.merged_id AND o.person_id = m.kept_id
          UNION SELECT r.record_id, r.from_case_id FROM cases_mergedrecord r WHERE r.merge_id = m.id AND r.kind = 'visit') back
    WHERE v.id = back.id;
  UPDATE visits_draft d SET case_id = r.from_case_id
    FROM cases_mergedrecord r WHERE r.merge_id = m.id AND r.kind = 'draft' AND d.id = r.record_id
      AND NOT EXISTS (SELECT FROM visits_draft o WHERE o.case_id = r.from_case_id AND o.account_id = d.account_id
                        AND o.visit_id IS NOT DISTINCT FROM d.visit_id);
  -- The draft of the change of a visit goes where the visit goes, also one that was begun since.
  UPDATE visits_draft d SET case_id = v.case_id FROM visits_visit v
    WHERE d.visit_id = v.id AND d.case_id <> v.case_id AND v.person_id = m.merged_id;
  SET CONSTRAINTS visits_visit_case, cases_baseline_case IMMEDIATE;
  UPDATE cases_merge SET undone_at = programme_now(), undone_by_id = current_account(), undo_reason = p_reason WHERE id = m.id;
END $$;
