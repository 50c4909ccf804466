"""Bringing a database to the state the code expects."""

import psycopg
import pytest
from django.db import OperationalError, connection

from quitledger.ops.database import apply_rights
from quitledger.ops.postgres import APPLICATION


def may_read_visits(committed) -> bool:
    with committed.owner() as owner:
        return owner.execute("SELECT has_table_privilege(%s, 'visits_visit', 'SELECT')", [APPLICATION]).fetchone()[0]


@pytest.mark.parametrize("times", [1, 2])
def test_rights_that_met_autovacuum_are_applied_once_more(committed, times):
    refused = []

    def refuse(execute, statement, *rest):
        if "REVOKE ALL ON ALL TABLES" in statement and len(refused) < times:
            refused.append(statement)
            raise OperationalError("deadlock detected") from psycopg.errors.DeadlockDetected("deadlock detected")
        return execute(statement, *rest)

    with committed.as_owner(), connection.execute_wrapper(refuse):
        connection.cursor().execute(f"REVOKE SELECT ON visits_visit FROM {APPLICATION}")
        if times == 1:
            apply_rights(APPLICATION)
        else:
            with pytest.raises(OperationalError, match="deadlock"):
                apply_rights(APPLICATION)
    assert len(refused) == times
    assert may_read_visits(committed) == (times == 1)
