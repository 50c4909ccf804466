"""Periodic jobs, run by the worker (in `quitledger run`, or `quitledger worker`), kept in PostgreSQL by procrastinate.

They run as the application role; what only the owner may do daily is done by `quitledger run` itself (server.py).
"""

import logging
from datetime import UTC, datetime

from django.db import connection
from procrastinate import App, Blueprint

jobs = Blueprint()
log = logging.getLogger(__name__)


def register(app: App) -> None:
    """Make the jobs known to procrastinate; called when Django is ready."""
    app.add_tasks_from(jobs, namespace="quitledger")


@jobs.periodic(cron="*/10 * * * *")
@jobs.task(name="clear_expired", queueing_lock="clear_expired")
def clear_expired(timestamp: int) -> int:
    """Remove ended sessions and sign-in attempts no longer counted. Returns the rows removed."""
    now = datetime.now(UTC)
    removed = 0
    with connection.cursor() as cursor:
        for statement in (
            "DELETE FROM accounts_session WHERE expire_date < %s",
            "DELETE FROM accounts_attempt WHERE expires < %s",
        ):
            cursor.execute(statement, [now])
            removed += cursor.rowcount
    if removed:
        log.info("cleared %s expired rows", removed)
    return removed
