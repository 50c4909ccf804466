"""What may become of an application, from whom to whom, and what it must say. Pure: values in, every problem out.

Source: the agency's notice, section 參 (late entry, correction form with seal and the supervisor's signature), and
domain.md §3: true visit date, discovery date, reason and evidence are separate facts.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from quitledger.accounts.permissions import Permission, Role
from quitledger.cases.rules import UNSTORABLE
from quitledger.policy import PolicyGap, policy_on
from quitledger.policy.problem import Problem
from quitledger.policy.sentences import Month, Sentence, Words

REASON_LENGTH = 1000  # characters: the width of the column, no rule of the programme
MOST_ITEMS = 10  # of an application: what a page shows at once, no rule of the programme

# --- States, owners, steps -----------------------------------------------------------------------------------------


class Owner(StrEnum):
    """Whose turn it is."""

    WRITER = "writer"
    SIGNER = "signer"
    INSTITUTION = "institution"
    DESK = "desk"
    OFFICER = "officer"  # the one who claimed it
    SECOND = "second"  # another of the desk than who decided
    NOBODY = "nobody"  # it has ended

    @property
    def label(self) -> Words:
        """In Chinese."""
        return _OWNERS[self]


_OWNERS = {
    Owner.WRITER: Words("填寫人"),
    Owner.SIGNER: Words("業務主管"),
    Owner.INSTITUTION: Words("機構"),
    Owner.DESK: Words("管理窗口"),
    Owner.OFFICER: Words("承辦人"),
    Owner.SECOND: Words("複審人"),
    Owner.NOBODY: Words("—"),
}


class State(StrEnum):
    """申請狀態."""

    DRAFT = "draft"
    TO_SIGN = "to_sign"
    NEW = "new"
    IN_REVIEW = "in_review"
    WAITING = "waiting"
    SECOND = "second"
    APPROVED = "approved"
    IN_PART = "in_part"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Standing:
    """A state in words, whose turn it is, and the tag it is shown with."""

    label: Words
    owner: Owner
    tag: str


STATES: dict[State, Standing] = {
    State.DRAFT: Standing(Words("草稿"), Owner.WRITER, "plain"),
    State.TO_SIGN: Standing(Words("待簽核"), Owner.SIGNER, "warn"),
    State.NEW: Standing(Words("待審"), Owner.DESK, "in"),
    State.IN_REVIEW: Standing(Words("審核中"), Owner.OFFICER, "in"),
    State.WAITING: Standing(Words("等機構回覆"), Owner.INSTITUTION, "warn"),
    State.SECOND: Standing(Words("待複審"), Owner.SECOND, "in"),
    State.APPROVED: Standing(Words("已核可"), Owner.NOBODY, "ok"),
    State.IN_PART: Standing(Words("部分核可"), Owner.NOBODY, "ok"),
    State.REJECTED: Standing(Words("已退回"), Owner.NOBODY, "bad"),
    State.WITHDRAWN: Standing(Words("已撤回"), Owner.NOBODY, "plain"),
}
OPEN = tuple(state for state in State if STATES[state].owner is not Owner.NOBODY)
DECIDED = (State.APPROVED, State.IN_PART, State.REJECTED)


# How long it may be somebody's turn, by policy.
_LIMITS = {
    State.NEW: "correction_decision_days",
    State.IN_REVIEW: "correction_decision_days",
    State.SECOND: "correction_decision_days",
    State.WAITING: "correction_answer_days",
}


def due_on(state: State, *, received_on: date, since: date) -> date | None:
    """Until when it is somebody's turn: of a question from the day it was asked (`since`), else from the day of receipt.

    None where it is nobody's turn, or the programme says no limit (the value is unknown).
    """
    name = _LIMITS.get(state)
    if name is None:
        return None
    begins = since if state is State.WAITING else received_on
    try:
        return begins + timedelta(days=policy_on(begins, name))
    except PolicyGap:
        return None


class Step(StrEnum):
    """What is done with an application; the word is also the address."""

    WRITE = "write"
    REWRITE = "rewrite"
    SUBMIT = "submit"
    SIGN = "sign"
    HAND_BACK = "hand_back"
    WITHDRAW = "withdraw"
    REGISTER = "register"
    CLAIM = "claim"
    RELEASE = "release"
    ASK = "ask"
    ANSWER = "answer"
    DECIDE = "decide"
    CONFIRM = "confirm"
    REFER_BACK = "refer_back"

    @property
    def label(self) -> Words:
        """In Chinese."""
        return _STEPS[self]


_STEPS = {
    Step.WRITE: Words("開始填寫"),
    Step.REWRITE: Words("修改"),
    Step.SUBMIT: Words("送業務主管簽核"),
    Step.SIGN: Words("簽核並送出"),
    Step.HAND_BACK: Words("退回填寫人"),
    Step.WITHDRAW: Words("撤回"),
    Step.REGISTER: Words("登記紙本申請"),
    Step.CLAIM: Words("承辦"),
    Step.RELEASE: Words("放回待審"),
    Step.ASK: Words("詢問機構"),
    Step.ANSWER: Words("回覆管理窗口"),
    Step.DECIDE: Words("審核"),
    Step.CONFIRM: Words("複審同意"),
    Step.REFER_BACK: Words("複審退回承辦人"),
}


@dataclass(frozen=True)
class Way:
    """What a step needs and where it leads: by whose permission, from which states, to which."""

    permission: Permission
    from_states: tuple[State | None, ...]  # None: there is no application yet
    to_states: tuple[State, ...]


_P = Permission
TRANSITIONS: dict[Step, Way] = {
    Step.WRITE: Way(_P.CORRECTION_APPLY, (None,), (State.DRAFT,)),
    Step.REWRITE: Way(_P.CORRECTION_APPLY, (State.DRAFT,), (State.DRAFT,)),
    Step.SUBMIT: Way(_P.CORRECTION_APPLY, (State.DRAFT,), (State.TO_SIGN,)),
    Step.SIGN: Way(_P.CORRECTION_SIGN, (State.TO_SIGN, State.DRAFT), (State.NEW,)),
    Step.HAND_BACK: Way(_P.CORRECTION_SIGN, (State.TO_SIGN,), (State.DRAFT,)),
    Step.WITHDRAW: Way(
        _P.CORRECTION_APPLY,
        (State.DRAFT, State.TO_SIGN, State.NEW, State.IN_REVIEW, State.WAITING),
        (State.WITHDRAWN,),
    ),
    Step.REGISTER: Way(_P.CORRECTION_REGISTER, (None,), (State.NEW,)),
    Step.CLAIM: Way(_P.CORRECTION_DECIDE, (State.NEW,), (State.IN_REVIEW,)),
    Step.RELEASE: Way(_P.CORRECTION_DECIDE, (State.IN_REVIEW,), (State.NEW,)),
    Step.ASK: Way(_P.CORRECTION_DECIDE, (State.IN_REVIEW,), (State.WAITING,)),
    Step.ANSWER: Way(_P.CORRECTION_APPLY, (State.WAITING,), (State.IN_REVIEW,)),
    Step.DECIDE: Way(_P.CORRECTION_DECIDE, (State.IN_REVIEW,), (*DECIDED, State.SECOND)),
    Step.CONFIRM: Way(_P.CORRECTION_DECIDE, (State.SECOND,), (State.APPROVED, State.IN_PART)),
    Step.REFER_BACK: Way(_P.CORRECTION_DECIDE, (State.SECOND,), (State.IN_REVIEW,)),
}


# Steps with which something has to be written, and what to say where nothing is.
WHAT_TO_WRITE = {
    Step.HAND_BACK: Words("請寫下要填寫人修改什麼。"),
    Step.ASK: Words("請寫下要問機構什麼。"),
    Step.ANSWER: Words("請寫下回覆。"),
    Step.REFER_BACK: Words("請寫下為什麼不同意。"),
}


# --- Items -----------------------------------------------------------------------------------------------------------


class ItemKind(StrEnum):
    """What is to be put right."""

    LATE_ENTRY = "late_entry"
    CHANGE = "change"
    VOID = "void"
    RESTORE = "restore"
    PERSON = "person"
    PARKED = "parked"
    OVERWRITTEN = "overwritten"


@dataclass(frozen=True)
class Kind:
    """An item's kind in words, and what the desk's approval permits (visits.models.PermitKind); "" where it is no visit."""

    label: Words
    explanation: Words
    permit: str


ITEM_KINDS: dict[ItemKind, Kind] = {
    ItemKind.LATE_ENTRY: Kind(Words("補登"), Words("這次就醫從來沒有登錄。"), "record"),
    ItemKind.CHANGE: Kind(Words("更正內容"), Words("登錄的內容有誤，就醫日期在同一個月。"), "change"),
    ItemKind.VOID: Kind(Words("刪除"), Words("重複登錄，或登錄到別人。"), "void"),
    ItemKind.RESTORE: Kind(Words("恢復"), Words("先前誤作廢。"), "restore"),
    ItemKind.PARKED: Kind(Words("移到真正的就醫日期"), Words("這筆其實是另一天的就醫，先前暫登在這一天。"), "change"),
    ItemKind.OVERWRITTEN: Kind(
        Words("還原被覆蓋的紀錄"), Words("這筆被別次就醫的內容覆蓋，要還原本來的內容。"), "change"
    ),
    ItemKind.PERSON: Kind(Words("證號、出生日期、性別"), Words("戒菸者的證號（含換發證件）、出生日期或性別有誤。"), ""),
}


class Rejection(StrEnum):
    """退回原因."""

    EVIDENCE = "evidence"
    DATE = "date"
    REPEATED = "repeated"
    RULE = "rule"
    OTHER = "other"

    @property
    def label(self) -> Words:
        """In Chinese."""
        return _REJECTIONS[self]


_REJECTIONS = {
    Rejection.EVIDENCE: Words("證明文件不足"),
    Rejection.DATE: Words("就醫日期與病歷不符"),
    Rejection.REPEATED: Words("重複申請"),
    Rejection.RULE: Words("不符合規定"),
    Rejection.OTHER: Words("其他"),
}


# --- The rules -------------------------------------------------------------------------------------------------------


def check_application(
    *, reason: str, discovered_on: date | None, today: date, items: int, visit_days: Sequence[date]
) -> list[Problem]:
    """Every reason why an application of so many items cannot be written so. Fields: reason, discovered_on, items."""
    problems = check_text(reason, "reason", Words("請詳細填寫原因，例如：2/15 看診後系統無法連線，漏未登錄。"))
    if discovered_on is None:
        problems.append(Problem("discovered-missing", "請填發現的日期。", "discovered_on"))
    elif discovered_on > today:
        message = Sentence("發現日 {day} 還沒到。今天是 {today}。", day=discovered_on, today=today)
        problems.append(Problem("discovered-in-future", message, "discovered_on"))
    else:
        early = [day for day in visit_days if discovered_on < day]
        if early:
            message = Sentence(
                "發現日 {day} 早於就醫日期 {visit}，請確認這兩個日期。", day=discovered_on, visit=max(early)
            )
            problems.append(Problem("discovered-before-visit", message, "discovered_on"))
    if not items:
        problems.append(Problem("items-missing", "請至少加入一項要更正的資料。", "items"))
    elif items > MOST_ITEMS:
        message = Sentence("一件申請最多 {most} 項，請分件申請。", most=MOST_ITEMS)
        problems.append(Problem("items-too-many", message, "items"))
    return problems


def check_text(text: str, field: str, missing: Words | None) -> list[Problem]:
    """What somebody writes with a step. `missing`: what to say where nothing is written; None: nothing has to be."""
    if missing is not None and not text.strip():
        return [Problem(f"{field}-missing", missing, field)]
    if len(text) > REASON_LENGTH:
        message = Sentence("最多 {most} 字，您填了 {typed} 字。", most=REASON_LENGTH, typed=len(text))
        return [Problem(f"{field}-too-long", message, field)]
    if UNSTORABLE.search(text):
        return [Problem(f"{field}-unreadable", Words("文字裡有無法儲存的字元，請刪除後重填。"), field)]
    return []


def check_needed(closing: Sequence[tuple[date, datetime | None]], moment: datetime) -> list[Problem]:
    """While every month concerned (its first day, its closing moment) is open, the institution does it itself.

    Field: items.
    """
    if not closing or any(closes_at is None or closes_at <= moment for _, closes_at in closing):
        return []
    message = Sentence(
        "{month}還在登錄期限內，請直接登錄、修改或作廢，不必申請。", month=Month(max(month for month, _ in closing))
    )
    return [Problem("window-open", message, "items")]


def check_true_day(kind: ItemKind, visit_on: date, recorded_on: date | None) -> list[Problem]:
    """A record is moved from the day it stands on to another; contents are corrected within its month. Field: visit_on."""
    if kind is ItemKind.PARKED and visit_on == recorded_on:
        return [Problem("day-not-moved", "請填真正的就醫日期；現在的日期和登錄的相同。", "visit_on")]
    if (
        kind in (ItemKind.CHANGE, ItemKind.OVERWRITTEN)
        and recorded_on is not None
        and (visit_on.year, visit_on.month) != (recorded_on.year, recorded_on.month)
    ):
        return [
            Problem(
                "month-moved", "就醫日期改到另一個月份時，請選「移到真正的就醫日期」：該次就醫視為補登。", "visit_on"
            )
        ]
    return []


def is_late(kind: ItemKind, recorded_at: datetime | None, closes_at: datetime | None) -> bool:
    """True where the visit counts as late for ever: entered late, or parked elsewhere only after its month had closed.

    `recorded_at` of the record that is moved, `closes_at` of the month of the true day.
    """
    if kind is ItemKind.LATE_ENTRY:
        return True
    return kind is ItemKind.PARKED and (recorded_at is None or closes_at is None or recorded_at >= closes_at)


def check_signature(
    *, signer: int, writer: int, roles: Collection[Role | None], accounts: int, submitted: bool
) -> list[Problem]:
    """Every reason why an application cannot be signed so.

    Two persons, one of them a supervisor (what replaces 機構章 and 業務主管簽章); an institution with one account
    (`accounts`: those that may sign in today) has one signature. `roles`: of signer and writer. `submitted`: the writer
    has handed it over.
    """
    if accounts == 1:
        return []
    if signer == writer:
        return [Problem("signed-by-writer", "填寫的人不能自己簽核，請由業務主管或另一位同仁簽核。", None)]
    problems = []
    if not submitted:
        problems.append(Problem("not-submitted", "填寫人還沒有送簽核。", None))
    if Role.SUPERVISOR not in roles:
        problems.append(Problem("supervisor-missing", "填寫與簽核的兩人之中，要有一位業務主管。", None))
    return problems


def check_decider(
    *, decider: int, applicants: Collection[int | None], first: int | None, settled: bool, role: Role | None
) -> list[Problem]:
    """Every reason why somebody of the desk cannot decide an application. `first`: who decided before him, if anybody."""
    problems = []
    if decider in applicants:
        problems.append(Problem("decided-by-applicant", "這件申請是您填寫、簽核或登記的，要由另一位承辦人審核。", None))
    if decider == first:
        message = Words("單人機構的申請由兩位承辦人審核；您已審過，請由另一位複審。")
        problems.append(Problem("decided-twice", message, None))
    if settled and role is not Role.DESK_SUPERVISOR:
        problems.append(Problem("month-settled", "這個月份的費用已結算，要由窗口主管審核。", None))
    return problems


def check_decisions(decisions: Sequence[tuple[str, str, bool]], text: str) -> list[Problem]:
    """Every reason why items cannot be decided so: (decision, rejected_for, linked) of each, in order.

    Fields: item-N, rejected_for-N, text.
    """
    problems = []
    for number, (decision, rejected_for, _) in enumerate(decisions):
        if decision not in ("approved", "rejected"):
            problems.append(Problem("decision-missing", "請選擇核可或退回。", f"item-{number}"))
        elif decision == "rejected" and rejected_for not in list(Rejection):
            problems.append(Problem("rejection-missing", "退回時請選擇原因。", f"rejected_for-{number}"))
    if len({decision for decision, _, linked in decisions if linked}) > 1:
        message = Words("還原與補登是同一件事，要一起核可或一起退回。")
        problems.append(Problem("linked-apart", message, "item-0"))
    if any(rejected_for == Rejection.OTHER for _, rejected_for, _ in decisions) and not text.strip():
        problems.append(Problem("text-missing", "退回原因選「其他」時，請填給機構的說明。", "text"))
    return problems + check_text(text, "text", None)


def outcome(decisions: Collection[str]) -> State:
    """The state that the decisions about all items make."""
    if set(decisions) == {"approved"}:
        return State.APPROVED
    return State.REJECTED if set(decisions) == {"rejected"} else State.IN_PART
