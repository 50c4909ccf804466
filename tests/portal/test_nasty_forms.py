"""Whatever is typed, sent or put into an address: an answer in Chinese, never an error of the server's own."""

import re
from datetime import date
from html import unescape
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from quitledger.cases.rules import FTND_ITEMS
from quitledger.policy import format_roc
from quitledger.policy.identity import make_up

from .. import world
from .conftest import FORM, Browser, record, visit_fields, visit_page

asked = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

ODD = [
    "", " ", "　", "0", "-0", "-1", "+1", "1.5", "1e9", "９９", "٣", "²", "99999999999999999999", "9" * 5000, "NaN", "Infinity",
    "114/2/29", "114/13/1", "0/1/1", "1140230", "民國前1年1月1日", "-1/2/3", "1800-01-01", "2910-12-31", "2911-01-01", "9999-12-31",
    "9999-99-99", "0000-00-00", "24:00", "25:61", "2359", "114/4/20 24:00",
    "\x00", "甲\x00乙", "\x1b[2J", "\ud800", "甲\udfff", "\U0010ffff", "\ufeff", "\u202e甲乙", "\u200b", "a\u0300" * 50, "𠮷", "示範𠮷", "𪚥" * 60,
    "=1+1", "@SUM(A1)", "+886", "-cmd|' /C calc'!A0", "\t=1", "\r\n=1", "甲\n乙", "，,\"'", "'; DROP TABLE x; --", "%", "_", "\\",
    "<script>alert(1)</script>", "{{ 7*7 }}", "{% now %}", "../../etc/passwd", "//evil.example", "None", "null", "on",
    "x" * 3000, "甲" * 501, make_up(1), make_up(999), "A123456789", "A800000014", "AB12345677", "T-0001", "示範",
    str(world.uid(f"case 示範甲 {world.PHARMACY}")), str(UUID(int=0)), "{" + str(UUID(int=1)) + "}", "visit_on", "--visit_on", "medication",
    "late", "all", "county", "臺北市", world.CLINIC, world.PATCH, "AFG", "passport", "male",
]  # fmt: skip
days = st.dates(date(1800, 1, 1), date(2910, 12, 31))
nasty: st.SearchStrategy[str] = st.one_of(
    st.sampled_from(ODD),
    st.text(max_size=40),
    st.text(st.characters(categories=["Cc", "Cf", "Cs", "Co", "Zs", "So", "Nd"]), max_size=8),
    st.integers(-(10**12), 10**12).map(str),
    st.uuids().map(str),
    days.map(format_roc),
    days.map(str),
)


# What is odd but may well be accepted: it gets past the form, to the rules, the database and the pages that show it.
storable = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30)
small = st.integers(0, 60).map(str)
recent = st.dates(date(2025, 3, 1), date(2025, 4, 3)).flatmap(lambda day: st.sampled_from([format_roc(day), str(day)]))
FITTING: dict[str, st.SearchStrategy[str]] = {
    **dict.fromkeys(["name", "chart_no", "phone", "note", "reason", "q", "who"], storable),
    **dict.fromkeys(["cigarettes_per_day", "co_ppm", "weight_kg", "page"], small),
    **dict.fromkeys(["visit_on", "taken_on", "first", "last"], recent),
    "birth_on": days.map(format_roc),
    "last_day": st.dates(date(2025, 4, 20), date(2910, 12, 31)).map(str),
    "month": st.dates(date(2024, 12, 1), date(2025, 12, 1)).map(lambda day: f"{day:%Y-%m}"),
    "visit_time": st.times().map(lambda clock: f"{clock:%H%M}"),
    "identity_number": st.builds(make_up, st.integers(100, 9_999_999)),
    "services": st.sampled_from(["medication", "counselling"]),
    "counselling_mode": st.sampled_from(["telephone", "in_person"]),
    "reach": st.sampled_from(["all", "county", "institution"]),
    "sort": st.sampled_from(["name", "-visit_on", "recorded_at"]),
    "tags": st.sampled_from(["late", "prompt", "in_window"]),
    "kind": st.sampled_from(["medication", "counselling"]),
    "sex": st.sampled_from(["male", "female"]),
    "lines-0-supply_weeks": st.integers(0, 5).map(str),
    "lines-0-supply_days": st.integers(0, 30).map(str),
}


def typed(fields: dict[str, Any], *more: str) -> st.SearchStrategy[dict[str, Any]]:
    """The form with some of its fields typed otherwise, typed twice, left out, or added."""

    def change(name: str) -> st.SearchStrategy[tuple[str, Any]]:
        fitting = FITTING.get(name, nasty)
        return st.tuples(st.just(name), st.one_of(fitting, fitting, nasty, st.lists(nasty, max_size=3)))

    names = st.sampled_from([*fields, *more])
    return st.lists(names.flatmap(change), min_size=1, max_size=4).map(lambda changes: fields | dict(changes))


def check(answer: Any, *allowed: int) -> str:
    """The answer is one of those, in Chinese, without what was typed having become markup. The page."""
    assert answer.status_code in (200, 302, 404, 422, *allowed)
    if not answer["Content-Type"].startswith("text/html"):
        return ""
    page: str = answer.content.decode()
    if answer.status_code == 302:
        return page
    assert '<html lang="zh-Hant-TW">' in page
    assert "<script>alert" not in page
    summary = re.search(r'<div class="errors".*?</div>', page, re.DOTALL)
    said = re.findall(r'<p class="err">(.*?)</p>', page, re.DOTALL)
    said += re.findall(r"<li>(.*?)</li>", summary[0], re.DOTALL) if summary else []
    assert said or answer.status_code != 422
    for text in said:
        plain = unescape(re.sub(r"<[^>]+>", "", text))
        assert re.search(r"[\u4e00-\u9fff]", plain), plain
        assert not re.search(r"[A-Za-z]+ [a-z]+ [a-z]+", plain), plain
    return page


def then(browser: Browser, answer: Any, *allowed: int) -> None:
    """Check the answer and, where it leads on, the page it leads to."""
    event(f"answered {answer.status_code}")
    check(answer, *allowed)
    if answer.status_code == 302:
        followed = browser.generic("GET", answer["Location"])
        check(followed)
        assert followed.status_code == 200


REGISTER = {"uid": UUID(int=7), "identity_kind": "national_id", "identity_number": make_up(91), "identity_country": "",
            "birth_on": "69/4/1", "sex": "male", "name": "示範壬", "chart_no": "T-91", "phone": ""}  # fmt: skip


@asked
@given(fields=typed(REGISTER))
@example(fields=REGISTER | {"name": "=cmd|' /C calc'!A0", "chart_no": "+1"})
@example(fields=REGISTER | {"name": "\u202e𠮷", "birth_on": "民國前 20 年 1 月 1 日"})
@example(fields=REGISTER | {"name": "a\ud800", "chart_no": "\x00"})
def test_register(fields: dict[str, Any], browse: Any) -> None:
    browser = browse("recorder")
    with browser.undone():
        then(browser, browser.send("/cases/new", fields))
        check(browser.send("/cases/find", {"q": fields["name"]}))


INTAKE = {"uid": UUID(int=8), "taken_on": "114/4/1", "cigarettes_per_day": "20", "co_ppm": "9", "weight_kg": "68.5",
          "insured": "yes", **{f"ftnd_{item.name}": item.answers[0].word for item in FTND_ITEMS}}  # fmt: skip


@asked
@given(fields=typed(INTAKE, "pregnant"))
def test_baseline(fields: dict[str, Any], browse: Any) -> None:
    browser = browse("recorder")
    for name in ("示範甲", "示範乙"):
        with browser.undone():
            page = f"/cases/{world.uid(f'case {name} {world.CLINIC}')}/baselines/new"
            then(browser, browser.send(page, fields))


LINES = [f"lines-{number}-{name}" for number in (0, 1, 5) for name in ("medicine", "supply_weeks", "supply_days")]


@asked
@given(data=st.data())
def test_record(data: st.DataObject, browse: Any) -> None:
    browser, valid = browse("recorder"), visit_fields(UUID(int=9))
    fields = data.draw(typed(valid, *LINES, "pregnant", "lines-TOTAL_FORMS", "repeat", "add_line"))
    name = data.draw(st.sampled_from(["示範甲", "示範乙", "示範丙", "示範丁"]))
    with browser.undone():
        then(browser, browser.send(visit_page(name), fields))
        if "repeat" in fields or "add_line" in fields:
            return
        for file_format in ("csv", "ods", "json"):
            assert browser.get(f"/visits.{file_format}").status_code == 200


@asked
@given(fields=typed({"q": "示範甲"}, "then"))
def test_find(fields: dict[str, Any], browse: Any) -> None:
    for username in ("recorder", "desk_officer"):
        browser = browse(username)
        with browser.undone():
            then(browser, browser.send("/cases/find", fields))


FILTERS = {"first": "114/3/1", "last": "114/4/1", "sort": "-recorded_at", "page": "1"}
MORE = ("who", "kind", "staff", "institution", "tags", "with_voided", "case", "x")


@asked
@given(fields=typed(FILTERS, *MORE))
@example(fields={"first": " ", "last": "　"})
@example(fields={"page": "9" * 5000, "sort": "--visit_on"})
@example(fields={"tags": ["late", "late", "x"]})
def test_query(fields: dict[str, Any], browse: Any) -> None:
    for username in ("recorder", "desk_officer"):
        browser = browse(username)
        with browser.undone():
            if username == "recorder":
                record(browser)
            check(browser.send("/visits", fields, "GET"))
            for file_format in ("csv", "ods", "json"):
                check(browser.send(f"/visits.{file_format}", fields, "GET"))
            then(browser, browser.send("/visits", fields))


EXTEND = {"month": "114/3", "reach": "institution", "institution": world.CLINIC, "county": "臺北市",
          "last_day": "114/4/25", "last_time": "12:00", "reason": "系統中斷"}  # fmt: skip


@asked
@given(fields=typed(EXTEND))
@example(fields=EXTEND | {"last_day": "2910-12-31", "last_time": "", "month": "2910-12"})
@example(fields=EXTEND | {"month": "1800-01"})
def test_extend(fields: dict[str, Any], browse: Any) -> None:
    browser = browse("desk_supervisor")
    with browser.undone():
        then(browser, browser.send("/windows/new", fields))


@asked
@given(name=nasty)
def test_addresses(name: str, browse: Any) -> None:
    browser, part = browse("recorder"), quote(name.encode(errors="surrogatepass"), safe="")
    with browser.undone():
        for address in (
            f"/policies/{part}",
            f"/cases/{part}",
            f"/visits/{part}",
            f"/visits.{part}",
            f"/{part}",
            f"/x/{part}",
        ):
            check(browser.generic("GET", address), 301, 400)


SIGN_IN = {"login": "nobody-of-this-name", "password": "wrong", "next": "/visits"}


@asked
@given(fields=typed(SIGN_IN, "remember"))
@example(fields=SIGN_IN | {"login": "\x00"})
@example(fields=SIGN_IN | {"password": "\ud800"})
def test_sign_in(fields: dict[str, Any], browse: Any) -> None:
    browser = browse()
    with browser.undone():
        page = check(browser.send("/accounts/login", fields), 429)
        assert "登出" not in page
        check(browser.send("/accounts/login", fields, "GET"))


# --- what no form sends ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [visit_page(), "/cases/new", "/cases/find", "/visits", "/institution"])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", "application/json"),
        (b"name=%ff%fe&q=%ff&uid=%c0%80&who=%ed%a0%80", FORM),
        (b"q=" + b"%E4" * 3000, FORM),
        (b"&".join(b"a%d=1" % number for number in range(600)), FORM),
        (b"q=x", f"{FORM}; charset=utf-16"),
        (b"q=x", "multipart/form-data"),
        (b"--b\r\nnonsense", "multipart/form-data; boundary=b"),
        (b"x" * 3_000_000, FORM),
        (b"--b\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n\\ud800\r\n--b--\r\n",
         "multipart/form-data; boundary=b; charset=raw_unicode_escape"),
        (b"--b\r\nContent-Disposition: form-data; name=\"q\"; filename=\"q\"\r\n\r\nx\r\n--b--\r\n",
         "multipart/form-data; boundary=b"),
    ],
)  # fmt: skip
def test_what_no_browser_sends_is_refused_in_chinese(url: str, body: bytes, kind: str, browse: Any) -> None:
    browser = browse("recorder", raise_request_exception=False)
    check(browser.generic("POST", url, body, content_type=kind), 400)


def test_more_parameters_than_any_page_has_are_refused_in_chinese(browse: Any) -> None:
    browser = browse("recorder", raise_request_exception=False)
    check(browser.generic("GET", "/visits", QUERY_STRING="&".join(f"a{n}=1" for n in range(600))), 400)
