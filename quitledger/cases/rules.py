"""What an intake (收案評估) must hold, and whether a person may be given medication on a day.

Pure: values in, every problem out. Source: domain.md §6 and §6a; the numbers are policy (`policy_on`), except the
bounds of what is plausible, which stand in `data/` beside the questions of the Fagerström test.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

from quitledger.policy import PolicyGap, Problem, Sentence, Several, Words, policy_on
from quitledger.policy.identity import IdentityKind, check_identity, normalise, sex_of
from quitledger.policy.yaml_files import read_yaml

REASON_LENGTH = 200  # characters: the width of the column, no rule of the programme
SEXES = {"male": Words("男"), "female": Words("女")}
UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")  # NUL and lone surrogates: no text of the database holds them

# --- Fagerström test ---


@dataclass(frozen=True)
class FtndAnswer:
    """One answer of an item: the word that is stored, and the label on the form."""

    word: str
    label: str


@dataclass(frozen=True)
class FtndItem:
    """One question of the test: the name of its field in FtndAnswers, the question asked, its answers in form order."""

    name: str
    question: str
    answers: tuple[FtndAnswer, ...]

    @property
    def words(self) -> set[str]:
        """The words of the answers."""
        return {answer.word for answer in self.answers}


def _data(name: str) -> Any:
    return read_yaml(Path(__file__).parent / "data" / name)


FTND_ITEMS: tuple[FtndItem, ...] = tuple(
    FtndItem(
        item["name"],
        Words(item["question"]),
        tuple(FtndAnswer(answer["word"], Words(answer["label"])) for answer in item["answers"]),
    )  # fmt: skip
    for item in _data("ftnd.yaml")["items"]
)
"""The six questions in the order in which they are asked."""


@dataclass(frozen=True)
class FtndAnswers:
    """The answers to all six items, each a word of the item of that name in FTND_ITEMS; else ValueError."""

    first_cigarette: str
    hard_to_refrain: str
    hardest_to_give_up: str
    most_cigarettes: str
    more_in_first_hours: str
    smokes_when_ill: str

    def __post_init__(self) -> None:
        for item in FTND_ITEMS:
            if getattr(self, item.name) not in item.words:
                raise ValueError(f"{item.name} has no such answer")


def ftnd_score(answers: FtndAnswers, on: date) -> int:
    """The Fagerström score (尼古丁成癮度), 0 to 10 points, by the scoring in force on the day of the intake.

    Raises PolicyGap where policy has no scoring for that day.
    """
    points = policy_on(on, "ftnd_scoring")
    return sum(points[item.name][getattr(answers, item.name)] for item in FTND_ITEMS)


# --- Age ---


def age_on(birth_on: date, day: date) -> int:
    """Completed years of age on `day`; negative before birth.

    A year of age is complete from the anniversary of birth. A person born on 29 February completes it, in a common
    year, with the end of 28 February, that is from 1 March: Civil Code §124 (age counts from the day of birth) and §121
    (a period ends with the day before the corresponding day; where the month has none, with the month's last day).
    """
    return day.year - birth_on.year - ((day.month, day.day) < (birth_on.month, birth_on.day))


def person_emptied() -> Problem:
    """Why nothing is recorded for a person whose keeping time has ended."""
    return Problem(
        "person-emptied", "這位戒菸者的保存期限已過，個人資料已清除，不能再登錄。再來時請以「新收個案」重新收案。"
    )


def person_merged() -> Problem:
    """Why nothing is recorded for a person whom the desk found to be another one."""
    return Problem("person-merged", "這位戒菸者已合併到另一筆，請開啟合併後的個案。")


def person_changed_meanwhile() -> Problem:
    """Why a correction of a person that was written for another version of him is not made."""
    return Problem("person-changed-meanwhile", "戒菸者的證號、出生日期或性別在這之後已更正過，請看過現在的內容再決定。")


def check_reason(reason: str) -> list[Problem]:
    """The reason given for a change or a decision. Field: reason."""
    if not reason.strip():
        return [Problem("reason-missing", "請填原因，之後查看版本紀錄的人才知道為什麼。", "reason")]
    return check_note(reason)


def check_note(reason: str) -> list[Problem]:
    """A reason that need not be given. Field: reason."""
    if len(reason) > REASON_LENGTH:
        message = Sentence("原因最多 {most} 字，您填了 {typed} 字。", most=REASON_LENGTH, typed=len(reason))
        return [Problem("reason-too-long", message, "reason")]
    if UNSTORABLE.search(reason):
        return [Problem("reason-unreadable", "原因有無法儲存的字元，請刪除後重填。", "reason")]
    return []


# --- Who somebody is ---


@dataclass(frozen=True)
class Identity:
    """Who a person is: the whole of what the nation knows. `country` of passports only, else ""."""

    kind: IdentityKind
    number: str = field(repr=False)
    country: str
    birth_on: date
    sex: str

    @property
    def compared(self) -> "Identity":
        """The same, written as identity numbers are compared."""
        return replace(self, number=normalise(self.number), country=normalise(self.country))


def check_person(identity: Identity, *, today: date, made_up_allowed: bool) -> list[Problem]:
    """Every reason why nobody can be registered as this: number, birth date, sex, and the sex that the number tells.

    Fields: identity_number, identity_country, birth_on, sex.
    """
    problems = check_identity(identity.kind, identity.number, identity.country or None, made_up_allowed=made_up_allowed)
    if identity.birth_on > today:
        problems.append(
            Problem("birth-in-future", Sentence("出生日期 {day} 還沒到，請確認。", day=identity.birth_on), "birth_on")
        )
    else:
        too_old = implausible({"age": age_on(identity.birth_on, today)})
        problems += [replace(problem, field="birth_on") for problem in too_old]
    if identity.sex not in SEXES:
        problems.append(Problem("sex-missing", "請選擇性別。", "sex"))
    else:
        expected = sex_of(identity.kind, normalise(identity.number)) if not problems else None
        if expected and expected != identity.sex:
            problems.append(Problem("sex-differs", "性別與證號第 2 碼不符，請確認性別與證號。", "sex"))
    return problems


@dataclass(frozen=True)
class PersonFacts:
    """What a change of a person must be compared with (database function cases_person_facts).

    `is_open`: whether the one who changes may do so now. `is_known`: another person has the new number and birth date,
    which the desk alone is told. `first_on`: the first day of a visit or an intake; `pregnant`: one of them says so.
    """

    is_open: bool
    is_known: bool = False
    first_on: date | None = None
    pregnant: bool = False


def check_person_change(
    said: Identity, recorded: Identity, facts: PersonFacts, *, today: date, made_up_allowed: bool
) -> list[Problem]:
    """Every reason why a person cannot be changed from `recorded` into `said` now.

    An institution itself while the window of the person's first visit is open, and only a person nobody else knows; the
    words of the refusal are the same for all, so that they do not tell which it is. Fields: those of check_person.
    """
    problems = check_person(said, today=today, made_up_allowed=made_up_allowed)
    if said.compared == recorded.compared:
        problems.append(Problem("nothing-changed", "內容和已登錄的相同，沒有可更正的。"))
    if not facts.is_open:
        problems.append(
            Problem(
                "person-not-open",
                "第一次就醫的登錄期限過後，或須由管理窗口核對時，證號、出生日期與性別不能由機構自行更正。請向管理窗口申請。",
                None,
                "recording_window_last_day",
            )
        )
    if facts.is_known:
        problems.append(
            Problem(
                "person-known",
                "已有另一位戒菸者使用這個證號與出生日期。若是同一人，請改用合併；若那一筆先前已合併至此，請撤銷後改以那一筆為保留者。",
                "identity_number",
            )
        )
    if facts.first_on and said.birth_on > facts.first_on:
        message = Sentence("出生日期晚於 {day} 的就醫或收案評估，請確認。", day=facts.first_on)
        problems.append(Problem("birth-after-records", message, "birth_on"))
    if facts.pregnant and said.sex == "male":
        problems.append(Problem("sex-of-pregnant", "已登錄的就醫資料或收案評估記載懷孕，性別不能改為男。", "sex"))
    return problems


def check_case(*, name: str, chart_no: str, phone: str, widths: Mapping[str, int]) -> list[Problem]:
    """Every reason why a case cannot be called so. `widths`: field → the most characters that are kept of it."""
    problems = []
    if not name.strip():
        problems.append(Problem("name-missing", "請填姓名。", "name"))
    labels = {"name": Words("姓名"), "chart_no": Words("病歷號"), "phone": Words("電話")}
    for (field_name, label), text in zip(labels.items(), (name, chart_no, phone), strict=True):
        most = widths[field_name]
        if len(text) > most:
            message = Sentence("{label}最多 {most} 字。", label=label, most=most)
            problems.append(Problem("text-too-long", message, field_name))
        elif UNSTORABLE.search(text):
            message = Sentence("{label}有無法儲存的字元，請刪除後重填。", label=label)
            problems.append(Problem("text-unreadable", message, field_name))
    return problems


# --- Intake ---


class Taken(Protocol):
    """An intake, as far as its choice for a course needs it."""

    @property
    def taken_on(self) -> date: ...


Intake = TypeVar("Intake", bound=Taken)


@dataclass(frozen=True)
class BaselineFacts:
    """What an intake says about dependence: score (0–10) and average of cigarettes a day; None = not recorded."""

    taken_on: date
    ftnd_score: int | None
    cigarettes_per_day: int | None


@dataclass(frozen=True)
class _Bounds:
    title: str
    unit: str
    least: int
    most: int
    assumed: bool


_PLAUSIBLE = {name: _Bounds(**bounds) for name, bounds in _data("plausible.yaml").items()}


def baseline_of_course(baselines: Iterable[Intake], first_day: date) -> Intake | None:
    """The intake that counts for a medication course: the latest taken on its first day or at most
    `baseline_validity_days` before; of several on one day the last given. None where there is none.

    Raises PolicyGap where the validity on that day is not known.
    """
    longest = policy_on(first_day, "baseline_validity_days")
    valid = [baseline for baseline in baselines if 0 <= (first_day - baseline.taken_on).days <= longest]
    return max(reversed(valid), key=lambda baseline: baseline.taken_on, default=None)


def check_baseline(
    *,
    taken_on: date,
    today: date,
    birth_on: date,
    sex: str | None,
    ftnd: Mapping[str, str],
    cigarettes_per_day: int | None,
    co_ppm: int | None,
    weight_kg: Decimal | None,
    pregnant: bool,
) -> list[Problem]:
    """Every reason why an intake cannot be recorded: dates, the six answers (all or none), slips of the pen.

    `ftnd`: item name → word; an item left out or "" is unanswered. Fields of the problems are the names of the
    parameters; of an item, "ftnd_" and its name.
    """
    return [
        *_date_problems(taken_on, today, birth_on),
        *_ftnd_problems(ftnd, taken_on),
        *implausible({"cigarettes_per_day": cigarettes_per_day, "co_ppm": co_ppm, "weight_kg": weight_kg}),
        *pregnancy_problems(pregnant, sex),
    ]


def _date_problems(taken_on: date, today: date, birth_on: date) -> list[Problem]:
    problems = []
    if taken_on > today:
        message = Sentence("評估日期 {day} 還沒到。請填實際評估的日期。", day=taken_on)
        problems.append(Problem("taken-in-future", message, "taken_on"))
    if taken_on < birth_on:
        message = Sentence("評估日期 {day} 早於出生日期。請確認這兩個日期。", day=taken_on)
        problems.append(Problem("taken-before-birth", message, "taken_on"))
    return problems


def _ftnd_problems(ftnd: Mapping[str, str], taken_on: date) -> list[Problem]:
    given = {item: ftnd.get(item.name) or "" for item in FTND_ITEMS}
    if not any(given.values()):
        return []
    problems = []
    for number, (item, word) in enumerate(given.items(), start=1):
        field = f"ftnd_{item.name}"
        if not word:
            message = Sentence("尼古丁成癮度第 {number} 題還沒作答。6 題都要作答，或全部留空。", number=number)
            problems.append(Problem("ftnd-incomplete", message, field))
        elif word not in item.words:
            message = Sentence("尼古丁成癮度第 {number} 題沒有這個選項。", number=number)
            problems.append(Problem("ftnd-unknown-answer", message, field))
    try:
        policy_on(taken_on, "ftnd_scoring")
    except PolicyGap as gap:
        message = Sentence("{reason}無法計分，請洽管理窗口。", reason=gap.reason)
        problems.append(Problem("policy-unknown", message, "taken_on", gap.name))
    return problems


def implausible(values: Mapping[str, int | Decimal | None]) -> list[Problem]:
    """A problem for each value that must be a slip of the pen; field name → value, None = not recorded.

    The names are those of `data/plausible.yaml` (cigarettes_per_day, co_ppm, …); another is a KeyError.
    """
    problems = []
    for name, value in values.items():
        bounds = _PLAUSIBLE[name]
        if value is not None and not bounds.least <= value <= bounds.most:
            message = Sentence(
                "{title}（{unit}）應在 {least} 到 {most} 之間，請再確認。",
                title=Words(bounds.title), unit=Words(bounds.unit), least=bounds.least, most=bounds.most,
            )  # fmt: skip
            problems.append(Problem("value-implausible", message, name))
    return problems


def pregnancy_problems(pregnant: bool, sex: str | None) -> list[Problem]:
    """A problem where a man is said to be pregnant. `sex`: "male", "female" or None = not known. Field: pregnant."""
    if pregnant and sex == "male":
        return [Problem("pregnant-male", "基本資料的性別是男性，懷孕應為「否」。請確認這兩項。", "pregnant")]
    return []


# --- Eligibility for medication ---


@dataclass(frozen=True)
class Reason:
    """One condition of eligibility: whether it is met, a sentence with the facts, the policy parameter behind it."""

    ok: bool
    text: str
    policy: str


@dataclass(frozen=True)
class Eligibility:
    """Whether medication may be given: every condition, met or not, and a problem for each that is not."""

    eligible: bool
    reasons: list[Reason]
    problems: list[Problem]


def medication_eligibility(
    *,
    on: date,
    birth_on: date,
    pregnant: bool,
    insured: bool | None,
    baseline: BaselineFacts | None,
    course_first_day: date,
) -> Eligibility:
    """Whether the programme pays for medication given on the visit day `on` (domain.md §6, §6a).

    Age, pregnancy and insurance are those of the visit day; dependence is that of `baseline`, the intake that counts
    for the course (`baseline_of_course`), whose first day is `course_first_day` (= `on` for a new course). `insured`
    None = not known. A rule whose value is unknown on its day is a problem, too ("policy-unknown"): nothing is assumed
    silently.
    Fields of the problems: birth_on, pregnant, insured, baseline.
    """
    findings: list[Reason | Problem] = [
        _finding("birth_on", lambda: _old_enough(on, birth_on)),
        _finding("pregnant", lambda: _not_pregnant(on, pregnant)),
        _finding("insured", lambda: _insured(on, insured)),
        _finding("baseline", lambda: _dependent(baseline, course_first_day)),
    ]
    problems = [finding for finding in findings if isinstance(finding, Problem)]
    reasons = [
        finding if isinstance(finding, Reason) else Reason(False, finding.message, finding.policy or "")
        for finding in findings
    ]
    return Eligibility(not problems, reasons, problems)


def _finding(field: str, condition: Callable[[], Reason | Problem]) -> Reason | Problem:
    try:
        return condition()
    except PolicyGap as gap:
        message = Sentence("{reason}無法判斷能否用藥，請洽管理窗口。", reason=gap.reason)
        return Problem("policy-unknown", message, field, gap.name)


def _old_enough(on: date, birth_on: date) -> Reason | Problem:
    name = "medication_minimum_age"
    minimum = policy_on(on, name)
    if age_on(birth_on, on) >= minimum:
        return Reason(True, _is_of_age(on, minimum), name)
    message = Sentence("就醫日 {day} 未滿 {minimum} 歲，不能用藥；可以登錄衛教。", day=on, minimum=minimum)
    return Problem("under-age", message, "birth_on", name)


def _not_pregnant(on: date, pregnant: bool) -> Reason | Problem:
    name = "pregnancy_excludes_medication"
    if not policy_on(on, name):
        return Reason(True, Words("懷孕與否不影響用藥。"), name)
    if not pregnant:
        return Reason(True, _is_not_pregnant(on), name)
    message = Sentence("就醫日 {day} 懷孕中，不能用藥；可以登錄衛教。", day=on)
    return Problem("pregnant", message, "pregnant", name)


@lru_cache
def _is_of_age(on: date, minimum: int) -> Sentence:
    return Sentence("就醫日 {day} 已滿 {minimum} 歲。", day=on, minimum=minimum)


@lru_cache
def _is_not_pregnant(on: date) -> Sentence:
    return Sentence("就醫日 {day} 未懷孕。", day=on)


def _insured(on: date, insured: bool | None) -> Reason | Problem:
    name = "insured_required"
    if not policy_on(on, name):
        return Reason(True, Words("用藥不以健保身分為條件。"), name)
    if insured is None:
        message = Sentence("還不知道有沒有健保身分，不能用藥。請先確認並登錄健保身分；衛教可以先登錄。")
        return Problem("insured-unknown", message, "insured", name)
    if insured:
        return Reason(True, Words("有健保身分。"), name)
    return Problem(
        "not-insured", "沒有健保身分，不能登錄用藥；可以登錄衛教。身分若有變更，請先更新基本資料。", "insured", name
    )


def _dependent(baseline: BaselineFacts | None, course_first_day: date) -> Reason | Problem:
    name = "minimum_ftnd_score"
    if baseline is None:
        message = Sentence("尚無收案評估，缺尼古丁成癮度或每日支數，還不能用藥。請先完成收案評估；衛教可以先登錄。")
        return Problem("baseline-missing", message, "baseline", name)

    taken, first = baseline.taken_on, course_first_day
    longest = policy_on(course_first_day, "baseline_validity_days")
    age_in_days = (course_first_day - baseline.taken_on).days
    if age_in_days > longest:
        message = Sentence(
            "{taken} 的收案評估距療程首日 {first} 超過 {longest} 日，請重新評估。",
            taken=taken,
            first=first,
            longest=longest,
        )
        return Problem("baseline-too-old", message, "baseline", "baseline_validity_days")
    if age_in_days < 0:
        message = Sentence(
            "{taken} 的收案評估晚於療程首日 {first}，不能作為這個療程的依據。請確認評估日期。", taken=taken, first=first
        )
        return Problem("baseline-after-course", message, "baseline", "baseline_validity_days")

    score, cigarettes = baseline.ftnd_score, baseline.cigarettes_per_day
    if score is None and cigarettes is None:
        message = Sentence(
            "{taken} 的收案評估缺尼古丁成癮度與每日支數，還不能用藥。請至少補一項；衛教可以先登錄。", taken=taken
        )
        return Problem("baseline-values-missing", message, "baseline", name)
    least_score = policy_on(course_first_day, name)
    least_cigarettes = policy_on(course_first_day, "minimum_cigarettes_per_day")
    facts, condition, met = _dependence(taken, score, cigarettes, least_score, least_cigarettes)
    if score is not None and score >= least_score:
        return Reason(True, met, name)
    if cigarettes is not None and cigarettes >= least_cigarettes:
        return Reason(True, met, "minimum_cigarettes_per_day")
    message = Sentence("{facts}。用藥{condition}；可以登錄衛教。", facts=facts, condition=condition)
    return Problem("dependence-below-minimum", message, "baseline", name)


@lru_cache
def _dependence(
    taken: date, score: int | None, cigarettes: int | None, least_score: int, least_cigarettes: int
) -> tuple[Sentence, Sentence, Sentence]:
    """What an intake says, what is demanded, and both: the same for many visits of a file."""
    facts = Sentence(
        "收案評估 {taken}：{found}",
        taken=taken,
        found=Several(
            (
                Words("尼古丁成癮度未填") if score is None else Sentence("尼古丁成癮度 {score} 分", score=score),
                Words("每日支數未填") if cigarettes is None else Sentence("每日 {number} 支", number=cigarettes),
            )
        ),
    )
    condition = Sentence(
        "須尼古丁成癮度 {score} 分以上，或每日 {cigarettes} 支以上", score=least_score, cigarettes=least_cigarettes
    )
    met = Sentence("{facts}（{condition}）。", facts=facts, condition=condition)
    return facts, condition, met
