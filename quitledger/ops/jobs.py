"""Jobs, run by the worker (in `quitledger run`, or `quitledger worker`), kept in PostgreSQL by procrastinate.

They run as the application role, those that somebody asked for in his scope; what only the owner may do daily is done by `quitledger run` itself (server.py).
A job whose worker was killed is begun again by another worker, so that every job must bear being done twice. The rooms that
a job needs are imported when it is done: every command reads this module as it starts.
"""

import logging
from datetime import UTC, datetime
from smtplib import SMTPException
from uuid import UUID, uuid4

from django.core.mail import send_mail
from django.db import InterfaceError, OperationalError, connection, transaction
from procrastinate import App, Blueprint, JobContext, RetryStrategy
from procrastinate.exceptions import UniqueViolation
from procrastinate.jobs import Status

from quitledger.accounts.actors import SYSTEM, Actor
from quitledger.accounts.models import User
from quitledger.accounts.scope import scoped
from quitledger.audit import journal
from quitledger.audit.database import programme_now

HEARTBEAT_EVERY = 5.0  # seconds between two signs of life of a worker
DEAD_AFTER = 15.0  # seconds without one

jobs = Blueprint()
# The database was away; what else goes wrong would go wrong again.
once_more = RetryStrategy(max_attempts=10, wait=1, linear_wait=1, retry_exceptions=[OperationalError, InterfaceError])
log = logging.getLogger(__name__)


def register(app: App) -> None:
    """Make the jobs known to procrastinate; called when Django is ready."""
    app.add_tasks_from(jobs, namespace="quitledger")


@jobs.periodic(cron="*/10 * * * *")
@jobs.task(name="clear_expired", queueing_lock="clear_expired", retry=once_more)
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


@jobs.task(name="check_batch", retry=once_more)
def check_batch(batch: str, account: int, institution: int) -> None:
    """Read and check a file that somebody sent, on his behalf."""
    from quitledger.batches import services as batches

    batches.check_batch(uid=UUID(batch), by=_acting(account, institution))


@jobs.task(name="record_batch", retry=once_more)
def record_batch(batch: str, account: int, institution: int) -> None:
    """Record what somebody decided to record, on his behalf."""
    from quitledger.batches import services as batches

    token = journal.request_uid.set(uuid4())
    try:
        batches.record_batch(uid=UUID(batch), by=_acting(account, institution))
    finally:
        journal.request_uid.reset(token)


def _acting(account: int, institution: int) -> Actor:
    """The account as it stands there now: whoever left meanwhile records nothing more (the services refuse him)."""
    from quitledger.portal.transactions import enter

    with transaction.atomic():
        user = User.objects.filter(pk=account, is_active=True).first()
        return enter(account if user else None, user.display_name if user else "", institution).actor


@jobs.periodic(cron="*/10 * * * *")
@jobs.task(name="clear_batches", queueing_lock="clear_batches", retry=once_more)
def clear_batches(timestamp: int) -> int:
    """Throw away what files and comparisons hold beyond their time. Returns how many."""
    from quitledger.batches import services as batches

    with scoped(SYSTEM):
        return batches.remove_expired(by=SYSTEM)


@jobs.periodic(cron="5 * * * *")
@jobs.task(name="remind", queueing_lock="remind", retry=once_more)
def remind(timestamp: int) -> int:
    """Mail whoever has something missing of last month, on the days and from the hour of policy. Returns the letters sent.

    Done twice it sends nothing twice: a letter is claimed before it is sent. One that could not be sent is given back.
    """
    from quitledger.selfcheck.letters import body_of, subject_of
    from quitledger.selfcheck.services import begin_reminders, give_reminder_back

    moment, sent = programme_now(), 0
    for letter in begin_reminders(moment=moment, by=SYSTEM):
        try:
            send_mail(subject_of(letter), body_of(letter), None, [letter.address])
        except (OSError, SMTPException) as fault:  # the mail server, not the letter: the others may go
            log.warning("a reminder could not be sent: %s", type(fault).__name__)
            give_reminder_back(letter, moment=moment, by=SYSTEM)
        else:
            sent += 1
    if sent:
        log.info("sent %s reminders", sent)
    return sent


@jobs.periodic(cron="* * * * * */15")  # the last is the seconds
@jobs.task(name="take_over", queueing_lock="take_over", pass_context=True)
async def take_over(context: JobContext, timestamp: int) -> int:
    """Begin again the jobs that a dead worker had begun, or drop those that wait once more already. Returns how many."""
    manager = context.app.job_manager
    stalled = list(await manager.get_stalled_jobs(seconds_since_heartbeat=DEAD_AFTER))
    for job in stalled:
        try:
            await manager.retry_job(job)
        except UniqueViolation:  # its queueing lock
            await manager.finish_job(job, Status.ABORTED, delete_job=True)
    if stalled:
        log.warning("began %s jobs of a dead worker again", len(stalled))
    return len(stalled)
