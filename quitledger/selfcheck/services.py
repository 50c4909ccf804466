"""The only writers of sign-offs and reminders. Each is one transaction with its audit entry, and takes `by=`."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import connection, transaction

from quitledger.accounts.actors import Actor
from quitledger.accounts.models import User
from quitledger.accounts.permissions import Permission, Role
from quitledger.accounts.scope import scoped, within
from quitledger.audit import journal
from quitledger.audit.database import programme_now
from quitledger.institutions.models import Membership
from quitledger.institutions.queries import names_of
from quitledger.policy import TAIPEI
from quitledger.policy.problem import refuse_where
from quitledger.visits.queries import drafts_left

from . import rules
from .models import Reminder, ReminderAddress, SignOff
from .queries import digest, grounds_of, month_check, sign_offs, snapshot
from .rules import Missing, Standing, missing_for, month_to_check


class Stale(Exception):
    """The month says something else by now than what whoever signs has seen."""


@dataclass(frozen=True)
class Signature:
    """What came of signing: the sign-off, and whether it had been there already (a double click, a colleague)."""

    sign_off: SignOff
    repeated: bool = False


def sign_month_off(*, month: date, number: int, seen: str, reason: str, by: Actor) -> Signature:
    """Sign a month (its first day) of the actor's institution off, as the `number`-th time; keeps what the page says.

    `seen`: queries.digest of what was looked at. A number that is there already is answered with that sign-off: a
    double click, or a colleague who was faster, never makes two.
    Raises PermissionDenied, Stale where the month says something else by now, and Refused.
    """
    by.require(Permission.SELFCHECK_SIGN)
    institution = by.at_institution()
    if by.account_id is None:
        raise PermissionDenied("an account")  # a signature is somebody's
    known = sign_offs(by=by).filter(institution_id=institution, month=month, number=number).first()
    if known is not None:
        return Signature(known, repeated=True)
    with transaction.atomic():
        _open_month(institution, month)
        now = programme_now()
        grounds = grounds_of(month, by=by)  # first: what is changed meanwhile opens the month again
        check = month_check(month, moment=now, today=now.astimezone(TAIPEI).date(), by=by)
        if check is None:
            raise PermissionDenied("a month that is not there")
        if check.signed is not None and check.signed.number == number:  # a colleague's, committed just now
            return Signature(check.signed, repeated=True)
        if digest(check) != seen or number != (check.signed.number if check.signed else 0) + 1:
            raise Stale
        incomplete = len(check.incomplete)
        refuse_where(
            rules.check_sign_off(
                month=month, today=now.astimezone(TAIPEI).date(), standing=check.standing, incomplete=incomplete,
                reason=reason,
            )
        )  # fmt: skip
        sign_off = SignOff.objects.create(
            institution_id=institution, month=month, number=number, signed_by_id=by.account_id, incomplete=incomplete,
            reason=reason.strip(), visits=check.books.visits, versions=check.books.versions, grounds=grounds,
            seen=snapshot(check),
        )  # fmt: skip
        sign_off.refresh_from_db()
        journal.record(
            Permission.SELFCHECK_SIGN, record_type="sign_off", uids=[sign_off.uid], version=number,
            fields=["month", *(["reason"] if sign_off.reason else [])],
        )  # fmt: skip
    return Signature(sign_off)


def _open_month(institution: int, month: date) -> None:
    """An empty month has no record yet."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM visits_open_months(%s, %s)", [[institution], [month]])


def record_address(*, address: str, by: Actor) -> None:
    """Say where the actor wants to be reminded; "": nowhere. Raises PermissionDenied."""
    by.require(Permission.SELFCHECK_READ)
    known = ReminderAddress.objects.filter(account_id=by.account_id).first()
    if (known.address if known else "") == address:
        return
    with transaction.atomic():
        ReminderAddress.objects.update_or_create(
            account_id=by.account_id, defaults={"address": address, "changed_at": programme_now()}
        )
        journal.record("selfcheck.address", record_type="account", fields=["address"])


# --- Reminding -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """What is missing at one institution: how it is called, until when its month is open."""

    institution: str
    closes_at: datetime
    missing: Missing


@dataclass(frozen=True)
class Letter:
    """A reminder to be mailed: to whom, of which month, what is missing where. Names nobody."""

    account: int
    address: str
    month: date
    lines: tuple[Line, ...]


def begin_reminders(*, moment: datetime, by: Actor) -> Iterator[Letter]:
    """The letters to be sent now, each claimed for its day before it is handed out: no other run hands it out again.

    One a person and day, on the days of policy, to whoever gave an address and has something missing. To be asked
    outside of a transaction: a claim is committed before its letter is sent. Raises PermissionDenied and PolicyGap.
    """
    by.require(Permission.SELFCHECK_REMIND)
    if not rules.is_time_to_mail(moment):
        return
    today = moment.astimezone(TAIPEI).date()
    months: dict[int, _InstitutionsMonth | None] = {}
    for (account, address), places in _addressed(today, by).items():
        lines = []
        for institution, role in places:
            if institution not in months:
                months[institution] = _month_of(institution, moment, by)
            found = months[institution]
            missing = found.missing(account, role) if found else None
            if found and missing:
                lines.append(Line(found.called, found.closes_at, missing))
        letter = Letter(account, address, month_to_check(today), tuple(lines))
        if lines and _claim(letter, today, by):
            yield letter


def give_reminder_back(letter: Letter, *, moment: datetime, by: Actor) -> None:
    """A letter could not be sent: the next run of the day tries once more. Raises PermissionDenied."""
    by.require(Permission.SELFCHECK_REMIND)
    with scoped(by):
        claimed = Reminder.objects.filter(account_id=letter.account, sent_on=moment.astimezone(TAIPEI).date())
        if claimed.update(failed=True):
            journal.record("selfcheck.remind_failed", record_type="account", uids=[_uid_of(letter.account)])


@dataclass(frozen=True)
class _InstitutionsMonth:
    """The month to check of an institution, as far as reminders need it."""

    called: str
    closes_at: datetime
    standing: Standing
    incomplete: int
    drafts: dict[int, int]  # by account

    def missing(self, account: int, role: Role) -> Missing:
        return missing_for(role, self.standing, self.incomplete, self.drafts.get(account, 0))


def _month_of(institution: int, moment: datetime, by: Actor) -> _InstitutionsMonth | None:
    """None where the month cannot be put right any more."""
    today = moment.astimezone(TAIPEI).date()
    with scoped(by), within(by, institution) as there:
        check = month_check(month_to_check(today), moment=moment, today=today, by=there)
        if check is None or not check.is_open:
            return None
        called, drafts = names_of([institution])[institution], drafts_left(institution)
    return _InstitutionsMonth(called, check.closes_at, check.standing, len(check.incomplete), drafts)


def _addressed(today: date, by: Actor) -> dict[tuple[int, str], list[tuple[int, Role]]]:
    """Accounts that gave an address and were not reminded today, with their places."""
    with scoped(by):
        done = Reminder.objects.filter(sent_on=today, failed=False).values("account_id")
        found = ReminderAddress.objects.exclude(address="").exclude(account_id__in=done).filter(account__is_active=True)
        addresses = dict(found.values_list("account_id", "address"))
        places = Membership.objects.in_force_on(today).filter(user_id__in=list(addresses))
        listed: dict[tuple[int, str], list[tuple[int, Role]]] = {}
        for account, institution, role in places.order_by("user_id", "pk").values_list(
            "user_id", "institution_id", "role"
        ):
            listed.setdefault((account, addresses[account]), []).append((institution, Role(role)))
        return listed


def _claim(letter: Letter, today: date, by: Actor) -> bool:
    """True where this run, and no other, is to send the letter."""
    with scoped(by):
        _row, new = Reminder.objects.get_or_create(account_id=letter.account, sent_on=today)
        again = not new and Reminder.objects.filter(account_id=letter.account, sent_on=today, failed=True).update(
            failed=False
        )
        if new or again:
            journal.record(Permission.SELFCHECK_REMIND, record_type="account", uids=[_uid_of(letter.account)])
        return bool(new or again)


def _uid_of(account: int) -> UUID:
    uid: UUID = User.objects.values_list("uid", flat=True).get(pk=account)
    return uid
