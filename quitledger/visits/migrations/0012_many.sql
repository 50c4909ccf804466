-- A file brings a thousand persons at once: the same answers as visits_course_facts (0003_courses.sql says what they are),
-- for all of them in one statement. One person after the other is faster for few.
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

-- As before (0011), and many are given to the other.
CREATE OR REPLACE FUNCTION visits_course_facts(p_cases bigint[])
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

-- The check at commit, as before (0010), for each of a hundred thousand rows: an open month is told by one look, and
-- permits are looked for where it is closed.
DROP FUNCTION visits_require_open(bigint, date, bigint) CASCADE;
CREATE FUNCTION visits_require_open(p_institution bigint, p_visit_on date, p_visit bigint) RETURNS boolean
  LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz;
  closing timestamptz;
BEGIN
  SELECT closes_at, programme_now() INTO closing, moment FROM visits_servicemonth
    WHERE institution_id = p_institution AND month = date_trunc('month', p_visit_on::timestamp)::date;
  IF closing > moment THEN
    IF p_visit_on <= (moment AT TIME ZONE 'Asia/Taipei')::date THEN RETURN true; END IF;
  ELSIF NOT EXISTS (
      SELECT FROM visits_visit v JOIN visits_permit p ON p.uid = v.permit
      WHERE v.id = p_visit AND p.used_xid = pg_current_xact_id()::text::bigint) THEN
    RAISE EXCEPTION 'the recording window of % is closed', to_char(p_visit_on, 'YYYY-MM')
      USING ERRCODE = 'check_violation', CONSTRAINT = 'visits_window';
  END IF;
  IF p_visit_on > (programme_now() AT TIME ZONE 'Asia/Taipei')::date THEN
    RAISE EXCEPTION 'a visit cannot lie in the future'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'visits_not_in_the_future';
  END IF;
  RETURN true;
END $$;

CREATE OR REPLACE FUNCTION visits_check_window() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_visit bigint;
  v_open boolean;
BEGIN
  IF TG_TABLE_NAME = 'visits_service' THEN
    IF TG_OP = 'DELETE' THEN v_visit := OLD.visit_id; ELSE v_visit := NEW.visit_id; END IF;
  ELSIF TG_OP = 'DELETE' THEN
    v_visit := OLD.id;
  ELSE
    v_visit := NEW.id;
  END IF;
  IF TG_OP <> 'INSERT' THEN v_open := visits_require_open(OLD.institution_id, OLD.visit_on, v_visit); END IF;
  IF TG_OP = 'INSERT' THEN
    v_open := visits_require_open(NEW.institution_id, NEW.visit_on, v_visit);
  ELSIF TG_OP = 'UPDATE' AND (NEW.institution_id, NEW.visit_on) <> (OLD.institution_id, OLD.visit_on) THEN
    v_open := visits_require_open(NEW.institution_id, NEW.visit_on, v_visit);
  END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION visits_check_line_window() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_visit bigint;
  v_institution bigint;
  v_visit_on date;
  v_open boolean;
BEGIN
  IF TG_OP = 'DELETE' THEN v_visit := OLD.visit_id; ELSE v_visit := NEW.visit_id; END IF;
  SELECT institution_id, visit_on INTO v_institution, v_visit_on FROM visits_visit WHERE id = v_visit;
  IF FOUND THEN v_open := visits_require_open(v_institution, v_visit_on, v_visit); END IF;
  RETURN NULL;
END $$;
