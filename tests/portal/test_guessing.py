"""Passwords, codes of the app and one-time codes guessed: slowed down by account and by address, whatever else is sent along."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from allauth.mfa.totp.internal import auth as totp
from django.db import connections
from django.test import override_settings

from quitledger.accounts.models import OneTimeCode, User
from quitledger.accounts.scope import scoped
from quitledger.accounts.services import issue_code

from .. import world
from .conftest import Browser, journaled
from .test_people import PASSWORD, place

TRIES = 5  # in five minutes, for one account
TRIES_OF_AN_ADDRESS = 20  # in a minute
WRONG = "AAAA-AAAA-AAAA"

serial = count(1)


def given_a_code(username: str = "recorder", days_ago: int = 0) -> str:
    """A one-time code of somebody who has an account."""
    with scoped(world.SYSTEM):
        user, moment = User.objects.get(username=username), world.NOW - timedelta(days=days_ago)
        return issue_code(user, form_uid=uuid4(), moment=moment, by=world.SYSTEM).code


def by_password(browser: Browser, username: str, guess: str = "wrong-guess-1", **options: Any) -> Any:
    return browser.send("/accounts/login", {"login": username, "password": guess}, **options)


def by_code(browser: Browser, username: str, guess: str = WRONG, **options: Any) -> Any:
    fields = {"username": username, "code": guess, "password": PASSWORD, "again": PASSWORD}
    return browser.send("/invitation", fields, **options)


DOORS = pytest.mark.parametrize("door", [by_password, by_code])
Door = Callable[..., Any]


def disguised() -> dict[str, Any]:
    """What a sender may write as he likes, another each time."""
    n = next(serial)
    where = f"203.0.113.{n % 250}"
    return {
        "headers": {"X-Forwarded-For": where, "X-Real-IP": where, "Forwarded": f"for={where}", "Client-IP": where, "X-Client-IP": where,
                    "CF-Connecting-IP": where, "User-Agent": f"guesser {n}", "Accept-Language": "en"},
        "HTTP_HOST": f"{['testserver', 'TESTSERVER', 'localhost', '127.0.0.1'][n % 4]}:{8000 + n}",
        "QUERY_STRING": f"next=/{n}",
    }  # fmt: skip


# --- By account -------------------------------------------------------------------------------------------------------


@DOORS
def test_an_account_is_the_same_however_name_host_and_headers_are_written(door: Door, browse: Any) -> None:
    names = ["recorder", "RECORDER", " recorder ", "Recorder", "recorder\u3000", "rEcOrDeR"]
    found = [
        door(browse(), name, **disguised(), REMOTE_ADDR=f"198.51.100.{n}").status_code for n, name in enumerate(names)
    ]
    assert found == [422] * TRIES + [429]


@pytest.mark.parametrize("name", ["ſupervisor", "supervısor", "ｓｕｐｅｒｖｉｓｏｒ", "supervisor\u200b", "\u202esupervisor", "super\u0301visor"])  # fmt: skip
@DOORS
def test_a_name_that_only_looks_the_same_is_nobodys(door: Door, name: str, browse: Any) -> None:
    """It could not be counted with the account it looks like; so it must not open it either."""
    right = given_a_code("supervisor") if door is by_code else world.PASSWORD
    answer = door(browse(), name, right)
    assert answer.status_code == 422
    assert "不正確" in answer.text or "控制字元" in answer.text


@DOORS
def test_nobody_learns_by_guessing_which_names_there_are(door: Door, committed: Any, owner: Any) -> None:
    owner.execute("UPDATE accounts_user SET is_active = false WHERE username = 'colleague'")
    given_a_code("supervisor")
    said: dict[str, list[Any]] = {}
    for name in ("recorder", "supervisor", "colleague", "nobody.of.this.name"):
        answers = [door(Browser(), name, REMOTE_ADDR=f"198.51.100.{next(serial) % 250}") for _ in range(TRIES + 1)]
        own = rf'csrfmiddlewaretoken" value="\w+"|\d\d:\d\d|{re.escape(name)}'
        said[name] = [(answer.status_code, re.sub(own, "", answer.text)) for answer in answers]
    first, *others = said.values()
    assert [status for status, _ in first] == [422] * TRIES + [429]
    assert all(other == first for other in others)


@DOORS
def test_tries_sent_at_once_are_counted_one_by_one(door: Door, committed: Any) -> None:
    def guess(_n: int) -> int:
        try:
            return int(door(Browser(), "recorder").status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        found = sorted(threads.map(guess, range(12)))
    assert found == [422] * TRIES + [429] * (12 - TRIES)


@DOORS
def test_one_account_that_is_slowed_down_slows_no_other(door: Door, browse: Any) -> None:
    for _ in range(TRIES):
        door(browse(), "recorder")
    assert door(browse(), "colleague").status_code == 422
    supervisor = browse("supervisor")
    assert "解除暫停登入" in supervisor.get(place("recorder")).text
    supervisor.send(f"{place('recorder')}/unlock", {}, HTTP_HOST="localhost:8000")
    assert "解除暫停登入" not in supervisor.get(place("recorder")).text
    assert door(browse(), "recorder").status_code == 422


def test_codes_of_the_app_are_guessed_as_slowly_and_a_new_sign_in_begins_no_new_count(browse: Any) -> None:
    secret = totp.generate_totp_secret()
    with scoped(world.SYSTEM):
        totp.TOTP.activate(User.objects.get(username="recorder"), secret)
    found = []
    with journaled() as entries:
        for tries in (3, 3):
            browser = browse()
            assert by_password(browser, "recorder", world.PASSWORD)["Location"].startswith("/accounts/login/code")
            found += [browser.send("/accounts/login/code", {"code": f"{n:06}"}).status_code for n in range(tries)]
    assert found == [422] * TRIES + [429]
    assert [entry.fields for entry in entries if entry.action == "account.sign_in_refused"] == [["code"]] * TRIES
    right = totp.format_hotp_value(totp.hotp_value(secret, next(iter(totp.yield_hotp_counters_from_time()))))
    assert browser.send("/accounts/login/code", {"code": right}).status_code == 429, "not even the right one"
    assert browser.get("/").status_code == 302


def test_the_password_is_not_guessed_from_a_session_that_was_left_open(browse: Any) -> None:
    browser = browse("recorder")
    fields = {"oldpassword": "wrong-guess-1", "password1": PASSWORD, "password2": PASSWORD}
    found = [browser.send("/accounts/password", fields).status_code for _ in range(TRIES + 1)]
    assert found == [422] * TRIES + [429]
    again = [browser.send("/accounts/confirm/password", {"password": "wrong-guess-1"}).status_code for _ in range(TRIES + 1)]  # fmt: skip
    assert again == [422] * TRIES + [429]


# --- By address -------------------------------------------------------------------------------------------------------


@DOORS
def test_an_address_is_slowed_down_whatever_accounts_it_tries_and_headers_it_sends(door: Door, browse: Any) -> None:
    found = [door(browse(), f"name{n}", **disguised()).status_code for n in range(TRIES_OF_AN_ADDRESS + 1)]
    assert found == [422] * TRIES_OF_AN_ADDRESS + [429]
    assert door(browse(), "one.more", REMOTE_ADDR="198.51.100.7").status_code == 422


def test_addresses_of_one_network_of_the_new_protocol_count_as_one(browse: Any) -> None:
    found = [by_code(browse(), f"name{n}", REMOTE_ADDR=f"2001:db8:1:2::{n:x}").status_code for n in range(TRIES_OF_AN_ADDRESS + 1)]  # fmt: skip
    assert found == [422] * TRIES_OF_AN_ADDRESS + [429]
    assert by_code(browse(), "one.more", REMOTE_ADDR="2001:db8:1:3::1").status_code == 422


def through(*hops: str) -> dict[str, Any]:
    """What a request says that came through the proxy: it adds the address that reached it at the end."""
    return {"headers": {"X-Forwarded-For": ", ".join(hops)}, "REMOTE_ADDR": "10.0.0.1"}


@DOORS
def test_behind_a_proxy_the_address_that_it_saw_counts_and_none_that_was_told_it(door: Door, browse: Any) -> None:
    with override_settings(ALLAUTH_TRUSTED_PROXY_COUNT=1):
        invented = (through(f"203.0.113.{n}", "198.51.100.1") for n in range(TRIES_OF_AN_ADDRESS + 1))
        found = [door(browse(), f"name{n}", **one).status_code for n, one in enumerate(invented)]
        assert found == [422] * TRIES_OF_AN_ADDRESS + [429]
        assert door(browse(), "one.more", **through("198.51.100.1", "198.51.100.2")).status_code == 422
        assert door(browse(), "one.more", REMOTE_ADDR="198.51.100.3").status_code == 422, "past the proxy"


def test_with_two_proxies_the_last_but_one_counts_and_who_passed_only_one_counts_by_himself(browse: Any) -> None:
    with override_settings(ALLAUTH_TRUSTED_PROXY_COUNT=2):
        for n in range(TRIES_OF_AN_ADDRESS):
            by_code(browse(), f"name{n}", **through(f"203.0.113.{n}", "198.51.100.1", "10.0.0.2"))
        assert by_code(browse(), "x", **through("198.51.100.9", "198.51.100.1", "10.0.0.2")).status_code == 429
        assert by_code(browse(), "x", **through("198.51.100.1")).status_code == 422


@pytest.mark.parametrize("said", ["unknown", "", "999.1.1.1", "198.51.100.1:99999999", "𠮷", "<script>", ","])
def test_what_is_no_address_is_no_error_of_ours(said: str, browse: Any) -> None:
    with override_settings(ALLAUTH_TRUSTED_PROXY_COUNT=1):
        answer = by_code(browse(raise_request_exception=False), "recorder", **through(said))
    assert answer.status_code in (403, 422)
    assert '<html lang="zh-Hant-TW">' in answer.text


# --- One-time codes ---------------------------------------------------------------------------------------------------


def test_there_are_so_many_codes_that_the_tries_of_their_fortnight_find_none() -> None:
    from quitledger.accounts.services import _LENGTH, _SIGNS
    from quitledger.policy import policy_on

    tries = policy_on(world.TODAY, "one_time_code_days") * 24 * 60 / 5 * TRIES
    assert tries / len(set(_SIGNS)) ** _LENGTH < 1e-12


def test_no_code_tells_of_another(db: Any) -> None:
    codes = [given_a_code().replace("-", "") for _ in range(100)]
    assert len(set(codes)) == len(codes)
    signs = {sign for code in codes for sign in code}
    for position in range(len(codes[0])):
        assert len({code[position] for code in codes}) > len(signs) * 0.8, "every sign at every place"


@pytest.mark.parametrize("case", ["used", "expired", "replaced", "of another", "of a closed account"])
def test_a_code_that_is_worth_nothing_any_more_is_refused_like_one_that_never_was(
    case: str, committed: Any, owner: Any
) -> None:
    never = by_code(Browser(), "stranger").text
    code = given_a_code("recorder", days_ago=15 if case == "expired" else 0)
    username = "colleague" if case == "of another" else "recorder"
    if case == "used":
        assert by_code(Browser(), "recorder", code).status_code == 302
    elif case == "replaced":
        given_a_code("recorder")
    elif case == "of another":
        given_a_code("colleague")
    elif case == "of a closed account":
        owner.execute("UPDATE accounts_user SET is_active = false WHERE username = 'recorder'")
    before = owner.execute("SELECT id, password FROM accounts_user ORDER BY id").fetchall()
    answer = by_code(Browser(), username, code)
    assert answer.status_code == 422
    own = rf'csrfmiddlewaretoken" value="\w+"|\d\d:\d\d|{username}|stranger|{code}|{WRONG}'
    assert re.sub(own, "", answer.text) == re.sub(own, "", never)
    assert owner.execute("SELECT id, password FROM accounts_user ORDER BY id").fetchall() == before


def test_one_code_sets_one_password_though_it_is_sent_twice_at_once(committed: Any) -> None:
    code = given_a_code("recorder")

    def accept(n: int) -> int:
        fields = {"username": "recorder", "code": code, "password": f"{PASSWORD}-{n}", "again": f"{PASSWORD}-{n}"}
        try:
            return int(Browser().send("/invitation", fields).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(accept, range(4)))
    assert sorted(found) == [302, 422, 422, 422]
    winner = found.index(302)
    assert User.objects.get(username="recorder").check_password(f"{PASSWORD}-{winner}")
    assert OneTimeCode.objects.exclude(used_at=None).count() == 1
