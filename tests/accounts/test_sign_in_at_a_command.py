"""Who sits at a command that needs a person: password, second factor, role."""

from typing import Any

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret, hotp_value, yield_hotp_counters_from_time

from quitledger.accounts.actors import AGENCY
from quitledger.accounts.models import User
from quitledger.accounts.permissions import Permission, Role
from quitledger.accounts.scope import scoped
from quitledger.accounts.sign_in import asks_second_factor, proved_account
from quitledger.policy.problem import Refused

from .. import world
from ..sql import one

REFUSED = "SELECT count(*) FROM audit_journal WHERE action = 'account.sign_in_refused'"


@pytest.fixture
def as_owner(committed: Any) -> Any:
    with committed.as_owner():
        yield committed


def proved(username: str = "desk_supervisor", password: str = world.PASSWORD, code: str = "") -> Any:
    return proved_account(username=username, password=password, code=code, permission=Permission.RETENTION_PLAN)


def test_a_password_proves_an_account_that_has_no_second_factor(as_owner, owner):
    assert asks_second_factor("desk_supervisor") is False
    actor = proved(" Desk_Supervisor ")
    assert (actor.scope, actor.role, actor.name) == (AGENCY, Role.DESK_SUPERVISOR, "示範窗口主管")
    assert one(owner, REFUSED) == 0


@pytest.mark.parametrize("given", [{"password": "wrong"}, {"username": "nobody-at-all"}, {"username": ""}])
def test_what_does_not_prove_it_is_one_sentence_and_stays_in_the_journal(as_owner, owner, given):
    with pytest.raises(Refused) as refused:
        proved(**given)
    assert [problem.code for problem in refused.value.problems] == ["account-not-proved"]
    assert one(owner, REFUSED) == 1


def test_an_account_that_was_closed_proves_nothing(as_owner, owner):
    owner.execute("UPDATE accounts_user SET is_active = false WHERE username = 'desk_supervisor'")
    with pytest.raises(Refused):
        proved()


@pytest.mark.parametrize("username", ["analyst", "desk_officer", "supervisor", "nowhere"])
def test_a_role_without_the_permission_is_told_so(as_owner, username):
    with pytest.raises(Refused) as refused:
        proved(username)
    assert [problem.code for problem in refused.value.problems] == ["account-not-permitted"]


def test_a_second_factor_is_needed_where_there_is_one_and_is_used_up(as_owner):
    with scoped(world.SYSTEM):
        user = User.objects.get(username="desk_supervisor")
        secret = generate_totp_secret()
        TOTP.activate(user, secret)
        recovery = RecoveryCodes.activate(user).get_unused_codes()[0]
    assert asks_second_factor("DESK_SUPERVISOR") is True
    now = f"{hotp_value(secret, next(iter(yield_hotp_counters_from_time()))):06}"
    for code in ("", "000000x"):
        with pytest.raises(Refused):
            proved(code=code)
    for code in (now, recovery):
        assert proved(code=code).role == Role.DESK_SUPERVISOR
        with pytest.raises(Refused):
            proved(code=code)
