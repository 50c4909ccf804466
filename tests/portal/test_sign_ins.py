"""How long a sign-in lasts, where one is signed in, and what is asked for before something is changed."""

import logging
import re
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.totp.internal import auth
from django.conf import settings
from django.test import override_settings
from django.urls import reverse

from quitledger.accounts.models import Session, User
from quitledger.accounts.scope import scoped
from quitledger.portal.headers import MOST_BYTES

from .. import world
from .conftest import Browser, journaled

SESSIONS = "/accounts/security/sessions"


def signed_in(browse: Any, username: str = "recorder") -> Browser:
    """Signed in by the page."""
    browser: Browser = browse()
    browser.get(reverse("account_login"))
    answer = browser.send(reverse("account_login"), {"login": username, "password": world.PASSWORD})
    assert answer.status_code == 302, answer.text
    return browser


def key_of(browser: Browser) -> str:
    return str(browser.cookies[settings.SESSION_COOKIE_NAME].value)


def let_pass(browser: Browser, passed: timedelta) -> None:
    """As if the browser had last been used, and had signed in, so long ago."""
    end = Session.objects.get(session_key=key_of(browser)).expire_date - passed
    session = browser.session
    session["began"] -= passed.total_seconds()
    session.save()
    Session.objects.filter(session_key=key_of(browser)).update(expire_date=end)


def confirmed(browser: Browser) -> None:
    """The password once more."""
    answer = browser.send(reverse("account_reauthenticate"), {"password": world.PASSWORD})
    assert answer.status_code == 302, answer.text


# --- How long --------------------------------------------------------------------------------------------------------


def test_a_session_that_is_not_used_for_an_hour_has_ended(browse: Any) -> None:
    browser = signed_in(browse)
    let_pass(browser, timedelta(minutes=59))
    assert browser.get("/").status_code == 200
    let_pass(browser, timedelta(minutes=61))
    assert browser.get("/").status_code == 302


def test_a_session_that_is_used_goes_on_until_twelve_hours_after_the_sign_in(browse: Any) -> None:
    browser = signed_in(browse)
    for _ in range(13):
        let_pass(browser, timedelta(minutes=55))
        assert browser.get("/").status_code == 200
    let_pass(browser, timedelta(minutes=10))  # 12 h 05: used ten minutes ago
    assert browser.get("/").status_code == 302


def test_a_page_that_is_read_writes_of_its_session_at_most_every_five_minutes(browse: Any) -> None:
    browser = signed_in(browse)
    let_pass(browser, timedelta(minutes=4))
    with journaled():
        before = Session.objects.get(session_key=key_of(browser)).expire_date
        browser.get("/policies")
        assert Session.objects.get(session_key=key_of(browser)).expire_date == before
    let_pass(browser, timedelta(minutes=2))
    browser.get("/policies")
    assert Session.objects.get(session_key=key_of(browser)).expire_date > before


# --- Where -----------------------------------------------------------------------------------------------------------


def test_one_sees_where_one_is_signed_in_and_ends_it_everywhere_else_after_the_password_once_more(browse: Any) -> None:
    here, elsewhere, other = signed_in(browse), signed_in(browse), signed_in(browse, "colleague")
    let_pass(elsewhere, timedelta(minutes=30))
    page = here.get(SESSIONS).text
    assert page.count(" 登入</strong>") == 2
    assert len(re.findall(r"最後使用約 114/04/01 \d\d:\d\d", page)) == 1

    answer = here.send(SESSIONS, {})
    assert answer["Location"].startswith(reverse("account_reauthenticate"))
    assert elsewhere.get("/").status_code == 200
    confirmed(here)
    with journaled() as entries:
        assert here.send(SESSIONS, {}).status_code == 302
    assert [entry.action for entry in entries] == ["account.end_sessions"]
    page = here.get(SESSIONS).text
    assert "已結束其他 1 處的登入。" in page
    assert "沒有在別的地方登入。" in page
    assert elsewhere.get("/").status_code == 302
    assert other.get("/").status_code == 200


def test_a_changed_password_ends_every_other_sign_in_at_once(browse: Any) -> None:
    here, elsewhere = signed_in(browse), signed_in(browse)
    fields = {
        "oldpassword": world.PASSWORD,
        "password1": "maple-leaf-88-mountain",
        "password2": "maple-leaf-88-mountain",
    }
    assert here.send(reverse("account_change_password"), fields | {"oldpassword": "wrong"}).status_code == 422
    assert here.send(reverse("account_change_password"), fields).status_code == 302
    assert here.get("/").status_code == 200
    assert elsewhere.get("/").status_code == 302


def test_whoever_proves_once_more_who_he_is_goes_on_under_another_key(browse: Any) -> None:
    browser = signed_in(browse)
    before = key_of(browser)
    confirmed(browser)
    assert key_of(browser) != before
    thief = browse()
    thief.cookies[settings.SESSION_COOKIE_NAME] = before
    assert thief.get("/").status_code == 302


@pytest.mark.parametrize(
    "name", ["mfa_activate_totp", "mfa_generate_recovery_codes", "mfa_add_webauthn", "account_sessions"]
)
def test_before_a_means_to_sign_in_is_changed_the_password_is_asked_for_once_more(browse: Any, name: str) -> None:
    browser = signed_in(browse)
    answer = browser.send(reverse(name), {})
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("account_reauthenticate"))


# --- The second step -------------------------------------------------------------------------------------------------


def with_an_app(username: str) -> None:
    with scoped(world.SYSTEM):
        auth.TOTP.activate(User.objects.get(username=username), auth.generate_totp_secret())


def test_where_a_second_factor_is_demanded_nobody_goes_on_without_one(browse: Any) -> None:
    browser = signed_in(browse)
    with override_settings(SECOND_FACTOR_DEMANDED=True):
        for answer in (browser.get("/"), browser.get("/cases/find"), browser.send("/cases/find", {"q": "示範甲"})):
            assert (answer.status_code, answer["Location"]) == (302, reverse("mfa_index"))
        page = browser.get(reverse("mfa_index"))
        assert page.status_code == 200
        assert "這個系統要求登入的第二步" in page.text
        assert browser.get(reverse("account_reauthenticate")).status_code == 200
        with_an_app("recorder")
        assert browser.get("/").status_code == 200
    assert signed_in(browse, "colleague").get("/").status_code == 200


def test_a_password_that_was_reset_does_not_open_the_way_past_the_second_step(browse: Any) -> None:
    with_an_app("recorder")
    with scoped(world.SYSTEM):
        user = User.objects.get(username="recorder")
        user.set_password("set-with-a-slip-of-paper")
        user.save(update_fields=["password"])
    browser = browse()
    browser.get(reverse("account_login"))
    answer = browser.send(reverse("account_login"), {"login": "recorder", "password": "set-with-a-slip-of-paper"})
    assert answer["Location"].startswith(reverse("mfa_authenticate"))
    assert browser.get("/").status_code == 302


# --- What the browser keeps ------------------------------------------------------------------------------------------


def test_no_page_is_kept_by_a_browser_or_on_the_way(browse: Any) -> None:
    browser = browse("supervisor")
    for page in (
        "/",
        "/visits",
        "/audit",
        "/people",
        "/policies",
        "/nothing",
        "/accounts/security",
        "/visits.csv",
        "/healthz",
    ):
        answer = browser.get(page)
        assert "no-store" in answer["Cache-Control"], page
        assert answer["Cross-Origin-Resource-Policy"] == "same-origin"


def test_after_signing_out_the_browser_is_told_to_forget(browse: Any) -> None:
    assert signed_in(browse).send(reverse("account_logout"), {})["Clear-Site-Data"] == '"cache", "storage"'


def test_every_text_says_in_which_encoding_it_is(browse: Any) -> None:
    browser = browse("supervisor")
    for page in ("/", "/nothing", "/visits.csv", "/healthz", "/accounts/security"):
        assert browser.get(page)["Content-Type"].endswith("; charset=utf-8"), page


# --- What is sent ----------------------------------------------------------------------------------------------------


def test_a_request_longer_than_any_of_ours_is_refused_before_it_is_read(browse: Any) -> None:
    for length in (str(MOST_BYTES + 1), "9" * 30, "-1", "many"):
        answer = browse().generic(
            "POST", "/accounts/login", "x", content_type="multipart/form-data", CONTENT_LENGTH=length
        )
        assert answer.status_code == 400, length
        assert "看不懂這次的要求" in answer.text


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PUT", "PATCH", "DELETE", "PROPFIND", "X"])
def test_other_methods_than_those_of_a_browser_do_nothing(browse: Any, method: str) -> None:
    browser = Browser("recorder", enforce_csrf_checks=True)
    with journaled() as entries:
        answer = browser.generic(method, "/cases/find", "", headers={"X-Secret": "mirrored?"})
    assert answer.status_code in (403, 405)
    assert "mirrored?" not in answer.text
    assert entries == []


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "localhost:80@evil.example", "", "a" * 300])
def test_another_name_of_the_site_than_its_own_is_refused(browse: Any, host: str) -> None:
    answer = browse().get("/accounts/login", headers={"Host": host}, SERVER_NAME=host or "evil.example")
    assert answer.status_code == 400
    assert host == "" or host not in answer.text


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "http:evil"]
)
def test_after_signing_in_nobody_is_led_elsewhere(browse: Any, elsewhere: str) -> None:
    browser = browse()
    browser.get(reverse("account_login"))
    fields = {"login": "recorder", "password": world.PASSWORD, "next": elsewhere}
    assert browser.send(reverse("account_login"), fields)["Location"] == "/"
    answer = browser.send(reverse("switch_language"), {"language": "en", "next": elsewhere})
    assert answer["Location"] == "/"


# --- Behind a proxy --------------------------------------------------------------------------------------------------


def test_tries_are_counted_by_the_address_that_the_proxy_saw_and_not_by_one_that_was_made_up(browse: Any) -> None:
    from allauth.account.adapter import get_adapter
    from django.test import RequestFactory

    def counted_as(forwarded: str) -> str:
        request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": forwarded})
        return str(get_adapter().get_client_ip(request))

    with override_settings(ALLAUTH_TRUSTED_PROXY_COUNT=1):
        assert counted_as("198.51.100.7") == "198.51.100.7"
        assert counted_as("203.0.113.9, 198.51.100.7") == "198.51.100.7", (
            "the first one is what the client wrote itself"
        )
    assert counted_as("203.0.113.9") == "10.0.0.1", "without a proxy nobody is believed"


# --- What the log says -----------------------------------------------------------------------------------------------


@pytest.fixture
def security_log(caplog: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What is told to the log of refusals. (A linter that another test runs switches all logs off.)"""
    monkeypatch.setattr(logging.getLogger("quitledger.security"), "disabled", False)
    caplog.set_level(logging.INFO, "quitledger.security")
    return caplog


def test_a_refusal_is_one_line_of_the_log_with_account_and_page_and_nothing_typed(
    browse: Any, security_log: Any
) -> None:
    with scoped(world.SYSTEM):
        recorder = User.objects.get(username="recorder").pk
    browser = browse("recorder")
    browser.get("/audit?q=示範甲")  # no permission
    stranger = world.uid(f"case 示範甲 {world.HOSPITAL}")
    browser.get(f"/cases/{stranger}")  # another institution's
    browser.get("/no/such/page")
    Browser("recorder", enforce_csrf_checks=True).send("/cases/find", {"q": "示範甲"})
    said = [record.getMessage() for record in security_log.records if record.name == "quitledger.security"]
    assert said == [
        f"refused 403 GET page=audit_trail account={recorder}",
        f"refused 404 GET page=case_show account={recorder}",
        f"refused 403 POST page=case_find account={recorder}",
    ]


def test_too_many_tries_are_in_the_log_and_each_wrong_one_in_the_journal(browse: Any, security_log: Any) -> None:
    browser = browse()
    browser.get(reverse("account_login"))
    with journaled() as entries:
        for _ in range(6):
            browser.send(reverse("account_login"), {"login": "recorder", "password": "wrong-wrong-wrong"})
    assert [(entry.action, entry.fields) for entry in entries] == [("account.sign_in_refused", ["password"])] * 5
    assert "refused 429 POST page=account_login account=-" in security_log.text
    assert not re.search("recorder|wrong-wrong", security_log.text)
