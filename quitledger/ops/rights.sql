-- What the application role may do, table by table: the whole of it, applied anew after every migration.
-- {app} is the role in DATABASE_URL. It owns nothing; what is not granted here it cannot do. Row-level security guards
-- against a forgotten filter (docs/adr/0006): rows are seen within current_scope(), which raises when none was set.

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {app};
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {app};
REVOKE CREATE ON SCHEMA public FROM PUBLIC, {app};
GRANT USAGE ON SCHEMA public TO {app};
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {app};

-- Functions: those named here. A function that runs with the owner's rights must not be anybody's: hung as trigger on a
-- temporary table, the one that keeps history would write whatever it is given.
DO $$
DECLARE f regprocedure;
BEGIN
  FOR f IN SELECT oid FROM pg_proc p
      WHERE pronamespace = 'public'::regnamespace AND pg_has_role(current_user, proowner, 'MEMBER')
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e') LOOP   -- not an extension's
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC, {app}', f);
    IF f::text LIKE 'procrastinate%' THEN EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO {app}', f); END IF;
  END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION programme_now, programme_today, current_scope, scope_was_set, current_account, is_owner,
  institutions_enter, institutions_is_elsewhere, cases_find_persons, cases_persons_found, cases_persons_by_hash, cases_person_facts,
  cases_change_person, visits_closes_at, visits_open_months, visits_course_facts, visits_write_courses,
  visits_recording_facts, visits_written_now, visits_count_drafts, visits_hand_over_drafts, visits_merge_persons, visits_recorded_since_merge, visits_undo_merge,
  corrections_count_accounts, batches_remove_expired, statistics_snapshot_moment, statistics_place, statistics_changes TO {app};

-- Public facts, the same for every scope.
GRANT SELECT ON audit_database, institutions_institution, institutions_institutiondetails, institutions_contract,
  visits_medicine, visits_month, django_migrations, django_content_type, auth_permission TO {app};

-- Sign-in, before there is a scope. An account of an institution is made there; one of the agency by the owner's command:
-- no right to give that role.
GRANT SELECT, INSERT (uid, username, display_name, password), UPDATE (password, last_login, display_name)
  ON accounts_user TO {app};
GRANT SELECT, INSERT, UPDATE, DELETE ON accounts_session, accounts_attempt, mfa_authenticator TO {app};
GRANT SELECT, INSERT, UPDATE ON accounts_onetimecode TO {app};
GRANT SELECT, INSERT, UPDATE (seen_at) ON accounts_notice TO {app};
GRANT SELECT ON account_emailaddress, account_emailconfirmation TO {app};

-- Jobs.
GRANT SELECT, INSERT, UPDATE, DELETE ON procrastinate_jobs, procrastinate_events, procrastinate_periodic_defers,
  procrastinate_workers TO {app};

-- The journal: written and read, never changed. Who, when and where are the database's defaults: no right to name them.
GRANT SELECT, INSERT (action, record_type, record_uids, record_version, fields, request_uid) ON audit_journal TO {app};

-- People and places. The desk's lists are recorded and corrected, nothing is deleted.
GRANT SELECT ON institutions_staffmember, institutions_staffcontract, institutions_certificate, institutions_quota,
  institutions_membership TO {app};
GRANT INSERT, UPDATE ON institutions_institution, institutions_institutiondetails, institutions_contract,
  institutions_staffmember, institutions_staffcontract, institutions_certificate, institutions_quota TO {app};
GRANT SELECT ON institutions_institution_history, institutions_institutiondetails_history,
  institutions_contract_history, institutions_staffmember_history, institutions_staffcontract_history,
  institutions_certificate_history, institutions_quota_history TO {app};
GRANT INSERT, UPDATE (role, staff_id, ends_on, closed_at, confirmed_at) ON institutions_membership TO {app};
GRANT SELECT, UPDATE (changed_at) ON cases_person TO {app};   -- the right to lock; the policy refuses a change
GRANT SELECT, INSERT, UPDATE ON cases_case, cases_baseline TO {app};
GRANT SELECT ON cases_case_history, cases_baseline_history TO {app};
GRANT SELECT ON cases_merge, cases_mergedrecord TO {app};     -- written by functions alone

-- Visits: recorded, changed, voided; never deleted. A service or a medicine may be taken out of a visit.
GRANT SELECT, INSERT, UPDATE ON visits_visit, visits_service, visits_medicationline TO {app};
GRANT DELETE ON visits_service, visits_medicationline TO {app};
GRANT SELECT ON visits_visit_history, visits_service_history, visits_medicationline_history TO {app};
GRANT SELECT ON visits_servicemonth, visits_servicemonth_history, visits_course, visits_coursefinding TO {app};
GRANT SELECT, INSERT (uid, month, reach, county, institution_id, closes_at, reason, decided_by_id, decided_at)
  ON visits_windowextension TO {app};

GRANT SELECT, INSERT, UPDATE, DELETE ON visits_draft TO {app};

-- Files and lists that are held for a time: no records.
GRANT SELECT, INSERT, UPDATE ON batches_batch TO {app};
GRANT SELECT, INSERT, DELETE ON batches_batchfile TO {app};
GRANT SELECT, INSERT, UPDATE, DELETE ON batches_row, batches_columnchoice TO {app};
GRANT SELECT, INSERT, DELETE ON batches_comparison TO {app};

-- Corrections: applied for by the institution, decided by the desk; the triggers say what each may write. A
-- step and a permit are written once.
GRANT SELECT, INSERT, UPDATE ON corrections_application, corrections_item TO {app};
GRANT SELECT, INSERT ON corrections_steptaken, visits_permit TO {app};
GRANT SELECT ON corrections_application_history, corrections_item_history TO {app};
-- Evidence: attached, and taken out of a draft: its row says so and stays, its file goes.
GRANT SELECT, INSERT, UPDATE (removed_at, removed_by_id) ON corrections_evidence TO {app};
GRANT SELECT, INSERT, DELETE ON corrections_evidencefile TO {app};
GRANT SELECT, INSERT, UPDATE ON corrections_askedidentity TO {app};
GRANT SELECT ON corrections_evidence_history TO {app};

-- Self-check: a sign-off is written once, by whom and when is the database's word. Addresses for reminders are their
-- accounts' own; the job reads them and notes that it has reminded.
GRANT SELECT, INSERT ON selfcheck_signoff TO {app};
GRANT SELECT, INSERT, UPDATE (address, changed_at) ON selfcheck_reminderaddress TO {app};
GRANT SELECT, INSERT, UPDATE (failed) ON selfcheck_reminder TO {app};

-- Publications: written once; who and when is the database's word.
GRANT SELECT, INSERT ON statistics_publication TO {app};

-- Row-level security, made anew from here on.
DO $$
DECLARE p record;
BEGIN
  FOR p IN SELECT policyname, tablename FROM pg_policies WHERE schemaname = 'public' LOOP
    EXECUTE format('DROP POLICY %I ON %I', p.policyname, p.tablename);
  END LOOP;
END $$;

-- Rows of an institution: its own to see and to write, the agency's to see.
-- CASE, not OR: with OR the planner expects one row in two hundred to pass, and joins a month of visits in the worst order.
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY[
    'cases_case', 'cases_case_history', 'cases_baseline', 'cases_baseline_history',
    'visits_visit', 'visits_visit_history', 'visits_service', 'visits_service_history',
    'visits_medicationline', 'visits_medicationline_history',
    'visits_servicemonth', 'visits_servicemonth_history', 'visits_course', 'visits_coursefinding',
    'selfcheck_signoff'] LOOP
    EXECUTE format('CREATE POLICY scope ON %I USING (CASE WHEN (SELECT current_scope()) = 0 THEN true
      ELSE institution_id = (SELECT current_scope()) END) WITH CHECK (institution_id = (SELECT current_scope()))', t);
  END LOOP;
END $$;
-- Applications: the institution's, and the desk's to work on.
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['corrections_application', 'corrections_application_history', 'corrections_item',
      'corrections_item_history', 'corrections_steptaken', 'visits_permit', 'corrections_evidence',
      'corrections_evidence_history', 'corrections_evidencefile', 'corrections_askedidentity'] LOOP
    EXECUTE format('CREATE POLICY scope ON %I USING (CASE WHEN (SELECT current_scope()) = 0 THEN true
      ELSE institution_id = (SELECT current_scope()) END)', t);
  END LOOP;
END $$;
CREATE POLICY desk_alone ON visits_permit AS RESTRICTIVE FOR INSERT WITH CHECK (current_scope() = 0);
-- What is taken out of a visit is taken out by its institution: the agency sees, it deletes nothing.
CREATE POLICY own_rows ON visits_service AS RESTRICTIVE FOR DELETE USING (institution_id = (SELECT current_scope()));
CREATE POLICY own_rows ON visits_medicationline AS RESTRICTIVE FOR DELETE
  USING (institution_id = (SELECT current_scope()));
-- An entry of the journal may also belong to no institution (a sign-in, the agency).
CREATE POLICY scope ON audit_journal FOR SELECT
  USING (institution_id = (SELECT current_scope()) OR (SELECT current_scope()) = 0);
CREATE POLICY entry ON audit_journal FOR INSERT
  WITH CHECK (institution_id IS NOT DISTINCT FROM nullif(greatest(current_scope(), 0), 0));

-- A person is seen, and locked, by the institutions that have a case of him; changed by none of them. OFFSET 0 has the
-- case looked up for each person: the planner would otherwise read all cases of the institution beforehand.
CREATE POLICY scope ON cases_person USING ((SELECT current_scope()) = 0 OR EXISTS (
  SELECT FROM cases_case c WHERE c.person_id = cases_person.id AND c.institution_id = (SELECT current_scope()) OFFSET 0))
  WITH CHECK (false);

-- Merges of persons are the desk's.
CREATE POLICY see ON cases_merge USING ((SELECT current_scope()) = 0);
CREATE POLICY see ON cases_mergedrecord USING ((SELECT current_scope()) = 0);

-- Staff are seen where they have or had a contract; so are their certificates.
CREATE POLICY see ON institutions_staffmember FOR SELECT USING ((SELECT current_scope()) = 0 OR EXISTS (
  SELECT FROM institutions_staffcontract s WHERE s.staff_id = institutions_staffmember.id
    AND s.institution_id = (SELECT current_scope())));
CREATE POLICY see ON institutions_certificate FOR SELECT USING ((SELECT current_scope()) = 0 OR EXISTS (
  SELECT FROM institutions_staffcontract s WHERE s.staff_id = institutions_certificate.staff_id
    AND s.institution_id = (SELECT current_scope())));

-- The desk's lists: written by the desk alone, as is what they said before. Institutions and their contracts are public.
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['institutions_institution', 'institutions_institutiondetails', 'institutions_contract'] LOOP
    EXECUTE format('CREATE POLICY see ON %I FOR SELECT USING (true)', t);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['institutions_staffcontract', 'institutions_quota'] LOOP
    EXECUTE format('CREATE POLICY see ON %I FOR SELECT USING (CASE WHEN (SELECT current_scope()) = 0 THEN true
      ELSE institution_id = (SELECT current_scope()) END)', t);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['institutions_institution', 'institutions_institutiondetails', 'institutions_contract',
      'institutions_staffmember', 'institutions_staffcontract', 'institutions_certificate', 'institutions_quota'] LOOP
    EXECUTE format('CREATE POLICY record ON %I FOR INSERT WITH CHECK (current_scope() = 0)', t);
    EXECUTE format('CREATE POLICY correct ON %I FOR UPDATE USING ((SELECT current_scope()) = 0)', t);
    EXECUTE format('CREATE POLICY see ON %I USING ((SELECT current_scope()) = 0)', t || '_history');
  END LOOP;
END $$;

-- Memberships: the institution's, and one's own wherever they are (the switch in the header). Given, changed and ended
-- by the institution or the desk.
CREATE POLICY see ON institutions_membership FOR SELECT USING ((SELECT current_scope()) IN (0, institution_id)
  OR user_id = (SELECT current_account()));
CREATE POLICY give ON institutions_membership FOR INSERT WITH CHECK (current_scope() IN (0, institution_id));
CREATE POLICY change ON institutions_membership FOR UPDATE USING ((SELECT current_scope()) IN (0, institution_id))
  WITH CHECK (current_scope() IN (0, institution_id));

-- Notices: written by whoever did it, seen by whom it concerns.
CREATE POLICY see ON accounts_notice FOR SELECT USING ((SELECT current_account()) IN (user_id, by_id));
CREATE POLICY tell ON accounts_notice FOR INSERT WITH CHECK (by_id IS NOT DISTINCT FROM current_account());
CREATE POLICY seen ON accounts_notice FOR UPDATE USING (user_id = (SELECT current_account()));

-- Drafts: whoever types, at the institution.
CREATE POLICY scope ON visits_draft USING (institution_id = (SELECT current_scope()) AND account_id = (SELECT current_account()));

-- Files and lists that are held: the institution's alone.
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['batches_batch', 'batches_batchfile', 'batches_row', 'batches_columnchoice',
      'batches_comparison'] LOOP
    EXECUTE format('CREATE POLICY scope ON %I USING (institution_id = (SELECT current_scope()))', t);
  END LOOP;
END $$;
-- Addresses for reminders: each account its own; the job, which acts for nobody, reads them all and keeps the reminders.
CREATE POLICY own ON selfcheck_reminderaddress USING (account_id = (SELECT current_account()));
CREATE POLICY job ON selfcheck_reminderaddress FOR SELECT
  USING ((SELECT current_scope()) = 0 AND (SELECT current_account()) IS NULL);
CREATE POLICY job ON selfcheck_reminder USING ((SELECT current_scope()) = 0 AND (SELECT current_account()) IS NULL);

-- Extensions are everybody's to see and the agency's to give.
CREATE POLICY see ON visits_windowextension FOR SELECT USING (true);
CREATE POLICY give ON visits_windowextension FOR INSERT
  WITH CHECK (current_scope() = 0 AND decided_by_id = current_account());

-- Publications are public; written in one's own name (who may: migrations/publications.sql of statistics).
CREATE POLICY see ON statistics_publication FOR SELECT USING (true);
CREATE POLICY publish ON statistics_publication FOR INSERT WITH CHECK (published_by_id = current_account());

-- Without a scope every one of these tables is an error, an empty one too; but what is public may be read.
DO $$
DECLARE t regclass;
BEGIN
  FOR t IN SELECT DISTINCT polrelid FROM pg_policy LOOP
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t);
    CONTINUE WHEN t::text IN ('institutions_institution', 'institutions_institutiondetails', 'institutions_contract');
    EXECUTE format('CREATE POLICY scoped ON %s AS RESTRICTIVE USING (scope_was_set())', t);
  END LOOP;
END $$;
