"""The checks of a month, how it stands, who signs it and whom to remind: truth tables and properties."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quitledger.accounts.permissions import Role
from quitledger.cases.rules import BaselineFacts
from quitledger.policy import TAIPEI, PolicyGap, parameter
from quitledger.selfcheck import rules
from quitledger.selfcheck.rules import (
    REASON_LENGTH,
    Around,
    Books,
    Check,
    DraftFacts,
    Ground,
    Level,
    Missing,
    MonthVisit,
    Signed,
    Standing,
    Validity,
    Where,
    check_cases,
    check_drafts,
    check_sign_off,
    check_visits,
    grounds_changed,
    has_changed,
    is_reminder_day,
    is_time_to_mail,
    level_of,
    missing_for,
    month_to_check,
    standing,
    visits_changed,
)
from quitledger.visits.rules import COUNSELLING, MEDICATION, Period, StaffPeriod

MARCH, TODAY = date(2025, 3, 1), date(2025, 4, 1)
MARCH_4 = date(2025, 3, 4)
NOW = datetime(2025, 4, 1, 9, 30, tzinfo=TAIPEI)
PHYSICIAN, COUNSELLOR = 1, 2
ALWAYS = date(2024, 1, 1)
INTAKE = BaselineFacts(date(2025, 3, 1), 6, 20)
WHOLE = MonthVisit(
    UUID(int=1), 10, MARCH_4, PHYSICIAN, COUNSELLOR, ((2, 14),), first_of_course=True, next_on=date(2025, 3, 18),
    intake=INTAKE,
)  # fmt: skip
AROUND = Around(
    MARCH, TODAY, [Period(ALWAYS, None)],
    {PHYSICIAN: [StaffPeriod(ALWAYS, None, True, False)], COUNSELLOR: [StaffPeriod(ALWAYS, None, False, True)]},
)  # fmt: skip


def found(visit: MonthVisit, around: Around = AROUND) -> list[tuple[Check, str]]:
    """The checks that a visit does not pass, with the field to fix. Asked of two such visits, it is the same twice."""
    one, other = (check_visits([each], around) for each in (visit, replace(visit, uid=UUID(int=2))))
    assert [each.message for each in one] == [each.message for each in other]
    assert all(each.message.endswith("。") for each in one)
    return [(each.check, each.field) for each in one]


def after(days: int, **changes: Any) -> Around:
    return replace(AROUND, today=MARCH_4 + timedelta(days=days), **changes)


def test_a_visit_that_has_everything_is_whole() -> None:
    assert found(WHOLE) == []


def test_every_check_has_its_parameter_with_a_title_and_a_level_that_may_change_with_the_date() -> None:
    for check in Check:
        assert check.label == parameter(check).title
        assert set(parameter(check).words) == set(Level)
        assert all(value.assumed or value.source for value in parameter(check).values)
        assert level_of(check, MARCH) in Level
    assert [level.label for level in Level] == ["未完整", "請留意", "不檢查"]
    with pytest.raises(PolicyGap):
        level_of(Check.DRAFT, date(2001, 1, 1))


# --- each check ------------------------------------------------------------------------------------------------------------

WITHOUT = {"medication_staff": None, "lines": (), "first_of_course": False}


@pytest.mark.parametrize(
    ("changes", "around", "expected"),
    [
        # the institution's contract
        ({}, {"contracts": []}, [(Check.INSTITUTION_CONTRACT, "visit_on")]),
        ({}, {"contracts": [Period(ALWAYS, date(2025, 3, 3))]}, [(Check.INSTITUTION_CONTRACT, "visit_on")]),
        ({}, {"contracts": [Period(ALWAYS, MARCH_4)]}, []),
        # the staff's contracts, service by service
        ({"medication_staff": 9}, {}, [(Check.STAFF_CONTRACT, "medication_staff")]),
        ({"medication_staff": COUNSELLOR}, {}, [(Check.STAFF_CONTRACT, "medication_staff")]),
        ({"counselling_staff": PHYSICIAN}, {}, [(Check.STAFF_CONTRACT, "counselling_staff")]),
        (
            {}, {"staff": {PHYSICIAN: [StaffPeriod(ALWAYS, date(2025, 3, 3), True, True)], COUNSELLOR: [StaffPeriod(ALWAYS, MARCH_4, False, True)]}},
            [(Check.STAFF_CONTRACT, "medication_staff")],
        ),
        # certificates: where there is one on the list, one is valid on the day
        ({}, {"certificates": {COUNSELLOR: [Validity(None, date(2025, 3, 3))]}}, [(Check.STAFF_CERTIFICATE, "counselling_staff")]),
        ({}, {"certificates": {PHYSICIAN: [Validity(date(2025, 3, 5), date(2026, 1, 1))]}}, [(Check.STAFF_CERTIFICATE, "medication_staff")]),
        ({}, {"certificates": {COUNSELLOR: [Validity(None, date(2025, 3, 3)), Validity(MARCH_4, MARCH_4)]}}, []),
        # the intake of the course
        ({"intake": None}, {}, [(Check.FIRST_INTAKE, "taken_on")]),
        ({"intake": None, "first_of_course": False}, {}, []),
        ({"intake": BaselineFacts(MARCH_4, None, 20)}, {}, [(Check.INTAKE_SCORE, "ftnd_first_cigarette_0")]),
        # weeks and days
        ({"lines": ((2, 15),)}, {}, [(Check.SUPPLY_DAYS, "lines-0-supply_days")]),
        ({"lines": ((2, 14), (1, 6), (4, 27))}, {}, [(Check.SUPPLY_DAYS, "lines-1-supply_days"), (Check.SUPPLY_DAYS, "lines-2-supply_days")]),
        # cigarettes a day
        ({"with_cigarettes": False}, {}, [(Check.CIGARETTES, "cigarettes_per_day")]),
        ({**WITHOUT, "counselling_staff": None}, {}, []),
    ],
)  # fmt: skip
def test_what_a_visit_misses_is_found_with_the_field_to_fix(changes: Any, around: Any, expected: Any) -> None:
    assert found(replace(WHOLE, **changes), replace(AROUND, **around)) == expected


@pytest.mark.parametrize(
    ("counselling", "first", "counselled_on", "days_since", "expected"),
    [
        (True, True, None, 60, False),  # on the same day
        (False, True, None, 7, False),  # there is still time
        (False, True, None, 8, True),
        (False, True, MARCH_4 + timedelta(days=7), 60, False),
        (False, True, MARCH_4 + timedelta(days=8), 60, True),
        (False, False, None, 60, False),  # a later visit of the course
    ],
)
def test_counselling_is_expected_within_days_of_the_first_medication(
    counselling: bool, first: bool, counselled_on: date | None, days_since: int, expected: bool
) -> None:
    visit = replace(
        WHOLE, counselling_staff=COUNSELLOR if counselling else None, first_of_course=first, counselled_on=counselled_on
    )
    assert found(visit, after(days_since)) == ([(Check.COUNSELLING, "services_1")] if expected else [])


@pytest.mark.parametrize(
    ("next_on", "days_since", "lines", "expected"),
    [
        (None, 28, ((2, 14),), False),  # used up on the 18th, two weeks more to wait
        (None, 29, ((2, 14),), True),
        (None, 29, ((2, 14), (4, 28)), False),  # the longest of several
        (date(2025, 3, 18), 99, ((2, 14),), False),
        (None, 99, (), False),  # no medication
    ],
)
def test_a_supply_that_ended_without_another_visit_is_worth_a_look(
    next_on: date | None, days_since: int, lines: Any, expected: bool
) -> None:
    visit = replace(WHOLE, next_on=next_on, lines=lines)
    assert found(visit, after(days_since)) == ([(Check.NEXT_VISIT, "visit_on")] if expected else [])


def test_findings_tell_what_is_wrong_in_words_that_name_nobody() -> None:
    visit = replace(WHOLE, lines=((2, 15),), intake=None, with_cigarettes=False)
    one, two, three = check_visits([visit], AROUND)
    assert one.message == "療程首日 114/03/04 用藥，當日或之前 30 日內沒有收案評估。"
    assert two.message == "用藥 2 週但填 15 天，應為 14 天。"
    assert (one.where, two.where, three.where) == (Where.INTAKE, Where.VISIT, Where.VISIT)
    assert (one.level, two.level, three.level) == (Level.INCOMPLETE, Level.INCOMPLETE, Level.LOOK)
    assert (one.day, one.case, one.visit) == (MARCH_4, 10, WHOLE.uid)


def test_a_check_that_policy_does_not_want_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = rules.policy_on

    def nothing(day: date, name: str) -> Any:
        return "unchecked" if name in list(Check) else real(day, name)

    monkeypatch.setattr(rules, "policy_on", nothing)
    assert check_visits([replace(WHOLE, lines=((2, 15),), intake=None)], replace(AROUND, contracts=[])) == []
    assert check_cases([(1, MARCH)], AROUND) == []
    assert check_drafts([DraftFacts(1, None, MARCH, NOW)], MARCH) == []


@pytest.mark.parametrize("name", ["contract_required", "staff_contract_required"])
def test_contracts_are_not_asked_for_where_policy_does_not_demand_them(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    real = rules.policy_on
    monkeypatch.setattr(rules, "policy_on", lambda day, asked: False if asked == name else real(day, asked))
    around = replace(AROUND, contracts=[], staff={})
    checks = {check for check, _field in found(WHOLE, around)}
    assert checks == {Check.STAFF_CONTRACT if name == "contract_required" else Check.INSTITUTION_CONTRACT}


A_VISIT = st.builds(
    MonthVisit,
    uid=st.uuids(), case=st.integers(1, 5), visit_on=st.dates(MARCH, date(2025, 3, 31)),
    medication_staff=st.sampled_from([None, PHYSICIAN, COUNSELLOR, 9]),
    counselling_staff=st.sampled_from([None, PHYSICIAN, COUNSELLOR]),
    lines=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 28)), max_size=3), first_of_course=st.booleans(),
    with_cigarettes=st.booleans(), next_on=st.none() | st.dates(MARCH, TODAY),
    counselled_on=st.none() | st.dates(MARCH, TODAY),
    intake=st.none() | st.builds(BaselineFacts, st.dates(date(2025, 1, 1), TODAY), st.none() | st.integers(0, 10), st.none()),
)  # fmt: skip


@given(st.lists(A_VISIT, max_size=4), st.integers(0, 90))
def test_visits_are_looked_at_one_by_one_and_what_is_missing_stays_missing_as_time_goes_by(
    visits: list[MonthVisit], days: int
) -> None:
    now, later = (replace(AROUND, today=TODAY + timedelta(days=more)) for more in (0, days))
    alone = [one for visit in visits for one in check_visits([visit], now)]
    assert check_visits(visits, now) == alone
    remaining = [(one.check, one.visit, one.field) for one in check_visits(visits, later)]
    assert all((one.check, one.visit, one.field) in remaining for one in alone)


@given(A_VISIT)
def test_days_that_are_seven_a_week_are_never_missing(visit: MonthVisit) -> None:
    right = replace(visit, lines=[(weeks, 7 * weeks) for weeks, _days in visit.lines])
    assert Check.SUPPLY_DAYS not in [check for check, _field in found(right)]


# --- which visits need be looked at --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contracts", "certificates", "kinds"),
    [
        ([StaffPeriod(ALWAYS, None, True, True)], [], {MEDICATION, COUNSELLING}),
        ([StaffPeriod(MARCH, date(2025, 3, 31), False, True)], [], {COUNSELLING}),
        ([StaffPeriod(ALWAYS, date(2025, 3, 30), True, True)], [], set()),
        ([StaffPeriod(date(2025, 3, 2), None, True, True)], [], set()),
        (
            [StaffPeriod(ALWAYS, MARCH_4, True, False), StaffPeriod(date(2025, 3, 5), None, True, True)], [],
            {MEDICATION},
        ),
        ([StaffPeriod(ALWAYS, None, True, True)], [Validity(None, date(2025, 3, 30))], set()),
        ([StaffPeriod(ALWAYS, None, True, True)], [Validity(None, date(2025, 3, 31))], {MEDICATION, COUNSELLING}),
    ],
)  # fmt: skip
def test_staff_are_in_order_who_lack_nothing_on_any_day_of_the_month(
    contracts: Any, certificates: Any, kinds: set[str]
) -> None:
    around = replace(AROUND, staff={9: contracts}, certificates={9: certificates} if certificates else {})
    assert {kind for kind in (MEDICATION, COUNSELLING) if around.staff_in_order(kind) == [9]} == kinds
    assert (around.days[0], around.days[-1], len(around.days)) == (MARCH, date(2025, 3, 31), 31)


@st.composite
def plain_visits(draw: Any) -> MonthVisit:
    """A visit that queries.MAY_MISS leaves out, seen from AROUND."""
    visit = draw(A_VISIT)
    around = replace(AROUND, staff=AROUND.staff | {9: [StaffPeriod(ALWAYS, None, True, True)]})
    medicated = visit.medication_staff is not None and draw(st.booleans())
    lines = [(weeks, 7 * weeks) for weeks, _days in visit.lines] if medicated else []
    ended = [visit.visit_on + timedelta(days=days) < around.missed_before for _weeks, days in lines]
    plain = replace(
        visit, lines=lines, with_cigarettes=True,
        medication_staff=draw(st.sampled_from(around.staff_in_order(MEDICATION))) if medicated else None,
        counselling_staff=draw(st.sampled_from([None, *around.staff_in_order(COUNSELLING)])),
        next_on=draw(st.dates(visit.visit_on, TODAY)) if any(ended) else visit.next_on,
        first_of_course=medicated and visit.first_of_course,
        intake=None,
    )  # fmt: skip
    if not plain.first_of_course:
        return plain
    until = visit.visit_on + timedelta(days=7)
    counselled_on = draw(st.dates(visit.visit_on, until)) if until < TODAY else visit.counselled_on
    return replace(plain, intake=INTAKE, counselled_on=counselled_on)


@given(plain_visits())
def test_a_visit_that_need_not_be_looked_at_misses_nothing_even_where_policy_wants_every_check(
    visit: MonthVisit,
) -> None:
    around = replace(AROUND, staff=AROUND.staff | {9: [StaffPeriod(ALWAYS, None, True, True)]})
    real = rules.policy_on
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rules, "policy_on", lambda day, name: "incomplete" if name in list(Check) else real(day, name))
        assert check_visits([visit], around) == []


# --- cases and drafts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "expected"), [(14, 0), (15, 1)])
def test_a_case_without_a_visit_is_worth_a_look_after_some_days(days: int, expected: int) -> None:
    opened = TODAY - timedelta(days=days)
    listed = check_cases([(7, opened)], AROUND)
    assert len(listed) == expected
    for one in listed:
        assert one.message == "114/03/17 收案，沒有就醫資料。"
        assert (one.check, one.level, one.case, one.visit, one.where) == (
            Check.CASE_WITHOUT_VISIT, Level.LOOK, 7, None, Where.RECORD
        )  # fmt: skip


def test_a_draft_is_of_the_day_that_was_typed_or_else_kept() -> None:
    typed, kept, change = (
        DraftFacts(1, None, MARCH_4, NOW), DraftFacts(1, None, None, NOW), DraftFacts(1, UUID(int=3), MARCH_4, NOW)
    )  # fmt: skip
    assert [one.day for one in (typed, kept)] == [MARCH_4, TODAY]
    new, changed = check_drafts([typed, change], MARCH)
    assert (new.where, new.message) == (Where.RECORD, "草稿，尚未登錄。")
    assert (changed.where, changed.message) == (Where.VISIT, "修改就醫資料的草稿，尚未送出。")


# --- how a month stands ----------------------------------------------------------------------------------------------------

SEEN = Books(3, 5, NOW - timedelta(days=1))
SIGNED = Signed(NOW, Books(3, 5))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (SEEN, False),
        (Books(3, 5, None), False),
        (Books(3, 5, NOW), False),  # at the very moment: seen
        (Books(3, 6, NOW + timedelta(seconds=1)), True),  # changed
        (Books(4, 6, NOW + timedelta(seconds=1)), True),  # recorded
        (Books(2, 4, NOW - timedelta(days=1)), True),  # moved to another month
        (Books(3, 6, NOW - timedelta(seconds=1)), True),  # was being changed while somebody signed
    ],
)
def test_whatever_happens_to_a_visit_after_the_sign_off_opens_the_month_again(now: Books, expected: bool) -> None:
    assert has_changed(SIGNED, now) is expected


KEPT = {"intakes": [2, 3], "contract": "{[2025-03-01,2025-04-01)}", "staff": {"1": [None, "{}"]}, "certificates": None}


@pytest.mark.parametrize(
    ("kept", "now", "expected"),
    [
        (KEPT, dict(KEPT), []),
        (KEPT, KEPT | {"intakes": [3, 4]}, [Ground.INTAKES]),
        (KEPT, KEPT | {"contract": None}, [Ground.CONTRACT]),
        (KEPT, KEPT | {"staff": None, "certificates": {"1": "{}"}}, [Ground.STAFF, Ground.CERTIFICATES]),
        (None, KEPT, []),  # signed before grounds were kept
        (KEPT, None, []),  # not looked at
    ],
)
def test_what_else_the_page_rests_on_opens_the_month_again_too(kept: Any, now: Any, expected: list[Ground]) -> None:
    signed, books = Signed(NOW, Books(3, 5, grounds=kept)), Books(3, 5, grounds=now)
    assert grounds_changed(signed, books) == expected
    assert (visits_changed(signed, books), has_changed(signed, books)) == (False, bool(expected))
    assert all(one.label for one in Ground)


@pytest.mark.parametrize(
    ("signed", "now", "in_force", "expected"),
    [
        (None, Books(0, 0), 0, Standing.EMPTY),
        (None, Books(2, 3, NOW), 0, Standing.EMPTY),  # all voided
        (None, Books(2, 3, NOW), 1, Standing.OPEN),
        (SIGNED, SEEN, 3, Standing.SIGNED),
        (SIGNED, Books(4, 6, NOW + timedelta(hours=1)), 4, Standing.CHANGED),
        (Signed(NOW, Books(0, 0)), Books(0, 0), 0, Standing.SIGNED),  # an empty month, signed
    ],
)
def test_how_a_month_stands(signed: Signed | None, now: Books, in_force: int, expected: Standing) -> None:
    assert standing(signed, now, in_force) is expected
    assert expected.label
    assert expected.kind in ("", "warn", "ok", "bad")


@pytest.mark.parametrize(
    ("today", "stands", "incomplete", "reason", "expected"),
    [
        (TODAY, Standing.OPEN, 0, "", []),
        (TODAY, Standing.EMPTY, 0, "", []),
        (TODAY, Standing.CHANGED, 0, "", []),
        (TODAY, Standing.OPEN, 2, "待個案回診", []),
        (TODAY, Standing.OPEN, 2, " ", ["reason-missing"]),
        (date(2025, 3, 31), Standing.OPEN, 0, "", ["month-not-over"]),
        (TODAY, Standing.SIGNED, 0, "", ["already-signed"]),
        (TODAY, Standing.OPEN, 0, "字" * REASON_LENGTH, []),
        (TODAY, Standing.OPEN, 0, "字" * (REASON_LENGTH + 1), ["reason-too-long"]),
        (TODAY, Standing.OPEN, 0, "\x00", ["reason-unreadable"]),
        (date(2025, 3, 31), Standing.SIGNED, 1, "", ["month-not-over", "already-signed", "reason-missing"]),
    ],
)
def test_every_reason_why_a_month_cannot_be_signed_off(
    today: date, stands: Standing, incomplete: int, reason: str, expected: list[str]
) -> None:
    problems = check_sign_off(month=MARCH, today=today, standing=stands, incomplete=incomplete, reason=reason)
    assert [problem.code for problem in problems] == expected


def test_where_policy_allows_it_a_month_is_signed_off_before_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "policy_on", lambda day, name: False)
    assert check_sign_off(month=MARCH, today=MARCH_4, standing=Standing.OPEN, incomplete=0, reason="") == []


# --- reminding -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("today", "month"), [(TODAY, MARCH), (date(2025, 4, 30), MARCH), (date(2025, 1, 1), date(2024, 12, 1))]
)
def test_the_month_before_is_looked_through(today: date, month: date) -> None:
    assert month_to_check(today) == month


@given(st.dates(date(2025, 1, 1), date(2027, 12, 31)))
def test_institutions_are_reminded_on_the_days_of_policy(day: date) -> None:
    assert is_reminder_day(day) is (day.day in (1, 10, 15, 18, 20))


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2025, 4, 1, 7, 59, tzinfo=TAIPEI), False),
        (datetime(2025, 4, 1, 8, 0, tzinfo=TAIPEI), True),
        (datetime(2025, 4, 1, 23, 59, tzinfo=TAIPEI), True),
        (datetime(2025, 4, 2, 9, 0, tzinfo=TAIPEI), False),
    ],
)
def test_mail_is_sent_from_an_hour_on(moment: datetime, expected: bool) -> None:
    assert is_time_to_mail(moment) is expected


@pytest.mark.parametrize(
    ("role", "stands", "incomplete", "drafts"),
    list(product([Role.RECORDER, Role.SUPERVISOR], Standing, [0, 2], [0, 1])),
)
def test_who_is_reminded_of_what(role: Role, stands: Standing, incomplete: int, drafts: int) -> None:
    missing = missing_for(role, stands, incomplete, drafts)
    assert missing.drafts == drafts
    assert missing.incomplete == (0 if stands is Standing.SIGNED else incomplete)  # a reason was given
    assert missing.to_sign is (role is Role.SUPERVISOR and stands in (Standing.OPEN, Standing.CHANGED))
    assert bool(missing) is (missing != Missing())
