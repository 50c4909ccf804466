-- What visits point at, held by keys that Django cannot say.

-- What a visit names (staff, medicine, who recorded it) is there before it: that is checked with each statement, not at the
-- commit of a hundred thousand visits, when Django's own keys are. They have the names that it gave them.
ALTER TABLE visits_visit
  ADD CONSTRAINT visits_visit_recorded_by_id_cc977be0_fk_accounts_user_id FOREIGN KEY (recorded_by_id)
    REFERENCES accounts_user (id) DEFERRABLE INITIALLY IMMEDIATE,
  ADD CONSTRAINT visits_visit_changed_by_id_7ead41f7_fk_accounts_user_id FOREIGN KEY (changed_by_id)
    REFERENCES accounts_user (id) DEFERRABLE INITIALLY IMMEDIATE,
  -- A case changes its person together with its visits: the key between them waits, as cases_baseline_case does.
  ADD CONSTRAINT visits_visit_case FOREIGN KEY (case_id, person_id, institution_id)
    REFERENCES cases_case (id, person_id, institution_id) DEFERRABLE INITIALLY IMMEDIATE;
ALTER TABLE visits_service
  ADD CONSTRAINT visits_service_staff_id_4492bb52_fk_institutions_staffmember_id FOREIGN KEY (staff_id)
    REFERENCES institutions_staffmember (id) DEFERRABLE INITIALLY IMMEDIATE,
  -- What a service repeats of its visit follows it.
  ADD CONSTRAINT visits_service_visit FOREIGN KEY (visit_id, person_id, institution_id, visit_on, in_force, taken_over)
    REFERENCES visits_visit (id, person_id, institution_id, visit_on, in_force, taken_over)
    ON UPDATE CASCADE DEFERRABLE INITIALLY IMMEDIATE,
  ADD CONSTRAINT visits_service_key UNIQUE (id, visit_id, institution_id);
ALTER TABLE visits_medicationline
  ADD CONSTRAINT visits_medicationlin_medicine_code_a74d71fb_fk_visits_me FOREIGN KEY (medicine_code)
    REFERENCES visits_medicine (code) DEFERRABLE INITIALLY IMMEDIATE,
  -- A line's visit is its service's: a line of a closed month cannot pass for one of an open month.
  ADD CONSTRAINT visits_medicationline_service FOREIGN KEY (service_id, visit_id, institution_id)
    REFERENCES visits_service (id, visit_id, institution_id);
