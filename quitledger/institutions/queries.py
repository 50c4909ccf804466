"""Who works at an institution with an account, and how that account stands. Nothing here is stored: it follows from
days, codes and sign-ins."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce

from quitledger.accounts.actors import AGENCY, Actor
from quitledger.accounts.models import OneTimeCode
from quitledger.policy import TAIPEI, policy_on
from quitledger.policy.sentences import Words

from .models import InstitutionDetails, Membership, MembershipQuerySet, StaffContract


class State(StrEnum):
    """How an account stands at an institution."""

    INVITED = "invited"  # has never signed in
    ACTIVE = "active"
    UNUSED = "unused"  # not signed in for as many days as policy says
    LEAVING = "leaving"  # has a last day still to come
    ENDED = "ended"


STATES = {
    State.INVITED: Words("還沒登入過"),
    State.ACTIVE: Words("使用中"),
    State.UNUSED: Words("久未使用"),
    State.LEAVING: Words("即將離職"),
    State.ENDED: Words("已離職"),
}


@dataclass(frozen=True)
class Person:
    """One line of the list of people: a membership, how it stands, where, and whether it waits for confirmation."""

    membership: Membership
    state: State
    code: OneTimeCode | None
    institution: InstitutionDetails | None
    to_confirm: bool

    @property
    def label(self) -> str:
        """The state in Chinese."""
        return STATES[self.state]


def memberships(by: Actor) -> MembershipQuerySet:
    """The places that the actor may see as supervisor or desk: his institution's, or all."""
    found = Membership.objects.select_related("user", "staff", "institution", "user__one_time_code")
    return found if by.scope == AGENCY else found.filter(institution_id=by.institution_id or 0)


def membership_of(uid: UUID, *, by: Actor) -> Membership | None:
    """One of them by its uid."""
    found: Membership | None = memberships(by).filter(uid=uid).first()
    return found


def find_memberships(by: Actor, *, words: str = "", institution_id: int | None = None) -> QuerySet[Any]:
    """Places by part of a name or user name; at the desk also by code or part of the name of the institution."""
    found = memberships(by)
    if institution_id is not None:
        found = found.filter(institution_id=institution_id)
    if words:
        named = Q(user__display_name__icontains=words) | Q(user__username__icontains=words)
        if by.scope == AGENCY:
            details = InstitutionDetails.objects.filter(Q(code=words) | Q(name__icontains=words))
            named |= Q(institution_id__in=details.values("institution_id"))
        found = found.filter(named)
    return found.order_by(F("closed_at").desc(nulls_first=True), "institution_id", "user__display_name", "pk")


def to_confirm(by: Actor, moment: datetime) -> QuerySet[Any]:
    """Places in force whose account was not used for long and that nobody confirmed this month (policy
    account_unused_days). An account not yet used counts from its beginning."""
    today = moment.astimezone(TAIPEI).date()
    month = datetime.combine(today.replace(day=1), time(), TAIPEI)
    return (
        memberships(by)
        .in_force_on(today)
        .annotate(used_at=Coalesce("user__last_login", "user__created_at"))
        .filter(used_at__lt=_unused_since(moment), starts_on__lt=_unused_since(moment).astimezone(TAIPEI).date())
        .exclude(confirmed_at__gte=month)
        .order_by("used_at", "pk")
    )  # fmt: skip


def people(found: list[Membership], *, by: Actor, moment: datetime) -> list[Person]:
    """Lines of the list for these memberships."""
    today = moment.astimezone(TAIPEI).date()
    keys = [membership.pk for membership in found]
    waiting = set(to_confirm(by, moment).filter(pk__in=keys).values_list("pk", flat=True))
    places = {
        details.institution_id: details
        for details in InstitutionDetails.objects.filter(
            institution_id__in={membership.institution_id for membership in found}
        ).in_force_on(today)
    }
    return [
        Person(
            membership,
            _state(membership, today, moment),
            getattr(membership.user, "one_time_code", None),
            places.get(membership.institution_id),
            membership.pk in waiting,
        )
        for membership in found
    ]


def own_contract(by: Actor, today: date) -> StaffContract | None:
    """The contract, in force today, of the staff member that the actor himself is at his institution."""
    mine = Membership.objects.filter(user_id=by.account_id or 0, institution_id=by.institution_id or 0)
    contract: StaffContract | None = (
        StaffContract.objects.in_force_on(today)
        .filter(institution_id=by.institution_id or 0, staff__memberships__in=mine.in_force_on(today))
        .select_related("staff")
        .first()
    )
    return contract


def _unused_since(moment: datetime) -> datetime:
    days: int = policy_on(moment.astimezone(TAIPEI).date(), "account_unused_days")
    return moment - timedelta(days=days)


def _state(membership: Membership, today: date, moment: datetime) -> State:
    if membership.closed_at is not None or (membership.ends_on and membership.ends_on < today):
        return State.ENDED
    if membership.ends_on:
        return State.LEAVING
    if membership.user.last_login is None:
        return State.INVITED
    return State.UNUSED if membership.user.last_login < _unused_since(moment) else State.ACTIVE


def names_of(institutions: Collection[int]) -> dict[int, str]:
    """How institutions are called now (or were last), with their code: key → 示範診所 9900000019."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT ON (institution_id) institution_id, name || ' ' || code FROM institutions_institutiondetails"
            " WHERE institution_id = ANY (%s) ORDER BY institution_id, starts_on DESC",
            [list(institutions)],
        )
        return dict(cursor.fetchall())


@dataclass(frozen=True)
class Place:
    """What an institution is called and where it stands."""

    code: str
    name: str
    tier: str
    county: str

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


def places_on(day: date) -> dict[int, Place]:
    """Every institution as it was on that day, or last before; where it came later, as it was first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT ON (institution_id) institution_id, code, name, tier, county FROM institutions_institutiondetails"
            " ORDER BY institution_id, starts_on > %(day)s, CASE WHEN starts_on > %(day)s THEN starts_on - %(day)s"
            " ELSE %(day)s - starts_on END",
            {"day": day},
        )
        return {institution: Place(*place) for institution, *place in cursor.fetchall()}


def counties() -> list[str]:
    """The counties in which an institution stands or stood, in order."""
    return list(InstitutionDetails.objects.order_by("county").values_list("county", flat=True).distinct())
