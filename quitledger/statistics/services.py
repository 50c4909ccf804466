"""The only writer of publications, and what it draws them up from. One transaction with its audit entry; takes `by=`."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.audit.database import programme_now, purpose
from quitledger.policy import TAIPEI
from quitledger.policy.problem import refuse_where
from quitledger.policy.roc_formats import ROC_EPOCH

from . import rules
from .annual import annual_tables
from .measures import Basis, Period, snapshot_moment
from .models import Publication
from .reports import Comparison, Report, compare, draw_up


class Stale(Exception):
    """The tables say something else by now than what whoever publishes has looked at, or somebody has published since."""


@dataclass(frozen=True)
class Prepared:
    """What would be published: the report, the one before it, and what differs between them (None: it is the first)."""

    report: Report
    previous: Publication | None
    comparison: Comparison | None

    @property
    def called(self) -> str:
        """113-2: what it would be called."""
        return f"{self.report.roc_year}-{self.report.number}"


@dataclass(frozen=True)
class Published:
    """What came of publishing: the publication, and whether it had been there already (a double click)."""

    publication: Publication
    repeated: bool = False


def publications(*, by: Actor) -> QuerySet[Publication]:
    """All publications, the latest year and version first. Raises PermissionDenied."""
    by.require(Permission.STATISTICS_READ)
    return Publication.objects.select_related("published_by", "previous").order_by("-year", "basis", "-number")


def report_of(period: Period, *, basis: Basis, by: Actor) -> Report:
    """The figures of a period as they are now, not published. Within one snapshot (scope.in_one_snapshot).

    Raises PermissionDenied, and InternalError outside of one.
    """
    moment = snapshot_moment()
    return draw_up(annual_tables(period, basis=basis, by=by), basis=basis, data_at=moment, database=purpose())


def prepare_publication(*, year: int, basis: Basis, until: date | None = None, by: Actor) -> Prepared:
    """What publishing a ROC year would freeze now: the whole year or, while it goes on or where `until` says so, a part.

    Within one snapshot. Raises PermissionDenied, and Refused for days that are not of the year or yet to come.
    """
    by.require(Permission.STATISTICS_PUBLISH)
    whole, today = Period.year(year + ROC_EPOCH), programme_now().astimezone(TAIPEI).date()
    period = Period(whole.first, until or min(whole.last, max(today, whole.first)))
    refuse_where(rules.check_period(whole.first, whole.last, period.last, today))
    moment = snapshot_moment()
    previous = publications(by=by).filter(year=year, basis=basis).first()
    report = draw_up(
        annual_tables(period, basis=basis, by=by), basis=basis, data_at=moment, database=purpose(),
        number=previous.number + 1 if previous else 1,
        previous=(previous.number, previous.fingerprint) if previous else None,
    )  # fmt: skip
    return Prepared(report, previous, compare(previous.report, report) if previous else None)


def publish(
    *, uid: UUID, year: int, basis: Basis, until: date | None = None, seen: str, note: str, by: Actor
) -> Published:
    """Freeze the tables of a ROC year as its next version. `seen`: Report.looked_at of what was looked at.

    `uid` is the form's: sent again, it is answered with the publication that it made. Within one snapshot.
    Raises PermissionDenied, Refused, and Stale where something else would be frozen than what was looked at.
    """
    by.require(Permission.STATISTICS_PUBLISH)
    if by.account_id is None:
        raise PermissionDenied("an account")  # somebody stands behind the figures
    known = publications(by=by).filter(uid=uid).first()
    if known is not None:
        return Published(known, repeated=True)
    with transaction.atomic():
        prepared = prepare_publication(year=year, basis=basis, until=until, by=by)
        report, previous, comparison = prepared.report, prepared.previous, prepared.comparison
        if report.looked_at != seen:
            raise Stale
        is_same = comparison is not None and comparison.is_same
        refuse_where(rules.check_publication(is_first=previous is None, is_same=is_same, note=note))
        publication = Publication.objects.create(
            uid=uid, year=year, basis=basis, number=report.number or 1, last_on=report.last, data_at=report.data_at,
            content=report.text, fingerprint=report.fingerprint, previous=previous, note=note.strip(),
            published_by_id=by.account_id,
        )  # fmt: skip
        publication.refresh_from_db()
        journal.record(
            Permission.STATISTICS_PUBLISH, record_type="publication", uids=[uid], version=publication.number,
            fields=["content", *(["note"] if publication.note else [])],
        )  # fmt: skip
    return Published(publication)
