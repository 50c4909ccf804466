"""Passkeys that were asked for elsewhere, answered before, of somebody else or of nobody: none signs in."""

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import override_settings

from quitledger.accounts.models import User
from quitledger.accounts.scope import scoped

from .. import world
from .conftest import Browser
from .passkey_device import ADD, ALONE, ORIGIN, STEP, Device, asked, just_signed_in, send

FOREIGN = [
    "https://evil.example", "http://testserver:8000", "https://testserver", "http://sub.testserver", "http://testserver.evil.example",
    "http://evil.example#testserver", "http://TESTSERVER.", "null", "", "android:apk-key-hash:x",
]  # fmt: skip


def with_passkey(username: str = "recorder") -> Device:
    """The device of somebody who has just added it."""
    browser, device = just_signed_in(Browser(username)), Device()
    assert send(browser, ADD, device.make(asked(browser, ADD)), name="示範裝置", passwordless="on").status_code == 302
    return device


def is_in(browser: Browser) -> bool:
    """Whether somebody is signed in."""
    return bool(browser.get("/").status_code == 200)


def refused(browser: Browser, answer: Any) -> None:
    """Nobody is in, and the page says so in words."""
    if answer.status_code == 302:
        assert answer["Location"].startswith("/accounts/login")
        page = browser.get("/accounts/login").text
    else:
        assert answer.status_code == 422
        page = answer.text
    assert "這把密碼金鑰無法驗證" in page
    assert not is_in(browser)


def test_the_device_of_these_tests_signs_in_where_it_tells_the_truth(browse: Any) -> None:
    device, browser = with_passkey(), browse()
    answer = send(browser, ALONE, device.sign(asked(browser, ALONE)))
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert is_in(browser)


def _named(lies: dict[str, Any]) -> str:
    """The same in every process of the tests: a key's own text is its address in memory."""
    return ", ".join(f"another {name}" if name == "key" else f"{name}={value}" for name, value in lies.items())


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_passkey_asked_for_by_another_origin_signs_nobody_in(origin: str, browse: Any) -> None:
    device, browser = with_passkey(), browse()
    refused(browser, send(browser, ALONE, device.sign(asked(browser, ALONE), origin=origin)))


def test_over_https_neither_a_host_below_ours_nor_another_port_will_do(browse: Any) -> None:
    proxy = {"headers": {"X-Forwarded-Proto": "https"}}
    settings = {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https"), "MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN": False,
                "CSRF_TRUSTED_ORIGINS": ["https://testserver"]}  # fmt: skip
    device = with_passkey()
    with override_settings(**settings):
        for origin, fine in (("https://sub.testserver", False), ("https://testserver:444", False), (ORIGIN, False), ("https://testserver", True)):  # fmt: skip
            browser = browse(**proxy)
            send(browser, ALONE, device.sign(asked(browser, ALONE), origin=origin))
            assert is_in(browser) is fine, origin


@pytest.mark.parametrize(
    "lies",
    [
        {"site": "evil.example"},
        {"framed": True},
        {"type": "webauthn.create"},
        {"challenge": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
        {"challenge": ""},
        {"present": False},
        {"verified": False},
        {"credential_id": b"another credential"},
        {"owner": "bm9ib2R5"},
        {"owner": None},
        {"owner": "4"},
        {"key": ec.derive_private_key(7, ec.SECP256R1())},
    ],
    ids=_named,
)
def test_an_answer_with_one_lie_in_it_signs_nobody_in(lies: dict[str, Any], browse: Any) -> None:
    device, browser = with_passkey(), browse()
    refused(browser, send(browser, ALONE, device.sign(asked(browser, ALONE), **lies)))


def test_an_answer_counts_once_and_where_it_was_asked_for(browse: Any) -> None:
    device, browser = with_passkey(), browse()
    answer = device.sign(asked(browser, ALONE))
    elsewhere = browse()
    refused(elsewhere, send(elsewhere, ALONE, answer))  # a session that asked for nothing
    asked(elsewhere, ALONE)
    refused(elsewhere, send(elsewhere, ALONE, answer))  # … or for something else
    assert send(browser, ALONE, answer)["Location"] == "/"
    browser.send("/accounts/logout", {})
    refused(browser, send(browser, ALONE, answer))
    asked(browser, ALONE)
    refused(browser, send(browser, ALONE, answer))


def test_nobody_signs_in_as_another_with_his_own_passkey(browse: Any) -> None:
    mine, theirs, browser = with_passkey("colleague"), with_passkey("recorder"), browse()
    lies: list[dict[str, Any]] = [
        {"owner": theirs.owner},
        {"owner": theirs.owner, "credential_id": theirs.credential_id},
    ]
    for lie in lies:
        refused(browser, send(browser, ALONE, mine.sign(asked(browser, ALONE), **lie)))


def test_a_key_that_lay_about_is_no_sign_in_by_itself_whatever_its_finder_was_asked_before(browse: Any) -> None:
    """The second step asks less of a device than a sign-in without a password does. What it asked for, in the finder's own
    sign-in, must not be good for the other one."""
    found = with_passkey("recorder")
    with_passkey("colleague")
    browser = browse()
    browser.send("/accounts/login", {"login": "colleague", "password": world.PASSWORD})
    challenge = asked(browser, STEP)["challenge"]
    session = browser.session
    del session["account_login"]  # the first step is forgotten after a quarter of an hour, what was asked for is not
    session.save()
    refused(browser, send(browser, ALONE, found.sign({"challenge": challenge}, verified=False)))


@pytest.mark.parametrize("lies", [{"origin": "https://evil.example"}, {"site": "evil.example"}, {"owner": None, "key": ec.derive_private_key(7, ec.SECP256R1())}], ids=_named)  # fmt: skip
def test_as_a_second_step_it_is_looked_at_as_closely(lies: dict[str, Any], browse: Any) -> None:
    device, browser = with_passkey(), browse()
    browser.send("/accounts/login", {"login": "recorder", "password": world.PASSWORD})
    refused(browser, send(browser, STEP, device.sign(asked(browser, STEP), **lies)))
    assert send(browser, STEP, device.sign(asked(browser, STEP)))["Location"] == "/"
    assert is_in(browser)


@pytest.mark.parametrize("lies", [{"origin": "https://evil.example"}, {"site": "evil.example"}, {"type": "webauthn.get"}, {"challenge": "AAAA"}, {"framed": True}, {"verified": False}], ids=_named)  # fmt: skip
def test_a_passkey_made_for_another_page_is_not_added(lies: dict[str, Any], db: Any) -> None:
    browser = just_signed_in(Browser("recorder"))
    answer = send(browser, ADD, Device().make(asked(browser, ADD), **lies), name="x", passwordless="on")
    assert answer.status_code == 422
    assert "這把密碼金鑰無法驗證" in answer.text
    assert not Authenticator.objects.exists()


def test_a_passkey_is_added_once_and_by_whoever_was_asked(db: Any) -> None:
    browser, device = just_signed_in(Browser("recorder")), Device()
    made = device.make(asked(browser, ADD))
    other = just_signed_in(Browser("colleague"))
    asked(other, ADD)
    assert send(other, ADD, made, name="x").status_code == 422
    assert send(browser, ADD, made, name="x").status_code == 302
    assert send(browser, ADD, made, name="x").status_code == 422
    assert Authenticator.objects.filter(type="webauthn").count() == 1


def test_neither_a_closed_account_nor_a_removed_passkey_opens_anything(committed: Any, owner: Any) -> None:
    device, browser = with_passkey(), Browser()
    owner.execute("UPDATE accounts_user SET is_active = false WHERE username = 'recorder'")
    assert send(browser, ALONE, device.sign(asked(browser, ALONE)))["Location"] == "/accounts/inactive"
    assert not is_in(browser)
    owner.execute("UPDATE accounts_user SET is_active = true WHERE username = 'recorder'")
    with scoped(world.SYSTEM):
        Authenticator.objects.filter(user=User.objects.get(username="recorder")).delete()
    refused(browser, send(browser, ALONE, device.sign(asked(browser, ALONE))))


def test_a_copied_passkey_is_not_found_out(browse: Any) -> None:
    """Stated, not wished for: allauth keeps no counter, and passkeys that travel between devices have none."""
    device = with_passkey()
    for count in (9, 3):
        browser = browse()
        send(browser, ALONE, device.sign(asked(browser, ALONE), count=count))
        assert is_in(browser)
