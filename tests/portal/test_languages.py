"""The pages in English, the switch, and the gallery of components."""

import re
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from django.template import Template
from django.test.utils import instrumented_test_render
from django.utils import translation

from quitledger.policy import TAIPEI
from quitledger.policy.sentences import Month, Sentence, Several, Words, speaker
from quitledger.portal import languages
from quitledger.portal.languages import day_said, said, say

from .conftest import Browser, visit_fields, visit_page

COMPONENTS = Path(languages.__file__).parent / "templates" / "components"


@pytest.fixture
def english() -> Any:
    """As inside a request in English."""
    token = speaker.set(say)
    with translation.override("en"):
        yield
    speaker.reset(token)


def in_english(browser: Browser) -> Browser:
    browser.cookies["language"] = "en"
    return browser


def test_a_sentence_says_itself_with_its_values_in_the_language_of_the_page(english: None) -> None:
    day = date(2025, 4, 1)
    sentence = Sentence("就醫日期 {day} 還沒到。今天是 {today}，請填實際就醫的日期。", day=day, today=date(2025, 3, 31))
    assert said(sentence).startswith("The date of the visit 2025-04-01 is yet to come. Today is 2025-03-31:")
    assert sentence.__html__() == said(sentence)
    assert sentence == "就醫日期 114/04/01 還沒到。今天是 114/03/31，請填實際就醫的日期。"
    assert said(Several([Words("用藥"), Words("衛教")])) == "Medication, Counselling"
    assert [said(Month(day)), day_said(day)] == ["2025-04", "2025-04-01"]
    assert said(datetime(2025, 3, 21, tzinfo=TAIPEI)) == "2025-03-20 24:00"


def test_what_is_data_is_not_translated(english: None) -> None:
    assert say("用藥") == "用藥"
    assert "<b>" not in Sentence("{label}最多 {most} 字。", label="<b>", most=3).__html__()


def test_without_a_request_in_english_everything_is_chinese() -> None:
    assert said(Words("用藥")) == Words("用藥").__html__() == "用藥"
    assert day_said(date(2025, 4, 1)) == "114/04/01"


def test_the_switch_is_kept_and_leads_back(browse: Any) -> None:
    browser = browse("recorder")
    answer = browser.send("/language", {"language": "en", "next": "/visits?page=2"})
    assert answer["Location"] == "/visits?page=2"
    page = browser.get("/")
    assert '<html lang="en">' in page.text
    assert "Record a visit" in page.text
    assert "2025-04-01" in page.text
    browser.send("/language", {"language": "zh-hant", "next": "/"})
    assert '<html lang="zh-Hant-TW">' in browser.get("/").text


@pytest.mark.parametrize(
    "back", ["https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)", "", "\\x"]
)
def test_the_switch_leads_nowhere_else(browse: Any, back: str) -> None:
    assert browse("recorder").send("/language", {"language": "en", "next": back})["Location"] == "/"


@pytest.mark.parametrize("cookie", ["fr", "EN", "", "../en"])
def test_a_language_that_is_none_is_chinese(browse: Any, cookie: str) -> None:
    browser = browse("recorder")
    browser.cookies["language"] = cookie
    assert '<html lang="zh-Hant-TW">' in browser.get("/").text


def test_a_browser_that_prefers_english_is_shown_chinese_first(browse: Any) -> None:
    assert '<html lang="zh-Hant-TW">' in browse("recorder").get("/", headers={"accept-language": "en-GB"}).text


def test_rules_are_told_in_english_with_their_values(browse: Any) -> None:
    browser = in_english(browse("recorder"))
    page = browser.send(visit_page(), visit_fields("6f9619ff-8b86-d011-b42d-00cf4fc964aa", visit_on="114/2/15"))
    assert page.status_code == 422
    assert "The recording window of 2025-02 closed at 2025-03-20 24:00" in page.text


def test_days_can_be_typed_in_either_form_in_either_language(browse: Any) -> None:
    browser = in_english(browse("recorder"))
    answer = browser.send(visit_page(), visit_fields("6f9619ff-8b86-d011-b42d-00cf4fc964ab", visit_on="2025-04-01"))
    assert answer.status_code == 302


def test_the_gallery_shows_every_component(browse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Template, "_render", instrumented_test_render)  # it tells which templates were used
    page = browse("recorder").get("/components")
    shown = {template.name for template in page.templates}
    missing = {f"components/{path.name}" for path in COMPONENTS.iterdir()} - shown
    assert missing == set()
    assert len(re.findall(r'class="tag', page.text)) >= 9
