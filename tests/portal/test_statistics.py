"""Pages of the annual statistics: by whom they are seen, and that page and file say the same."""

import csv
from io import StringIO
from typing import Any

import pytest

from .conftest import record


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
