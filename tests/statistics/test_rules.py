"""What may be published: every case."""

from datetime import date

import pytest

from quitledger.statistics.rules import check_period, check_publication

FIRST, END, TODAY = date(2025, 1, 1), date(2025, 12, 31), date(2025, 4, 1)


@pytest.mark.parametrize(
    ("last", "today", "codes"),
    [
        (TODAY, TODAY, []), (FIRST, TODAY, []), (END, END, []), (END, date(2026, 7, 1), []),
        (date(2025, 4, 2), TODAY, ["until-in-future"]),
        (date(2024, 12, 31), TODAY, ["until-not-in-year"]), (date(2026, 1, 1), date(2026, 7, 1), ["until-not-in-year"]),
        (date(2026, 1, 1), TODAY, ["until-not-in-year", "until-in-future"]),
        (END, date(2024, 12, 31), ["year-not-begun"]),
    ],
)  # fmt: skip
def test_a_year_is_published_as_far_as_it_has_gone_by(last: date, today: date, codes: list[str]) -> None:
    problems = check_period(FIRST, END, last, today)
    assert [problem.code for problem in problems] == codes
    assert all(problem.field == "until" and problem.message for problem in problems)


@pytest.mark.parametrize("is_same", [True, False])
@pytest.mark.parametrize(("is_first", "note", "refused"), [
    (True, "", False), (True, "說明", False), (False, "", True), (False, " \n", True), (False, "補登三筆", False),
])  # fmt: skip
def test_a_new_version_says_why_there_is_one(is_first: bool, note: str, refused: bool, is_same: bool) -> None:
    problems = check_publication(is_first=is_first, is_same=is_same, note=note)
    assert [(problem.code, problem.field) for problem in problems] == [("note-missing", "note")] * refused
    assert all(("相同" in problem.message) is is_same for problem in problems)
