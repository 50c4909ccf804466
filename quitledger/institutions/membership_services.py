"""The only writer of memberships: who works at an institution with which account, and what its supervisor or the desk
does to those accounts."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import connection, transaction

from quitledger.accounts import services as accounts
from quitledger.accounts.actors import AGENCY, Actor
from quitledger.accounts.models import User
from quitledger.accounts.permissions import Permission, Role
from quitledger.accounts.services import IssuedCode
from quitledger.audit import journal
from quitledger.policy import TAIPEI
from quitledger.policy.problem import Problem, Refused

from . import rules
from .models import Institution, Membership, StaffContract, StaffMember


@dataclass(frozen=True)
class Invitation:
    """Somebody who shall work at an institution: a new account or (`is_known`) one that exists already."""

    username: str
    display_name: str
    role: str
    staff_uid: UUID | None = None
    is_known: bool = False


def add_membership(
    *,
    user: User,
    institution: Institution,
    role: str,
    starts_on: date,
    ends_on: date | None = None,
    staff: StaffMember | None = None,
    uid: UUID | None = None,
    by: Actor,
) -> Membership:
    """Give an account its place at an institution from a day on."""
    by.require(Permission.ACCOUNT_INVITE)
    with transaction.atomic():
        membership = Membership.objects.create(
            user=user, institution=institution, role=role, starts_on=starts_on, ends_on=ends_on, staff=staff,
            **({"uid": uid} if uid else {}),
        )  # fmt: skip
        journal.record(
            "membership.add",
            record_type="account",
            uids=[user.uid, institution.uid],
            fields=["role", *(["staff"] if staff else [])],
        )
    return membership


def invite(
    invitation: Invitation, *, institution: Institution, form_uid: UUID, moment: datetime, by: Actor
) -> tuple[Membership, IssuedCode | None]:
    """Give somebody a place at an institution from today on; a new account gets a one-time code for its slip.

    `form_uid` makes it one invitation however often it is sent: the same form answers with the same slip. Raises
    Refused with all problems, PermissionDenied.
    """
    by.require(Permission.ACCOUNT_INVITE)
    _require_scope(institution, by)
    today = moment.astimezone(TAIPEI).date()
    sent_before = Membership.objects.select_related("user").filter(uid=form_uid, institution=institution).first()
    if sent_before is not None:
        code = None if invitation.is_known else accounts.issue_code(
            sent_before.user, form_uid=form_uid, moment=moment, by=by
        )  # fmt: skip
        return sent_before, code
    user = User.objects.filter(username__iexact=invitation.username.strip()).first()
    problems = rules.check_invitation(
        role=invitation.role,
        display_name=invitation.display_name,
        is_known=invitation.is_known,
        known=_known(user, institution, today) if user else None,
    )
    staff, staff_problems = _staff(institution, invitation.staff_uid)
    problems += staff_problems
    with transaction.atomic():
        if not invitation.is_known:
            try:
                user = accounts.add_account(
                    username=invitation.username, display_name=invitation.display_name, password=None, uid=form_uid,
                    by=by,
                )  # fmt: skip
            except Refused as refused:
                said = {problem.field for problem in problems}
                problems += [problem for problem in refused.problems if problem.field not in said]
        if problems or user is None:
            raise Refused(problems)
        membership = add_membership(
            user=user, institution=institution, role=invitation.role, starts_on=today, staff=staff, uid=form_uid, by=by
        )
        code = None
        if not invitation.is_known:
            code = accounts.issue_code(user, form_uid=form_uid, moment=moment, by=by)
    return membership, code


def change_membership(
    membership: Membership, *, role: str, display_name: str, staff_uid: UUID | None, today: date, by: Actor
) -> list[str]:
    """Change the role, the name or the staff member of an account's place. Returns the fields changed.

    Raises Refused with all problems, PermissionDenied.
    """
    by.require(Permission.ACCOUNT_CHANGE)
    with transaction.atomic():
        place = _locked(membership, today, by)
        renamed = display_name.strip() != membership.user.display_name
        problems = rules.check_change(place, role=role, renamed=renamed, by_desk=_is_desk(by))
        staff, staff_problems = _staff(membership.institution, staff_uid)
        problems += staff_problems
        if problems:
            raise Refused(problems)
        changed = []
        if renamed:
            accounts.rename_account(membership.user, display_name, by=by)
            changed.append("display_name")
        for name, value in (("role", role), ("staff", staff)):
            if getattr(membership, name) != value:
                setattr(membership, name, value)
                changed.append(name)
        written = [name for name in changed if name != "display_name"]
        if written:
            membership.save(update_fields=written)
            journal.record(Permission.ACCOUNT_CHANGE, record_type="account", uids=[membership.user.uid], fields=written)
    return changed


def end_membership(membership: Membership, *, ends_on: date | None, moment: datetime, by: Actor) -> None:
    """Set the last day of an account at an institution, or take it back (None).

    A last day that is today or past ends it at once: whoever is signed in is signed out. The account stays in every
    history. Raises Refused with all problems, PermissionDenied.
    """
    by.require(Permission.ACCOUNT_END)
    today = moment.astimezone(TAIPEI).date()
    with transaction.atomic():
        place = _locked(membership, today, by)
        problems = rules.check_end(place, ends_on=ends_on, by_desk=_is_desk(by))
        if problems:
            raise Refused(problems)
        ended = ends_on is not None and ends_on <= today
        if membership.ends_on == ends_on and (membership.closed_at is not None) == ended:
            return  # the same form, sent before
        membership.ends_on = ends_on
        membership.closed_at = moment if ended else None
        membership.save(update_fields=["ends_on", "closed_at"])
        if membership.closed_at is not None:
            accounts.end_sessions(membership.user, by=by)
        journal.record(
            Permission.ACCOUNT_END, record_type="account", uids=[membership.user.uid, membership.institution.uid],
            fields=["ends_on"],
        )  # fmt: skip


def confirm_membership(membership: Membership, *, moment: datetime, by: Actor) -> None:
    """Say that an account that was not used for long is still needed; said once a day. Raises PermissionDenied."""
    by.require(Permission.ACCOUNT_CONFIRM)
    _require_scope(membership.institution, by)
    today = moment.astimezone(TAIPEI).date()
    with transaction.atomic():
        _locked(membership, today, by)
        if membership.confirmed_at is not None and membership.confirmed_at.astimezone(TAIPEI).date() == today:
            return
        membership.confirmed_at = moment
        membership.save(update_fields=["confirmed_at"])
        journal.record(
            Permission.ACCOUNT_CONFIRM, record_type="account", uids=[membership.user.uid], fields=["confirmed_at"]
        )


def reset_password(membership: Membership, *, form_uid: UUID, moment: datetime, by: Actor) -> IssuedCode:
    """Take the password of an account away and issue a one-time code. Raises Refused, PermissionDenied."""
    by.require(Permission.ACCOUNT_RESET)
    _check_reset(membership, moment, by)
    return accounts.reset_password(membership.user, form_uid=form_uid, moment=moment, by=by)


def reset_second_factor(membership: Membership, *, moment: datetime, by: Actor) -> int:
    """Remove an account's second factors; returns how many. Raises Refused, PermissionDenied."""
    by.require(Permission.ACCOUNT_RESET)
    _check_reset(membership, moment, by)
    return accounts.reset_second_factor(membership.user, moment=moment, by=by)


def lift_lockout(membership: Membership, *, by: Actor) -> None:
    """Let an account whose sign-ins failed too often try again at once. Raises PermissionDenied."""
    by.require(Permission.ACCOUNT_UNLOCK)
    _require_scope(membership.institution, by)
    accounts.lift_lockout(membership.user, by=by)


# --- What the rules need to know -------------------------------------------------------------------------------------


def _is_desk(by: Actor) -> bool:
    return by.scope == AGENCY


def _require_scope(institution: Institution, by: Actor) -> None:
    """An institution's supervisor acts on his own, the desk on all: the database holds it, too."""
    if by.scope not in (AGENCY, institution.pk):
        raise PermissionDenied("another institution")


def _check_reset(membership: Membership, moment: datetime, by: Actor) -> None:
    problems = rules.check_reset(place_of(membership, moment.astimezone(TAIPEI).date(), by), by_desk=_is_desk(by))
    if problems:
        raise Refused(problems)


def place_of(membership: Membership, today: date, by: Actor) -> rules.Place:
    """A membership as the rules know it. Raises PermissionDenied where it is another institution's."""
    _require_scope(membership.institution, by)
    others = Membership.objects.filter(institution=membership.institution, role=Role.SUPERVISOR).in_force_on(today)
    return rules.Place(
        role=membership.role,
        starts_on=membership.starts_on,
        is_own=membership.user_id == by.account_id,
        is_elsewhere=_is_elsewhere(membership, today),
        supervisors_left=others.exclude(user=membership.user).count(),
    )


def _locked(membership: Membership, today: date, by: Actor) -> rules.Place:
    """place_of, while nobody else changes who works at the institution: of two last supervisors one stays."""
    _require_scope(membership.institution, by)
    list(Membership.objects.select_for_update().filter(institution=membership.institution).order_by("pk").values("pk"))
    membership.refresh_from_db()
    return place_of(membership, today, by)


def _known(user: User, institution: Institution, today: date) -> rules.Known:
    here = Membership.objects.filter(user=user, institution=institution, starts_on__lte=today)
    return rules.Known(user.display_name, bool(user.agency_role), here.exclude(ends_on__lt=today).exists())


def _is_elsewhere(membership: Membership, today: date) -> bool:
    """Asked of the database beyond one's own scope: yes or no, not where."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT institutions_is_elsewhere(%s, %s, %s)", [membership.user_id, membership.institution_id, today]
        )
        return bool(cursor.fetchone()[0])


def _staff(institution: Institution, uid: UUID | None) -> tuple[StaffMember | None, list[Problem]]:
    """The staff member named, where he has or had a contract with the institution."""
    if uid is None:
        return None, []
    contract = StaffContract.objects.filter(institution=institution, staff__uid=uid).select_related("staff").first()
    if contract is None:
        return None, [Problem("staff-unknown", "請從清單選擇本機構的醫事人員。", "staff")]
    return contract.staff, []
