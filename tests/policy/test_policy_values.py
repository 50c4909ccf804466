"""What the programme said on which day: the packaged rule files against a table written by hand."""

import pickle
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quitledger.policy import (
    Effect,
    PolicyGap,
    SelectingDay,
    UnknownPolicy,
    parameter,
    parameters,
    policy_on,
)

KNOWN = {
    "recording_window_last_day": 20,
    "recording_window_closing_hour": 24,
    "holidays_shift_window": False,
    "recording_promptly_hours": 24,
    "promptly_counted_from": "service_time_or_end_of_day",
    "late_recording_consequence": "deduction_by_circumstances",
    "self_check_interval_months": 1,
    "visit_spacing_days": 5,
    "visit_spacing_scope": "same_person_institution_and_service",
    "same_day_visits": 1,
    "medication_minimum_age": 18,
    "age_reached_on": "birthday",
    "minors_counselling_only": True,
    "pregnancy_excludes_medication": True,
    "insured_required": True,
    "minimum_ftnd_score": 4,
    "minimum_cigarettes_per_day": 10,
    "baseline_validity_days": 30,
    "weeks_per_visit": 4,
    "courses_per_year": 2,
    "third_course": "refused",
    "course_year": "year_of_first_day",
    "courses_counted_by_kind": True,
    "course_weeks": 8,
    "course_days": 90,
    "course_counselling_visits": 8,
    "other_institution_starts_next_course": True,
    "late_entry_invalidates_recorded_visits": False,
    "contract_required": True,
    "staff_contract_required": True,
    "listed_medicine_required": True,
    "pharmacy_nonprescription_allowed": True,
    "handover_counts_as_visit": False,
    "copayment_twd": {"percent": 0, "maximum_twd": 0},
    "followup_months": (3, 6),
    "followup_window_days": 14,
    "followup_recording_window": "as_a_visit_on_that_day",
    "point_abstinence_days": 7,
    "record_retention_years": 7,
    "minor_record_retention_years": 7,
    "age_of_majority": 18,
    "access_log_retention_years": 5,
    "one_time_code_days": 14,
    "account_unused_days": 90,
    "certificate_notice_days": 90,
    "evidence_most_megabytes": 10,
    "evidence_most_files": 10,
    "batch_kept_days": 7,
    "comparison_kept_hours": 24,
    "comparison_near_days": 3,
    "check_institution_contract": "incomplete",
    "check_staff_contract": "incomplete",
    "check_staff_certificate": "incomplete",
    "check_first_intake": "incomplete",
    "check_intake_score": "incomplete",
    "check_supply_days": "incomplete",
    "check_counselling": "incomplete",
    "check_draft": "incomplete",
    "check_next_visit": "look",
    "check_case_without_visit": "look",
    "check_cigarettes": "look",
    "check_counselling_days": 7,
    "check_next_visit_days": 14,
    "check_case_days": 14,
    "sign_off_after_month": True,
    "reminder_days": (1, 10, 15, 18, 20),
    "reminder_hour": 8,
    "suppression_hidden_up_to": 7,
    "suppression_rounded_to": 5,
    "ftnd_scoring": {
        "first_cigarette": {"within_5": 3, "6_to_30": 2, "31_to_60": 1, "after_60": 0},
        "hard_to_refrain": {"yes": 1, "no": 0},
        "hardest_to_give_up": {"first_of_morning": 1, "other": 0},
        "most_cigarettes": {"up_to_10": 0, "11_to_20": 1, "21_to_30": 2, "31_or_more": 3},
        "more_in_first_hours": {"yes": 1, "no": 0},
        "smokes_when_ill": {"yes": 1, "no": 0},
    },
}
UNKNOWN = {
    "late_recording_deduction_twd",
    "yearly_quota",
    "service_prices_twd",
    "medicine_prices_twd",
    "followup_12_month_codes",
    "correction_answer_days",
    "correction_decision_days",
}
ASSUMED = {
    "suppression_hidden_up_to",
    "suppression_rounded_to",
    "recording_window_closing_hour",
    "holidays_shift_window",
    "promptly_counted_from",
    "visit_spacing_scope",
    "same_day_visits",
    "age_reached_on",
    "baseline_validity_days",
    "third_course",
    "course_year",
    "late_entry_invalidates_recorded_visits",
    "handover_counts_as_visit",
    "followup_window_days",
    "followup_recording_window",
    "one_time_code_days",
    "account_unused_days",
    "certificate_notice_days",
    "evidence_most_megabytes",
    "evidence_most_files",
    "batch_kept_days",
    "comparison_kept_hours",
    "comparison_near_days",
    "check_institution_contract",
    "check_staff_contract",
    "check_staff_certificate",
    "check_first_intake",
    "check_intake_score",
    "check_supply_days",
    "check_counselling",
    "check_draft",
    "check_next_visit",
    "check_case_without_visit",
    "check_cigarettes",
    "check_counselling_days",
    "check_next_visit_days",
    "check_case_days",
    "sign_off_after_month",
    "reminder_days",
    "reminder_hour",
}
SELECTED_BY = {
    "recording_window_last_day": SelectingDay.SERVICE_MONTH,
    "visit_spacing_days": SelectingDay.EARLIER_DAY,
    "medication_minimum_age": SelectingDay.VISIT_DAY,
    "pregnancy_excludes_medication": SelectingDay.VISIT_DAY,
    "weeks_per_visit": SelectingDay.VISIT_DAY,
    "contract_required": SelectingDay.VISIT_DAY,
    "staff_contract_required": SelectingDay.VISIT_DAY,
    "listed_medicine_required": SelectingDay.VISIT_DAY,
    "service_prices_twd": SelectingDay.VISIT_DAY,
    "minimum_ftnd_score": SelectingDay.COURSE_FIRST_DAY,
    "minimum_cigarettes_per_day": SelectingDay.COURSE_FIRST_DAY,
    "course_weeks": SelectingDay.COURSE_FIRST_DAY,
    "course_days": SelectingDay.COURSE_FIRST_DAY,
    "course_counselling_visits": SelectingDay.COURSE_FIRST_DAY,
    "other_institution_starts_next_course": SelectingDay.COURSE_FIRST_DAY,
    "courses_per_year": SelectingDay.COURSE_FIRST_DAY,
    "third_course": SelectingDay.COURSE_FIRST_DAY,
    "yearly_quota": SelectingDay.VISIT_DAY,
    "followup_window_days": SelectingDay.DUE_DAY,
    "one_time_code_days": SelectingDay.ACT_DAY,
    "evidence_most_megabytes": SelectingDay.ACT_DAY,
    "evidence_most_files": SelectingDay.ACT_DAY,
    "batch_kept_days": SelectingDay.ACT_DAY,
    "comparison_kept_hours": SelectingDay.ACT_DAY,
    "correction_answer_days": SelectingDay.ACT_DAY,
    "correction_decision_days": SelectingDay.ACT_DAY,
    "account_unused_days": SelectingDay.ACT_DAY,
    "late_recording_consequence": SelectingDay.VISIT_MONTH,
}
WHEN_BROKEN = {
    "recording_window_last_day": Effect.REFUSED,
    "visit_spacing_days": Effect.REFUSED,
    "medication_minimum_age": Effect.REFUSED,
    "weeks_per_visit": Effect.REFUSED,
    "minimum_ftnd_score": Effect.REFUSED,
    "course_weeks": Effect.NEXT_COURSE,
    "course_days": Effect.NEXT_COURSE,
    "course_counselling_visits": Effect.NEXT_COURSE,
    "other_institution_starts_next_course": Effect.NEXT_COURSE,
    "third_course": Effect.REFUSED,
    "yearly_quota": Effect.WARNING,
    "correction_answer_days": Effect.WARNING,
    "correction_decision_days": Effect.WARNING,
    "followup_window_days": Effect.REFUSED,
    "late_recording_consequence": Effect.DEDUCTION,
}


@pytest.mark.parametrize("day", [date(2025, 2, 15), date(2030, 12, 31)])
@pytest.mark.parametrize("name", KNOWN)
def test_every_known_value_is_the_one_of_the_programme(name, day):
    assert policy_on(day, name) == KNOWN[name]
    assert type(policy_on(day, name)) is type(parameter(name).values[-1].value)


def test_the_table_of_this_test_covers_every_parameter():
    assert {entry.name for entry in parameters()} == KNOWN.keys() | UNKNOWN


@pytest.mark.parametrize("name", sorted(UNKNOWN))
def test_an_unknown_value_is_a_gap_with_a_reason_and_never_a_guess(name):
    with pytest.raises(PolicyGap) as gap:
        policy_on(date(2025, 2, 15), name)
    assert (gap.value.name, gap.value.day) == (name, date(2025, 2, 15))
    assert str(gap.value) == f"「{parameter(name).title}」在 114/02/15 的規定值不明。"
    assert parameter(name).in_force_on(date(2025, 2, 15)).note


@pytest.mark.parametrize(
    ("name", "day", "value"),
    [
        ("weeks_per_visit", date(2002, 9, 1), 2),
        ("weeks_per_visit", date(2012, 2, 29), 2),
        ("weeks_per_visit", date(2012, 3, 1), 4),
        ("age_of_majority", date(2022, 12, 31), 20),
        ("age_of_majority", date(2023, 1, 1), 18),
        ("copayment_twd", date(2012, 3, 1), {"percent": 20, "maximum_twd": 200}),
        ("copayment_twd", date(2022, 5, 14), {"percent": 20, "maximum_twd": 200}),
        ("copayment_twd", date(2022, 5, 15), {"percent": 0, "maximum_twd": 0}),
    ],
)
def test_a_value_changes_exactly_on_its_first_day(name, day, value):
    assert policy_on(day, name) == value


def test_the_copayment_before_march_of_year_101_is_unknown():
    with pytest.raises(PolicyGap):
        policy_on(date(2012, 2, 29), "copayment_twd")


def test_a_day_before_the_first_date_is_a_gap_that_names_the_first_date():
    with pytest.raises(PolicyGap) as gap:
        policy_on(date(2002, 8, 31), "visit_spacing_days")
    assert gap.value.reason == "「兩次就醫的最小間隔」在 91/09/01 以前沒有規定值。"
    assert parameter("visit_spacing_days").in_force_on(date(2002, 8, 31)) is None


@pytest.mark.parametrize(
    "ask", [lambda: policy_on(date(2025, 2, 15), "no_such_rule"), lambda: parameter("no_such_rule")]
)
def test_a_name_that_does_not_exist_is_a_fault_of_the_caller(ask):
    with pytest.raises(UnknownPolicy) as fault:
        ask()
    assert isinstance(fault.value, KeyError)
    assert str(fault.value) == "沒有名為 no_such_rule 的規定。"


def test_gaps_survive_a_process_boundary():
    gap = pickle.loads(pickle.dumps(PolicyGap("yearly_quota", date(2025, 2, 15), "不明。")))
    assert (gap.name, gap.day, gap.reason) == ("yearly_quota", date(2025, 2, 15), "不明。")


def test_a_moment_is_no_day_because_its_zone_would_decide_the_answer():
    with pytest.raises(TypeError):
        policy_on(datetime(2025, 2, 15, 9, 0), "visit_spacing_days")


@pytest.mark.parametrize("name", SELECTED_BY)
def test_the_selecting_day_is_that_of_the_programme(name):
    assert parameter(name).day is SELECTED_BY[name]


@pytest.mark.parametrize("name", WHEN_BROKEN)
def test_breaking_a_rule_has_the_effect_of_the_programme(name):
    assert parameter(name).when_broken.effect is WHEN_BROKEN[name]


def test_exactly_the_values_without_a_source_are_shown_as_assumed():
    assert {entry.name for entry in parameters() if any(dated.assumed for dated in entry.values)} == ASSUMED
    for name in ASSUMED:
        assert parameter(name).values[-1].basis == "假設"


def test_every_known_value_rests_on_a_named_source_or_on_an_assumption_never_both():
    for entry in parameters():
        for dated in entry.values:
            assert dated.value is None or bool(dated.source) != dated.assumed, entry.name


def test_the_basis_of_an_unknown_value_without_source_is_unknown():
    assert parameter("copayment_twd").values[0].basis == "不明"
    assert parameter("visit_spacing_days").values[0].basis == "國民健康署委託戒菸治療與管理窗口 通知（114 年）"


def test_a_shared_value_cannot_be_changed_by_a_caller():
    with pytest.raises(TypeError):
        policy_on(date(2025, 2, 15), "ftnd_scoring")["hard_to_refrain"]["yes"] = 9
    with pytest.raises(TypeError):
        parameter("third_course").words["refused"] = ""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("recording_window_last_day", "20 日"),
        ("followup_months", "3、6 個月"),
        ("insured_required", "是"),
        ("holidays_shift_window", "否"),
        ("third_course", "拒絕登錄"),
        ("yearly_quota", "不明"),
        ("copayment_twd", "比率（%）：0；上限（元）：0"),
    ],
)
def test_a_value_is_shown_in_chinese_with_its_unit(name, text):
    assert parameter(name).text_of(parameter(name).values[-1].value) == text


def test_a_nested_value_is_shown_with_the_labels_of_its_words():
    entry = parameter("ftnd_scoring")
    shown = entry.text_of(entry.values[-1].value)
    assert shown.startswith("起床後多久吸第一支菸：5 分鐘以內 3、6 到 30 分鐘 2、31 到 60 分鐘 1、超過 60 分鐘 0；")


@given(st.dates(), st.sampled_from([entry.name for entry in parameters()]))
def test_policy_on_gives_the_last_value_that_started_or_a_gap(day, name):
    started = [dated.value for dated in parameter(name).values if dated.starts_on <= day]
    in_force = parameter(name).in_force_on(day)
    assert (in_force.value if in_force else None) == (started[-1] if started else None)
    if started and started[-1] is not None:
        assert policy_on(day, name) == started[-1]
    else:
        with pytest.raises(PolicyGap):
            policy_on(day, name)
