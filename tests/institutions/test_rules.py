"""What may be done to accounts and their places: truth tables."""

from datetime import date, timedelta

import pytest

from quitledger.accounts.permissions import Role
from quitledger.institutions.rules import (
    Known,
    Place,
    check_certificate,
    check_change,
    check_end,
    check_invitation,
    check_reset,
    check_role,
)
from quitledger.policy.problem import Problem

DAY = date(2025, 4, 1)


def codes(problems: list[Problem]) -> list[str]:
    return [problem.code for problem in problems]


def place(
    role: str = Role.RECORDER, *, is_own: bool = False, is_elsewhere: bool = False, supervisors_left: int = 1
) -> Place:
    return Place(role, DAY, is_own, is_elsewhere, supervisors_left)


@pytest.mark.parametrize(
    ("role", "found"), [("recorder", []), ("supervisor", []), ("analyst", ["role-unknown"]), ("", ["role-unknown"])]
)
def test_a_role_is_one_of_an_institution(role: str, found: list[str]) -> None:
    assert codes(check_role(role)) == found


@pytest.mark.parametrize(
    ("is_known", "known", "found"),
    [
        (False, None, []),
        (False, Known("示範子", False, False), ["username-taken"]),
        (True, None, ["account-unknown"]),
        (True, Known("示範丑", False, False), ["account-unknown"]),
        (True, Known("示範子", True, False), ["account-unknown"]),
        (True, Known("示範子", False, True), ["place-taken"]),
        (True, Known("示範子", False, False), []),
    ],
)
def test_an_invitation(is_known: bool, known: Known | None, found: list[str]) -> None:
    problems = check_invitation(role="recorder", display_name=" 示範子 ", is_known=is_known, known=known)
    assert codes(problems) == found


def test_all_that_is_wrong_with_an_invitation_is_said_at_once() -> None:
    problems = check_invitation(role="", display_name="示範子", is_known=True, known=None)
    assert codes(problems) == ["role-unknown", "account-unknown"]


@pytest.mark.parametrize(
    ("whose", "by_desk", "found"),
    [
        (place(), False, []),
        (place(is_elsewhere=True), False, ["reset-elsewhere"]),
        (place(Role.SUPERVISOR), False, ["reset-supervisor"]),
        (place(Role.SUPERVISOR, is_own=True), False, ["reset-own"]),
        (place(Role.SUPERVISOR, is_own=True), True, []),
        (place(Role.SUPERVISOR), True, []),
        (place(is_elsewhere=True), True, []),
    ],
)
def test_a_reset(whose: Place, by_desk: bool, found: list[str]) -> None:
    assert codes(check_reset(whose, by_desk=by_desk)) == found


@pytest.mark.parametrize(
    ("whose", "role", "renamed", "by_desk", "found"),
    [
        (place(), Role.SUPERVISOR, True, False, []),
        (place(is_elsewhere=True), Role.RECORDER, True, False, ["rename-elsewhere"]),
        (place(is_elsewhere=True), Role.RECORDER, True, True, []),
        (place(Role.SUPERVISOR, is_own=True), Role.RECORDER, False, False, ["role-own"]),
        (place(Role.SUPERVISOR, is_own=True), Role.SUPERVISOR, True, False, []),
        (place(Role.SUPERVISOR), Role.RECORDER, False, False, []),
        (place(Role.SUPERVISOR, supervisors_left=0), Role.RECORDER, False, False, ["last-supervisor"]),
        (place(Role.SUPERVISOR, supervisors_left=0), Role.RECORDER, False, True, []),
        (place(Role.SUPERVISOR, supervisors_left=0), Role.SUPERVISOR, False, False, []),
    ],
)
def test_a_change(whose: Place, role: str, renamed: bool, by_desk: bool, found: list[str]) -> None:
    assert codes(check_change(whose, role=role, renamed=renamed, by_desk=by_desk)) == found


@pytest.mark.parametrize(
    ("whose", "days", "by_desk", "found"),
    [
        (place(), 0, False, []),
        (place(), 100, False, []),
        (place(), -1, False, ["end-before-start"]),
        (place(), None, False, []),
        (place(Role.SUPERVISOR), 0, False, []),
        (place(Role.SUPERVISOR, supervisors_left=0), 0, False, ["last-supervisor"]),
        (place(Role.SUPERVISOR, supervisors_left=0), 0, True, []),
        (place(Role.SUPERVISOR, supervisors_left=0), None, False, []),
        (place(Role.SUPERVISOR, supervisors_left=0), -1, False, ["end-before-start", "last-supervisor"]),
    ],
)
def test_a_last_day(whose: Place, days: int | None, by_desk: bool, found: list[str]) -> None:
    ends_on = None if days is None else DAY + timedelta(days=days)
    assert codes(check_end(whose, ends_on=ends_on, by_desk=by_desk)) == found


@pytest.mark.parametrize(
    ("kind", "starts_on", "ends_on", "found"),
    [
        ("", None, None, []),
        ("證明", None, DAY, []),
        ("證明", DAY, DAY, []),
        ("證明", DAY + timedelta(days=1), DAY, ["period-reversed"]),
        ("證明", None, None, ["certificate-incomplete"]),
        ("", None, DAY, ["certificate-incomplete"]),
    ],
)
def test_a_certificate(kind: str, starts_on: date | None, ends_on: date | None, found: list[str]) -> None:
    assert codes(check_certificate(kind, starts_on, ends_on)) == found
