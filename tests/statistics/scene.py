"""Publications as the tests find them: who looks, who publishes."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any
from uuid import UUID, uuid4

from django.db import connection

from quitledger.accounts.actors import Actor
from quitledger.accounts.scope import scoped
from quitledger.statistics.measures import Basis
from quitledger.statistics.models import Publication
from quitledger.statistics.services import Prepared, Published, prepare_publication, publish

from .. import world

YEAR = 114


@contextmanager
def snapshot(username: str = "analyst") -> Iterator[Actor]:
    """A request of somebody whose numbers belong together."""
    by = world.actor(username)
    with scoped(by, one_snapshot=not connection.in_atomic_block):
        yield by


def looked_at(username: str = "analyst", **what: Any) -> Prepared:
    """What publishing would freeze now."""
    with snapshot(username) as by:
        return prepare_publication(**{"year": YEAR, "basis": Basis.ANY_DAY} | what, by=by)


def published(
    username: str = "analyst", *, uid: UUID | None = None, seen: str | None = None, note: str = "", year: int = YEAR,
    basis: Basis = Basis.ANY_DAY, until: date | None = None,
) -> Published:  # fmt: skip
    """Published by somebody who has just looked at it."""
    what: dict[str, Any] = {"year": year, "basis": basis, "until": until}
    seen = seen or looked_at(username, **what).report.looked_at
    with snapshot(username) as by:
        return publish(uid=uid or uuid4(), **what, seen=seen, note=note, by=by)


def versions() -> list[Publication]:
    """All there are, in the order in which they came."""
    with scoped(world.SYSTEM):
        return list(Publication.objects.order_by("pk"))
