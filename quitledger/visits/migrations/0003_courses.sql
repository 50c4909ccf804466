-- Courses are national: computed from a person's services at all institutions. These two functions are the only way of
-- an institution to what others recorded, and they say as little as the computation needs (ADR 0011).

-- For the cases asked (the scope's own): all services in force of their persons, and the courses as they stand.
--   sites     {case id: [place, site]}: place = the institution with its branches, site = the institution; ranks among
--             the person's, which can be compared and name nobody
--   services  [[service id, kind, day, time, weeks, place, site], …]
--   courses   [[kind, year, number, first day, site], …]
CREATE FUNCTION visits_course_facts(p_cases bigint[])
  RETURNS TABLE (person_id bigint, sites jsonb, services jsonb, courses jsonb)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  IF current_scope() <> 0 AND EXISTS (
      SELECT FROM cases_case c WHERE c.id = ANY (p_cases) AND c.institution_id <> current_scope()) THEN
    RAISE EXCEPTION 'courses of another institution''s case' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN QUERY
  WITH asked AS (SELECT id, person_id, institution_id FROM cases_case WHERE id = ANY (p_cases)),
  given AS (
    SELECT s.id, s.person_id, s.institution_id, s.kind, s.visit_on, v.visit_time,
      coalesce((SELECT max(l.supply_weeks) FROM visits_medicationline l WHERE l.service_id = s.id), 0) AS weeks
    FROM visits_visit v JOIN visits_service s ON s.visit_id = v.id
    WHERE v.person_id IN (SELECT person_id FROM asked) AND v.in_force),
  stood AS (SELECT c.* FROM visits_course c WHERE c.person_id IN (SELECT person_id FROM asked)),
  -- One list of institutions a person, ranked, whichever of the three names them.
  ranked AS (
    SELECT person_id, institution_id,
      dense_rank() OVER (PARTITION BY person_id ORDER BY coalesce(i.parent_id, i.id)) AS place,
      dense_rank() OVER (PARTITION BY person_id ORDER BY i.id) AS site
    FROM (SELECT person_id, institution_id FROM asked UNION SELECT person_id, institution_id FROM given
          UNION SELECT person_id, institution_id FROM stood) named
    JOIN institutions_institution i ON i.id = named.institution_id)
  SELECT p.person_id,
    (SELECT jsonb_object_agg(a.id, jsonb_build_array(r.place, r.site))
     FROM asked a JOIN ranked r USING (person_id, institution_id) WHERE a.person_id = p.person_id),
    (SELECT jsonb_agg(jsonb_build_array(g.id, g.kind, g.visit_on, g.visit_time, g.weeks, r.place, r.site))
     FROM given g JOIN ranked r USING (person_id, institution_id) WHERE g.person_id = p.person_id),
    (SELECT jsonb_agg(jsonb_build_array(c.kind, c.course_year, c.course_no, c.first_on, r.site))
     FROM stood c JOIN ranked r USING (person_id, institution_id) WHERE c.person_id = p.person_id)
  FROM (SELECT DISTINCT person_id FROM asked) p;
END $$;

-- Writes the courses of persons anew, all of them: p_firsts are the first services of the
-- courses, p_numbers their numbers within the year; what each is, where and from when on, is the service's own word.
--   p_changed  services whose course got another number: [[service id, year and number before, after, allowed], …]
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
    WHERE s.in_force AND s.person_id = ANY (p_persons) AND NOT EXISTS (
      SELECT FROM visits_course c WHERE (c.person_id, c.kind, c.course_no) = (s.person_id, s.kind, f.course_no)
        AND c.course_year = extract(year FROM s.visit_on));
  INSERT INTO visits_coursefinding (visit_id, institution_id, kind, before_year, before_no, after_year, after_no,
      is_allowed, caused_by)
    SELECT s.visit_id, s.institution_id, s.kind, (c->>1)::smallint, (c->>2)::smallint, (c->>3)::smallint,
      (c->>4)::smallint, (c->>5)::boolean, p_cause
    FROM jsonb_array_elements(p_changed) c JOIN visits_service s ON s.id = (c->>0)::bigint
    WHERE s.person_id = ANY (p_persons);
END $$;
