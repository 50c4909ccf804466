"""Forms out of their order: a step without the one before, of what was changed or closed meanwhile, of a session that is over."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from allauth.mfa.models import Authenticator
from django.urls import reverse

from quitledger.accounts.models import User
from quitledger.accounts.scope import scoped
from quitledger.institutions.models import Contract
from quitledger.visits.models import Visit

from .. import world
from ..sql import set_clock
from .conftest import Browser, journaled, record, visit_fields, visit_page
from .filled_forms import a_file, a_visit, an_app, code_of
from .passkey_device import ALONE, STEP, Device, a_passkey, asked, just_signed_in, send


def stored(uid: Any) -> Visit:
    with scoped(world.SYSTEM):
        return Visit.objects.get(uid=uid)


def visits() -> int:
    with scoped(world.SYSTEM):
        return Visit.objects.count()


# --- Signing in -------------------------------------------------------------------------------------------------------


def test_the_second_step_without_the_first_is_none(browse: Any) -> None:
    code, browser = code_of(an_app("recorder")), browse()
    for answer in (browser.get(STEP), browser.send(STEP, {"code": code}), send(browser, STEP, {"x": 1})):
        assert (answer.status_code, answer["Location"]) == (302, "/accounts/login")
    assert browser.get("/").status_code == 302
    assert browser.send(ALONE, {"code": code}).status_code == 302
    assert browser.get("/").status_code == 302


def test_the_second_step_is_that_of_whoever_passed_the_first(browse: Any) -> None:
    mine, _theirs, browser = an_app("recorder"), an_app("colleague"), browse()
    browser.send("/accounts/login", {"login": "colleague", "password": world.PASSWORD})
    assert browser.send(STEP, {"code": code_of(mine)}).status_code == 422
    assert browser.get("/").status_code == 302


def test_after_signing_out_in_between_one_begins_anew(browse: Any) -> None:
    secret, browser = an_app("recorder"), browse()
    browser.send("/accounts/login", {"login": "recorder", "password": world.PASSWORD})
    old = browser.cookies["sessionid"].value
    browser.send("/accounts/logout", {})
    browser.cookies["sessionid"] = old
    browser.send(STEP, {"code": code_of(secret)})
    assert browser.get("/").status_code == 302


@pytest.mark.parametrize("means", ["app", "passkey"])
def test_means_to_sign_in_are_not_changed_without_the_password_of_a_moment_ago(means: str, browse: Any) -> None:
    if means == "app":
        an_app("recorder")
        url = reverse("mfa_deactivate_totp")
    else:
        url = reverse("mfa_remove_webauthn", kwargs={"pk": a_passkey("recorder")[1]})
    browser = browse("recorder")
    answer = browser.send(url, {})
    assert answer["Location"].startswith("/accounts/confirm/")
    with scoped(world.SYSTEM):
        assert Authenticator.objects.filter(user__username="recorder").exists()
    confirmed = browser.send(f"/accounts/confirm/password?next={url}", {"password": world.PASSWORD})
    assert confirmed.status_code == 302
    assert "驗證器" in browser.get("/accounts/security").text
    assert browser.send("/cases/find", {"q": "示範甲"}).status_code == 200


def test_an_app_is_not_activated_with_the_key_of_another_session(browse: Any) -> None:
    first, second = (just_signed_in(browse("recorder")) for _ in range(2))
    url = reverse("mfa_activate_totp")
    for browser in (first, second):
        browser.get(url)
    assert second.send(url, {"code": code_of(first.session["mfa.totp.secret"])}).status_code == 422
    assert not Authenticator.objects.filter(user=User.objects.get(username="recorder")).exists()


def test_a_passkey_sent_without_having_been_asked_for_is_refused(browse: Any) -> None:
    browser, device = just_signed_in(browse("recorder")), Device()
    options = {"challenge": "AAAA", "user": {"id": "x"}}
    assert send(browser, "/accounts/security/passkeys/add", device.make(options), name="x").status_code == 422
    assert asked(browser, "/accounts/security/passkeys/add")["challenge"] != "AAAA"


# --- A visit ----------------------------------------------------------------------------------------------------------


def test_a_form_of_an_earlier_version_shows_what_is_there_now_and_writes_nothing(browse: Any) -> None:
    uid, browser = a_visit("示範乙"), browse("recorder")
    fields = visit_fields(uid, services="counselling", **{"lines-0-medicine": "", "lines-0-supply_weeks": ""})
    change, void, restore = (f"/visits/{uid}/{step}" for step in ("change", "void", "restore"))
    assert browser.send(restore, {"version": 1, "reason": "x"}).status_code == 422, "it was never voided"
    assert browser.send(change, fields | {"version": 1, "reason": "一", "note": "甲"}).status_code == 302
    colleague = browse("colleague")
    assert colleague.send(change, fields | {"version": 1, "reason": "二", "note": "乙"}).status_code == 409
    assert colleague.send(void, {"version": 1, "reason": "二"}).status_code == 409
    assert (stored(uid).version, stored(uid).note, stored(uid).in_force) == (2, "甲", True)
    for version in ("0", "-1", "3", "99999999999999999999", "", "x"):
        assert colleague.send(void, {"version": version, "reason": "二"}).status_code in (409, 422)
    assert stored(uid).version == 2


def test_what_was_voided_meanwhile_is_neither_changed_nor_voided_again_and_comes_back_once(browse: Any) -> None:
    uid, browser = a_visit("示範乙"), browse("recorder")
    fields = visit_fields(uid, services="counselling", **{"lines-0-medicine": "", "lines-0-supply_weeks": ""})
    change, void, restore = (f"/visits/{uid}/{step}" for step in ("change", "void", "restore"))
    assert browser.send(void, {"version": 1, "reason": "誤登"}).status_code == 302
    answer = browse("colleague").send(change, fields | {"version": 1, "reason": "二", "note": "乙"})
    assert answer.status_code == 422
    assert "已作廢，要修改請先恢復" in answer.text
    assert browse("colleague").send(void, {"version": 1, "reason": "另一個原因"}).status_code == 302, "it is voided"
    assert (stored(uid).version, stored(uid).change_reason) == (2, "誤登")
    record(browser, "示範乙")  # the day is taken by another one now
    refused = browser.send(restore, {"version": 2, "reason": "查證後仍有"})
    assert refused.status_code == 422
    assert (stored(uid).version, stored(uid).in_force) == (2, False)


def test_a_form_that_was_open_while_the_window_closed_is_refused_in_words(committed: Any, owner: Any) -> None:
    browser = Browser("recorder", raise_request_exception=False)
    uid, fields = record(browser, "示範乙", visit_on="114/3/31"), visit_fields(uuid4(), visit_on="114/3/31")
    with scoped(world.SYSTEM):
        from quitledger.visits.queries import closes_at

        closing = closes_at(world.institution_id(), world.TODAY - timedelta(days=1))
    assert closing is not None
    set_clock(owner, closing)
    for url, sent in (
        (visit_page(), fields),
        (f"/visits/{uid}/change", fields | {"uid": uid, "version": 1, "reason": "晚了"}),
        (f"/visits/{uid}/void", {"version": 1, "reason": "晚了"}),
    ):
        answer = browser.send(url, sent)
        assert answer.status_code == 422, url
        assert "截止" in answer.text
    assert visits() == 1
    assert stored(uid).version == 1


# --- A file, an account, a session ------------------------------------------------------------------------------------


def test_the_second_step_of_an_import_is_good_for_whoever_took_the_first(browse: Any) -> None:
    officer = browse("desk_officer")
    _arguments, fields = a_file(officer)
    url = "/registers/contracts/import"
    with scoped(world.SYSTEM):
        before = Contract.objects.count()
    other = browse("desk_supervisor")
    assert other.send(url, fields).status_code == 422, "another account"
    assert officer.send("/registers/quotas/import", fields).status_code == 422, "another list"
    for kept in ("", ":", "x:y", fields["kept"][:-4] + "AAAA", fields["kept"].replace(":", ":A", 1), "𠮷", "\x00"):
        assert officer.send(url, {"kept": kept}).status_code == 422, "none that we made"
    assert browse().send(url, fields).status_code == 403
    assert browse("recorder").send(url, fields).status_code == 403
    with scoped(world.SYSTEM):
        assert Contract.objects.count() == before
    assert officer.send(url, fields).status_code == 302


def test_a_form_sent_after_the_person_was_let_go_or_reset_does_nothing(browse: Any) -> None:
    recorder, supervisor = browse("recorder"), browse("supervisor")
    url = f"/people/{world.uid(f'place of recorder {world.CLINIC}')}"
    supervisor.send(f"{url}/end", {"ends_on": "114/4/1"})
    with journaled() as entries:
        answer = recorder.send(visit_page(), visit_fields(uuid4()))
    assert answer.status_code == 403
    assert visits() == 0
    assert [entry.action for entry in entries if entry.username == "recorder"] == []


def test_a_form_of_one_account_is_not_sent_by_another_who_signed_in_meanwhile(browse: Any) -> None:
    browser = Browser("recorder", enforce_csrf_checks=True)
    browser.get(visit_page())
    token = browser.cookies["csrftoken"].value
    browser.force_login(User.objects.get(username="colleague"), "quitledger.accounts.sign_in.AuthenticationBackend")
    browser.cookies["csrftoken"] = "b" * 32  # signing in gives another one
    answer = browser.send(visit_page(), visit_fields(uuid4()) | {"csrfmiddlewaretoken": token})
    assert answer.status_code == 403
    assert "沒有存入" in answer.text
    assert visits() == 0


def test_signing_in_gives_another_token(browse: Any) -> None:
    browser = Browser(enforce_csrf_checks=True)
    browser.get("/accounts/login")
    old = browser.cookies["csrftoken"].value
    signing_in = {"login": "recorder", "password": world.PASSWORD, "csrfmiddlewaretoken": old}
    assert browser.send("/accounts/login", signing_in).status_code == 302
    assert browser.cookies["csrftoken"].value != old
    answer = browser.send(visit_page(), visit_fields(uuid4()) | {"csrfmiddlewaretoken": old})
    assert answer.status_code == 403
    assert visits() == 0
