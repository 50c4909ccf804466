"""What every answer tells the browser: no script but ours, no frame, no powers; cookies that no script can read."""

import re
from typing import Any

import pytest
from django.test import override_settings
from django.urls import reverse

from quitledger.accounts.scope import scoped
from quitledger.portal.permissions import Access

from .. import world
from .test_url_walk import TABLE

READ = ("supervisor", "desk_officer", "anonymous")
CSP = {
    "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "connect-src": "'self'", "form-action": "'self'",
    "frame-ancestors": "'none'", "base-uri": "'none'",
}  # fmt: skip
TOKEN = re.compile(
    r"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")[^>]*>|<[^>]+\s(?:on[a-z]+|style)=|javascript:", re.I
)


def pages(browser: Any, username: str) -> list[tuple[str, Any]]:
    """The answers to GET of every address that may be there for this account."""
    found = []
    for name, (access, arguments, _get, _post) in TABLE.items():
        if username == "anonymous" and access is not Access.PUBLIC:
            continue
        with browser.undone():
            found.append((name, browser.get(reverse(name, kwargs=arguments))))
    return found


@pytest.mark.parametrize("username", READ)
def test_every_answer_says_what_its_page_may_do(browse, username):
    answers = pages(browse(username), username)
    assert len(answers) > 5
    for name, answer in answers:
        parts = [part.strip().partition(" ") for part in answer["Content-Security-Policy"].split(";") if part.strip()]
        told = {directive: value for directive, _blank, value in parts}
        assert {directive: told.get(directive) for directive in CSP} == CSP, name
        assert "unsafe" not in answer["Content-Security-Policy"], name
        assert answer["X-Frame-Options"] == "DENY", name
        assert answer["X-Content-Type-Options"] == "nosniff", name
        assert answer["Referrer-Policy"] == "same-origin", name
        assert answer["Cross-Origin-Opener-Policy"] == "same-origin", name
        assert "camera=()" in answer["Permissions-Policy"], name
        assert "publickey-credentials-get=(self)" in answer["Permissions-Policy"], name


@pytest.mark.parametrize("username", READ)
def test_no_page_holds_a_script_or_a_style_of_its_own(browse, username):
    for name, answer in pages(browse(username), username):
        if answer["Content-Type"].startswith("text/html"):
            assert TOKEN.findall(answer.content.decode()) == [], name


def test_a_page_that_is_not_there_and_a_refusal_say_the_same(browse):
    for answer in (
        browse("recorder").get("/nothing"),
        browse("recorder").get("/audit"),
        browse("recorder").post("/audit"),
    ):
        assert answer.status_code in (403, 404, 405)
        assert "default-src 'none'" in answer["Content-Security-Policy"]
        assert answer["X-Frame-Options"] == "DENY"
        assert "camera=()" in answer["Permissions-Policy"]


def signed_in(browse: Any, **options: Any) -> Any:
    browser = browse()
    browser.get(reverse("account_login"), **options)
    answer = browser.send(reverse("account_login"), {"login": "recorder", "password": world.PASSWORD}, **options)
    assert answer.status_code == 302, answer.content.decode()
    return browser


def test_no_script_reads_a_cookie_and_no_other_site_sends_one_along(browse):
    browser = signed_in(browse)
    browser.send(reverse("switch_language"), {"language": "en", "next": "/"})
    assert {"sessionid", "csrftoken"} <= set(browser.cookies)
    for name, cookie in browser.cookies.items():
        assert cookie["httponly"], name
        assert cookie["samesite"] == "Lax", name
        assert not cookie["domain"], name


def test_over_https_cookies_stay_on_it_and_browsers_are_told_to_come_back_by_it_alone(browse):
    https = override_settings(
        SESSION_COOKIE_SECURE=True, CSRF_COOKIE_SECURE=True, SECURE_SSL_REDIRECT=True, SECURE_HSTS_SECONDS=31_536_000,
        SECURE_HSTS_INCLUDE_SUBDOMAINS=True, SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    )  # fmt: skip
    with https:
        plain = browse().get("/policies")
        assert plain.status_code == 301
        assert plain["Location"].startswith("https://")
        machine = browse().get("/healthz")
        assert machine.status_code == 200, "what machines ask leads nowhere"
        browser = signed_in(browse, headers={"X-Forwarded-Proto": "https"})
        answer = browser.get("/", headers={"X-Forwarded-Proto": "https"})
    assert answer.status_code == 200
    assert answer["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    assert all(cookie["secure"] for cookie in browser.cookies.values())


def test_https_is_one_setting():
    """What the test above sets by hand is what QUITLEDGER_HTTPS=1 sets."""
    import os
    import subprocess
    import sys

    names = ["SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS",
             "SECURE_HSTS_INCLUDE_SUBDOMAINS", "SECURE_PROXY_SSL_HEADER"]  # fmt: skip
    code = f"from quitledger import settings; print([getattr(settings, name) for name in {names}])"
    said = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"QUITLEDGER_HTTPS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "[True, True, True, 31536000, True, ('HTTP_X_FORWARDED_PROTO', 'https')]"


# --- Sessions --------------------------------------------------------------------------------------------------------


def test_a_session_planted_before_the_sign_in_is_worth_nothing_after_it(browse):
    """Session fixation: who knew the key before must not be signed in with it."""
    browser = browse()
    browser.session["planted"] = "1"
    session = browser.session
    session.save()
    browser.cookies["sessionid"] = planted = session.session_key
    answer = browser.send(reverse("account_login"), {"login": "recorder", "password": world.PASSWORD})
    assert answer.status_code == 302
    assert browser.cookies["sessionid"].value != planted
    attacker = browse()
    attacker.cookies["sessionid"] = planted
    assert attacker.get("/").status_code == 302, "not signed in"


def test_a_key_that_nobody_gave_out_is_not_taken_over(browse):
    browser = browse()
    browser.cookies["sessionid"] = "a" * 32
    browser.send(reverse("account_login"), {"login": "recorder", "password": world.PASSWORD})
    assert browser.cookies["sessionid"].value != "a" * 32


def test_after_signing_out_the_session_is_gone_on_the_server_too(browse):
    browser = signed_in(browse)
    kept = browser.cookies["sessionid"].value
    browser.send(reverse("account_logout"), {})
    thief = browse()
    thief.cookies["sessionid"] = kept
    assert thief.get("/").status_code == 302


def test_a_code_of_the_authenticator_app_is_good_once(browse):
    from allauth.mfa.totp.internal import auth

    from quitledger.accounts.models import User

    secret = auth.generate_totp_secret()
    with scoped(world.SYSTEM):
        auth.TOTP.activate(User.objects.get(username="recorder"), secret)
    code = auth.format_hotp_value(auth.hotp_value(secret, next(iter(auth.yield_hotp_counters_from_time()))))
    answers = []
    for _ in range(2):
        browser = signed_in(browse)
        answers.append(browser.send(reverse("mfa_authenticate"), {"code": code}).status_code)
    assert answers[0] == 302
    assert answers[1] in (200, 422), "replayed within its half minute"
