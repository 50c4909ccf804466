-- What was counted once may be said again for as long as nothing that it counts has changed: every change leaves a version
-- with the transaction that made it.
CREATE INDEX visits_service_history_xid ON visits_service_history (history_xid);

-- Where a count was made: another database, or this one started anew, is another place.
CREATE FUNCTION statistics_place() RETURNS text LANGUAGE sql STABLE
  RETURN (SELECT oid FROM pg_database WHERE datname = current_database()) || ' ' || pg_postmaster_start_time();
