"""Recording by the pages: what is typed is what is stored and shown; what is refused is refused in words."""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from quitledger.accounts.scope import scoped
from quitledger.cases.models import Baseline, Case
from quitledger.policy.identity import make_up
from quitledger.visits.models import MedicationLine, Visit, WindowExtension
from quitledger.visits.services import as_entry

from .. import world
from .conftest import Browser, record, visit_fields, visit_page

# The same days in every form that policy reads: the visit, a birth, the last day of an extension
DAYS = [
    ("114/4/1", "69/4/1", "114/4/25"),
    ("1140401", "0690401", "1140425"),
    ("114-04-01", "69-04-01", "114-04-25"),
    ("114.4.1", "069.4.1", "114.4.25"),
    ("2025-04-01", "1980-04-01", "2025-04-25"),
    ("20250401", "19800401", "20250425"),
    ("民國 114 年 4 月 1 日", "民國 69 年 4 月 1 日", "114年4月25日"),
    ("１１４／０４／０１", " ０６９／４／１ ", "１１４／０４／２５"),
]
CASE = world.uid(f"case 示範乙 {world.CLINIC}")


@pytest.fixture
def recorder(browse: Any) -> Browser:
    return browse("recorder")


def stored(uid: Any) -> Visit:
    with scoped(world.SYSTEM):
        return Visit.objects.get(uid=uid)


def errors(page: str) -> list[str]:
    """The sentences beside the fields, without markup."""
    return [re.sub(r"<[^>]+>", "", text) for text in re.findall(r'<p class="err">(.*?)</p>', page, re.DOTALL)]


def intake(**changes: str) -> dict[str, Any]:
    return {"uid": uuid4(), "taken_on": "114/4/1", "cigarettes_per_day": "20", "insured": "yes"} | changes


# --- what is typed -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("day", "born", "until"), DAYS)
def test_a_day_is_accepted_in_every_form_by_every_page(
    day: str, born: str, until: str, recorder: Browser, browse: Any
) -> None:
    assert stored(record(recorder, visit_on=day)).visit_on == world.TODAY
    assert recorder.send(f"/cases/{CASE}/baselines/new", intake(taken_on=day)).status_code == 302
    assert "<dd>114/04/01</dd>" in recorder.get(f"/cases/{CASE}").text
    person = {"uid": uuid4(), "identity_kind": "national_id", "identity_number": make_up(91), "birth_on": born,
              "sex": "male", "name": "示範壬"}  # fmt: skip
    assert recorder.send("/cases/new", person).status_code == 302
    with scoped(world.SYSTEM):
        assert Case.objects.get(uid=person["uid"]).person.birth_on == world.TODAY.replace(year=1980)
    found = recorder.send("/visits.json", {"first": day, "last": day}, "GET").json()
    assert (found["first"], found["last"], len(found["visits"])) == ("2025-04-01", "2025-04-01", 1)
    fields = {"month": "114/3", "reach": "all", "last_day": until, "reason": "系統中斷"}
    assert browse("desk_supervisor").send("/windows/new", fields).status_code == 302
    with scoped(world.SYSTEM):
        assert WindowExtension.objects.get().closes_at.isoformat() == "2025-04-25T16:00:00+00:00"


@pytest.mark.parametrize("month", ["114/3", "11403", "114 年 3 月", "2025-03", "１１４／３"])
def test_a_month_is_accepted_in_every_form(month: str, browse: Any) -> None:
    fields = {"month": month, "reach": "all", "last_day": "114/4/25", "last_time": "1200", "reason": "系統中斷"}
    browser = browse("desk_supervisor")
    assert browser.send("/windows/new", fields).status_code == 302
    assert "114 年 3 月的登錄期限已延長至 114/04/25 12:00。" in browser.get("/windows").text


def test_no_cigarettes_and_no_carbon_monoxide_are_stored_and_shown_as_zero(recorder: Browser) -> None:
    visit = record(recorder, cigarettes_per_day="0", co_ppm="０")
    assert (stored(visit).cigarettes_per_day, stored(visit).co_ppm) == (0, 0)
    page = recorder.get(f"/visits/{visit}").text
    assert "<dd>0 支</dd>" in page
    assert "<dd>0 ppm</dd>" in page
    person = recorder.get(f"/cases/{world.uid(f'case 示範甲 {world.CLINIC}')}").text
    assert "每日 0 支" in person
    assert "一氧化碳 0 ppm" in person
    assert "0 支／日" in recorder.get(visit_page()).text
    (row,) = recorder.get("/visits.json").json()["visits"]
    assert (row["cigarettes_per_day"], row["co_ppm"]) == (0, 0)
    assert ",0,0," in recorder.get("/visits.csv").content.decode("utf-8-sig")
    assert recorder.send(f"/cases/{CASE}/baselines/new", intake(cigarettes_per_day="0", co_ppm="0")).status_code == 302
    page = recorder.get(f"/cases/{CASE}").text
    assert "<dd>0 支</dd>" in page
    assert "<dd>0 ppm</dd>" in page


def test_what_was_not_measured_is_shown_as_not_measured(recorder: Browser) -> None:
    visit = record(recorder, cigarettes_per_day="", co_ppm="")
    assert stored(visit).co_ppm is None
    assert recorder.get(f"/visits/{visit}").text.count("<dd>—</dd>") == 3  # and no note


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("68.5", "68.5"), (" 68.5 ", "68.5"), ("６８．５", "68.5"), ("６８.５", "68.5"), ("68", "68.0"), ("", None)],
)
def test_a_weight_is_read_in_plain_and_in_full_width_digits(typed: str, kept: str | None, recorder: Browser) -> None:
    fields = intake(weight_kg=typed)
    assert recorder.send(f"/cases/{CASE}/baselines/new", fields).status_code == 302
    with scoped(world.SYSTEM):
        weight = Baseline.objects.get(uid=fields["uid"]).weight_kg
    assert (None if weight is None else str(weight)) == kept


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("68,5", "請填數字，小數點用「.」，例：68.5。"),
        ("六十八", "請填數字，小數點用「.」，例：68.5。"),
        ("1_0", "請填數字，小數點用「.」，例：68.5。"),
        ("6e1", "請填數字，小數點用「.」，例：68.5。"),
        ("NaN", "請填數字，小數點用「.」，例：68.5。"),
        ("-68", "請填數字，小數點用「.」，例：68.5。"),
        ("68.55", "最多填到小數第 1 位。"),
        ("12345", "體重（公斤）應在"),
        ("0", "體重（公斤）應在"),
    ],
)
def test_a_weight_that_cannot_be_read_is_answered_with_what_to_type(typed: str, words: str, recorder: Browser) -> None:
    answer = recorder.send(f"/cases/{CASE}/baselines/new", intake(weight_kg=typed))
    assert answer.status_code == 422
    (error,) = errors(answer.text)
    assert error.startswith(words)
    assert f'value="{typed}"' in answer.text


# --- the day's visit ---------------------------------------------------------------------------------------------------


def test_the_same_form_sent_twice_is_one_visit_and_both_answers_lead_to_it(recorder: Browser) -> None:
    fields = visit_fields(uuid4())
    first, second = (recorder.send(visit_page(), fields) for _ in range(2))
    assert first["Location"] == second["Location"] == f"/visits/{fields['uid']}"
    page = recorder.get(first["Location"]).text
    assert "已登錄 示範甲 114/04/01 的就醫資料。可修改至 114/05/20 24:00。" in page
    assert "先前已登錄" in page
    with scoped(world.SYSTEM):
        assert Visit.objects.count() == 1


def test_a_form_sent_again_with_other_contents_is_refused_and_what_stands_stays(recorder: Browser) -> None:
    visit = record(recorder)
    answer = recorder.send(visit_page(), visit_fields(visit, co_ppm="9"))
    assert answer.status_code == 422
    assert "但這次送出的內容不同" in answer.text
    assert stored(visit).co_ppm == 8


def test_the_second_service_of_a_day_joins_its_visit_and_can_be_sent_twice_too(recorder: Browser) -> None:
    visit = record(recorder, services="medication", note="早上")
    counselling = visit_fields(uuid4(), services="counselling", cigarettes_per_day="", co_ppm="", note="",
                               **{"lines-0-medicine": "", "lines-0-supply_weeks": ""})  # fmt: skip
    for _ in range(2):
        assert recorder.send(visit_page(), counselling)["Location"] == f"/visits/{visit}"
    with scoped(world.SYSTEM):
        joined = Visit.objects.get()
        assert (joined.version, joined.note, set(as_entry(joined).kinds)) == (2, "早上", {"medication", "counselling"})


def test_the_same_service_twice_on_a_day_is_refused_with_what_to_do(recorder: Browser) -> None:
    record(recorder)
    answer = recorder.send(visit_page(), visit_fields(uuid4()))
    assert answer.status_code == 422
    assert "114/04/01 已登錄過用藥。同一天同一項服務只登錄一次" in answer.text


def test_a_day_whose_visit_was_voided_takes_another_and_both_are_shown(recorder: Browser) -> None:
    voided = record(recorder, note="作廢的")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE visits_visit SET in_force = false, version = version + 1 WHERE uid = %s", [voided])
    again = record(recorder, note="重新登錄的")
    assert again != voided
    page = recorder.get(f"/cases/{world.uid(f'case 示範甲 {world.CLINIC}')}").text
    assert page.count("已作廢") == 1
    assert page.count('<time datetime="2025-04-01">') == 2
    assert "已作廢" in recorder.get(f"/visits/{voided}").text
    assert "作廢的" in recorder.get(f"/visits/{voided}").text
    assert "已作廢" not in recorder.get(f"/visits/{again}").text
    listed = [recorder.send("/visits.json", asked, "GET").json()["visits"] for asked in ({}, {"with_voided": "on"})]
    assert [len(rows) for rows in listed] == [1, 2]


def test_repeating_the_last_visit_fills_in_its_services_and_keeps_what_was_typed(recorder: Browser) -> None:
    record(recorder, visit_on="114/3/20", **{"lines-0-supply_weeks": "3", "lines-0-supply_days": "20"})
    page = recorder.send(visit_page(), visit_fields(uuid4(), services=[], repeat="1", note="新的備註")).text
    assert 'name="lines-0-supply_weeks" value="3"' in page
    assert 'name="lines-0-supply_days" value="20"' in page
    assert page.count("checked") == 3  # both services and how the counselling was given
    assert 'value="新的備註"' in page


# --- who may be given what -----------------------------------------------------------------------------------------------


def test_a_pregnant_woman_is_refused_medication_and_given_counselling(recorder: Browser) -> None:
    answer = recorder.send(visit_page("示範乙"), visit_fields(uuid4(), pregnant="on"))
    assert answer.status_code == 422
    (error,) = errors(answer.text)
    assert error.startswith("就醫日 114/04/01 懷孕中，不能用藥；可以登錄衛教。")
    visit = record(recorder, "示範乙", pregnant="on", services="counselling")
    assert stored(visit).pregnant
    assert "<dt>懷孕</dt><dd>是</dd>" in recorder.get(f"/visits/{visit}").text
    assert "懷孕中，不能用藥" in recorder.get(f"/cases/{CASE}").text
    page = recorder.get(visit_page("示範乙")).text
    assert re.search(r'name="pregnant"[^>]*checked', page)


def test_a_man_is_not_asked_whether_he_is_pregnant_and_a_forged_answer_changes_nothing(recorder: Browser) -> None:
    assert 'name="pregnant"' not in recorder.get(visit_page()).text
    assert not stored(record(recorder, pregnant="on")).pregnant


def test_a_minor_and_a_person_without_intake_get_counselling_only(recorder: Browser) -> None:
    for name, words in (("示範丙", "未滿 18 歲，不能用藥"), ("示範丁", "尚無收案評估")):
        answer = recorder.send(visit_page(name), visit_fields(uuid4()))
        assert answer.status_code == 422
        assert words in answer.text
        record(recorder, name, services="counselling")


# --- rows of medicines ---------------------------------------------------------------------------------------------------


def rows(*lines: tuple[str, str, str]) -> dict[str, str]:
    fields = {"lines-TOTAL_FORMS": str(len(lines))}
    for number, values in enumerate(lines):
        fields |= {f"lines-{number}-{name}": value
                   for name, value in zip(("medicine", "supply_weeks", "supply_days"), values, strict=True)}  # fmt: skip
    return fields


def test_rows_left_empty_are_no_medicines(recorder: Browser) -> None:
    visit = record(recorder, **rows(("", "", ""), (world.PATCH, "2", ""), ("", "", ""), (world.GUM, "1", "5")))
    with scoped(world.SYSTEM):
        lines = MedicationLine.objects.filter(visit__uid=visit).order_by("pk")
        assert list(lines.values_list("medicine_id", "supply_weeks", "supply_days")) == [
            (world.PATCH, 2, 14), (world.GUM, 1, 5),
        ]  # fmt: skip


def test_a_problem_of_a_medicine_stands_in_its_row_though_rows_before_it_are_empty(recorder: Browser) -> None:
    answer = recorder.send(visit_page(), visit_fields(uuid4(), **rows(("", "", ""), (world.PATCH, "6", ""))))
    assert answer.status_code == 422
    assert 'id="id_lines-1-supply_weeks_error"' in answer.text
    assert 'id="id_lines-0-supply_weeks_error"' not in answer.text
    assert "每次用藥最多 4 週，您填了 6 週。" in answer.text


def test_more_rows_than_the_form_has_are_refused_in_words(recorder: Browser) -> None:
    answer = recorder.send(visit_page(), visit_fields(uuid4(), **rows(*[(world.PATCH, "1", "")] * 9)))
    assert answer.status_code == 422
    assert "6" in errors_above(answer.text)


def errors_above(page: str) -> str:
    """The summary above the form."""
    found = re.search(r'<div class="errors".*?</div>', page, re.DOTALL)
    return found[0] if found else ""


def test_every_refused_form_says_why_above_it(recorder: Browser) -> None:
    for changes in ({"lines-TOTAL_FORMS": None}, {"uid": "x"}, {"uid": None}, {"counselling_mode": "by_post"},
                    {"services": "massage"}, {"medication_staff": "x"}, {"services": []}, {"pregnant": "on", "note": "x" * 501},
                    {"lines-0-medicine": "DEMO999999"}, {"lines-0-medicine": ""}, {"lines-0-supply_weeks": "二"}):  # fmt: skip
        answer = recorder.send(visit_page(), visit_fields(uuid4(), **changes))
        assert answer.status_code == 422, changes
        assert re.search(r"<li>.*[\u4e00-\u9fff].*</li>", errors_above(answer.text)), changes


# --- the window ----------------------------------------------------------------------------------------------------------


def test_a_closed_window_is_said_with_the_moment_the_rule_and_what_can_be_done(recorder: Browser) -> None:
    answer = recorder.send(visit_page(), visit_fields(uuid4(), visit_on="114/2/15", note="漏登"))
    assert answer.status_code == 422
    assert "114 年 2 月的登錄期限 114/03/20 24:00 已過" in answer.text
    assert "登錄期限已過，還可以怎麼做" in answer.text
    assert "/late-entry" in answer.text
    assert 'value="漏登"' in answer.text
    assert 'value="114/2/15"' in answer.text
