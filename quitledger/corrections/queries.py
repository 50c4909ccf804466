"""Read models of applications: lists, what each item changes, whose turn it is. Journal the reads."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Max, Min, Q, QuerySet

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Permission, Role
from quitledger.cases.services import find_by_identity
from quitledger.institutions.models import InstitutionDetails
from quitledger.policy import TAIPEI
from quitledger.policy.problem import Problem
from quitledger.policy.rounding import rounded
from quitledger.policy.sentences import Month, Sentence, Several, Words
from quitledger.visits.models import Permit, Visit
from quitledger.visits.queries import closes_at
from quitledger.visits.rules import Entry, Timeliness, recording_window, timeliness

from . import rules
from .differences import LABELS, entries_of, groups_of, in_words
from .identities import identity_asked
from .models import Application, Item
from .rules import ITEM_KINDS, ItemKind, State


def applications(by: Actor) -> QuerySet[Application]:
    """The applications that the actor may see: his institution's, or at the desk those that were sent.

    Raises PermissionDenied.
    """
    by.require(Permission.CORRECTION_READ)
    found = Application.objects.select_related(
        "case__person", "written_by", "signed_by", "claimed_by", "decided_by", "confirmed_by"
    )
    if by.institution_id is None:
        return found.exclude(sent_at=None)
    return found.filter(institution_id=by.institution_id)


def application_of(uid: UUID, *, by: Actor) -> Application | None:
    """One of them."""
    found: Application | None = applications(by).filter(uid=uid).first()
    return found


def still_open(persons: Collection[int]) -> list[Problem]:
    """Why persons cannot be merged or taken apart now: an application about one of them is not decided."""
    found = Application.objects.filter(person_id__in=persons, state__in=rules.OPEN).order_by("pk")
    numbers = [one.case_no or str(rules.STATES[State(one.state)].label) for one in found]
    if not numbers:
        return []
    message = Sentence("還有更正申請沒有審完（{numbers}），請先審核或請機構撤回。", numbers=Several(numbers))
    return [Problem("application-open", message, None)]


def numbers_of(uids: Collection[UUID], *, by: Actor) -> dict[UUID, str]:
    """The case numbers of those of the `uids` that are applications the actor may see."""
    found = applications(by).filter(uid__in=uids)
    return {uid: number or "" for uid, number in found.values_list("uid", "case_no")}


@dataclass(frozen=True)
class ApplicationQuery:
    """What is asked of the list: states, and at the desk an institution, a kind, the reason of a rejection."""

    states: tuple[State, ...] = rules.OPEN
    institution_code: str = ""
    kind: str = ""
    mine: bool = False  # claimed by the actor


def search(asked: ApplicationQuery, *, by: Actor) -> QuerySet[Application]:
    """The applications asked for: open ones the oldest first, ended ones the newest first. Raises PermissionDenied."""
    found = applications(by).filter(state__in=asked.states)
    if asked.institution_code:
        named = InstitutionDetails.objects.filter(code=asked.institution_code).values("institution_id")
        found = found.filter(institution_id__in=named)
    if asked.kind:
        found = found.filter(pk__in=Item.objects.filter(kind=asked.kind).values("application_id"))
    if asked.mine:
        found = found.filter(claimed_by_id=by.account_id)
    ended = set(asked.states) <= {*rules.DECIDED, State.WITHDRAWN}
    return found.prefetch_related("items").order_by(
        *(("-changed_at", "-pk") if ended else ("sent_at", "written_at", "pk"))
    )


def due(application: Application) -> date | None:
    """Until when it is somebody's turn; None where nothing is said of that."""
    if application.sent_at is None:
        return None
    received_on, since = (at.astimezone(TAIPEI).date() for at in (application.sent_at, application.changed_at))
    return rules.due_on(State(application.state), received_on=application.received_on or received_on, since=since)


def waiting_for(by: Actor) -> dict[str, int]:
    """How many applications wait for the actor, by what for: to_finish, to_sign, to_answer, news; at the desk new, mine, second."""
    if not by.may(Permission.CORRECTION_READ):
        return {}
    mine = Q(claimed_by_id=by.account_id)
    others = ~Q(written_by_id=by.account_id)
    counted: dict[str, Q] = {
        "to_claim": Q(state=State.NEW) & others,
        "claimed": Q(state=State.IN_REVIEW) & mine,
        "to_confirm": Q(state=State.SECOND) & others & ~Q(decided_by_id=by.account_id),
    }
    if by.institution_id is not None:
        counted = {
            "to_finish": Q(state=State.DRAFT, written_by_id=by.account_id),
            "to_answer": Q(state=State.WAITING),
            "news": Q(state__in=rules.DECIDED, seen_at=None),
        }
        if by.role is Role.SUPERVISOR:
            counted["to_sign"] = Q(state=State.TO_SIGN) & others
    found: dict[str, int] = applications(by).aggregate(
        **{name: Count("pk", filter=one) for name, one in counted.items()}
    )
    return {name: number for name, number in found.items() if number}


@dataclass(frozen=True)
class Row:
    """One line of a comparison: what it says now and what it would say."""

    field: str
    label: str
    before: str
    after: str

    @property
    def changed(self) -> bool:
        """True where the two differ."""
        return self.before != self.after


@dataclass(frozen=True)
class Compared:
    """An item old beside new. `groups`: the groups of the paper form that it changes. `problems` of a trial.
    `neighbours`: the person's visits before and after its true day, as far as the actor may see them.
    """

    item: Item
    kind: rules.Kind
    visit: Visit | None
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    late: bool
    neighbours: tuple[Sentence, ...]

    @property
    def groups(self) -> list[Words]:
        """資料組別: what of the record is corrected."""
        return groups_of(row.field for row in self.rows if row.changed)


_NOT_PREGNANT = Words("否")  # said by every visit


def compared(
    application: Application, problems: Sequence[Problem], *, whole: bool = False, by: Actor
) -> list[Compared]:
    """Every item of an application: what stands now (once it is decided: what stood) beside what it asks for.

    `problems` of services.trial, by the item's place. `whole`: identity numbers are not masked; journal that.
    """
    items = list(application.items.select_related("visit__case__person", "identity").order_by("position"))
    permits = {one.visit: one for one in Permit.objects.filter(application=application.uid)}
    found = []
    for place, item in enumerate(items):
        entries = entries_of(item, by=by)
        was, becomes = in_words(item, entries, whole=whole)
        rows = [Row(name, label, was.get(name, ""), becomes.get(name, "")) for name, label in LABELS.items()]
        late = item.visit_on is not None and _late(application, item, item.visit_on, permits)
        if item.visit_on is not None:
            tags = _timeliness(application, item, item.visit_on, entries[0], late)
            rows.append(Row("timeliness", Words("登錄情形"), *tags))
        own = tuple(problem for problem in problems if problem.field == f"item-{place}")
        shown = tuple(row for row in rows if {row.before, row.after} - {"", _NOT_PREGNANT})
        near = () if item.visit_on is None else _neighbours(application, item, item.visit_on)
        found.append(Compared(item, ITEM_KINDS[ItemKind(item.kind)], item.visit, shown, own, late, near))
    return found


def others_with_number(item: Item, *, by: Actor) -> int:
    """How many other persons have the number that is asked for, born on whatever day: known to the desk alone.

    Raises PermissionDenied.
    """
    by.require(Permission.CORRECTION_DECIDE)
    said = identity_asked(item)
    if said is None:
        return 0
    found = {case.person_id for case in find_by_identity(number=said.asked.number, by=by)}
    return len(found - {item.application.person_id})


def _neighbours(application: Application, item: Item, day: date) -> tuple[Sentence, ...]:
    itself = item.visit.uid if item.visit else item.uid
    others = Visit.objects.filter(person_id=application.person_id, in_force=True).exclude(uid=itself)
    near = others.aggregate(
        before=Max("visit_on", filter=Q(visit_on__lt=day)), after=Min("visit_on", filter=Q(visit_on__gt=day))
    )
    before, after = near["before"], near["after"]
    said = [
        before and Sentence("前一次就醫 {day}，相隔 {days} 日", day=before, days=(day - before).days),
        after and Sentence("後一次就醫 {day}，相隔 {days} 日", day=after, days=(after - day).days),
    ]
    return tuple(filter(None, said))


def _late(application: Application, item: Item, visit_on: date, permits: Mapping[UUID, Permit]) -> bool:
    given = permits.get(item.visit.uid if item.visit else item.uid)
    if given is not None:
        return given.is_late
    until = closes_at(application.institution_id, visit_on)
    return rules.is_late(ItemKind(item.kind), item.visit.recorded_at if item.visit else None, until)


def _timeliness(
    application: Application, item: Item, visit_on: date, before: Entry | None, late: bool
) -> tuple[str, str]:
    """登錄情形 before and after."""
    was = becomes = ""
    if item.visit is not None:
        was = _tag(application, before.visit_on, item.visit.recorded_at) if before else Words("已作廢")
        becomes = _tag(application, visit_on, item.visit.recorded_at)
    if item.kind == ItemKind.VOID:
        becomes = Words("已作廢")
    return was, Timeliness.LATE.label if late else becomes


def _tag(application: Application, day: date, recorded_at: datetime) -> str:
    until = closes_at(application.institution_id, day)
    return timeliness(recording_window(day, closes_at=until), recorded_at).label


# --- 申請登記簿 and numbers ------------------------------------------------------------------------------------------------


def received(first: date, last: date, *, by: Actor) -> QuerySet[Application]:
    """The applications received from `first` to `last` (days in Taipei, both included), by case number.

    Raises PermissionDenied. Journal the read.
    """
    asked = _between(first, last)
    found = applications(by).filter(sent_at__gte=asked["begins"], sent_at__lt=asked["ends"])
    return found.prefetch_related("items").order_by("sent_at", "pk")


@dataclass(frozen=True)
class Numbers:
    """How many applications were received, what became of them, and the median of days from receipt to decision."""

    label: str
    received: int
    open: int
    approved: int
    in_part: int
    rejected: int
    withdrawn: int
    median_days: Decimal | None


_NUMBERS = """
SELECT {group}, count(*), count(*) FILTER (WHERE state = ANY (%(open)s)), count(*) FILTER (WHERE state = 'approved'),
  count(*) FILTER (WHERE state = 'in_part'), count(*) FILTER (WHERE state = 'rejected'),
  count(*) FILTER (WHERE state = 'withdrawn'),
  percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM decided_at - sent_at) / 86400)::numeric
FROM corrections_application a WHERE sent_at >= %(begins)s AND sent_at < %(ends)s GROUP BY 1 ORDER BY 1
"""
_GROUPS = {
    "month": "date_trunc('month', sent_at AT TIME ZONE 'Asia/Taipei')::date",
    "institution": """(SELECT d.code || '　' || d.name FROM institutions_institutiondetails d
      WHERE d.institution_id = a.institution_id ORDER BY d.starts_on DESC LIMIT 1)""",
}


def numbers(first: date, last: date, group: str, *, by: Actor) -> list[Numbers]:
    """Applications received from `first` to `last`, by `group` (month or institution). Raises PermissionDenied."""
    by.require(Permission.CORRECTION_DECIDE)
    with connection.cursor() as cursor:
        cursor.execute(_NUMBERS.format(group=_GROUPS[group]), _between(first, last) | {"open": list(rules.OPEN)})
        rows = cursor.fetchall()
    return [_numbers(row) for row in rows]


def _numbers(row: tuple[Any, ...]) -> Numbers:
    label, *counts, median = row
    days = None if median is None else rounded(median, 1)
    named = Sentence("{month}", month=Month(label)) if isinstance(label, date) else label
    return Numbers(*[named, *counts, days])


def rejections(first: date, last: date, *, by: Actor) -> list[tuple[str, int]]:
    """How many items of the applications received were rejected, by reason. Raises PermissionDenied."""
    by.require(Permission.CORRECTION_DECIDE)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.rejected_for, count(*) FROM corrections_item i JOIN corrections_application a ON a.id = i.application_id"
            " WHERE i.rejected_for <> '' AND a.sent_at >= %(begins)s AND a.sent_at < %(ends)s GROUP BY 1 ORDER BY 2 DESC, 1",
            _between(first, last),
        )
        return [(rules.Rejection(word).label, count) for word, count in cursor.fetchall()]


def _between(first: date, last: date) -> dict[str, datetime]:
    begins, ends = (datetime.combine(day, time(), TAIPEI) for day in (first, last + timedelta(days=1)))
    return {"begins": begins, "ends": ends}
