"""A form sent after the sign-in had ended is kept for whoever it belongs to, and for nobody else."""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection

from quitledger.accounts.models import User
from quitledger.accounts.scope import scoped
from quitledger.visits.models import Visit

from .. import world
from .conftest import Browser, visit_fields, visit_page

SIGN_IN_AGAIN = "登入後不需要重新填寫"


def typed(browser: Browser) -> dict[str, Any]:
    """A visit as typed on the page that was open."""
    page = browser.get(visit_page()).text
    found = re.search(r'name="kept_for" value="([^"]+)"', page)
    assert found
    return visit_fields(uuid4()) | {"kept_for": found[1], "note": "逾時前填的"}


def ended(browser: Browser) -> None:
    """The session ends, as it does after twelve hours."""
    with scoped(world.SYSTEM):
        connection.cursor().execute("DELETE FROM accounts_session")


def signs_in(browser: Browser, username: str) -> Any:
    """Signs in within the session that there is, as the sign-in page does."""
    from django.contrib.auth import login
    from django.test import RequestFactory

    request = RequestFactory().get("/")
    request.session = browser.session
    login(request, User.objects.get(username=username), settings.AUTHENTICATION_BACKENDS[0])
    request.session.save()
    browser.cookies[settings.SESSION_COOKIE_NAME] = request.session.session_key


def test_what_was_typed_is_there_after_signing_in_again_and_is_recorded_once(browse: Any) -> None:
    browser = browse("recorder")
    fields = typed(browser)
    ended(browser)
    answer = browser.send(visit_page(), fields)
    assert answer.status_code == 403
    assert SIGN_IN_AGAIN in answer.text
    assert "/accounts/login?next=/resume" in answer.text
    with scoped(world.SYSTEM):
        assert not Visit.objects.exists()
    signs_in(browser, "recorder")
    page = browser.get("/resume").text
    assert "逾時前填的" in page
    again = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page))
    assert browser.send(visit_page(), fields | {"uid": again["uid"]}).status_code == 302
    with scoped(world.SYSTEM):
        assert Visit.objects.get().note == "逾時前填的"
    assert browser.get("/resume").status_code == 302  # kept no longer


def test_nobody_else_who_signs_in_there_sees_it(browse: Any) -> None:
    browser = browse("recorder")
    fields = typed(browser)
    ended(browser)
    browser.send(visit_page(), fields)
    signs_in(browser, "stranger")
    assert browser.get("/resume").status_code == 302


def test_what_was_kept_lies_encrypted(browse: Any) -> None:
    browser = browse("recorder")
    fields = typed(browser)
    ended(browser)
    browser.send(visit_page(), fields)
    assert "逾時前填的" not in str(dict(browser.session))
    assert "visit_on" not in str(dict(browser.session))


@pytest.mark.parametrize("kept_for", ["", "forged:value"])
def test_a_form_that_does_not_say_whose_it_is_leaves_nothing(browse: Any, kept_for: str) -> None:
    browser = browse("anonymous")
    answer = browser.send(visit_page(), visit_fields(uuid4()) | {"kept_for": kept_for})
    assert answer.status_code == 403
    assert SIGN_IN_AGAIN not in answer.text
    assert not dict(browser.session)


def test_a_form_too_long_to_be_ours_is_not_kept(browse: Any) -> None:
    browser = browse("recorder")
    fields = typed(browser) | {"note": "長" * 40_000}
    ended(browser)
    assert SIGN_IN_AGAIN not in browser.send(visit_page(), fields).text


def test_a_form_with_an_old_token_is_shown_again_ready_to_be_sent(browse: Any) -> None:
    browser = Browser("recorder", enforce_csrf_checks=True)
    answer = browser.send(visit_page(), typed(browser) | {"csrfmiddlewaretoken": "x" * 64})
    assert answer.status_code == 403
    assert "逾時前填的" in answer.text
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', answer.text)
    assert token
    again = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', answer.text))
    sent = visit_fields(uuid4()) | {"uid": again["uid"], "note": again["note"], "csrfmiddlewaretoken": token[1]}
    assert browser.send(visit_page(), sent).status_code == 302


def test_a_forged_form_is_refused_without_a_way_on(browse: Any) -> None:
    browser = Browser("recorder", enforce_csrf_checks=True)
    answer = browser.send(visit_page(), visit_fields(uuid4()))
    assert answer.status_code == 403
    assert "繼續送出" not in answer.text
