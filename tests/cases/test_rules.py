"""The Fagerström score, age, the intake, and eligibility for medication (domain.md §6, §6a)."""

from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quitledger.cases import rules
from quitledger.cases.rules import (
    FTND_ITEMS,
    BaselineFacts,
    FtndAnswers,
    age_on,
    baseline_of_course,
    check_baseline,
    ftnd_score,
    medication_eligibility,
)
from quitledger.policy import PolicyGap, parameter, policy_on

ON = date(2025, 4, 1)
LOWEST = FtndAnswers("after_60", "no", "other", "up_to_10", "no", "no")
ALL_ANSWERS = {
    "first_cigarette": "6_to_30",
    "hard_to_refrain": "yes",
    "hardest_to_give_up": "first_of_morning",
    "most_cigarettes": "11_to_20",
    "more_in_first_hours": "no",
    "smokes_when_ill": "no",
}


# --- Fagerström test ---


@pytest.mark.parametrize(
    ("item", "word", "points"),
    [
        ("first_cigarette", "within_5", 3),
        ("first_cigarette", "6_to_30", 2),
        ("first_cigarette", "31_to_60", 1),
        ("first_cigarette", "after_60", 0),
        ("hard_to_refrain", "yes", 1),
        ("hard_to_refrain", "no", 0),
        ("hardest_to_give_up", "first_of_morning", 1),
        ("hardest_to_give_up", "other", 0),
        ("most_cigarettes", "up_to_10", 0),
        ("most_cigarettes", "11_to_20", 1),
        ("most_cigarettes", "21_to_30", 2),
        ("most_cigarettes", "31_or_more", 3),
        ("more_in_first_hours", "yes", 1),
        ("more_in_first_hours", "no", 0),
        ("smokes_when_ill", "yes", 1),
        ("smokes_when_ill", "no", 0),
    ],
)
def test_each_answer_counts_its_points(item, word, points):
    assert ftnd_score(replace(LOWEST, **{item: word}), ON) == points


def test_scores_of_all_answers_run_from_0_to_10():
    scores = {
        ftnd_score(FtndAnswers(*words), ON)
        for words in product(*([answer.word for answer in item.answers] for item in FTND_ITEMS))
    }
    assert scores == set(range(11))


def test_every_scoring_of_policy_has_points_for_exactly_the_answers_of_the_form():
    form = {item.name: item.words for item in FTND_ITEMS}
    for dated in parameter("ftnd_scoring").values:
        assert {item: set(points) for item, points in dated.value.items()} == form, dated.starts_on


def test_form_and_policy_call_an_answer_by_the_same_label():
    words = parameter("ftnd_scoring").words
    for item in FTND_ITEMS:
        assert {answer.word: answer.label for answer in item.answers}.items() <= words.items()


def test_the_score_is_that_of_the_scoring_in_force_on_the_day(monkeypatch):
    doubled = {
        item: {word: 2 * n for word, n in points.items()} for item, points in policy_on(ON, "ftnd_scoring").items()
    }
    monkeypatch.setattr(rules, "policy_on", lambda day, name: doubled if day > ON else policy_on(day, name))
    answers = FtndAnswers(**ALL_ANSWERS)
    assert ftnd_score(answers, ON + timedelta(days=1)) == 2 * ftnd_score(answers, ON) == 10


def test_before_the_first_scoring_there_is_no_score():
    with pytest.raises(PolicyGap):
        ftnd_score(LOWEST, date(2002, 8, 31))


def test_the_items_are_the_fields_of_the_answers_and_every_label_is_chinese():
    assert [item.name for item in FTND_ITEMS] == [field.name for field in fields(FtndAnswers)]
    texts = [item.question for item in FTND_ITEMS] + [a.label for item in FTND_ITEMS for a in item.answers]
    assert all(any("\u4e00" <= character <= "\u9fff" for character in text) for text in texts)


@pytest.mark.parametrize("word", ["", "5", "YES", "within_5"])
def test_a_word_of_no_answer_is_refused(word):
    with pytest.raises(ValueError, match="smokes_when_ill"):
        replace(LOWEST, smokes_when_ill=word)


# --- age ---


@pytest.mark.parametrize(
    ("birth_on", "day", "age"),
    [
        (date(2007, 4, 2), date(2025, 4, 1), 17),
        (date(2007, 4, 1), date(2025, 4, 1), 18),
        (date(2007, 3, 31), date(2025, 4, 1), 18),
        (date(2007, 12, 31), date(2025, 1, 1), 17),
        (date(2000, 2, 29), date(2018, 2, 28), 17),
        (date(2000, 2, 29), date(2018, 3, 1), 18),
        (date(2000, 2, 29), date(2020, 2, 28), 19),
        (date(2000, 2, 29), date(2020, 2, 29), 20),
        (date(2025, 4, 1), date(2025, 4, 1), 0),
        (date(2025, 4, 2), date(2025, 4, 1), -1),
        (date(1911, 10, 10), date(2025, 4, 1), 113),
    ],
)
def test_age_is_complete_on_the_anniversary_and_on_1_march_for_the_29th_of_february(birth_on, day, age):
    assert age_on(birth_on, day) == age


@given(st.dates(date(1900, 1, 1), date(2099, 12, 30)), st.integers(0, 100))
def test_age_grows_by_one_on_exactly_one_day_of_a_year(birth_on, years):
    year = birth_on.year + years
    days = [
        date(year, 1, 1) + timedelta(days=offset) for offset in range((date(year + 1, 1, 1) - date(year, 1, 1)).days)
    ]
    ages = [age_on(birth_on, day) for day in days]
    assert ages == sorted(ages)
    assert set(ages) <= {years - 1, years}
    assert ages[-1] == years


# --- intake ---


def problems_of(**changes):
    facts = {
        "taken_on": ON,
        "today": ON,
        "birth_on": date(1980, 1, 1),
        "sex": "female",
        "ftnd": ALL_ANSWERS,
        "cigarettes_per_day": 20,
        "co_ppm": 12,
        "weight_kg": Decimal("61.5"),
        "pregnant": False,
    }
    return [(problem.code, problem.field) for problem in check_baseline(**facts | changes)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ftnd": {}},
        {"ftnd": dict.fromkeys(ALL_ANSWERS, "")},
        {"cigarettes_per_day": None, "co_ppm": None, "weight_kg": None},
        {"cigarettes_per_day": 0, "co_ppm": 0, "weight_kg": Decimal(20)},
        {"cigarettes_per_day": 200, "co_ppm": 200, "weight_kg": Decimal(300)},
        {"pregnant": True},
        {"pregnant": True, "sex": None},
        {"sex": "male"},
        {"taken_on": ON - timedelta(days=400)},
        {"birth_on": ON},
    ],
)
def test_a_plausible_intake_has_no_problem(changes):
    assert problems_of(**changes) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"taken_on": ON + timedelta(days=1)}, [("taken-in-future", "taken_on")]),
        ({"birth_on": ON + timedelta(days=1)}, [("taken-before-birth", "taken_on")]),
        ({"cigarettes_per_day": -1}, [("value-implausible", "cigarettes_per_day")]),
        ({"cigarettes_per_day": 201}, [("value-implausible", "cigarettes_per_day")]),
        ({"co_ppm": -1}, [("value-implausible", "co_ppm")]),
        ({"co_ppm": 201}, [("value-implausible", "co_ppm")]),
        ({"weight_kg": Decimal("19.9")}, [("value-implausible", "weight_kg")]),
        ({"weight_kg": Decimal("300.1")}, [("value-implausible", "weight_kg")]),
        ({"pregnant": True, "sex": "male"}, [("pregnant-male", "pregnant")]),
        ({"ftnd": ALL_ANSWERS | {"smokes_when_ill": "maybe"}}, [("ftnd-unknown-answer", "ftnd_smokes_when_ill")]),
        (
            {"ftnd": ALL_ANSWERS | {"smokes_when_ill": "", "hard_to_refrain": ""}},
            [("ftnd-incomplete", "ftnd_hard_to_refrain"), ("ftnd-incomplete", "ftnd_smokes_when_ill")],
        ),
    ],
)
def test_each_fault_of_an_intake_is_named_at_its_field(changes, expected):
    assert problems_of(**changes) == expected


def test_all_faults_of_an_intake_are_named_at_once():
    found = problems_of(
        taken_on=ON + timedelta(days=1),
        birth_on=ON + timedelta(days=2),
        sex="male",
        ftnd={"first_cigarette": "within_5", "most_cigarettes": "many"},
        cigarettes_per_day=999,
        co_ppm=999,
        weight_kg=Decimal(999),
        pregnant=True,
    )
    assert [code for code, _ in found] == [
        "taken-in-future",
        "taken-before-birth",
        "ftnd-incomplete",
        "ftnd-incomplete",
        "ftnd-unknown-answer",
        "ftnd-incomplete",
        "ftnd-incomplete",
        "value-implausible",
        "value-implausible",
        "value-implausible",
        "pregnant-male",
    ]


def test_answers_of_a_day_without_scoring_are_refused_and_an_intake_without_answers_is_not():
    day = date(2002, 8, 31)
    assert problems_of(taken_on=day) == [("policy-unknown", "taken_on")]
    assert problems_of(taken_on=day, ftnd={}) == []


@pytest.mark.parametrize(
    ("pregnant", "sex", "codes"),
    [
        (True, "male", ["pregnant-male"]),
        (True, "female", []),
        (True, None, []),
        (False, "male", []),
    ],
)
def test_only_a_man_cannot_be_pregnant(pregnant, sex, codes):
    assert [problem.code for problem in rules.pregnancy_problems(pregnant, sex)] == codes


def test_a_value_without_bounds_is_a_fault_of_the_caller():
    with pytest.raises(KeyError):
        rules.implausible({"shoe_size": 42})


def test_an_implausible_value_is_answered_with_the_bounds_and_the_unit():
    (problem,) = check_baseline(
        taken_on=ON,
        today=ON,
        birth_on=date(1980, 1, 1),
        sex=None,
        ftnd={},
        cigarettes_per_day=None,
        co_ppm=None,
        weight_kg=Decimal(615),
        pregnant=False,
    )
    assert problem.message == "體重（公斤）應在 20 到 300 之間，請再確認。"


# --- choosing the intake of a course ---


@dataclass
class Taken:
    taken_on: date
    name: str = ""


VALIDITY = policy_on(ON, "baseline_validity_days")


@pytest.mark.parametrize(
    ("days_before", "chosen"),
    [([], None), ([0], 0), ([VALIDITY], VALIDITY), ([VALIDITY + 1], None), ([-1], None), ([40, 20, 5, -3], 5)],
)
def test_the_latest_intake_within_the_validity_counts_for_the_course(days_before, chosen):
    found = baseline_of_course([Taken(ON - timedelta(days=days)) for days in days_before], ON)
    assert (None if found is None else (ON - found.taken_on).days) == chosen


def test_of_two_intakes_of_one_day_the_last_given_counts():
    found = baseline_of_course(iter([Taken(ON, "first"), Taken(ON, "second"), Taken(ON - timedelta(days=1))]), ON)
    assert found is not None
    assert found.name == "second"


@given(st.lists(st.integers(-60, 60)))
def test_the_chosen_intake_is_one_that_eligibility_accepts(days_before):
    found = baseline_of_course([BaselineFacts(ON - timedelta(days=days), 10, 40) for days in days_before], ON)
    assert (found is None) == (not any(0 <= days <= VALIDITY for days in days_before))
    assert eligibility(baseline=found).eligible == (found is not None)


# --- eligibility ---


def eligibility(**changes):
    facts = {
        "on": ON,
        "birth_on": date(1980, 1, 1),
        "pregnant": False,
        "insured": True,
        "baseline": BaselineFacts(ON, 6, 20),
        "course_first_day": ON,
    }
    return medication_eligibility(**facts | changes)


def refusals(**changes):
    result = eligibility(**changes)
    assert result.eligible == (not result.problems)
    assert [reason.text for reason in result.reasons if not reason.ok] == [p.message for p in result.problems]
    assert [reason.policy for reason in result.reasons if not reason.ok] == [p.policy for p in result.problems]
    assert len(result.reasons) == 4
    return [(problem.code, problem.field, problem.policy) for problem in result.problems]


def test_who_meets_every_condition_is_eligible_and_told_why():
    result = eligibility()
    assert result.eligible
    assert result.problems == []
    assert [(reason.ok, reason.policy) for reason in result.reasons] == [
        (True, "medication_minimum_age"),
        (True, "pregnancy_excludes_medication"),
        (True, "insured_required"),
        (True, "minimum_ftnd_score"),
    ]
    assert result.reasons[3].text == (
        "收案評估 114/04/01：尼古丁成癮度 6 分、每日 20 支（須尼古丁成癮度 4 分以上，或每日 10 支以上）。"
    )


BELOW = [("dependence-below-minimum", "baseline", "minimum_ftnd_score")]


@pytest.mark.parametrize(
    ("score", "cigarettes", "expected"),
    [
        (4, 0, []),
        (3, 10, []),
        (4, 10, []),
        (3, 9, BELOW),
        (0, 0, BELOW),
        (4, None, []),
        (3, None, BELOW),
        (None, 10, []),
        (None, 9, BELOW),
        (None, None, [("baseline-values-missing", "baseline", "minimum_ftnd_score")]),
    ],
)
def test_score_4_or_10_cigarettes_both_inclusive_are_enough(score, cigarettes, expected):
    assert refusals(baseline=BaselineFacts(ON, score, cigarettes)) == expected


def test_eligible_by_cigarettes_alone_names_the_rule_for_cigarettes():
    assert eligibility(baseline=BaselineFacts(ON, None, 10)).reasons[3].policy == "minimum_cigarettes_per_day"


def test_a_refusal_says_which_value_was_not_recorded():
    assert "每日支數未填" in eligibility(baseline=BaselineFacts(ON, 3, None)).problems[0].message
    assert "尼古丁成癮度未填" in eligibility(baseline=BaselineFacts(ON, None, 9)).problems[0].message


def test_without_an_intake_medication_is_refused_and_counselling_offered():
    assert refusals(baseline=None) == [("baseline-missing", "baseline", "minimum_ftnd_score")]
    message = eligibility(baseline=None).problems[0].message
    assert message.startswith("尚無收案評估，缺尼古丁成癮度或每日支數")
    assert "衛教可以先登錄" in message


@pytest.mark.parametrize(
    ("days_before", "expected"),
    [
        (-1, [("baseline-after-course", "baseline", "baseline_validity_days")]),
        (0, []),
        (30, []),
        (31, [("baseline-too-old", "baseline", "baseline_validity_days")]),
    ],
)
def test_the_intake_is_of_the_courses_first_day_or_at_most_30_days_before(days_before, expected):
    first_day = ON - timedelta(days=50)
    baseline = BaselineFacts(first_day - timedelta(days=days_before), 6, 20)
    assert refusals(baseline=baseline, course_first_day=first_day) == expected


@pytest.mark.parametrize(
    ("birth_on", "expected"),
    [
        (date(2007, 4, 1), []),
        (date(2007, 4, 2), [("under-age", "birth_on", "medication_minimum_age")]),
        (ON + timedelta(days=1), [("under-age", "birth_on", "medication_minimum_age")]),
    ],
)
def test_the_age_of_the_visit_day_counts(birth_on, expected):
    assert (
        refusals(
            birth_on=birth_on,
            course_first_day=ON - timedelta(days=30),
            baseline=BaselineFacts(ON - timedelta(days=30), 6, 20),
        )
        == expected
    )


@pytest.mark.parametrize(
    ("pregnant", "insured", "expected"),
    [
        (False, True, []),
        (False, False, [("not-insured", "insured", "insured_required")]),
        (False, None, [("insured-unknown", "insured", "insured_required")]),
        (True, True, [("pregnant", "pregnant", "pregnancy_excludes_medication")]),
    ],
)
def test_pregnancy_and_insurance_of_the_visit_day_count(pregnant, insured, expected):
    assert refusals(pregnant=pregnant, insured=insured) == expected


@given(
    st.booleans(),
    st.sampled_from([True, False, None]),
    st.dates(date(2000, 1, 1), date(2012, 1, 1)),
    st.none() | st.tuples(st.integers(-5, 40), st.none() | st.integers(0, 10), st.none() | st.integers(0, 40)),
)
def test_every_broken_condition_is_named_at_once_whatever_the_others_are(pregnant, insured, birth_on, intake):
    baseline = intake and BaselineFacts(ON - timedelta(days=intake[0]), *intake[1:])
    codes = {code for code, _, _ in refusals(pregnant=pregnant, insured=insured, birth_on=birth_on, baseline=baseline)}
    assert ("pregnant" in codes) == pregnant
    assert ("insured-unknown" in codes) == (insured is None)
    assert ("not-insured" in codes) == (insured is False)
    assert ("under-age" in codes) == (birth_on > date(2007, 4, 1))
    dependent = intake is not None and 0 <= intake[0] <= 30 and ((intake[1] or 0) >= 4 or (intake[2] or 0) >= 10)
    assert bool(codes - {"pregnant", "insured-unknown", "not-insured", "under-age"}) == (not dependent)


def test_each_rule_is_asked_for_on_its_own_day(monkeypatch):
    asked = {}

    def recorded(day, name):
        asked[name] = day
        return policy_on(day, name)

    monkeypatch.setattr(rules, "policy_on", recorded)
    first_day = ON - timedelta(days=20)
    assert eligibility(course_first_day=first_day, baseline=BaselineFacts(first_day, 0, 10)).eligible
    assert asked == {
        "medication_minimum_age": ON,
        "pregnancy_excludes_medication": ON,
        "insured_required": ON,
        "baseline_validity_days": first_day,
        "minimum_ftnd_score": first_day,
        "minimum_cigarettes_per_day": first_day,
    }


def test_a_programme_that_asks_neither_for_insurance_nor_about_pregnancy_refuses_neither(monkeypatch):
    waived = {"insured_required": False, "pregnancy_excludes_medication": False}
    monkeypatch.setattr(rules, "policy_on", lambda day, name: waived.get(name, policy_on(day, name)))
    assert refusals(pregnant=True, insured=None) == []


def test_an_unknown_rule_is_a_problem_of_its_own_beside_the_others(monkeypatch):
    def unknown_age(day, name):
        if name == "medication_minimum_age":
            raise PolicyGap(name, day, "「最低年齡」的規定值不明。")
        return policy_on(day, name)

    monkeypatch.setattr(rules, "policy_on", unknown_age)
    assert refusals(pregnant=True) == [
        ("policy-unknown", "birth_on", "medication_minimum_age"),
        ("pregnant", "pregnant", "pregnancy_excludes_medication"),
    ]
    assert eligibility().problems[0].message == "「最低年齡」的規定值不明。無法判斷能否用藥，請洽管理窗口。"


def test_before_the_programme_began_nothing_is_decided_silently():
    day = date(1990, 1, 1)
    found = refusals(on=day, course_first_day=day, birth_on=date(1960, 1, 1), baseline=BaselineFacts(day, 6, 20))
    assert [code for code, _, _ in found] == ["policy-unknown"] * 4
