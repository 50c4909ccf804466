-- What was counted once may be said again for as long as nothing that it counts has changed: every change leaves a version
-- with the transaction that made it.
CREATE INDEX visits_service_history_xid ON visits_service_history (history_xid);

-- Where a count was made: another database, or this one started anew, is another place.
CREATE FUNCTION statistics_place() RETURNS text LANGUAGE sql STABLE
  RETURN (SELECT oid FROM pg_database WHERE datname = current_database()) || ' ' || pg_postmaster_start_time();

-- What has changed since something was counted in `p_snapshot`: `now` is the snapshot of now, and `days` those of which a service
-- was changed, by transactions that are seen now and were not then: what was counted of other days is right in `now`. Null where
-- nothing is known to be right: an institution or a contract was changed, more was seen then than now, the count was made at
-- another place, or this transaction writes itself. Planned each time: few changes are looked for among very many, which a plan
-- for any snapshot does not know.
CREATE FUNCTION statistics_changes(p_place text, p_snapshot pg_snapshot, OUT now pg_snapshot, OUT days date[])
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  v_now pg_snapshot := pg_current_snapshot();
  v_from xid8 := pg_snapshot_xmin(p_snapshot);
BEGIN
  IF p_place <> statistics_place() OR pg_current_xact_id_if_assigned() IS NOT NULL
      OR pg_snapshot_xmax(p_snapshot) > pg_snapshot_xmax(v_now)
      OR EXISTS (SELECT FROM pg_snapshot_xip(v_now) x WHERE pg_visible_in_snapshot(x, p_snapshot))
      OR EXISTS (SELECT FROM institutions_institutiondetails_history h
        WHERE h.history_xid >= v_from AND NOT pg_visible_in_snapshot(h.history_xid, p_snapshot))
      OR EXISTS (SELECT FROM institutions_contract_history h
        WHERE h.history_xid >= v_from AND NOT pg_visible_in_snapshot(h.history_xid, p_snapshot))
      OR EXISTS (SELECT FROM institutions_staffcontract_history h
        WHERE h.history_xid >= v_from AND NOT pg_visible_in_snapshot(h.history_xid, p_snapshot)) THEN
    RETURN;
  END IF;
  days := ARRAY(SELECT DISTINCT o.visit_on FROM visits_service_history h JOIN visits_service_history o USING (id)
    WHERE h.history_xid >= v_from AND NOT pg_visible_in_snapshot(h.history_xid, p_snapshot));
  now := v_now;
END $$;
