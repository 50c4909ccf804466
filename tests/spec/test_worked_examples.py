"""The worked examples of the manual (`*.yaml`, in the agency's words), run against the real rules.

One adapter per file: it takes the 條件 (conditions) of an example out of a dictionary, asks the rule, and answers with
every 結果 (result) the file may name. A condition that no adapter takes and a result that none gives is an error.
"""

from copy import deepcopy
from dataclasses import replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
import yaml

from quitledger.accounts.permissions import Role
from quitledger.batches.columns import COLUMNS, Kind, find_titles, read_row
from quitledger.batches.comparing import Listed, Recorded, compare
from quitledger.cases.rules import (
    FTND_ITEMS,
    BaselineFacts,
    FtndAnswers,
    Identity,
    PersonFacts,
    baseline_of_course,
    check_baseline,
    check_person_change,
    ftnd_score,
)
from quitledger.corrections.rules import ITEM_KINDS, check_needed, check_signature, check_true_day, is_late
from quitledger.policy import (
    TAIPEI,
    format_closing,
    format_roc,
    format_roc_year,
    parse_date,
    parse_moment,
    parse_time,
    policy_on,
)
from quitledger.policy.identity import IdentityKind, check_identity, mask, sex_of
from quitledger.retention.rules import has_ended, kept_until
from quitledger.selfcheck.rules import Around, Level, MonthVisit, Validity, check_visits
from quitledger.visits.courses import CourseService, courses_of, with_service
from quitledger.visits.rules import (
    COUNSELLING,
    LABELS,
    MEDICATION,
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
    check_visit,
    eligibility,
    month_closes_at,
    month_of,
    recording_window,
    timeliness,
)

HERE = Path(__file__).parent
ALWAYS = parse_date("91/9/1")
ADULT = parse_date("69/1/1")  # born
STAFF, MEDICINE = UUID(int=1), "DEMO000001"


def known(moment, *, birth_on=ADULT, **changes):
    """A contracted institution with one member of staff, one medicine and an adult; the rest as given."""
    values = {
        "moment": moment,
        "closes_at": None,
        "birth_on": birth_on,
        "sex": "female",
        "contracts": [Period(ALWAYS, None)],
        "staff": {STAFF: StaffFacts("醫師 示範丑", (StaffPeriod(ALWAYS, None, True, True),))},
        "medicines": {MEDICINE: MedicineFacts(ALWAYS, None, "示範貼片")},
        "baselines": [],
    }
    return Facts(**values | changes)


def entry_of(kind, visit_on, visit_time=None):
    if kind == MEDICATION:
        return Entry(UUID(int=100), visit_on, visit_time, medication=Medication(STAFF, (Line(MEDICINE, 2),)))
    return Entry(UUID(int=100), visit_on, visit_time, counselling=Counselling(STAFF))


def yes(truth, word):
    return word if truth else "不能"


def messages(problems):
    return [problem.message for problem in problems]


def window_example(given):
    visit_on = parse_date(given.pop("就醫日期"))
    visit_time = parse_time(given.pop("就醫時間")) if "就醫時間" in given else None
    extended = parse_moment(given.pop("延長至")) if "延長至" in given else None
    window = recording_window(visit_on, visit_time, closes_at=extended)
    answer = {
        "開始登錄": f"{format_roc(window.opens_at.date())} {window.opens_at:%H:%M}",
        "登錄期限": format_closing(window.closes_at),
        "24 小時內到": format_closing(window.prompt_until),
    }
    if "現在" in given:
        moment = parse_moment(given.pop("現在"))
        problems = check_visit(entry_of(COUNSELLING, visit_on, visit_time), known(moment, closes_at=extended))
        answer["能否登錄"] = yes(not problems, "可以")
        answer["訊息"] = "".join(messages(problems))
        answer["登錄情形"] = timeliness(window, moment).label
        assert bool(problems) is not window.is_open(moment)
    return answer


def spacing_example(given):
    kinds = {label: kind for kind, label in LABELS.items()}
    recorded = [(parse_date(one["就醫日期"]), kinds[one["服務"]]) for one in given.pop("已登錄")]
    typed = given.pop("要登錄")
    visit_on, kind = parse_date(typed["就醫日期"]), kinds[typed["服務"]]
    same_day = any(day == visit_on for day, _ in recorded)
    facts = known(
        datetime.combine(max(visit_on, *(day for day, _ in recorded)), time(23, 59), TAIPEI),
        services=[RecordedService(UUID(int=9), day, kind) for day, kind in recorded],
        same_day=RecordedVisit(UUID(int=9), None, None, None, "", False) if same_day else None,
        baselines=[IntakeFacts(visit_on - timedelta(days=1), 6, 20, True)],
    )
    problems = check_visit(entry_of(kind, visit_on), facts)
    return {"能否登錄": yes(not problems, "可以"), "訊息": messages(problems)}


def eligibility_example(given):
    visit_on = parse_date(given.pop("就醫日期"))
    courses = [parse_date(day) for day in given.pop("已用藥", [])]
    facts = known(
        datetime.combine(visit_on, time(12), TAIPEI),
        birth_on=parse_date(given.pop("出生日期")),
        courses=CourseFacts([CourseService(n, MEDICATION, day, None, 1, 0, 0) for n, day in enumerate(courses)]),
        baselines=[intake_of(given.pop("收案評估"))] if "收案評估" in given else [],
    )
    asked = facts.courses.service(MEDICATION, visit_on, None, 1)
    found = eligibility(asked, given.pop("懷孕", "否") == "是", facts)
    _, course = with_service(asked, facts.courses.services)
    return {
        "能否用藥": yes(found.eligible, "可以"),
        "訊息": messages(found.problems),
        "療程首日": format_roc(course.first_on),
    }


def course_example(given):
    kinds = {label: kind for kind, label in LABELS.items()}
    kind = kinds[given.pop("服務")]
    places = {"本院": 1, "本院的分院": 1, "別的機構": 2, "第三家機構": 3}

    def service_of(key, one):
        day, place, weeks = parse_date(one.pop("就醫日期")), one.pop("機構", "本院"), int(one.pop("週數", 0))
        assert not one
        return CourseService(key, kind, day, None, weeks, places[place], list(places).index(place))

    services = [service_of(number, one) for number, one in enumerate(given.pop("就醫"))]
    courses = courses_of(services)
    answer = {
        "療程": [
            f"{format_roc_year(course.year)} 年第 {course.number} 療程，首日 {format_roc(course.first_on)}"
            for course in courses
        ]
    }
    if "要登錄" in given:
        asked = service_of(None, given.pop("要登錄"))
        _, course = with_service(asked, services)
        answer["這一次"] = f"{format_roc_year(course.year)} 年第 {course.number} 療程"
        answer["能否登錄"] = yes(course.is_allowed, "可以")
    return answer


def intake_of(intake):
    score, cigarettes = intake.pop("尼古丁成癮度", None), intake.pop("每日支數", None)
    insured = {"有": True, "沒有": False}[intake.pop("健保")]
    taken_on = parse_date(intake.pop("評估日期"))
    assert not intake
    return IntakeFacts(taken_on, score and int(score), cigarettes and int(cigarettes), insured)


def identity_example(given):
    kind = {kind.label: kind for kind in IdentityKind}[given.pop("證件")]
    number, country = given.pop("號碼"), given.pop("發照國家", None)
    made_up_allowed = {"示範": True, "正式": False}[given.pop("資料庫", "正式")]
    problems = check_identity(kind, number, country, made_up_allowed=made_up_allowed)
    return {
        "能否登記": yes(not problems, "可以"),
        "訊息": messages(problems),
        "顯示": mask(number),
        "性別": {"male": "男", "female": "女", None: "不明"}[sex_of(kind, number)],
    }


def ftnd_example(given):
    taken_on = parse_date(given.pop("評估日期"))
    answers = {}
    for item, label in zip(FTND_ITEMS, given.pop("作答"), strict=True):
        words = {answer.label: answer.word for answer in item.answers} | {"": ""}
        answers[item.name] = words[label]
    problems = check_baseline(
        taken_on=taken_on,
        today=taken_on,
        birth_on=ADULT,
        sex="female",
        ftnd=answers,
        cigarettes_per_day=None,
        co_ppm=None,
        weight_kg=Decimal(60),
        pregnant=False,
    )
    if not all(answers.values()):
        return {"分數": "沒有", "訊息": messages(problems)}
    score = ftnd_score(FtndAnswers(**answers), taken_on)
    enough = score >= policy_on(taken_on, "minimum_ftnd_score")
    return {"分數": str(score), "達用藥分數": "是" if enough else "否", "訊息": messages(problems)}


def keeping_example(given):
    days = [parse_date(day) for day in given.pop("紀錄日期")]
    until = kept_until(days, parse_date(given.pop("出生日期")))
    answer = {"保存到": format_roc(until) if until else "永久"}
    if "今天" in given:
        answer["能否清除"] = yes(has_ended(until, parse_date(given.pop("今天"))), "可以")
    return answer


def correction_example(given):
    kind = {item.label: kind for kind, item in ITEM_KINDS.items()}[given.pop("項目")]
    visit_on, moment = parse_date(given.pop("就醫日期")), parse_moment(given.pop("今天"))
    recorded_on = parse_date(given.pop("登錄在")) if "登錄在" in given else None
    recorded_at = parse_moment(given.pop("登錄時間")) if "登錄時間" in given else None
    months = {month_of(day) for day in (visit_on, recorded_on or visit_on)}
    closing = [(month, month_closes_at(month)) for month in sorted(months)]
    problems = check_true_day(kind, visit_on, recorded_on) + check_needed(closing, moment)
    answer = {
        "能否申請": yes(not problems, "可以"),
        "訊息": messages(problems),
        "永久標示為補登": "是" if is_late(kind, recorded_at, month_closes_at(visit_on)) else "否",
    }
    if "簽核" in given:
        roles = {"登錄人員": Role.RECORDER, "業務主管": Role.SUPERVISOR}
        writer, signer = roles[given.pop("填寫")], given.pop("簽核")
        refused = check_signature(
            signer=1 if signer == "同一人" else 2, writer=1, roles=[writer, roles.get(signer, writer)],
            accounts=int(given.pop("機構帳號")), submitted=True,
        )  # fmt: skip
        answer |= {"能否送出": yes(not refused, "可以"), "簽核訊息": messages(refused)}
    return answer


def person_example(given):
    kinds, sexes = {kind.label: kind for kind in IdentityKind}, {"男": "male", "女": "female"}
    recorded = Identity(
        kinds[given.pop("證件")], given.pop("號碼"), given.pop("國家", ""), ADULT, sexes[given.pop("性別", "男")]
    )
    said = Identity(
        kinds[given.pop("新證件", recorded.kind.label)], given.pop("新號碼", recorded.number), "",
        parse_date(given.pop("新出生日期")) if "新出生日期" in given else ADULT,
        sexes[given.pop("新性別")] if "新性別" in given else recorded.sex,
    )  # fmt: skip
    facts = PersonFacts(
        is_open=given.pop("期限", "") != "已過", pregnant=given.pop("懷孕", "") == "是",
        first_on=parse_date(given.pop("第一次紀錄")) if "第一次紀錄" in given else None,
    )  # fmt: skip
    known, today = given.pop("另一位", "") == "有", parse_date("114/4/1")
    own = check_person_change(said, recorded, facts, today=today, made_up_allowed=True)
    at_desk = replace(facts, is_open=True, is_known=known)  # which the desk alone is told
    desk = check_person_change(said, recorded, at_desk, today=today, made_up_allowed=True)
    return {
        "機構能否自行更正": yes(not own, "可以"), "機構的訊息": messages(own),
        "窗口能否核可": yes(not desk, "可以"), "窗口的訊息": messages(desk),
    }  # fmt: skip


def comparing_example(given):
    numbers = [given.pop("證號"), given.pop("登錄的證號")]
    listed_on, recorded_on = parse_date(given.pop("名單日期")), parse_date(given.pop("登錄日期"))
    month = month_of(recorded_on)
    person = 1 if numbers[0] == numbers[1] else None
    pairs = compare(
        [Listed(2, listed_on, numbers[0], person=person)], [Recorded(UUID(int=2), recorded_on, 1, numbers[1])],
        month=month, near_days=policy_on(month, "comparison_near_days"),
    )  # fmt: skip
    return {"對照": "／".join(str(pair.match.label) for pair in pairs)}


def file_example(given):
    title, text = given.pop("欄位"), given.pop("內容")
    found = find_titles([(1, [title, "備註"])], Kind.VISITS, {})
    name = next((name for name, place in found.places.items() if place == 0), "")
    column = next((column for column in COLUMNS[Kind.VISITS] if column.name == name), None)
    if column is None:
        return {"欄位是": "認不得"}
    values, problems = read_row({name: text}, Kind.VISITS)
    wrong = [str(problem.message) for problem in problems if problem.field == name]
    value = values.get(name)
    return {
        "欄位是": str(column.title),
        "讀成": format_roc(value) if hasattr(value, "year") else value,
        "訊息": "".join(wrong),
    }


def selfcheck_example(given):
    today = parse_date(given.pop("今天"))
    periods = {
        name: Period(ALWAYS, parse_date(given.pop(name)) if name in given else None)
        for name in ("機構合約到", "人員合約到")
    }
    staff = StaffPeriod(ALWAYS, periods["人員合約到"].ends_on, True, True)
    certificates = {1: [Validity(None, parse_date(given.pop("資格證明到")))]} if "資格證明到" in given else {}
    day, lines = parse_date(given.pop("就醫日期")), given.pop("用藥", [])
    intakes = [
        BaselineFacts(parse_date(one["評估日期"]), one.get("尼古丁成癮度") and int(one["尼古丁成癮度"]), 20)
        for one in given.pop("收案評估", [])
    ]
    visit = MonthVisit(
        UUID(int=1), 1, day, 1 if lines else None, 1 if given.pop("同日衛教", "有") == "有" else None,
        [[int(one["週數"]), int(one["天數"])] for one in lines], given.pop("療程第一次", "否") == "是",
        given.pop("平均每日支數", "有") == "有", parse_date(given.pop("下次就醫")) if "下次就醫" in given else None,
        parse_date(given.pop("之後的衛教")) if "之後的衛教" in given else None,
        baseline_of_course(intakes, day),
    )  # fmt: skip
    around = Around(month_of(day), today, [periods["機構合約到"]], {1: [staff]}, certificates)
    found = check_visits([visit], around)
    return {
        "未完整": [one.message for one in found if one.level is Level.INCOMPLETE],
        "請留意": [one.message for one in found if one.level is Level.LOOK],
        "修正欄位": [one.field for one in found],
    }


ADAPTERS = {
    "對照": comparing_example,
    "批次檔案": file_example,
    "期限": window_example,
    "間隔": spacing_example,
    "資格": eligibility_example,
    "療程": course_example,
    "證號": identity_example,
    "尼古丁成癮度": ftnd_example,
    "保存期限": keeping_example,
    "更正申請": correction_example,
    "更正戒菸者": person_example,
    "自行清查": selfcheck_example,
}


def read(path):
    """The file with every value as the text that stands there: 114/2/15, 10 and 是 mean what a reader sees."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)


FILES = {path.stem: read(path) for path in sorted(HERE.glob("*.yaml"))}
EXAMPLES = [
    pytest.param(name, example, id=f"{name}：{example['說明']}")
    for name, file in FILES.items()
    for example in file["例"]
]


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_the_rules_give_the_result_of_the_example(name, example):
    given = deepcopy(example["條件"])
    answer = ADAPTERS[name](given)
    assert not given, "conditions that the adapter does not know"
    assert example["結果"] == {key: answer[key] for key in example["結果"]}


def test_every_file_has_an_adapter_and_is_complete():
    assert FILES.keys() == ADAPTERS.keys()
    for name, file in FILES.items():
        assert file.keys() == {"主題", "規定", "依據", "例"}, name
        for example in file["例"]:
            assert example.keys() == {"說明", "條件", "結果"}, example["說明"]
            assert example["結果"], example["說明"]


def test_no_two_examples_have_the_same_words():
    words = [example["說明"] for file in FILES.values() for example in file["例"]]
    assert len(set(words)) == len(words)
