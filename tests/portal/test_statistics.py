"""Pages of the annual statistics: by whom they are seen, and that page and file say the same."""

import csv
import html
import re
from datetime import date
from functools import partial
from io import StringIO
from typing import Any
from urllib.parse import quote

import pytest

from quitledger.accounts.actors import Actor
from quitledger.accounts.scope import scoped
from quitledger.institutions.models import InstitutionDetails
from quitledger.portal import breakdowns
from quitledger.portal.figures import last_day

from .. import world
from ..statistics.crowd import serve
from .conftest import journaled, record


def cells(text: str) -> list[dict[str, str]]:
    lines = text.removeprefix("\ufeff").splitlines()
    return list(csv.DictReader(StringIO("\n".join(lines[1:]))))  # the first line says that they are made up


def test_without_a_year_the_last_whole_one_is_shown(browse: Any) -> None:
    assert browse("analyst").get("/statistics")["Location"] == "/statistics/113"


@pytest.mark.parametrize("username", ["analyst", "desk_officer", "desk_supervisor"])
def test_the_file_says_what_the_page_says(username: str, browse: Any) -> None:
    record(browse("recorder"))
    browser = browse(username)
    page, found = browser.get("/statistics/114"), cells(browser.get("/statistics/114.csv").text)
    clinic = {row["指標"]: row for row in found if row["層級別"] == "西醫診所"}
    assert clinic["用藥人次與平均用藥次數"]["分子"] == "1"
    assert clinic["戒菸服務醫事機構執行率"]["數值"] == "100.00"
    assert {row["版本"] for row in found} == {"未公布（即時）"}
    assert "服務 1 人（不重複）" in page.text
    assert "這一年還沒結束" in page.text
    for ending in ("ods", "xlsx", "pdf", "json"):
        assert browser.get(f"/statistics/114.{ending}").status_code == 200
    meanings = browser.get("/statistics/114/dictionary.csv").text
    assert "分子：期間內未作廢的用藥次數（人次）" in meanings
    assert all(f",{title}," in meanings for title in found[0])


@pytest.mark.parametrize(
    "url", ["/statistics/90", "/statistics/115", "/statistics/114.csv?basis=x", "/statistics/114.xls"]
)
def test_what_there_is_not_is_not_found(url: str, browse: Any) -> None:
    assert browse("analyst").get(url).status_code == 404


def test_no_page_and_no_file_carries_a_person(browse: Any) -> None:
    record(browse("recorder"))
    browser = browse("analyst")
    for url in (
        "/statistics/114",
        "/statistics/114.csv",
        "/statistics/114.json",
        "/statistics/114/dictionary.csv",
        "/statistics/114/publish",
        "/statistics/114?basis=last_day",
    ):
        text = browser.get(url).text
        assert "示範甲" not in text
        assert "A00" not in text


# --- Broken down ----------------------------------------------------------------------------------------------------

BY = "/statistics/114/by"
MARCH = [date(2025, 3, 17), date(2025, 3, 25)]


@pytest.fixture
def served(db: Any) -> None:
    """At the clinic eleven people with counselling twice in March, four of them with medication; at the pharmacy nine once, who is not from the county."""
    with scoped(world.SYSTEM):
        clinic, pharmacy = world.institution_id(world.CLINIC), world.institution_id(world.PHARMACY)
    for institution, serving in (
        (clinic, (world.CLINIC, 11, MARCH, "示範丑", 4)),
        (pharmacy, (world.PHARMACY, 9, MARCH[:1], "示範卯", 0)),
    ):
        code, people, days, staff, medicated = serving
        with scoped(Actor(None, institution, None, system=True)):
            serve(code, people, days, staff, medicated=medicated)


def table(text: str) -> dict[str, list[str]]:
    lines = list(csv.reader(StringIO(text.removeprefix("\ufeff"))))[1:]
    assert lines[0][1:] in (
        ["用藥人次", "用藥人數", "平均用藥", "衛教人次", "衛教人數", "平均衛教", "服務人數"], ["服務人數"],
        ["合約機構", "執行機構", "執行率（%）"], ["合約人員", "執行人員", "執行率（%）"],
    )  # fmt: skip
    return {line[0]: line[1:] for line in lines[1:]}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("county.csv", {
            "臺北市": ["＊", "＊", "＊", "20", "10", "2.0", "10"],
            "高雄市": ["0", "0", "—", "10", "10", "1.0", "10"],
            "合計": ["4", "4", "1.0", "31", "20", "1.6", "20"],
        }),
        ("institution.csv?q=藥局&county=高雄市&tier=pharmacy", {
            "9900000028 示範藥局": ["0", "0", "—", "10", "10", "1.0", "10"],
            "合計": ["4", "4", "1.0", "31", "20", "1.6", "20"],
        }),
        ("month.csv", {
            "114 年 1 月": ["0", "0", "—", "0", "0", "—", "0"], "114 年 2 月": ["0", "0", "—", "0", "0", "—", "0"],
            "114 年 3 月": ["＊", "＊", "＊", "30", "20", "1.5", "20"],
            "合計": ["4", "4", "1.0", "31", "20", "1.6", "20"],
        }),
        ("service.csv", {"用藥": ["＊"], "衛教": ["＊"], "合計": ["20"]}),
        ("county.csv?table=institutions&until=114/3/20", {
            "臺北市": ["2", "1", "50.00"], "高雄市": ["1", "1", "100.00"], "合計": ["3", "2", "66.67"],
        }),
        ("institution.csv?table=staff&tier=clinic&basis=last_day", {
            "9900000019 示範戒菸診所": ["2", "1", "50.00"], "合計": ["4", "2", "50.00"],
        }),
    ],
)  # fmt: skip
def test_a_table_is_broken_down_and_its_page_says_the_same(
    asked: str, found: dict[str, list[str]], served: None, browse: Any
) -> None:
    browser = browse("analyst")
    assert table(browser.get(f"{BY}/{asked}").text) == found
    page = browser.get(f"{BY}/{asked.replace('.csv', '')}").text
    for label, numbers in found.items():
        line = next(row for row in page.split("<tr")[::-1] if f"{label}<" in row)
        shown = re.sub(
            r"<span class=.sr.>[^<]*</span>|<[^>]*>", " ", line.partition("</th>")[2].partition("</tr>")[0]
        ).split()
        assert shown == numbers


def test_a_table_of_people_goes_to_the_end_of_a_month(served: None, browse: Any) -> None:
    browser = browse("analyst")
    answer = browser.get(f"{BY}/county?until=114/3/20")
    assert (answer.status_code, "請填月底的日期，例如 114/03/31" in answer.text) == (422, True)
    assert browser.get(f"{BY}/county.csv?until=114/3/20").status_code == 404
    assert "請填 114/01/01 至 114/03/31 的日期" in browser.get(f"{BY}/county?until=114/4/30").text
    assert "請填 114/01/01 至 114/04/01 的日期" in browser.get("/statistics/114?until=113/4/30").text
    assert "113/01/01 至 113/04/10" in browser.get("/statistics/113?until=113/4/10").text


def test_in_january_there_is_no_such_table_yet(served: None, browse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    january = partial(last_day, today=date(2025, 1, 20))
    monkeypatch.setattr(breakdowns, "last_day", lambda year, _today, **how: january(year, **how))
    browser = browse("analyst")
    answer = browser.get(f"{BY}/county")
    assert (answer.status_code, "這一年還沒有過完一個月" in answer.text) == (200, True)
    assert browser.get(f"{BY}/county.csv").status_code == 404
    assert browser.get(f"{BY}/county?table=staff").status_code == 200


def links(text: str) -> list[str]:
    return [html.unescape(found) for found in re.findall(r'href="(/statistics/\d+/rows/[^"]*)"', text)]


@pytest.mark.parametrize("username", ["analyst", "desk_officer"])
def test_every_number_opens_what_it_counts(username: str, served: None, browse: Any) -> None:
    """Of institutions and staff the rows; of visits the desk sees them, an analyst why not and what else there is."""
    browser = browse(username)
    pages = ["/statistics/114", *(f"{BY}/{grouping}?table={table}" for grouping in ("county", "institution")
             for table in ("services", "institutions", "staff")), f"{BY}/month", f"{BY}/service"]  # fmt: skip
    found = [link for page in pages for link in links(browser.get(page).text)]
    assert len(set(found)) > 30
    for link in set(found):
        answer = browser.get(link)
        assert answer.status_code == 200
        closed = username == "analyst" and not ("institution_execution" in link or "staff_execution" in link)
        assert ("就醫紀錄不在您的權限之內" in answer.text) == closed, link
        assert ("visits/" in answer.text) == (username == "desk_officer" and "execution" not in link), link


def test_what_is_hidden_has_no_rows_for_an_analyst_and_the_desk_may_open_them(served: None, browse: Any) -> None:
    hidden = f"/statistics/114/rows/medication_visits?by=county&of={quote('臺北市')}&until=114%2F03%2F31"
    for username, opened in (("analyst", False), ("desk_officer", True)):
        text = browse(username).get(f"{BY}/county").text
        assert "＊" in text
        assert (hidden in links(text)) == opened
    assert "4 人次，4 人" in browse("desk_officer").get(hidden).text
    assert "4 人" not in browse("analyst").get(hidden).text


@pytest.mark.parametrize(
    ("of", "found"),
    [
        ("", "9900000019 9900000028"), ("by=tier&of=pharmacy", "9900000028"), ("by=county&of=臺北市", "9900000019"),
        ("by=institution&of={clinic}", "9900000019"), ("by=month&of=2025-03-01", None), ("by=county&of=", None),
    ],
)  # fmt: skip
def test_an_analyst_is_led_to_the_institutions_of_a_number(
    of: str, found: str | None, served: None, browse: Any
) -> None:
    browser = browse("analyst")
    with scoped(world.SYSTEM):
        of = of.format(clinic=world.institution_id(world.CLINIC))
    page = browser.get(f"/statistics/114/rows/counselling_visits?{of}&until=114/3/31").text
    leads = re.search(r'href="(/statistics/114/by/institution\?[^"]*)">看這一格的機構', page)
    assert (leads is None) == (found is None)
    if leads and found:
        listed = browser.get(html.unescape(leads[1])).text
        assert re.findall(r'rowheader">(\d{10}) ', listed) == found.split()
    assert "看這一格的機構" not in browser.get(f"/statistics/114/rows/counselling_visits?{of}").text, "until today"


def test_rows_of_visits_and_of_staff_by_name_are_journaled(served: None, browse: Any) -> None:
    with journaled() as entries:
        browse("desk_officer").get("/statistics/114/rows/counselling_visits")
        browse("desk_officer").get("/statistics/114/rows/staff_execution")
        browse("analyst").get("/statistics/114/rows/staff_execution")
        browse("analyst").get("/statistics/114/rows/counselling_visits")
    assert [(entry.action, entry.record_type, len(entry.uids), entry.username) for entry in entries] == [
        ("visit.read", "visit", 31, "desk_officer"), ("register.read", "staff_member", 2, "desk_officer"),
    ]  # fmt: skip


def test_rows_say_nothing_of_a_person_and_the_analyst_learns_no_name(served: None, browse: Any) -> None:
    for username, url in [
        ("desk_officer", "/statistics/114/rows/counselling_visits"), ("analyst", "/statistics/114/rows/counselling_visits"),
        ("analyst", "/statistics/114/rows/staff_execution?part=denominator"), ("analyst", f"{BY}/institution"),
        ("analyst", f"{BY}/institution.csv"), ("analyst", f"{BY}/institution.ods"), ("analyst", f"{BY}/institution?table=staff"),
    ]:  # fmt: skip
        text = browse(username).get(url).content.decode(errors="replace")
        assert "示範2" not in text, "of a person"
        assert not re.search(r"[A-Z][0-9*]{7,}", text), "an identity number"
        if username == "analyst":
            assert "示範丑" not in text, "of staff"


@pytest.mark.parametrize(
    "url",
    [
        f"{BY}/colour", f"{BY}/tier", "/statistics/90/by/county", "/statistics/115/rows/persons_served", f"{BY}/county.json",
        "/statistics/114/rows/nothing", "/statistics/114/rows/staff_execution?by=month&of=2025-03-01",
        "/statistics/114/rows/persons_served?by=tier&of=palace", "/statistics/114/rows/persons_served?by=institution&of=x",
        "/statistics/114/rows/persons_served?by=institution&of=99999999999", "/statistics/114/rows/persons_served?by=colour",
        "/statistics/114/rows/persons_served?by=month&of=2025-99-01", "/statistics/114/rows/persons_served?by=service&of=x",
        "/statistics/114/rows/persons_served?until=113/1/1", "/statistics/114/rows/persons_served?part=x",
    ],
)  # fmt: skip
def test_what_is_no_table_and_no_number_is_not_found(url: str, browse: Any) -> None:
    assert browse("desk_officer").get(url).status_code == 404


def test_a_place_where_nothing_is_known_has_its_rows_too(served: None, browse: Any) -> None:
    for name in ("institution_execution", "persons_served"):
        answer = browse("desk_officer").get(f"/statistics/114/rows/{name}?by=county&of=")
        assert (answer.status_code, "這一格沒有紀錄" in answer.text) == (200, True)


def test_a_contract_of_unknown_tier_has_a_line_so_that_they_add_up(browse: Any) -> None:
    with scoped(world.SYSTEM):
        details = InstitutionDetails.objects.filter(institution=world.institution(world.HOSPITAL))
        assert details.update(ends_on=date(2025, 1, 31))
    page = browse("analyst").get("/statistics/114").text
    row = re.findall(r'<tr><th scope="row" class="nowrap">不明</th>(.*?)</tr>', page, re.DOTALL)[0]
    (address,) = re.findall(r'href="([^"]*institution_execution[^"]*)"', row)
    opened = browse("analyst").get(html.unescape(address))
    assert (opened.status_code, "這一格沒有紀錄" in opened.text) == (200, False)
