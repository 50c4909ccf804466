"""Pages of publications: look, freeze, read, take away; and what they say when the records have moved on."""

import csv
import re
from hashlib import sha256
from io import BytesIO, StringIO
from typing import Any

import psycopg
import pytest
from pypdf import PdfReader

from quitledger.policy.identity import make_up

from ..statistics.scene import published, versions
from ..statistics.test_publications import tampered
from .conftest import Browser, journaled, record

NOBODYS = "6f9619ff-8b86-d011-b42d-00cf4fc964aa"
REVIEW = "/statistics/114/publish"


def fields(page: Any, **typed: Any) -> dict[str, Any]:
    """The form of the page as it would be sent."""
    found = re.findall(r'<input type="hidden" name="(uid|seen|basis|until)" value="([^"]*)"', page.text)
    assert {name for name, _value in found} == {"uid", "seen", "basis", "until"}
    return dict(found) | {"note": ""} | typed


def freeze(browser: Browser, url: str = REVIEW, **typed: Any) -> str:
    """Look, publish; where the publication is."""
    answer = browser.send(url.partition("?")[0], fields(browser.get(url), **typed))
    assert answer.status_code == 302, answer.text
    return str(answer["Location"])


def test_an_analyst_looks_publishes_and_reads_what_was_frozen(browse: Any) -> None:
    record(browse("recorder"))
    browser = browse("analyst")
    assert "還沒有公布過" in browser.get("/statistics/publications").text
    review = browser.get(REVIEW)
    for words in ("將公布 114-1", "沒有，這是第一版", "不是全年", "合約特約機構數", "100.00", "計算式指紋"):
        assert words in review.text
    with journaled() as entries:
        url = freeze(browser)
    assert [(entry.action, entry.record_type) for entry in entries] == [("statistics.publish", "publication")]
    page = browser.get(url)
    for words in (
        "已公布 114-1",
        "公布版本 114-1",
        "示範分析 於",
        "資料時點",
        "已重新計算，與內容相符",
        "現在的紀錄算出來完全相同",
    ):
        assert words in page.text
    assert versions()[0].fingerprint in page.text
    assert "114-1" in browser.get("/statistics/publications").text


def test_the_annual_page_leads_to_publications_and_to_publishing(browse: Any) -> None:
    page = browse("analyst").get("/statistics/114?basis=last_day").text
    assert 'href="/statistics/publications"' in page
    assert 'href="/statistics/114/publish?basis=last_day"' in page
    assert 'href="/statistics/114.xlsx?basis=last_day"' in page
    assert "/publish" not in browse("desk_officer").get("/statistics/114").text


def test_after_a_correction_the_page_stays_and_says_how_many_cells_differ_and_a_new_version_states_them(
    browse: Any,
) -> None:
    browser = browse("analyst")
    first = freeze(browser)
    before = browser.get(f"{first}.json").content
    record(browse("recorder"))
    page = browser.get(first)
    assert re.search(r"自公布後，紀錄有 \d+ 格不同", page.text)
    assert 'href="/statistics/114?basis=any_day"' in page.text
    review = browser.get(REVIEW)
    assert "與前一版 114-1 的差異" in review.text
    refused = browser.send(REVIEW, fields(review))
    assert refused.status_code == 422
    assert "請寫下為什麼公布新版本" in refused.text
    second = freeze(browser, note="補登一筆")
    page = browser.get(second)
    assert "補登一筆" in page.text
    assert re.search(
        r'<th scope="row">服務人數　合計</th><td>服務人數</td><td class="num">0</td><td class="num">1</td>', page.text
    )
    assert "已有較新的版本 114-2" in browser.get(first).text
    assert browser.get(f"{first}.json").content == before


def test_the_same_figures_again_are_told_and_published_only_with_a_note(browse: Any) -> None:
    browser = browse("analyst")
    freeze(browser)
    review = browser.get(REVIEW)
    assert "沒有新的內容可以公布" in review.text
    refused = browser.send(REVIEW, fields(review))
    assert (refused.status_code, len(versions())) == (422, 1)
    assert "還是要公布的話，請寫下原因" in refused.text
    freeze(browser, note="改正說明")
    assert len(versions()) == 2


def test_sent_twice_it_is_told_that_it_was_published_already(browse: Any) -> None:
    browser = browse("analyst")
    sent = fields(browser.get(REVIEW))
    first, again = browser.send(REVIEW, sent), browser.send(REVIEW, sent)
    assert first["Location"] == again["Location"]
    assert "沒有重複公布" in browser.get(again["Location"]).text


def test_what_changed_since_it_was_looked_at_is_shown_again_with_what_was_typed(browse: Any) -> None:
    browser = browse("analyst")
    sent = fields(browser.get(REVIEW), note="我的說明")
    record(browse("recorder"))
    answer = browser.send(REVIEW, sent)
    assert (answer.status_code, versions()) == (409, [])
    assert "還沒公布：您看過之後" in answer.text
    assert "我的說明" in answer.text
    assert browser.send(REVIEW, fields(answer, note="我的說明")).status_code == 302


def test_a_part_of_the_year_is_published_as_it_was_asked_for(browse: Any) -> None:
    url = freeze(browse("desk_supervisor"), f"{REVIEW}?until=114/2/28&basis=last_day")
    page = browse("desk_officer").get(url)
    assert "114/01/01 至 114/02/28。" in page.text
    assert "期末當日有合約者" in page.text


@pytest.mark.parametrize(("query", "words"), [
    ("until=114/4/2", "最多統計到今天"), ("until=113/4/1", "請填 114/01/01 到 114/12/31 之間的日期"), ("until=x", "統計到"),
    ("basis=x", "清單裡沒有這個選項"),
])  # fmt: skip
def test_what_cannot_be_published_is_said_beside_the_field(query: str, words: str, browse: Any) -> None:
    page = browse("analyst").get(f"{REVIEW}?{query}")
    assert page.status_code == 422
    assert words in page.text
    assert 'name="seen"' not in page.text


@pytest.mark.parametrize("url", [
    "/statistics/90/publish", "/statistics/115/publish", f"/statistics/publications/{NOBODYS}", f"/statistics/publications/{NOBODYS}.ods",
    f"/statistics/publications/{NOBODYS}/dictionary.csv", "/statistics/115/dictionary.csv",
])  # fmt: skip
def test_what_there_is_not_is_not_found(url: str, browse: Any) -> None:
    assert browse("analyst").get(url).status_code == 404


def test_every_file_of_a_publication_says_its_figures_and_that_they_are_made_up(browse: Any) -> None:
    record(browse("recorder"))
    browser = browse("analyst")
    url = freeze(browser)
    made_up = "測試資料：本系統供測試"
    told = browser.get(f"{url}.csv")
    assert told["Content-Disposition"].startswith('attachment; filename="annual-statistics-114-v1-until-20250401.csv"')
    _note, *rows = csv.reader(StringIO(told.text.removeprefix("\ufeff")))
    persons = next(row for row in rows if row[5] == "服務人數")
    assert (made_up in told.text, persons[2], persons[8], persons[10]) == (True, "114-1", "1", "1")
    text = "".join(
        "".join(page.extract_text().split()) for page in PdfReader(BytesIO(browser.get(f"{url}.pdf").content)).pages
    )
    assert made_up in text
    assert "服務人數：1人" in text
    for ending in ("ods", "xlsx"):
        assert browser.get(f"{url}.{ending}").content.startswith(b"PK")
    assert sha256(browser.get(f"{url}.json").content).hexdigest() == versions()[0].fingerprint
    assert made_up in browser.get(f"{url}/dictionary.csv").text


def test_no_page_and_no_file_of_a_publication_carries_a_person(browse: Any) -> None:
    record(browse("recorder"))
    browser = browse("analyst")
    url = freeze(browser)
    files = [f"{url}.{ending}" for ending in ("csv", "json")] + [f"{url}/dictionary.csv"]
    for address in (REVIEW, "/statistics/publications", url, *files):
        text = browser.get(address).text
        assert "示範甲" not in text
        assert make_up(1) not in text
        assert not re.search(r"[A-Z][089]\d{8}\b", re.sub(r"[0-9a-f]{64}|[0-9a-f-]{36}", "", text))
        if address in files:  # nor whoever published it
            assert "示範分析" not in text


def test_a_publication_that_was_changed_behind_the_databases_back_says_so_loudly(
    committed: Any, owner: psycopg.Connection
) -> None:
    done = published().publication
    tampered(owner)
    browser = Browser("analyst")
    url = f"/statistics/publications/{done.uid}"
    for address in (url, f"{url}.csv", f"{url}/dictionary.csv"):
        assert "內容與公布時記下的指紋不符" in browser.get(address).text
    assert "已重新計算，與內容相符" not in browser.get(url).text
    assert "指紋不符" in browser.get("/statistics/publications").text


def test_two_who_look_at_the_same_and_publish_make_one_and_one_is_told(browse: Any) -> None:
    analyst, desk = browse("analyst"), browse("desk_supervisor")
    mine, theirs = fields(analyst.get(REVIEW)), fields(desk.get(REVIEW))
    assert analyst.send(REVIEW, mine).status_code == 302
    answer = desk.send(REVIEW, theirs)
    assert answer.status_code == 409
    assert "將公布 114-2" in answer.text
    assert len(versions()) == 1
