"""What a file's titles and cells mean: tables of what is read, and that nothing else does harm."""

import csv
from datetime import date, time
from pathlib import Path

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from quitledger.batches.columns import (
    COLUMNS,
    Kind,
    Titles,
    cells_of,
    clock,
    column_of,
    day,
    find_titles,
    missing_of,
    plain_title,
    read_row,
    services,
    sex,
)
from quitledger.institutions.imports import Unreadable
from quitledger.policy import DateError
from quitledger.portal.languages import said

from .files import PERSON_TITLES, VISIT_TITLES, a_person, a_visit

DAY = date(2025, 3, 20)
SAMPLES = Path(__file__).resolve().parents[2] / "docs" / "samples"


@pytest.mark.parametrize(
    "cell",
    [
        "114/3/20",
        "1140320",
        "2025-03-20",
        "20250320",
        "45736",
        "114/3/20 09:20",
        "2025-03-20 09:20",
        "民國114年3月20日",
    ],
)
def test_days(cell):
    assert day(cell) == DAY


@pytest.mark.parametrize("cell", ["114/2/30", "昨天", "3/20", "457", "114/3/20 25:00", "x" * 2001, "114:3:20"])
def test_what_is_no_day(cell):
    with pytest.raises(DateError):
        day(cell)


@pytest.mark.parametrize(
    ("cell", "at"), [("09:20", time(9, 20)), ("0920", time(9, 20)), ("2025-03-20 09:20", time(9, 20)), ("0.5", time(12, 0)), ("0.3888888", time(9, 20)), ("0.9999999", time(0, 0))]
)  # fmt: skip
def test_times(cell, at):
    assert clock(cell) == at


@pytest.mark.parametrize(
    ("cell", "given"),
    [("用藥", {"medication"}), ("衛教", {"counselling"}), ("用藥、衛教", {"medication", "counselling"}), ("衛教+用藥", {"medication", "counselling"}), ("medication", {"medication"})],
)  # fmt: skip
def test_services(cell, given):
    assert services(cell) == given


@pytest.mark.parametrize("cell", ["針灸", "、", "用藥、針灸"])
def test_what_is_no_service(cell):
    with pytest.raises(Unreadable):
        services(cell)


@pytest.mark.parametrize(("cell", "word"), [("男", "male"), ("女性", "female"), ("F", "female"), ("1", "male")])
def test_sexes(cell, word):
    assert sex(cell) == word


@pytest.mark.parametrize(
    ("title", "name"),
    [("病歷號", "chart_no"), ("病歷號碼", "chart_no"), ("MRN", "chart_no"), ("身份證字號", "identity_number"), ("就診日期(民國)", "visit_on"), ("Visit Date", "visit_on"), ("visit_on", "visit_on"), ("藥品代碼 2", "medicine_1"), ("週數２", "weeks_1"), ("衛教師", "counselling_staff"), ("ＣＯ", "co_ppm")],
)  # fmt: skip
def test_titles_in_chinese_and_english(title, name):
    found = find_titles([(1, [title, "備註"])], Kind.VISITS, {})
    assert isinstance(found, Titles)
    assert found.places[name] == 0


def test_notes_may_stand_above_the_titles_and_unknown_columns_beside_them():
    found = find_titles([(1, ["示範資料：虛構。"]), (3, ["科別", *VISIT_TITLES])], Kind.VISITS, {})
    assert isinstance(found, Titles)
    assert (found.line, found.places["chart_no"], found.missing) == (3, 1, ())


def test_of_two_titles_for_one_column_the_exact_one_counts():
    found = find_titles([(1, ["看診日期", "就醫日期", "病歷號"])], Kind.VISITS, {})
    assert isinstance(found, Titles)
    assert found.places["visit_on"] == 1


def test_a_title_is_what_the_institution_said_it_is():
    lines = [(1, ["卡號", "來的那天"])]
    asked = find_titles(lines, Kind.VISITS, {})
    assert isinstance(asked, Titles)
    assert asked.missing == (("chart_no", "identity_number"), ("visit_on",))
    told = find_titles(lines, Kind.VISITS, {plain_title("卡號"): "chart_no", plain_title("來的那天"): "visit_on"})
    assert isinstance(told, Titles)
    assert (told.places, told.missing) == ({"chart_no": 0, "visit_on": 1}, ())


@pytest.mark.parametrize("lines", [[], [(1, ["T-0001", "114/3/20"])], [(1, ["A123456789", "示範甲"])], [(1, ["一欄"])]])
def test_without_titles_a_file_is_refused_and_no_row_is_taken_for_them(lines):
    found = find_titles(lines, Kind.VISITS, {})
    assert not isinstance(found, Titles)
    assert {problem.code for problem in found} <= {"titles-missing", "file-empty"}


def test_a_row_is_read_by_its_columns_and_every_fault_is_told_at_once():
    places = {column.name: place for place, column in enumerate(COLUMNS[Kind.VISITS])}
    row = ["T-0001", "", "114/2/30", "25:00", "針灸", "", "", "二", *[""] * 8, "寫信", "也許", "-1", "1.5", "x" * 2001]
    _values, problems = read_row(cells_of(row, places), Kind.VISITS)
    assert [column_of(problem.field) for problem in problems] == [
        "visit_on", "visit_time", "services", "weeks_0", "counselling_mode", "pregnant", "cigarettes_per_day", "co_ppm", "note",
    ]  # fmt: skip
    assert all(problem.message.startswith("「") for problem in problems)


def test_a_missing_cell_is_told_by_its_title():
    _values, problems = read_row({"name": "示範庚"}, Kind.PERSONS)
    assert [str(problem.message) for problem in problems] == [
        "「身分證字號」沒有填。",
        "「出生日期」沒有填。",
        "「性別」沒有填。",
    ]


@pytest.mark.parametrize(
    ("field", "name"), [("lines-0-medicine", "medicine_0"), ("lines-2-supply_weeks", "weeks_2"), ("lines-1-supply_days", "days_1"), ("visit_on", "visit_on"), (None, "")]
)  # fmt: skip
def test_a_problem_belongs_to_a_column(field, name):
    assert column_of(field) == name


def test_our_own_titles_and_samples_fit():
    for kind, titles, row in ((Kind.VISITS, VISIT_TITLES, a_visit()), (Kind.PERSONS, PERSON_TITLES, a_person())):
        found = find_titles([(1, list(titles))], kind, {})
        assert isinstance(found, Titles)
        assert not found.missing
        assert read_row(cells_of(row, found.places), kind)[1] == []
        assert missing_of(kind, [column.name for column in COLUMNS[kind]]) == ()


@pytest.mark.parametrize("kind", Kind)
def test_the_samples_are_recognised_whole(kind):
    with (SAMPLES / f"{kind}.csv").open(encoding="utf-8") as file:
        titles, *rows = csv.reader(file)
    found = find_titles([(1, titles)], kind, {})
    assert isinstance(found, Titles)
    assert len(found.places) == len(titles)
    assert any(not read_row(cells_of(row, found.places), kind)[1] for row in rows)


@pytest.mark.parametrize("kind", Kind)
def test_the_titles_of_an_empty_file_are_recognised_in_both_languages(kind):
    with translation.override("en"):
        titles = [said(column.title) for column in COLUMNS[kind]]
    found = find_titles([(1, titles)], kind, {})
    assert isinstance(found, Titles)
    assert sorted(found.places.values()) == list(range(len(titles)))


text = st.text(max_size=30)


@given(
    kind=st.sampled_from(Kind), lines=st.lists(st.tuples(st.integers(1, 99), st.lists(text, max_size=8)), max_size=6)
)
def test_whatever_stands_in_the_first_lines_it_is_titles_or_a_reason(kind, lines):
    found = find_titles(lines, kind, {})
    if isinstance(found, Titles):
        assert len(set(found.places.values())) == len(found.places)
        assert all(place < len(found.titles) for place in found.places.values())
    else:
        assert found


@given(kind=st.sampled_from(Kind), data=st.data())
def test_whatever_stands_in_a_row_it_is_values_or_reasons(kind, data):
    names = [column.name for column in COLUMNS[kind]]
    cells = data.draw(st.dictionaries(st.sampled_from(names), text | st.sampled_from(["114/3/20", "男", "2", "45736"])))
    values, problems = read_row(cells, kind)
    assert set(values) | {problem.field for problem in problems} == set(names)
