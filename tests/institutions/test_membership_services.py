"""People at an institution and their accounts: one-time codes, resets, leaving, confirmation; by whom, and at once."""

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from threading import Barrier, Thread
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from allauth.mfa.models import Authenticator
from django.core.exceptions import PermissionDenied
from django.db import connection, connections
from psycopg import errors

from quitledger.accounts.actors import Actor
from quitledger.accounts.models import Notice, OneTimeCode, Session, User
from quitledger.accounts.scope import scoped
from quitledger.accounts.services import accept_code
from quitledger.institutions.membership_services import (
    Invitation,
    change_membership,
    confirm_membership,
    end_membership,
    invite,
    lift_lockout,
    reset_password,
    reset_second_factor,
)
from quitledger.institutions.models import Membership
from quitledger.institutions.queries import State, find_memberships, people, to_confirm
from quitledger.policy import TAIPEI
from quitledger.policy.problem import Refused
from quitledger.visits.models import Draft
from quitledger.visits.services import hand_over_drafts

from .. import world
from ..sql import acting, set_scope

NOW = world.NOW
NEW = Invitation("new.person", "示範新人", "recorder")
PASSWORD = "lantern-cedar-88-wave"


@pytest.fixture
def supervisor(db: Any) -> Iterator[Actor]:
    """The clinic's supervisor, in its scope, as the application role."""
    actor = world.actor("supervisor")
    with scoped(actor):
        yield actor


@pytest.fixture
def desk(db: Any) -> Iterator[Actor]:
    actor = world.actor("desk_officer")
    with scoped(actor):
        yield actor


def place(username: str, code: str = world.CLINIC) -> Membership:
    """Somebody's place."""
    return Membership.objects.select_related("user", "institution").get(uid=world.uid(f"place of {username} {code}"))


def invited(by: Actor, invitation: Invitation = NEW, form_uid: UUID | None = None) -> Any:
    return invite(invitation, institution=world.institution(), form_uid=form_uid or uuid4(), moment=NOW, by=by)


def codes(refused: Callable[[], Any]) -> list[str]:
    with pytest.raises(Refused) as problems:
        refused()
    return [problem.code for problem in problems.value.problems]


def actions(since: int) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT action FROM audit_journal WHERE id > %s ORDER BY id", [since])
        return [action for (action,) in cursor.fetchall()]


def newest() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM audit_journal")
        return int(cursor.fetchone()[0])


def accept(code: str, *, username: str = "new.person", password: str = PASSWORD, moment: datetime = NOW) -> User:
    return accept_code(username=username, code=code, password=password, moment=moment)


# --- Invitations ------------------------------------------------------------------------------------------------------


def test_an_invitation_makes_account_place_and_code_and_says_so_in_the_journal(supervisor: Actor) -> None:
    before = newest()
    membership, issued = invited(supervisor)
    assert (membership.user.username, membership.role, membership.starts_on) == ("new.person", "recorder", world.TODAY)
    assert not membership.user.has_usable_password()
    assert issued.expires_at == NOW + timedelta(days=14)
    assert actions(before) == ["account.add", "membership.add", "account.code"]
    kept = OneTimeCode.objects.get(user=membership.user)
    assert issued.code.replace("-", "").encode() not in bytes(kept.code_hash)
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(j::text, '') FROM audit_journal j")
        assert issued.code not in cursor.fetchone()[0]


def test_the_same_form_sent_twice_gives_the_same_slip_and_one_account(supervisor: Actor) -> None:
    form = uuid4()
    (first, slip), (second, again) = (invited(supervisor, form_uid=form) for _ in range(2))
    assert (first, slip) == (second, again)
    assert User.objects.filter(username="new.person").count() == 1


def test_a_form_whose_code_was_used_gives_no_second_slip(supervisor: Actor) -> None:
    form = uuid4()
    _, issued = invited(supervisor, form_uid=form)
    accept(issued.code)
    assert codes(lambda: invited(supervisor, form_uid=form)) == ["code-used"]


@pytest.mark.parametrize(
    ("invitation", "found"),
    [
        (Invitation("recorder", "別人", "recorder"), ["username-taken"]),
        (Invitation("RECORDER", "別人", "recorder"), ["username-taken"]),
        (Invitation("", "別人", "recorder"), ["account-invalid"]),
        (Invitation("someone", "", ""), ["role-unknown", "account-invalid"]),
        (Invitation("someone", "別人", "desk_officer"), ["role-unknown"]),
        (Invitation("recorder", "示範子", "recorder", is_known=True), ["place-taken"]),
        (Invitation("desk_officer", "示範窗口", "recorder", is_known=True), ["account-unknown"]),
        (Invitation("stranger", "示範某", "recorder", is_known=True), ["account-unknown"]),
        (Invitation("someone", "別人", "recorder", staff_uid=world.uid("nobody")), ["staff-unknown"]),
    ],
)
def test_what_is_wrong_with_an_invitation_is_said_and_leaves_nothing(
    supervisor: Actor, invitation: Invitation, found: list[str]
) -> None:
    before = User.objects.count(), Membership.objects.count()
    assert codes(lambda: invited(supervisor, invitation)) == found
    assert (User.objects.count(), Membership.objects.count()) == before


def test_somebody_who_works_elsewhere_gets_a_place_and_no_code(supervisor: Actor) -> None:
    membership, issued = invited(supervisor, Invitation("Stranger", "示範卯", "recorder", is_known=True))
    assert (membership.user.username, issued) == ("stranger", None)


def test_a_staff_member_can_be_linked_where_he_has_a_contract(supervisor: Actor) -> None:
    here = world.staff("示範丑").uid
    membership, _ = invited(supervisor, Invitation("new.person", "示範新人", "recorder", staff_uid=here))
    assert membership.staff == world.staff("示範丑")
    change_membership(
        membership, role="recorder", display_name="示範新人", staff_uid=None, today=world.TODAY, by=supervisor
    )
    membership.refresh_from_db()
    assert membership.staff is None


# --- One-time codes ---------------------------------------------------------------------------------------------------


def test_a_code_sets_the_password_once(supervisor: Actor) -> None:
    _, issued = invited(supervisor)
    user = accept(f" {issued.code.lower().replace('-', ' ')} ", username=" NEW.person ")
    assert User.objects.get(pk=user.pk).check_password(PASSWORD)
    assert codes(lambda: accept(issued.code)) == ["code-wrong"]


def test_a_code_is_good_until_its_moment(supervisor: Actor) -> None:
    _, issued = invited(supervisor)
    assert codes(lambda: accept(issued.code, moment=issued.expires_at)) == ["code-wrong"]
    accept(issued.code, moment=issued.expires_at - timedelta(microseconds=1))


def test_a_new_code_is_worth_instead_of_the_old_one(supervisor: Actor) -> None:
    membership, old = invited(supervisor)
    new = reset_password(membership, form_uid=uuid4(), moment=NOW, by=supervisor)
    assert codes(lambda: accept(old.code)) == ["code-wrong"]
    accept(new.code)
    assert not Notice.objects.filter(user=membership.user).exists(), "there was no password to be told of"


@pytest.mark.parametrize("username", ["recorder", "nobody.at.all", "", "\x00"])
def test_a_code_is_its_accounts_alone(supervisor: Actor, username: str) -> None:
    _, issued = invited(supervisor)
    assert codes(lambda: accept(issued.code, username=username.replace("\x00", "x"))) == ["code-wrong"]


def test_a_weak_password_leaves_the_code_good(supervisor: Actor) -> None:
    _, issued = invited(supervisor)
    assert set(codes(lambda: accept(issued.code, password="short"))) == {"password-weak"}
    accept(issued.code)


def test_of_two_who_accept_a_code_at_once_one_does(committed: Any) -> None:
    with scoped(by := world.actor("supervisor")):
        _, issued = invited(by)
    barrier, done = Barrier(2), []

    def take(password: str) -> None:
        try:
            with scoped(Actor(None, -1, None)):
                barrier.wait(10)
                accept(issued.code, password=password)
                done.append(password)
        except Refused:
            pass
        finally:
            connections.close_all()

    threads = [Thread(target=take, args=[f"{PASSWORD}-{number}"]) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(done) == 1
    assert User.objects.get(username="new.person").check_password(done[0])


# --- Resets -----------------------------------------------------------------------------------------------------------


def session_of(user: User) -> Session:
    return Session.objects.create(
        session_key=uuid4().hex, session_data="", expire_date=NOW + timedelta(days=1000), account=user
    )


def test_a_reset_takes_password_and_sessions_and_tells_the_person(supervisor: Actor) -> None:
    membership = place("recorder")
    session_of(membership.user)
    form, before = uuid4(), newest()
    slips = [reset_password(membership, form_uid=form, moment=NOW, by=supervisor) for _ in range(2)]
    assert slips[0] == slips[1]
    assert actions(before) == ["account.code", "account.end_sessions", "account.reset"]
    assert not User.objects.get(pk=membership.user_id).has_usable_password()
    assert not Session.objects.filter(account=membership.user).exists()
    told = Notice.objects.filter(by_id=supervisor.account_id)
    assert [(one.user, one.kind, one.at) for one in told] == [(membership.user, "password_reset", NOW)]
    accept(slips[0].code, username="recorder")


def test_second_factors_are_removed_with_sessions_and_told(supervisor: Actor) -> None:
    membership = place("recorder")
    assert reset_second_factor(membership, moment=NOW, by=supervisor) == 0
    assert not Notice.objects.exists()
    for kind in (Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES):
        Authenticator.objects.create(user=membership.user, type=kind, data={})
    session_of(membership.user)
    assert reset_second_factor(membership, moment=NOW, by=supervisor) == 2
    assert not Authenticator.objects.filter(user=membership.user).exists()
    assert not Session.objects.filter(account=membership.user).exists()
    assert Notice.objects.get(by_id=supervisor.account_id).kind == "second_factor_reset"


@pytest.mark.parametrize(("username", "code"), [("supervisor", "reset-own"), ("both", "reset-elsewhere")])
def test_whom_a_supervisor_does_not_reset_the_desk_does(db: Any, username: str, code: str) -> None:
    with scoped(by := world.actor("supervisor")):
        assert codes(lambda: reset_password(place(username), form_uid=uuid4(), moment=NOW, by=by)) == [code]
        assert codes(lambda: reset_second_factor(place(username), moment=NOW, by=by)) == [code]
    with scoped(by := world.actor("desk_officer")):
        assert reset_password(place(username), form_uid=uuid4(), moment=NOW, by=by).code


def test_a_place_elsewhere_that_has_ended_counts_no_more(db: Any) -> None:
    with scoped(by := world.actor("desk_officer")):
        end_membership(place("both", world.PHARMACY), ends_on=date(2025, 3, 31), moment=NOW, by=by)
    with scoped(by := world.actor("supervisor")):
        assert reset_password(place("both"), form_uid=uuid4(), moment=NOW, by=by).code


# --- Leaving ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "state", "signed_out"), [(0, State.ENDED, True), (-1, State.ENDED, True), (1, State.LEAVING, False)]
)
def test_a_last_day_that_is_not_to_come_ends_the_place_and_the_sessions_at_once(
    supervisor: Actor, days: int, state: State, signed_out: bool
) -> None:
    membership = place("recorder")
    session_of(membership.user)
    end_membership(membership, ends_on=world.TODAY + timedelta(days=days), moment=NOW, by=supervisor)
    (person,) = people([place("recorder")], by=supervisor, moment=NOW)
    assert person.state is state
    assert Session.objects.filter(account=membership.user).exists() is not signed_out
    assert Membership.objects.in_force_on(world.TODAY).filter(pk=membership.pk).exists() is not signed_out
    end_membership(membership, ends_on=None, moment=NOW, by=supervisor)
    assert Membership.objects.in_force_on(world.TODAY).filter(pk=membership.pk).exists()


def test_the_database_gives_nobody_a_scope_at_a_place_that_has_ended(committed: Any) -> None:
    with scoped(by := world.actor("supervisor")):
        membership = place("recorder")
        end_membership(membership, ends_on=world.TODAY, moment=NOW, by=by)
    with committed.app() as application:
        entered = application.execute(
            "SELECT scope, places FROM institutions_enter(%s, NULL)", [membership.user_id]
        ).fetchone()
    assert entered == (-1, 0)


def test_the_last_supervisor_stays_and_of_two_at_once_one_does(committed: Any) -> None:
    """`both` and `supervisor`, made supervisors of the clinic, end each other at the same time."""
    with scoped(by := world.actor("supervisor")):
        assert codes(lambda: end_membership(place("supervisor"), ends_on=world.TODAY, moment=NOW, by=by)) == [
            "last-supervisor"
        ]
        change_membership(
            place("both"), role="supervisor", display_name="示範午", staff_uid=None, today=world.TODAY, by=by
        )
    barrier, refused = Barrier(2), []

    def end(username: str, other: str) -> None:
        try:
            user = User.objects.get(username=username)
            with scoped(by := Actor(user.pk, world.institution_id(), world.Role.SUPERVISOR, username)):
                barrier.wait(10)
                end_membership(place(other), ends_on=world.TODAY, moment=NOW, by=by)
        except Refused as problems:
            refused.append(str(problems))
        finally:
            connections.close_all()

    threads = [Thread(target=end, args=names) for names in (("both", "supervisor"), ("supervisor", "both"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert refused == ["last-supervisor"]


def draft(username: str, case: str) -> None:
    """A draft of somebody for a person's next visit."""
    by = world.actor(username)
    with scoped(by):
        Draft.objects.create(
            institution_id=by.institution_id,
            account_id=by.account_id,
            case=world.case(case),
            contents={"note": [username]},
        )


def test_drafts_pass_to_a_colleague_who_keeps_his_own(db: Any) -> None:
    draft("recorder", "示範甲")
    draft("recorder", "示範乙")
    draft("colleague", "示範乙")
    with scoped(by := world.actor("supervisor")):
        at, (leaver, colleague) = by.institution_id, (place(name).user_id for name in ("recorder", "colleague"))
        assert at is not None
        given = hand_over_drafts(institution_id=at, from_account=leaver, to_account=colleague, by=by)
        assert given == (1, 1)
        for wrong in (leaver, place("both").user_id + 1000):
            assert codes(
                lambda who=wrong: hand_over_drafts(institution_id=at, from_account=leaver, to_account=who, by=by)
            ) == ["colleague-unknown"]
    with scoped(world.actor("colleague")):
        assert {one.case.name: one.contents["note"] for one in Draft.objects.all()} == {
            "示範甲": ["recorder"], "示範乙": ["colleague"],
        }  # fmt: skip


# --- Confirmation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "listed"), [(90, False), (91, True)])
def test_an_account_is_listed_after_so_many_days_without_a_sign_in(committed: Any, days: int, listed: bool) -> None:
    with committed.owner() as owner:
        last = NOW - timedelta(days=days) + timedelta(minutes=days == 90)
        owner.execute("UPDATE accounts_user SET last_login = %s, created_at = '2024-01-01'", [last])
        owner.execute("UPDATE accounts_user SET last_login = %s WHERE username <> 'recorder'", [NOW])
    with scoped(by := world.actor("supervisor")):
        assert [one.user.username for one in to_confirm(by, NOW)] == (["recorder"] if listed else [])
        if listed:
            confirm_membership(place("recorder"), moment=NOW, by=by)
            assert not to_confirm(by, NOW).exists()
            end_of_month = datetime(2025, 4, 30, 23, 59, tzinfo=TAIPEI)
            assert place("recorder") not in to_confirm(by, end_of_month)
            assert place("recorder") in to_confirm(by, end_of_month + timedelta(minutes=1)), "and next month again"


# --- Who may ----------------------------------------------------------------------------------------------------------

DEEDS: dict[str, Callable[[Membership, Actor], Any]] = {
    "invite": lambda one, by: invite(NEW, institution=one.institution, form_uid=uuid4(), moment=NOW, by=by),
    "change": lambda one, by: change_membership(
        one, role="recorder", display_name="x", staff_uid=None, today=world.TODAY, by=by),
    "end": lambda one, by: end_membership(one, ends_on=world.TODAY, moment=NOW, by=by),
    "confirm": lambda one, by: confirm_membership(one, moment=NOW, by=by),
    "password": lambda one, by: reset_password(one, form_uid=uuid4(), moment=NOW, by=by),
    "second factor": lambda one, by: reset_second_factor(one, moment=NOW, by=by),
    "unlock": lambda one, by: lift_lockout(one, by=by),
}  # fmt: skip


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("username", ["recorder", "stranger", "stranger_supervisor", "analyst", "administrator"])
def test_nobody_else_does_anything_to_an_account(db: Any, username: str, deed: str) -> None:
    with scoped(world.SYSTEM):
        theirs = place("colleague")
    actor = world.actor(username)
    with scoped(actor), pytest.raises(PermissionDenied):
        DEEDS[deed](theirs, actor)


def test_a_stranger_sees_and_changes_nothing_by_sql(committed: Any, owner: psycopg.Connection) -> None:
    with scoped(world.SYSTEM):
        clinic, pharmacy = world.institution_id(), world.institution_id(world.PHARMACY)
    with acting(committed, pharmacy) as application:
        assert application.execute("UPDATE institutions_membership SET role = 'supervisor'").rowcount == (
            owner.execute("SELECT count(*) FROM institutions_membership WHERE institution_id = %s", [pharmacy])
            .fetchone()[0]
        )  # fmt: skip
    for statement in (
        f"SELECT * FROM visits_count_drafts({clinic})",
        f"SELECT * FROM visits_hand_over_drafts({clinic}, 1, 2)",
        "INSERT INTO institutions_membership (user_id, institution_id, role, starts_on) SELECT id,"
        f" {clinic}, 'supervisor', '2025-04-01' FROM accounts_user WHERE username = 'stranger'",
    ):
        with committed.app() as application:
            set_scope(application, pharmacy)
            with pytest.raises(errors.InsufficientPrivilege):
                application.execute(statement)
            application.rollback()


def test_a_search_finds_names_and_at_the_desk_institutions(db: Any) -> None:
    def names(by: Actor, words: str) -> set[str]:
        return {one.user.username for one in find_memberships(by, words=words)}

    with scoped(by := world.actor("supervisor")):
        assert names(by, "") == {"recorder", "colleague", "supervisor", "both"}
        assert names(by, "示範子") == names(by, "RECORD") == {"recorder"}
        assert names(by, world.PHARMACY) == set()
    with scoped(by := world.actor("desk_officer")):
        assert names(by, world.PHARMACY) == names(by, "藥局") == {"stranger", "stranger_supervisor", "both"}
