"""The scope of a transaction: whose data it may see and on whose behalf it runs; and its second try.

Every request, job and command does its work in one transaction that says so first (design.md §5).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction

from .actors import Actor

Result = TypeVar("Result")


@contextmanager
def scoped(actor: Actor) -> Iterator[None]:
    """One transaction in the actor's scope. Deferred constraints speak when it ends."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('quitledger.scope', %s, true), set_config('quitledger.account', %s, true)",
                [str(actor.scope), str(actor.account_id or "")],
            )
        yield


def try_twice(work: Callable[[], Result]) -> Result:
    """Do `work` (a whole transaction) and, where the database refused or was lost, once more.

    Between asking the rules and committing, somebody else may have recorded the same day, the window may have closed,
    the server may have been restarted. The second try asks the rules again, and they then say so in words. Whatever
    goes wrong the second time is raised.
    """
    try:
        return work()
    except (IntegrityError, OperationalError, InterfaceError):
        connection.close_if_unusable_or_obsolete()
        return work()
