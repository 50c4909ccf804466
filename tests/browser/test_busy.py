"""Too many at once in a real Chromium: what was typed is not lost, and is recorded once, by itself or by a button."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date

import pytest
from playwright.sync_api import Page, expect

from quitledger.ops import web
from quitledger.visits.models import Visit
from tests import world

from . import given
from .served import Site

TOO_MANY = "同時使用的人太多"
PATIENCE = 10.0  # seconds


@contextmanager
def full(site: Site) -> Iterator[None]:
    """Every slot is taken: by requests that wait for a session, which somebody holds locked."""
    with ExitStack() as stack:
        connection = stack.enter_context(site.database.owner())
        stack.enter_context(connection.transaction())
        connection.execute("LOCK TABLE accounts_session")
        for _ in range(web.SLOTS):
            taken = stack.enter_context(socket.create_connection(("127.0.0.1", site.port)))
            taken.sendall(f"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: sessionid={'x' * 32}\r\n\r\n".encode())
        end = time.monotonic() + PATIENCE
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'accounts_session'::regclass"
        while connection.execute(waiting).fetchone() != (web.SLOTS,):
            assert time.monotonic() < end, "the slots are not taken"
            time.sleep(0.02)
        yield


def typed(page: Page, case_uid: object) -> None:
    """A visit for today, not sent yet."""
    page.goto(f"/cases/{case_uid}/visits/new")
    page.get_by_label("衛教", exact=True).check()
    page.get_by_label("衛教人員").select_option(label="衛教師 示範子")
    page.get_by_label("平均每日支數").fill("8")
    page.get_by_label("備註").fill("人多時填的")


def sent(page: Page) -> None:
    page.locator("main .submit").get_by_role("button", name="登錄就醫資料").click()
    page.wait_for_load_state()


def recorded(site: Site, case: object) -> list[tuple[date, str]]:
    with given.the_owner(site):
        return list(Visit.objects.filter(case=case).values_list("visit_on", "note"))


ONCE = [(world.TODAY, "人多時填的")]


@pytest.mark.parametrize("script", [False, True], ids=["by a button", "by itself"])
def test_a_refused_visit_is_recorded_once_from_the_page_that_refused_it(signed_in_as, site, script):
    case = given.a_person(site, "示範人多甲", 301 + script)
    page = signed_in_as("recorder", java_script_enabled=script)
    typed(page, case.uid)
    with full(site):
        if script:
            page.clock.install()
        sent(page)
        expect(page.get_by_role("heading", name=TOO_MANY)).to_be_visible()
    assert recorded(site, case) == []
    if script:
        expect(page.get_by_role("status")).to_contain_text("稍後會自動再送一次")
        page.clock.fast_forward(21_000)
    else:
        page.get_by_role("button", name="再送一次").click()
    page.wait_for_url("**/visits/*")
    expect(page.get_by_text("已登錄 示範人多甲")).to_be_visible()
    assert recorded(site, case) == ONCE


def test_what_was_typed_is_there_on_the_way_back(signed_in_as, site):
    case = given.a_person(site, "示範人多乙", 303)
    page = signed_in_as("recorder")
    typed(page, case.uid)
    with full(site):
        sent(page)
        expect(page.get_by_role("heading", name=TOO_MANY)).to_be_visible()
    page.go_back()
    expect(page.get_by_label("備註")).to_have_value("人多時填的")
    sent(page)
    page.wait_for_url("**/visits/*")
    assert recorded(site, case) == ONCE


def test_a_page_that_was_refused_opens_at_the_same_address(signed_in_as, site):
    page = signed_in_as("recorder")
    with full(site):
        page.goto("/visits?first=114/03/01&last=114/03/31&sort=visit_on")
        expect(page.get_by_role("heading", name=TOO_MANY)).to_be_visible()
        assert site.answers(PATIENCE), "whoever watches the server is answered"
    page.get_by_role("button", name="再試一次").click()
    expect(page.get_by_role("heading", name="戒菸者就醫資料查詢")).to_be_visible()
    expect(page.get_by_label("就醫日期，起")).to_have_value("114/03/01")


def test_a_draft_that_was_refused_is_kept_when_the_time_has_come(signed_in_as, site, watch):
    case = given.a_person(site, "示範人多丙", 304)
    page = signed_in_as("recorder")
    page.clock.install()
    typed(page, case.uid)
    with full(site):
        with page.expect_response(lambda answer: answer.status == 429):
            page.clock.fast_forward(3_500)
        expect(page.locator("[data-draft-told]")).to_have_text("草稿還沒存下，會再試一次。")
    with page.expect_response(lambda answer: answer.status == 204):
        page.clock.fast_forward(10_500)
    expect(page.locator("[data-draft-told]")).to_have_text("草稿已自動存下，還沒登錄。")
    assert [complaint.split()[0] for complaint in watch.complaints] == ["429"]
    watch.complaints.clear()
