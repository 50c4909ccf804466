"""The scope of a transaction: whose data it may see and on whose behalf it runs; and its second try.

Every request, job and command does its work in one transaction that says so first (design.md §5).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction

from .actors import AGENCY, Actor

Result = TypeVar("Result")


@contextmanager
def scoped(actor: Actor, *, one_snapshot: bool = False) -> Iterator[None]:
    """One transaction in the actor's scope. Deferred constraints speak when it ends. `one_snapshot`: see in_one_snapshot()."""
    with transaction.atomic():
        if one_snapshot:
            in_one_snapshot()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('quitledger.scope', %s, true), set_config('quitledger.account', %s, true)",
                [str(actor.scope), str(actor.account_id or "")],
            )
        yield


@contextmanager
def within(actor: Actor, institution_id: int) -> Iterator[Actor]:
    """Inside the agency's transaction: what is done here is done at one institution, by the same account.

    Yields the actor as he acts there. What fails in here is rolled back together with the scope.
    """
    there = replace(actor, scope=institution_id)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('quitledger.scope', %s, true)", [str(institution_id)])
        yield there
        cursor.execute("SELECT set_config('quitledger.scope', %s, true)", [str(actor.scope)])


@contextmanager
def counting(actor: Actor) -> Iterator[None]:
    """The whole nation for statements that give counts alone, whatever the actor may see of its rows."""
    with within(actor, AGENCY):
        yield


def in_one_snapshot() -> None:
    """The transaction that begins now sees one state of the database, however many statements ask: to be its first word.

    What must add up together is counted so. Within a transaction that has begun already it changes nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


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
