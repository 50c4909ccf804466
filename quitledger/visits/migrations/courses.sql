-- Courses are national: computed from a person's services at all institutions. These functions are the only way of
-- an institution to what others recorded, and they say as little as the computation needs (ADR 0011).

-- For the cases asked (the scope's own): all services in force of their persons, and the courses as they stand.
--   sites     {case id: [place, site]}: place = the institution with its branches, site = the institution; ranks among
--             the person's, which can be compared and name nobody
--   services  [[service id, kind, day, time, weeks, place, site], …]
--   courses   [[kind, year, number, first day, site], …]
-- One person after the other, by short statements: a person's institutions are ranked by their places in an array. Whoever
-- comes with a case whose person was merged meanwhile is told to read it again: a serialization failure, which is tried once
-- more.
CREATE FUNCTION visits_course_facts(p_cases bigint[])
  RETURNS TABLE (person_id bigint, sites jsonb, services jsonb, courses jsonb)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_sites bigint[];
  v_places bigint[];
BEGIN
  IF current_scope() <> 0 AND EXISTS (
      SELECT FROM cases_case c WHERE c.id = ANY (p_cases) AND c.institution_id <> current_scope()) THEN
    RAISE EXCEPTION 'courses of another institution''s case' USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF EXISTS (SELECT FROM cases_case c JOIN cases_person p ON p.id = c.person_id
      WHERE c.id = ANY (p_cases) AND p.merged_into_id IS NOT NULL) THEN
    RAISE EXCEPTION 'the person of this case was merged' USING ERRCODE = 'serialization_failure';
  END IF;
  IF cardinality(p_cases) > 20 THEN
    RETURN QUERY SELECT * FROM visits_course_facts_of_many(p_cases);
    RETURN;
  END IF;
  FOR person_id IN SELECT DISTINCT c.person_id FROM cases_case c WHERE c.id = ANY (p_cases) LOOP
    SELECT array_agg(DISTINCT i.id), array_agg(DISTINCT coalesce(i.parent_id, i.id)) INTO v_sites, v_places
      FROM institutions_institution i WHERE i.id IN (
        SELECT c.institution_id FROM cases_case c
          WHERE c.person_id = visits_course_facts.person_id AND c.id = ANY (p_cases)
        UNION ALL SELECT v.institution_id FROM visits_visit v
          WHERE v.person_id = visits_course_facts.person_id AND v.in_force
        UNION ALL SELECT k.institution_id FROM visits_course k WHERE k.person_id = visits_course_facts.person_id);
    SELECT jsonb_object_agg(c.id, jsonb_build_array(
        array_position(v_places, coalesce(i.parent_id, i.id)), array_position(v_sites, i.id))) INTO sites
      FROM cases_case c JOIN institutions_institution i ON i.id = c.institution_id
      WHERE c.person_id = visits_course_facts.person_id AND c.id = ANY (p_cases);
    SELECT jsonb_agg(jsonb_build_array(
        s.id, s.kind, s.visit_on, v.visit_time,
        coalesce((SELECT max(l.supply_weeks) FROM visits_medicationline l WHERE l.service_id = s.id), 0),
        array_position(v_places, coalesce(i.parent_id, i.id)), array_position(v_sites, i.id))) INTO services
      FROM visits_visit v JOIN visits_service s ON s.visit_id = v.id
      JOIN institutions_institution i ON i.id = v.institution_id
      WHERE v.person_id = visits_course_facts.person_id AND v.in_force;
    SELECT jsonb_agg(jsonb_build_array(
        k.kind, k.course_year, k.course_no, k.first_on, array_position(v_sites, k.institution_id))) INTO courses
      FROM visits_course k WHERE k.person_id = visits_course_facts.person_id;
    RETURN NEXT;
  END LOOP;
END $$;

-- A file brings a thousand persons at once: the same answers for all of them in one statement, which is slower for few.
CREATE FUNCTION visits_course_facts_of_many(p_cases bigint[])
  RETURNS TABLE (person_id bigint, sites jsonb, services jsonb, courses jsonb)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH asked AS MATERIALIZED (SELECT id, person_id, institution_id FROM cases_case WHERE id = ANY (p_cases)),
  persons AS MATERIALIZED (SELECT DISTINCT person_id FROM asked),
  given AS MATERIALIZED (
    SELECT s.id, v.person_id, v.institution_id, s.kind, v.visit_on, v.visit_time, coalesce(l.weeks, 0) AS weeks
    FROM visits_visit v JOIN visits_service s ON s.visit_id = v.id
    LEFT JOIN LATERAL (SELECT max(l.supply_weeks) AS weeks FROM visits_medicationline l WHERE l.service_id = s.id) l
      ON s.kind = 'medication'
    WHERE v.person_id = ANY (ARRAY(SELECT person_id FROM persons)) AND v.in_force),
  stood AS MATERIALIZED (
    SELECT c.* FROM visits_course c WHERE c.person_id = ANY (ARRAY(SELECT person_id FROM persons))),
  -- One list of institutions a person, ranked, whichever of the three names them.
  ranked AS MATERIALIZED (
    SELECT person_id, institution_id,
      dense_rank() OVER (PARTITION BY person_id ORDER BY coalesce(i.parent_id, i.id)) AS place,
      dense_rank() OVER (PARTITION BY person_id ORDER BY i.id) AS site
    FROM (SELECT person_id, institution_id FROM asked UNION SELECT person_id, institution_id FROM given
          UNION SELECT person_id, institution_id FROM stood) named
    JOIN institutions_institution i ON i.id = named.institution_id)
  SELECT p.person_id, a.sites, g.services, s.courses FROM persons p
  LEFT JOIN (SELECT a.person_id, jsonb_object_agg(a.id, jsonb_build_array(r.place, r.site)) AS sites
    FROM asked a JOIN ranked r USING (person_id, institution_id) GROUP BY 1) a USING (person_id)
  LEFT JOIN (SELECT g.person_id, jsonb_agg(jsonb_build_array(
      g.id, g.kind, g.visit_on, g.visit_time, g.weeks, r.place, r.site)) AS services
    FROM given g JOIN ranked r USING (person_id, institution_id) GROUP BY 1) g USING (person_id)
  LEFT JOIN (SELECT s.person_id, jsonb_agg(jsonb_build_array(
      s.kind, s.course_year, s.course_no, s.first_on, r.site)) AS courses
    FROM stood s JOIN ranked r USING (person_id, institution_id) GROUP BY 1) s USING (person_id);
END $$;

-- Writes the courses of persons anew, all of them: p_firsts are the first services of the
-- courses, p_numbers their numbers within the year; what each is, where and from when on, is the service's own word.
--   p_changed  services whose course got another number: [[service id, year and number before, after, allowed], …]
-- A course that is there is told by its key, whatever the planner believes of how many there are.
CREATE FUNCTION visits_write_courses(
    p_persons bigint[], p_firsts bigint[], p_numbers smallint[], p_changed jsonb, p_cause uuid) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF current_scope() <> 0 AND (
      SELECT count(*) FROM cases_case c WHERE c.person_id = ANY (p_persons) AND c.institution_id = current_scope())
     < cardinality(p_persons) THEN
    RAISE EXCEPTION 'courses of another institution''s person' USING ERRCODE = 'insufficient_privilege';
  END IF;
  DELETE FROM visits_course c WHERE c.person_id = ANY (p_persons) AND NOT EXISTS (
    SELECT FROM unnest(p_firsts, p_numbers) f(service_id, course_no) JOIN visits_service s ON s.id = f.service_id
    WHERE s.in_force AND (s.person_id, s.institution_id, s.kind, s.visit_on, f.course_no)
      = (c.person_id, c.institution_id, c.kind, c.first_on, c.course_no));
  INSERT INTO visits_course (person_id, institution_id, kind, course_year, course_no, first_on)
    SELECT s.person_id, s.institution_id, s.kind, extract(year FROM s.visit_on), f.course_no, s.visit_on
    FROM unnest(p_firsts, p_numbers) f(service_id, course_no) JOIN visits_service s ON s.id = f.service_id
    WHERE s.in_force AND s.person_id = ANY (p_persons)
    ON CONFLICT ON CONSTRAINT visits_course_once DO NOTHING;
  INSERT INTO visits_coursefinding (visit_id, institution_id, kind, before_year, before_no, after_year, after_no,
      is_allowed, caused_by)
    SELECT s.visit_id, s.institution_id, s.kind, (c->>1)::smallint, (c->>2)::smallint, (c->>3)::smallint,
      (c->>4)::smallint, (c->>5)::boolean, p_cause
    FROM jsonb_array_elements(p_changed) c JOIN visits_service s ON s.id = (c->>0)::bigint
    WHERE s.person_id = ANY (p_persons);
END $$;
