"""The window, and every reason why a visit is refused (domain.md §2, §6, §6a). Pure: no database."""

import time as clock
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quitledger.policy import TAIPEI, PolicyGap, SelectingDay, format_closing, parameter, parse_moment, policy_on
from quitledger.visits import courses, rules
from quitledger.visits.courses import CourseService
from quitledger.visits.rules import (
    COUNSELLING,
    COUNSELLING_MODES,
    LABELS,
    MEDICATION,
    NOTE_LENGTH,
    REASON_LENGTH,
    Counselling,
    CourseFacts,
    Entry,
    Facts,
    IntakeFacts,
    Line,
    Medication,
    MedicineFacts,
    Period,
    RecordedService,
    RecordedVisit,
    StaffFacts,
    StaffPeriod,
    Timeliness,
    check_extension,
    check_visit,
    eligibility,
    month_closes_at,
    month_of,
    prompt_until,
    recorded_otherwise,
    recording_window,
    timeliness,
)

INSTANT = timedelta(microseconds=1)
DAY = timedelta(days=1)
FIRST_DAY, LAST_DAY = date(2002, 9, 1), date(2900, 12, 31)  # policy's first, and one far off
days = st.dates(FIRST_DAY, LAST_DAY)


# --- The window ---


@pytest.mark.parametrize(
    ("visit_on", "closes_at"),
    [
        (date(2025, 2, 15), "2025-03-21T00:00:00+08:00"),  # the seed: its window closed 114/3/20
        (date(2025, 3, 31), "2025-04-21T00:00:00+08:00"),  # the seed: its own window closes 114/4/20
        (date(2025, 2, 1), "2025-03-21T00:00:00+08:00"),
        (date(2025, 2, 28), "2025-03-21T00:00:00+08:00"),
        (date(2024, 2, 29), "2024-03-21T00:00:00+08:00"),
        (date(2024, 1, 31), "2024-02-21T00:00:00+08:00"),
        (date(2024, 12, 1), "2025-01-21T00:00:00+08:00"),
        (date(2024, 12, 31), "2025-01-21T00:00:00+08:00"),
        (date(2025, 8, 20), "2025-09-21T00:00:00+08:00"),  # a Saturday: holidays do not shift it
    ],
)
def test_a_month_closes_after_the_20th_of_the_next_month(visit_on, closes_at):
    window = recording_window(visit_on)
    assert window.closes_at.isoformat() == closes_at
    assert month_closes_at(visit_on) == window.closes_at
    assert window.opens_at.isoformat() == f"{visit_on}T00:00:00+08:00"


@given(days)
def test_every_day_of_a_month_closes_at_one_moment_in_the_month_after(day):
    closes_at = recording_window(day).closes_at
    assert closes_at == recording_window(month_of(day)).closes_at
    last = closes_at - INSTANT
    assert (last.day, last.time()) == (20, time(23, 59, 59, 999999))
    assert (last.year * 12 + last.month) - (day.year * 12 + day.month) == 1


@given(days, st.none() | st.times())
def test_opening_closing_and_prompt_end_are_moments_of_taipei_without_summer_time(day, at):
    window = recording_window(day, at)
    for moment in (window.opens_at, window.closes_at, window.prompt_until):
        assert moment.utcoffset() == timedelta(hours=8)
    assert window.opens_at < window.prompt_until <= window.opens_at + 2 * DAY < window.closes_at


@pytest.fixture(params=["UTC", "America/New_York", "Pacific/Kiritimati", "Asia/Taipei"])
def server_zone(request, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        clock.tzset()
        yield ZoneInfo(request.param)
    clock.tzset()


def test_the_time_zone_of_the_server_does_not_matter(server_zone):
    assert datetime(2025, 3, 20).astimezone().utcoffset() == server_zone.utcoffset(datetime(2025, 3, 20))
    window = recording_window(date(2025, 2, 15), time(9, 20))
    assert window.closes_at == datetime(2025, 3, 20, 16, tzinfo=UTC)
    assert window.prompt_until == datetime(2025, 2, 16, 1, 20, tzinfo=UTC)
    last = (window.closes_at - INSTANT).astimezone(server_zone)
    assert window.is_open(last)
    assert not window.is_open(last + INSTANT)
    assert format_closing(window.closes_at.astimezone(server_zone)) == "114/03/20 24:00"
    late = visit(visit_on=date(2025, 2, 15))
    assert "window-closed" not in codes(late, known(moment=last))
    assert "window-closed" in codes(late, known(moment=last + INSTANT))


@given(days, st.floats(-3, 60))
def test_a_window_is_open_from_its_first_moment_to_the_one_before_closing(day, offset):
    window = recording_window(day)
    moment = window.opens_at + timedelta(days=offset)
    assert window.is_open(moment) == (window.opens_at <= moment < window.closes_at)
    assert window.is_open(window.opens_at)
    assert not window.is_open(window.opens_at - INSTANT)
    assert window.is_open(window.closes_at - INSTANT)
    assert not window.is_open(window.closes_at)


def test_an_extended_month_closes_when_its_record_says():
    extended = parse_moment("114/3/25 12:00")
    window = recording_window(date(2025, 2, 15), closes_at=extended)
    assert window.closes_at == extended
    assert window.is_open(extended - INSTANT)
    assert not window.is_open(extended)


def test_a_month_before_the_programme_has_no_window():
    with pytest.raises(PolicyGap):
        recording_window(date(2002, 8, 31))


def test_each_number_of_the_window_is_that_of_the_service_months_first_day(monkeypatch):
    asked = recorded_questions(monkeypatch)
    recording_window(date(2025, 2, 15))
    assert asked == {
        "recording_window_last_day": {date(2025, 2, 1)},
        "recording_window_closing_hour": {date(2025, 2, 1)},
        "recording_promptly_hours": {date(2025, 2, 1)},
    }


# --- Promptness ---


@pytest.mark.parametrize(
    ("visit_time", "until"),
    [
        (None, "114/02/17 00:00"),
        (time(0, 0), "114/02/16 00:00"),
        (time(9, 20), "114/02/16 09:20"),
        (time(23, 59, 59), "114/02/16 23:59:59"),
    ],
)
def test_24_hours_count_from_the_time_of_service_or_from_the_end_of_its_day(visit_time, until):
    day = date(2025, 2, 15)
    assert prompt_until(day, visit_time, 24) == parse_moment(until)
    assert recording_window(day, visit_time).prompt_until == parse_moment(until)


@pytest.mark.parametrize(
    ("recorded_at", "expected"),
    [
        ("114/2/15 09:20", Timeliness.PROMPT),
        ("114/2/16 23:59:59.999999", Timeliness.PROMPT),
        ("114/2/17 00:00", Timeliness.IN_WINDOW),
        ("114/3/20 23:59:59.999999", Timeliness.IN_WINDOW),
        ("114/3/21 00:00", Timeliness.LATE),
        ("114/4/1 09:30", Timeliness.LATE),
    ],
)
def test_a_visit_is_prompt_within_the_window_or_late(recorded_at, expected):
    assert timeliness(recording_window(date(2025, 2, 15)), parse_moment(recorded_at)) is expected


@given(days, st.none() | st.times(), st.lists(st.floats(0, 90), min_size=2, max_size=2).map(sorted))
def test_recording_later_is_never_more_timely(day, at, offsets):
    window, order = recording_window(day, at), list(Timeliness)
    earlier, later = (timeliness(window, window.opens_at + timedelta(days=offset)) for offset in offsets)
    assert order.index(earlier) <= order.index(later)


def test_the_tags_are_the_words_of_the_pages():
    assert [entry.label for entry in Timeliness] == ["24 小時內", "期限內", "補登"]


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("114/3/21 00:00", "114/03/20 24:00"),
        ("115/1/1 00:00", "114/12/31 24:00"),
        ("113/3/1 00:00", "113/02/29 24:00"),
        ("114/3/25 12:00", "114/03/25 12:00"),
        ("114/3/21 00:01", "114/03/21 00:01"),
        ("2025-03-20T16:00:00Z", "114/03/20 24:00"),
    ],
)
def test_a_closing_moment_at_midnight_belongs_to_the_day_that_ends(moment, text):
    assert format_closing(parse_moment(moment)) == text


@given(days)
def test_the_closing_as_shown_is_read_back_as_the_closing_moment(day):
    closes_at = month_closes_at(day)
    assert parse_moment(format_closing(closes_at)) == closes_at


# --- A visit: what is typed, what is known ---

TODAY = date(2025, 4, 1)
NOW = parse_moment("114/4/1 09:30")
PHYSICIAN, COUNSELLOR, STRANGER = (UUID(int=number) for number in (1, 2, 3))
PATCH, GUM, OLD_PATCH = "DEMO000001", "DEMO000002", "DEMO000003"
SOME_MEDICINE = Medication(PHYSICIAN, (Line(PATCH, 2),))
SOME_COUNSELLING = Counselling(COUNSELLOR)
INTAKE = IntakeFacts(TODAY, 6, 20, True)

BOTH = Entry(UUID(int=100), TODAY, time(9, 20), SOME_MEDICINE, SOME_COUNSELLING, False, 12, 15, "第一次就醫。")
KNOWN = Facts(
    moment=NOW,
    closes_at=parse_moment("114/5/21"),
    birth_on=date(1980, 1, 1),
    sex="female",
    contracts=[Period(date(2020, 1, 1), None)],
    staff={
        PHYSICIAN: StaffFacts("醫師 示範丑", (StaffPeriod(date(2020, 1, 1), None, True, False),)),
        COUNSELLOR: StaffFacts("衛教師 示範寅", (StaffPeriod(date(2020, 1, 1), None, False, True),)),
    },
    medicines={
        PATCH: MedicineFacts(date(2020, 1, 1), None, "示範貼片"),
        GUM: MedicineFacts(date(2020, 1, 1), None, "示範嚼錠"),
        OLD_PATCH: MedicineFacts(date(2020, 1, 1), date(2025, 3, 31), "示範舊貼片"),
    },
    baselines=[INTAKE],
)


def visit(**changes):
    """A visit with both services; on another day without a time, so that it never lies in the future by its time."""
    return replace(BOTH, **({"visit_time": None} if "visit_on" in changes else {}) | changes)


def medicated(*lines, **changes):
    return visit(medication=Medication(PHYSICIAN, lines), **changes)


def known(**changes):
    """What is known; the closing moment of another month is left to policy. Courses see the services, a week each."""
    if "services" in changes:
        changes = {"courses": courses_seeing(changes["services"])} | changes
    return replace(KNOWN, **({"closes_at": None} if "moment" in changes else {}) | changes)


def courses_seeing(services):
    return CourseFacts([
        CourseService(number, one.kind, one.visit_on, None, 1 if one.kind == MEDICATION else 0, 0, 0)
        for number, one in enumerate(services)
    ])  # fmt: skip


def codes(entry, facts=KNOWN):
    return [problem.code for problem in check_visit(entry, facts)]


def only(entry, facts=KNOWN):
    (problem,) = check_visit(entry, facts)
    return problem


def recorded_questions(monkeypatch):
    asked = {}

    def ask(day, name):
        asked.setdefault(name, set()).add(day)
        return policy_on(day, name)

    monkeypatch.setattr(rules, "policy_on", ask)
    monkeypatch.setattr(courses, "policy_on", ask)
    return asked


def with_policy(monkeypatch, **values):
    monkeypatch.setattr(rules, "policy_on", lambda day, name: values.get(name, policy_on(day, name)))


@pytest.mark.parametrize(
    "entry",
    [
        BOTH,
        visit(counselling=None),
        visit(medication=None),
        visit(visit_time=None, cigarettes_per_day=None, co_ppm=None, note=""),
        visit(cigarettes_per_day=0, co_ppm=0),
        visit(note="𠮷" * NOTE_LENGTH),
        visit(counselling=Counselling(COUNSELLOR, "telephone")),
        medicated(Line(PATCH, 1), Line(GUM, 4)),
        medicated(Line(PATCH, 4, 1), Line(GUM, 1, 28)),
    ],
)
def test_a_visit_in_order_has_no_problem(entry):
    assert check_visit(entry, KNOWN) == []


def test_the_services_of_a_visit_are_those_typed():
    assert BOTH.kinds == {MEDICATION: PHYSICIAN, COUNSELLING: COUNSELLOR}
    assert visit(medication=None).kinds == {COUNSELLING: COUNSELLOR}
    assert visit(medication=None, counselling=None).kinds == {}
    assert LABELS.keys() == BOTH.kinds.keys()


@pytest.mark.parametrize(("typed", "supply_days"), [(None, 14), (10, 10), (0, 0)])
def test_a_week_of_supply_is_seven_days_where_none_were_typed(typed, supply_days):
    assert Line(PATCH, 2, typed).supply_days == supply_days


@pytest.mark.parametrize(
    ("period", "inside"),
    [
        (Period(TODAY, TODAY), True),
        (Period(TODAY, None), True),
        (Period(TODAY - DAY, TODAY + DAY), True),
        (Period(TODAY + DAY, None), False),
        (Period(TODAY - DAY, TODAY - DAY), False),
    ],
)
def test_a_period_contains_its_first_and_its_last_day(period, inside):
    assert period.contains(TODAY) == inside


# --- Each reason for refusal: its code, field and policy, and a message that names the rule and the next step ---

MARCH_INTAKE = [IntakeFacts(date(2025, 3, 1), 6, 20, True)]
REFUSALS = {
    "no service": (
        visit(medication=None, counselling=None),
        KNOWN,
        ("service-missing", "services", None),
        "請選擇本次服務：用藥、衛教，或兩者。",
    ),
    "a day that has not come": (
        visit(visit_on=TODAY + DAY),
        KNOWN,
        ("visit-in-future", "visit_on", None),
        "就醫日期 114/04/02 還沒到。今天是 114/04/01，請填實際就醫的日期。",
    ),
    "a time that has not come": (
        visit(visit_time=time(9, 31)),
        KNOWN,
        ("visit-time-in-future", "visit_time", None),
        "就醫時間 09:31 還沒到，請填實際就醫的時間，或留白。",
    ),
    "before birth": (
        visit(medication=None),
        known(birth_on=TODAY + DAY),
        ("visit-before-birth", "visit_on", None),
        "就醫日期 114/04/01 早於出生日期，請確認這兩個日期。",
    ),
    "window closed": (
        visit(visit_on=date(2025, 2, 15), medication=None),
        known(moment=NOW),
        ("window-closed", "visit_on", "recording_window_last_day"),
        "114 年 2 月的登錄期限 114/03/20 24:00 已過，貴機構不能再自行新增。可向管理窗口申請補登。",
    ),
    "extended window closed": (
        visit(visit_on=date(2025, 2, 15), medication=None),
        known(closes_at=parse_moment("114/3/25 12:00")),
        ("window-closed", "visit_on", "recording_window_last_day"),
        "114 年 2 月的登錄期限 114/03/25 12:00 已過，貴機構不能再自行新增。可向管理窗口申請補登。",
    ),
    "institution not contracted": (
        BOTH,
        known(contracts=[Period(date(2020, 1, 1), TODAY - DAY), Period(TODAY + DAY, None)]),
        ("institution-not-contracted", "visit_on", "contract_required"),
        "貴機構在 114/04/01 沒有戒菸服務合約，不能登錄當日的服務。請確認就醫日期，或洽管理窗口。",
    ),
    "nobody who prescribed": (
        visit(medication=Medication(None, (Line(PATCH, 2),))),
        KNOWN,
        ("staff-missing", "medication_staff", None),
        "請選擇用藥人員。",
    ),
    "nobody who counselled": (
        visit(counselling=Counselling(None)),
        KNOWN,
        ("staff-missing", "counselling_staff", None),
        "請選擇衛教人員。",
    ),
    "unknown staff": (
        visit(counselling=Counselling(STRANGER)),
        KNOWN,
        ("staff-unknown", "counselling_staff", None),
        "找不到這位衛教人員，請從名單中選擇。",
    ),
    "staff contract ended": (
        BOTH,
        known(
            staff=KNOWN.staff
            | {
                COUNSELLOR: StaffFacts(
                    "衛教師 示範寅",
                    (
                        StaffPeriod(date(2022, 1, 1), date(2022, 12, 31), False, True),
                        StaffPeriod(date(2024, 1, 1), date(2025, 3, 31), False, True),
                        StaffPeriod(date(2023, 1, 1), date(2023, 12, 31), False, True),
                        StaffPeriod(date(2025, 4, 2), date(2025, 12, 31), False, True),
                    ),
                )
            }
        ),
        ("staff-not-contracted", "counselling_staff", "staff_contract_required"),
        "衛教師 示範寅 的人員合約到 114/03/31 為止，請改選當日在約人員。",
    ),
    "staff contract not begun": (
        BOTH,
        known(
            staff=KNOWN.staff | {PHYSICIAN: StaffFacts("醫師 示範丑", (StaffPeriod(TODAY + DAY, None, True, True),))}
        ),
        ("staff-not-contracted", "medication_staff", "staff_contract_required"),
        "醫師 示範丑 在 114/04/01 沒有人員合約，請改選當日在約人員。",
    ),
    "staff may not medicate": (
        visit(medication=Medication(COUNSELLOR, (Line(PATCH, 2),))),
        KNOWN,
        ("staff-not-permitted", "medication_staff", "staff_contract_required"),
        "衛教師 示範寅 的人員合約不含用藥，請改選可提供用藥的人員。",
    ),
    "staff may not counsel": (
        visit(counselling=Counselling(PHYSICIAN)),
        KNOWN,
        ("staff-not-permitted", "counselling_staff", "staff_contract_required"),
        "醫師 示範丑 的人員合約不含衛教，請改選可提供衛教的人員。",
    ),
    "no medicine": (
        medicated(),
        KNOWN,
        ("medicine-missing", "lines-0-medicine", None),
        "請至少選擇一項藥品並填週數。",
    ),
    "unknown medicine": (
        medicated(Line(PATCH, 2), Line("", 2), Line("", 2, 14)),
        KNOWN,
        [("medicine-unknown", f"lines-{number}-medicine", None) for number in (1, 2)],
        "找不到這項藥品，請從清單中選擇。",
    ),
    "medicine not listed": (
        medicated(Line(OLD_PATCH, 2)),
        KNOWN,
        ("medicine-not-listed", "lines-0-medicine", "listed_medicine_required"),
        "示範舊貼片 在 114/04/01 不在補助品項內，請改選當日的補助品項。",
    ),
    "medicine twice": (
        medicated(Line(PATCH, 2), Line(GUM, 2), Line(PATCH, 1)),
        KNOWN,
        ("medicine-twice", "lines-2-medicine", None),
        "同一項藥品請合併成一列。",
    ),
    "no weeks": (
        medicated(Line(PATCH, 0)),
        KNOWN,
        ("weeks-missing", "lines-0-supply_weeks", None),
        "週數至少 1 週。",
    ),
    "too many weeks": (
        medicated(Line(PATCH, 6)),
        KNOWN,
        ("weeks-above-limit", "lines-0-supply_weeks", "weeks_per_visit"),
        "每次用藥最多 4 週，您填了 6 週。",
    ),
    "too many days": (
        medicated(Line(PATCH, 4, 29)),
        KNOWN,
        ("days-above-limit", "lines-0-supply_days", "weeks_per_visit"),
        "天數應在 1 到 28 天之間（每次用藥最多 4 週），您填了 29 天。",
    ),
    "no days": (
        medicated(Line(PATCH, 4, 0)),
        KNOWN,
        ("days-above-limit", "lines-0-supply_days", "weeks_per_visit"),
        "天數應在 1 到 28 天之間（每次用藥最多 4 週），您填了 0 天。",
    ),
    "same service on the same day": (
        visit(medication=None),
        known(services=[RecordedService(UUID(int=9), TODAY, COUNSELLING)]),
        ("visit-exists", "visit_on", "same_day_visits"),
        "114/04/01 已登錄過衛教。同一天同一項服務只登錄一次，請到就醫資料查詢確認那一筆。",
    ),
    "less than 5 days": (
        visit(counselling=None),
        known(services=[RecordedService(UUID(int=9), date(2025, 3, 31), MEDICATION)], baselines=MARCH_INTAKE),
        ("visit-too-near", "visit_on", "visit_spacing_days"),
        "用藥與 114/03/31 間隔小於 5 日。同項服務最早可登錄 114/04/05。若真正就醫日是別天，請改就醫日期。",
    ),
    "no intake": (
        BOTH,
        known(baselines=[]),
        ("baseline-missing", "baseline", "minimum_ftnd_score"),
        "尚無收案評估，缺尼古丁成癮度或每日支數，還不能用藥。請先完成收案評估；衛教可以先登錄。",
    ),
    "intake too old": (
        BOTH,
        known(baselines=[replace(INTAKE, taken_on=TODAY - 40 * DAY), replace(INTAKE, taken_on=TODAY - 31 * DAY)]),
        ("baseline-too-old", "baseline", "baseline_validity_days"),
        "114/03/01 的收案評估距療程首日 114/04/01 超過 30 日，請重新評估。",
    ),
    "intake after the course began": (
        visit(visit_on=TODAY - DAY),
        KNOWN,
        ("baseline-after-course", "baseline", "baseline_validity_days"),
        "114/04/01 的收案評估晚於療程首日 114/03/31，不能作為這個療程的依據。請確認評估日期。",
    ),
    "not dependent enough": (
        BOTH,
        known(baselines=[replace(INTAKE, ftnd_score=3, cigarettes_per_day=9)]),
        ("dependence-below-minimum", "baseline", "minimum_ftnd_score"),
        "收案評估 114/04/01：尼古丁成癮度 3 分、每日 9 支。"
        "用藥須尼古丁成癮度 4 分以上，或每日 10 支以上；可以登錄衛教。",
    ),
    "neither score nor cigarettes": (
        BOTH,
        known(baselines=[replace(INTAKE, ftnd_score=None, cigarettes_per_day=None)]),
        ("baseline-values-missing", "baseline", "minimum_ftnd_score"),
        "114/04/01 的收案評估缺尼古丁成癮度與每日支數，還不能用藥。請至少補一項；衛教可以先登錄。",
    ),
    "insurance not asked": (
        BOTH,
        known(baselines=[replace(INTAKE, insured=None)]),
        ("insured-unknown", "insured", "insured_required"),
        "還不知道有沒有健保身分，不能用藥。請先確認並登錄健保身分；衛教可以先登錄。",
    ),
    "not insured": (
        BOTH,
        known(baselines=[replace(INTAKE, insured=False)]),
        ("not-insured", "insured", "insured_required"),
        "沒有健保身分，不能登錄用藥；可以登錄衛教。身分若有變更，請先更新基本資料。",
    ),
    "under age": (
        BOTH,
        known(birth_on=date(2007, 4, 2)),
        ("under-age", "birth_on", "medication_minimum_age"),
        "就醫日 114/04/01 未滿 18 歲，不能用藥；可以登錄衛教。",
    ),
    "pregnant": (
        visit(pregnant=True),
        KNOWN,
        ("pregnant", "pregnant", "pregnancy_excludes_medication"),
        "就醫日 114/04/01 懷孕中，不能用藥；可以登錄衛教。",
    ),
    "pregnant man": (
        visit(medication=None, pregnant=True),
        known(sex="male"),
        ("pregnant-male", "pregnant", None),
        "基本資料的性別是男性，懷孕應為「否」。請確認這兩項。",
    ),
    "implausible cigarettes": (
        visit(cigarettes_per_day=201),
        KNOWN,
        ("value-implausible", "cigarettes_per_day", None),
        "每日支數（支）應在 0 到 200 之間，請再確認。",
    ),
    "implausible reading": (
        visit(co_ppm=-1),
        KNOWN,
        ("value-implausible", "co_ppm", None),
        "一氧化碳（ppm）應在 0 到 200 之間，請再確認。",
    ),
    "note too long": (
        visit(note="𠮷" * (NOTE_LENGTH + 1)),
        KNOWN,
        ("note-too-long", "note", None),
        "備註最多 500 字，您填了 501 字。",
    ),
    "note with NUL": (
        visit(note="a\x00b"),
        KNOWN,
        ("note-unreadable", "note", None),
        "備註有無法儲存的字元，請刪除後重填。",
    ),
    "note with half a character": (
        visit(note="\ud842"),
        KNOWN,
        ("note-unreadable", "note", None),
        "備註有無法儲存的字元，請刪除後重填。",
    ),
    "unknown mode": (
        visit(counselling=Counselling(COUNSELLOR, "by_letter")),
        KNOWN,
        ("mode-unknown", "counselling_mode", None),
        "請選擇衛教方式：面對面或電話。",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_each_refusal_names_its_rule_and_what_to_do_next(case):
    entry, facts, expected, message = REFUSALS[case]
    expected = expected if isinstance(expected, list) else [expected]
    problems = check_visit(entry, facts)
    assert [(problem.code, problem.field, problem.policy) for problem in problems] == expected
    assert {problem.message for problem in problems} == {message}
    assert message.endswith("。")


def test_everything_wrong_with_a_visit_is_told_at_once():
    wrong = Entry(
        UUID(int=100),
        TODAY,
        time(23, 59),
        Medication(STRANGER, (Line(OLD_PATCH, 9, 99), Line("", 0), Line(OLD_PATCH, 4))),
        Counselling(None, "by_letter"),
        True,
        999,
        999,
        "\x00" * 501,
    )
    facts = known(
        closes_at=NOW,
        birth_on=TODAY + DAY,
        sex="male",
        contracts=[],
        baselines=[],
        services=[
            RecordedService(UUID(int=8), TODAY, COUNSELLING),
            RecordedService(UUID(int=9), TODAY - 4 * DAY, MEDICATION),
            RecordedService(UUID(int=7), TODAY + 4 * DAY, COUNSELLING),
        ],
        same_day=RecordedVisit(UUID(int=8), time(8, 0), 30, 40, "不同", False),
    )
    assert codes(wrong, facts) == [
        "visit-time-in-future",
        "visit-before-birth",
        "window-closed",
        "institution-not-contracted",
        "staff-unknown",
        "staff-missing",
        "medicine-not-listed",
        "weeks-above-limit",
        "days-above-limit",
        "medicine-unknown",
        "weeks-missing",
        "medicine-not-listed",
        "medicine-twice",
        "visit-exists",
        "visit-value-differs",
        "visit-value-differs",
        "visit-value-differs",
        "visit-value-differs",
        "visit-too-near",
        "visit-too-near",
        "under-age",
        "pregnant",
        "baseline-missing",
        "value-implausible",
        "value-implausible",
        "pregnant-male",
        "note-too-long",
        "note-unreadable",
        "mode-unknown",
    ]


def test_every_problem_belongs_to_a_field_and_its_policy_exists():
    for entry, facts, _, _ in REFUSALS.values():
        for problem in check_visit(entry, facts):
            assert problem.field
            assert problem.policy is None or parameter(problem.policy)


# --- Day and window ---


def test_the_day_is_that_of_taipei_whatever_the_zone_of_the_moment():
    entry = visit(visit_on=TODAY)
    assert codes(entry, known(moment=datetime(2025, 3, 31, 16, 0, tzinfo=UTC))) == []
    assert codes(entry, known(moment=datetime(2025, 3, 31, 15, 59, tzinfo=UTC))) == ["visit-in-future"]


def test_the_day_of_birth_is_not_before_birth():
    assert codes(visit(medication=None), known(birth_on=TODAY)) == []


def test_a_visit_of_this_very_minute_is_not_in_the_future():
    assert codes(visit(visit_time=time(9, 30)), known(moment=NOW)) == []
    assert codes(visit(visit_time=time(9, 30)), known(moment=NOW - INSTANT)) == ["visit-time-in-future"]


def test_a_visit_is_recorded_until_the_last_instant_and_refused_at_closing():
    for extended in (None, parse_moment("114/5/31 18:00")):
        closes_at = extended or month_closes_at(TODAY)
        assert codes(BOTH, known(closes_at=extended, moment=closes_at - INSTANT)) == []
        assert codes(BOTH, known(closes_at=extended, moment=closes_at)) == ["window-closed"]


@pytest.mark.parametrize("day", [date(2910, 12, 31), date(9999, 12, 31)])
def test_the_end_of_the_calendar_is_a_day_in_the_future_like_any_other(day):
    assert "visit-in-future" in codes(visit(visit_on=day), known(moment=NOW))


def test_where_policy_says_nothing_the_visit_is_refused_and_each_unknown_rule_named():
    entry = visit(visit_on=FIRST_DAY - DAY, note="\x00")
    problems = check_visit(entry, known(moment=datetime(2002, 9, 2, tzinfo=TAIPEI), birth_on=date(2002, 12, 1)))
    assert [(problem.code, problem.policy) for problem in problems] == [
        ("visit-before-birth", None),
        ("policy-unknown", "recording_window_last_day"),
        ("policy-unknown", "contract_required"),
        ("policy-unknown", "staff_contract_required"),
        ("policy-unknown", "weeks_per_visit"),
        ("policy-unknown", "courses_per_year"),
        ("policy-unknown", "baseline_validity_days"),
        ("note-unreadable", None),
    ]
    assert problems[1].message == ("「登錄期限的截止日（次月）」在 91/09/01 以前沒有規定值。還不能登錄，請洽管理窗口。")
    assert problems[1].field == "visit_on"


def test_each_rule_is_asked_for_on_its_own_day(monkeypatch):
    asked = recorded_questions(monkeypatch)
    course = TODAY - 20 * DAY
    services = [
        RecordedService(UUID(int=9), course, MEDICATION),
        RecordedService(UUID(int=8), TODAY - 2 * DAY, COUNSELLING),
    ]
    seen = courses_seeing([RecordedService(UUID(int=9), course, kind) for kind in (MEDICATION, COUNSELLING)])
    facts = known(moment=NOW, services=services, courses=seen, baselines=[replace(INTAKE, taken_on=course)])
    assert codes(medicated(Line(OLD_PATCH, 2)), facts) == ["medicine-not-listed", "visit-too-near"]
    spacing = asked.pop("visit_spacing_days")
    assert parameter("visit_spacing_days").day is SelectingDay.EARLIER_DAY
    assert spacing == {course, TODAY - 2 * DAY}
    day_of = {
        SelectingDay.SERVICE_MONTH: month_of(TODAY),
        SelectingDay.VISIT_DAY: TODAY,
        SelectingDay.COURSE_FIRST_DAY: course,
    }
    assert asked == {name: {day_of[parameter(name).day]} for name in asked}
    assert asked.keys() == {
        "recording_window_last_day",
        "recording_window_closing_hour",
        "contract_required",
        "staff_contract_required",
        "weeks_per_visit",
        "listed_medicine_required",
        "course_days",
        "course_weeks",
        "course_counselling_visits",
        "courses_per_year",
    }


def test_a_programme_without_contracts_and_lists_asks_for_none(monkeypatch):
    with_policy(monkeypatch, contract_required=False, staff_contract_required=False, listed_medicine_required=False)
    nobody = {PHYSICIAN: StaffFacts("醫師 示範丑", ()), COUNSELLOR: StaffFacts("衛教師 示範寅", ())}
    assert codes(medicated(Line(OLD_PATCH, 2)), known(contracts=[], staff=nobody)) == []
    assert codes(visit(counselling=Counselling(STRANGER)), known(contracts=[])) == ["staff-unknown"]


# --- Weeks and days ---


@given(st.integers(-2, 60), st.none() | st.integers(-2, 60))
def test_weeks_run_from_1_to_4_and_days_from_1_to_28(weeks, supply_days):
    found = codes(medicated(Line(PATCH, weeks, supply_days)))
    assert ("weeks-missing" in found) == (weeks < 1)
    assert ("weeks-above-limit" in found) == (weeks > 4)
    supply_fits = supply_days in (None, weeks * 7) or 1 <= supply_days <= 28
    assert ("days-above-limit" in found) == (not supply_fits)
    assert (found == []) == (1 <= weeks <= 4 and supply_fits)


@pytest.mark.parametrize(("day", "weeks", "expected"), [
    (date(2012, 2, 29), 2, []),
    (date(2012, 2, 29), 3, ["weeks-above-limit"]),
    (date(2012, 3, 1), 4, []),
    (date(2012, 3, 1), 5, ["weeks-above-limit"]),
])  # fmt: skip
def test_the_weeks_allowed_are_those_of_the_visit_day(day, weeks, expected):
    always = [Period(date(2002, 9, 1), None)]
    facts = known(
        moment=datetime.combine(day, time(12), TAIPEI),
        contracts=always,
        staff={PHYSICIAN: StaffFacts("醫師 示範丑", (StaffPeriod(date(2002, 9, 1), None, True, True),))},
        medicines={PATCH: MedicineFacts(date(2002, 9, 1), None, "示範貼片")},
        baselines=[replace(INTAKE, taken_on=day)],
    )
    assert codes(medicated(Line(PATCH, weeks), visit_on=day, counselling=None), facts) == expected


# --- One visit a day ---

MORNING = RecordedVisit(UUID(int=9), time(8, 0), 12, 15, "上午看診。", False)


def counselled_today(**values):
    return known(services=[RecordedService(MORNING.uid, TODAY, COUNSELLING)], same_day=replace(MORNING, **values))


def medicated_today(**values):
    return known(services=[RecordedService(MORNING.uid, TODAY, MEDICATION)], same_day=replace(MORNING, **values))


@pytest.mark.parametrize(
    "typed",
    [
        {"visit_time": None, "cigarettes_per_day": None, "co_ppm": None, "note": ""},
        {"visit_time": MORNING.visit_time, "cigarettes_per_day": 12, "co_ppm": 15, "note": MORNING.note},
    ],
)
def test_the_other_service_of_a_day_joins_with_equal_or_empty_values(typed):
    assert codes(visit(counselling=None, **typed), counselled_today()) == []
    assert codes(visit(medication=None, **typed), medicated_today()) == []


def test_the_other_service_of_a_day_fills_what_was_left_empty():
    empty = {"visit_time": None, "cigarettes_per_day": None, "co_ppm": None, "note": ""}
    assert codes(visit(counselling=None), counselled_today(**empty)) == []


def test_values_that_differ_from_the_visit_of_the_day_are_named_each_at_its_field():
    entry = visit(counselling=None, cigarettes_per_day=0, co_ppm=0, note="下午看診。")
    problems = check_visit(entry, counselled_today())
    assert [(problem.code, problem.field) for problem in problems] == [
        ("visit-value-differs", name) for name in ("visit_time", "cigarettes_per_day", "co_ppm", "note")
    ]
    joins = "與您填的不同。這次服務會併入同一筆就醫資料，請填相同的內容或留白。"
    assert [problem.message for problem in problems] == [
        f"114/04/01 已登錄的就醫時間是「08:00」，{joins}",
        f"114/04/01 已登錄的平均每日支數是「12 支」，{joins}",
        f"114/04/01 已登錄的一氧化碳是「15 ppm」，{joins}",
        f"114/04/01 已登錄的備註是「上午看診。」，{joins}",
    ]


def test_a_recorded_zero_is_a_value_like_any_other():
    problem = only(visit(counselling=None, visit_time=None, note=""), counselled_today(cigarettes_per_day=0))
    assert (problem.field, "「0 支」" in problem.message) == ("cigarettes_per_day", True)


def test_a_service_recorded_already_is_the_only_thing_said_about_a_repeated_visit():
    assert codes(visit(medication=None), counselled_today()) == ["visit-exists"]
    both = replace(
        counselled_today(), services=[RecordedService(MORNING.uid, TODAY, kind) for kind in (MEDICATION, COUNSELLING)]
    )
    assert codes(BOTH, both) == ["visit-exists", "visit-exists"]


def test_of_two_services_the_recorded_one_is_refused_and_the_values_of_the_other_compared():
    assert codes(visit(co_ppm=16, visit_time=None, note=""), counselled_today()) == [
        "visit-exists",
        "visit-value-differs",
    ]


def test_a_pregnancy_recorded_with_the_counselling_of_the_day_excludes_medication():
    entry = visit(counselling=None, visit_time=None, note="")
    assert codes(entry, counselled_today(pregnant=True)) == ["pregnant"]
    facts = counselled_today(pregnant=True)
    assert not eligibility(facts.courses.service(MEDICATION, TODAY, None, 1), False, facts).eligible


def test_a_pregnancy_noticed_after_the_medication_of_the_day_is_not_joined_in_silence():
    entry = visit(medication=None, visit_time=None, note="", pregnant=True)
    problem = only(entry, medicated_today())
    assert (problem.code, problem.field) == ("visit-value-differs", "pregnant")
    assert problem.message == (
        "114/04/01 已登錄用藥，懷孕是「否」，與您填的不同。請確認是否懷孕；確為懷孕時，請到該筆修改。"
    )
    assert codes(entry, medicated_today(pregnant=True)) == []


def test_a_form_sent_again_with_other_contents_is_pointed_to_the_record():
    problem = recorded_otherwise(BOTH)
    assert (problem.code, problem.field) == ("visit-recorded-otherwise", "visit_on")
    assert problem.message == (
        "這張表單剛才已登錄為 114/04/01 的就醫資料，但這次送出的內容不同。請開啟該筆查看，要改內容請用登錄資料修改。"
    )


# --- Spacing ---


def spaced(kind, *offsets):
    """The days of a kind recorded before (-) and after (+) today; a baseline that counts for the course is there."""
    services = [
        RecordedService(UUID(int=9 + index), TODAY + offset * DAY, kind) for index, offset in enumerate(offsets)
    ]
    return known(services=services, baselines=[replace(INTAKE, taken_on=TODAY + min(0, *offsets) * DAY)])


ONE_KIND = {MEDICATION: visit(counselling=None), COUNSELLING: visit(medication=None)}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize(
    ("offset", "refused"),
    [(-6, False), (-5, False), (-4, True), (-1, True), (1, True), (4, True), (5, False), (6, False)],
)
def test_services_of_one_kind_are_5_days_apart_in_either_direction(kind, offset, refused):
    assert codes(ONE_KIND[kind], spaced(kind, offset)) == (["visit-too-near"] if refused else [])


@pytest.mark.parametrize(("entered", "recorded"), [(MEDICATION, COUNSELLING), (COUNSELLING, MEDICATION)])
def test_a_service_of_the_other_kind_may_be_near(entered, recorded):
    assert codes(ONE_KIND[entered], spaced(recorded, -1, 1)) == []


def test_the_day_itself_is_not_too_near_but_refused_as_recorded():
    assert codes(ONE_KIND[COUNSELLING], spaced(COUNSELLING, 0, 0)) == ["visit-exists"]


@pytest.mark.parametrize(
    ("offsets", "named", "earliest"),
    [
        ((-1,), "114/03/31", "114/04/05"),
        ((2,), "114/04/03", "114/04/08"),
        ((4, -4), "114/03/28、114/04/05", "114/04/10"),
        ((-1, 4), "114/03/31、114/04/05", "114/04/10"),
        ((-1, 6, 12), "114/03/31", "114/04/18"),  # 04/05 lies too near to 04/07, 04/12 too near to 04/13
        ((-1, 9, 20), "114/03/31", "114/04/05"),
    ],
)
def test_the_refusal_names_the_near_days_and_the_first_free_one(offsets, named, earliest):
    problem = only(ONE_KIND[COUNSELLING], spaced(COUNSELLING, *offsets))
    assert problem.message == (
        f"衛教與 {named} 間隔小於 5 日。同項服務最早可登錄 {earliest}。若真正就醫日是別天，請改就醫日期。"
    )


def test_both_services_of_a_visit_are_compared_each_with_its_own_kind():
    services = [RecordedService(UUID(int=9), TODAY - 2 * DAY, kind) for kind in (MEDICATION, COUNSELLING)]
    facts = known(services=services, baselines=[replace(INTAKE, taken_on=TODAY - 2 * DAY)])
    assert [problem.message[:3] for problem in check_visit(BOTH, facts)] == ["用藥與", "衛教與"]


@given(st.sets(st.integers(-40, 40), max_size=12))
def test_a_day_is_refused_exactly_when_another_is_near_and_the_day_offered_is_free(offsets):
    facts = known(
        moment=NOW + 90 * DAY,
        closes_at=NOW + 90 * DAY + INSTANT,
        services=[RecordedService(UUID(int=9), TODAY + offset * DAY, COUNSELLING) for offset in offsets - {0}],
    )
    found = check_visit(ONE_KIND[COUNSELLING], facts)
    assert [problem.code for problem in found] == ["visit-too-near"] * any(abs(o) < 5 for o in offsets - {0})
    for problem in found:
        earliest = parse_moment(problem.message.split("最早可登錄 ")[1].split("。")[0]).date()
        assert earliest > TODAY
        assert codes(visit(visit_on=earliest, medication=None), facts) == []


def test_the_spacing_is_that_of_the_earlier_day(monkeypatch):
    changed = {"visit_spacing_days": lambda day: 10 if day >= TODAY else 5}
    monkeypatch.setattr(
        rules, "policy_on", lambda day, name: changed[name](day) if name in changed else policy_on(day, name)
    )
    entry = ONE_KIND[COUNSELLING]
    assert codes(entry, spaced(COUNSELLING, -5)) == []
    assert "間隔小於 10 日" in only(entry, spaced(COUNSELLING, 9)).message
    assert codes(entry, spaced(COUNSELLING, 10)) == []


# --- Courses and eligibility ---


@pytest.mark.parametrize(
    ("score", "cigarettes", "eligible"),
    [(4, 0, True), (3, 9, False), (0, 10, True), (None, 9, False), (3, None, False), (4, None, True), (None, 10, True)],
)
def test_score_4_or_10_cigarettes_a_day_are_enough_both_inclusive(score, cigarettes, eligible):
    facts = known(baselines=[replace(INTAKE, ftnd_score=score, cigarettes_per_day=cigarettes)])
    asked = facts.courses.service(MEDICATION, TODAY, None, 1)
    assert eligibility(asked, False, facts).eligible == eligible
    assert codes(BOTH, facts) == ([] if eligible else ["dependence-below-minimum"])


@pytest.mark.parametrize(
    ("birth_on", "expected"),
    [(date(2007, 4, 1), []), (date(2007, 4, 2), ["under-age"]), (date(2007, 3, 31), [])],
)
def test_medication_is_for_those_who_are_18_on_the_visit_day(birth_on, expected):
    assert codes(BOTH, known(birth_on=birth_on)) == expected


@pytest.mark.parametrize(
    "facts",
    [
        known(baselines=[]),
        known(birth_on=date(2010, 1, 1)),
        known(baselines=[replace(INTAKE, insured=False)]),
        known(baselines=[replace(INTAKE, ftnd_score=0, cigarettes_per_day=0)]),
    ],
)
def test_counselling_is_for_everybody(facts):
    assert codes(visit(medication=None, pregnant=True), facts) == []


@pytest.mark.parametrize(("before", "expected"), [(0, []), (30, []), (31, ["baseline-too-old"])])
def test_the_intake_counts_for_30_days_before_the_courses_first_day(before, expected):
    for first_day in (TODAY, TODAY - 50 * DAY):
        facts = known(
            services=[RecordedService(UUID(int=9), first_day, MEDICATION)] if first_day < TODAY else [],
            baselines=[replace(INTAKE, taken_on=first_day - before * DAY)],
        )
        assert codes(BOTH, facts) == expected


def test_values_recorded_during_the_course_never_end_eligibility():
    course = TODAY - 50 * DAY
    better = replace(INTAKE, ftnd_score=0, cigarettes_per_day=3)
    facts = known(
        services=[RecordedService(UUID(int=9), course, MEDICATION)],
        baselines=[replace(INTAKE, taken_on=course), better],
    )
    assert codes(BOTH, facts) == []
    assert codes(BOTH, known(baselines=facts.baselines)) == ["dependence-below-minimum"]


def test_without_an_intake_that_counts_insurance_is_not_asked_for():
    too_old = replace(INTAKE, taken_on=TODAY - 31 * DAY, insured=None)
    assert codes(BOTH, known(baselines=[too_old])) == ["baseline-too-old"]


def test_eligibility_shows_every_reason_met_or_not():
    found = eligibility(KNOWN.courses.service(MEDICATION, TODAY, None, 1), True, KNOWN)
    assert [reason.ok for reason in found.reasons] == [True, False, True, True]
    assert not found.eligible


# --- Nothing typed ever breaks the rules ---

odd_lines = st.builds(
    Line, st.sampled_from([PATCH, GUM, OLD_PATCH, "", "\x00"]), st.integers(), st.none() | st.integers()
)
odd_staff = st.sampled_from([None, PHYSICIAN, COUNSELLOR, STRANGER])
odd_entries = st.builds(
    Entry,
    st.just(UUID(int=100)),
    st.dates(date(1800, 1, 1), date(2910, 12, 31)),
    st.none() | st.times(),
    st.none() | st.builds(Medication, odd_staff, st.lists(odd_lines, max_size=3).map(tuple)),
    st.none() | st.builds(Counselling, odd_staff, st.text(max_size=9) | st.sampled_from(list(COUNSELLING_MODES))),
    st.booleans(),
    st.none() | st.integers(),
    st.none() | st.integers(),
    st.text(st.characters()),
)


@given(odd_entries, st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(TAIPEI)))
def test_whatever_is_typed_is_answered_with_problems_that_have_code_message_and_field(entry, moment):
    facts = known(moment=moment, services=[RecordedService(UUID(int=9), TODAY, MEDICATION)])
    for problem in check_visit(entry, facts):
        assert problem.code
        assert problem.field
        assert problem.message.endswith("。")


# --- Extension of a window ---

IN_FORCE = parse_moment("114/4/21")


def extension(**changes):
    facts = {
        "month": date(2025, 3, 1),
        "reach": "all",
        "county": "",
        "institution_id": None,
        "closes_at": IN_FORCE + INSTANT,
        "reason": "颱風停班",
        "moment": NOW,
        "in_force": IN_FORCE,
    }
    return [(problem.code, problem.field, problem.message) for problem in check_extension(**facts | changes)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"reach": "county", "county": "花蓮縣"},
        {"reach": "institution", "institution_id": 7},
        {"moment": IN_FORCE},  # a month just closed is opened again, for the time to come
        {"reason": "颱" * REASON_LENGTH},
    ],
)
def test_a_later_moment_to_come_extends_a_window(changes):
    assert extension(**changes) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"in_force": None}, ("month-unknown", "month", "114 年 3 月沒有登錄期限，不能延長。")),
        ({"reach": "county"}, ("county-missing", "county", "請選擇縣市。")),
        ({"reach": "institution"}, ("institution-missing", "institution", "請填要延長的機構代碼。")),
        (
            {"closes_at": IN_FORCE},
            (
                "extension-shortens",
                "closes_at",
                "只能延長，不能縮短。目前到 114/04/20 24:00，請填更晚的時間。",
            ),
        ),
        (
            {"moment": IN_FORCE + INSTANT},
            ("extension-past", "closes_at", "延長至的時間已經過了，請填之後的時間。"),
        ),
        ({"reason": " \n"}, ("reason-missing", "reason", "請填延長的事由，例如系統中斷、颱風停班。")),
        (
            {"reason": "颱" * (REASON_LENGTH + 1)},
            ("reason-too-long", "reason", "事由最多 200 字，您填了 201 字。"),
        ),
        ({"reason": "a\x00"}, ("reason-unreadable", "reason", "事由有無法儲存的字元，請刪除後重填。")),
    ],
)
def test_each_fault_of_an_extension_is_named_at_its_field(changes, expected):
    assert extension(**changes) == [expected]


def test_every_fault_of_an_extension_is_told_at_once():
    found = extension(reach="county", closes_at=NOW, reason="")
    assert [code for code, _, _ in found] == [
        "county-missing",
        "extension-shortens",
        "extension-past",
        "reason-missing",
    ]
    assert [code for code, _, _ in extension(in_force=None, reach="institution", reason="")] == [
        "month-unknown",
        "institution-missing",
        "reason-missing",
    ]


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))
def test_an_extension_always_lies_after_what_it_extends_and_after_now(closing, now):
    closes_at, moment = IN_FORCE + timedelta(seconds=closing), IN_FORCE + timedelta(seconds=now)
    assert (extension(closes_at=closes_at, moment=moment) == []) == (closes_at > IN_FORCE and closes_at > moment)
