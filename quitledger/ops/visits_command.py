"""`quitledger visits record`: visits from JSON lines, recorded as the page records them, by an account in its scope."""

import time
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING
from uuid import UUID, uuid4

import click

from quitledger.policy import format_roc

from .environment import prepare
from .faults import Fault, sentences, told
from .visit_lines import VisitLine

if TYPE_CHECKING:
    from quitledger.visits.services import Outcome

AT_ONCE = 200  # lines recorded in one transaction


@click.group()
def visits() -> None:
    """\b
    就醫資料。
    Visits.
    """


@visits.command()
@click.option("--by", "username", required=True, metavar="USERNAME", help="以誰的帳號登錄。 / Whose account records.")
@click.option("--institution", "code", required=True, metavar="CODE", help="醫事機構代碼。 / Code of the institution.")
@click.option(
    "--all-or-none",
    is_flag=True,
    help="有一筆不能登錄就全部不登錄。 / Record nothing where one line is refused.",
)
@click.argument("file", metavar="FILE", type=click.File("r", encoding="utf-8-sig"))
def record(username: str, code: str, all_or_none: bool, file: IO[str]) -> None:
    """\b
    由 JSON Lines 檔（- 為標準輸入）登錄就醫資料，規則與網頁相同；同一行再送一次不會重複登錄。
    Record visits from a file of JSON lines (- is standard input) by the rules of the page; the same line sent
    again is the same visit. One object a line:
    \b
      {"case": "DEMO-0001", "visit_on": "114/4/1", "visit_time": "09:20",
       "medication": {"staff": "示範丑", "lines": [{"medicine_code": "DEMO000001", "supply_weeks": 2}]},
       "counselling": {"staff": "示範子", "mode": "in_person"},
       "cigarettes_per_day": 9, "co_ppm": 12, "pregnant": false, "note": "", "uid": "…"}
    \b
    case：病歷號或個案 uid。staff：姓名或 uid。uid：可不填。
    case: chart number or uid of the case. staff: name or uid. uid may be left out.
    """
    with told():
        lines = [VisitLine(number, text) for number, text in enumerate(_read(file), start=1) if text.strip()]
        prepare("app")
        refused = _Recording(username, code, all_or_none).record(lines)
    if refused:
        raise SystemExit(1)


def _read(file: IO[str]) -> list[str]:
    try:
        return file.read().split("\n")
    except UnicodeDecodeError:
        raise Fault("檔案不是 UTF-8。", "The file is not UTF-8.") from None


class _Refused(Exception):
    """A line was refused and all or none was asked for."""

    def __init__(self, outcomes: "list[Outcome]") -> None:
        self.outcomes = outcomes


class _Recording:
    """Records lines at one institution on behalf of one account."""

    def __init__(self, username: str, code: str, all_or_none: bool) -> None:
        from quitledger.accounts.models import User
        from quitledger.institutions.models import InstitutionDetails

        user = User.objects.filter(username=username, is_active=True).first()
        if user is None:
            raise Fault(f"沒有帳號 {username}，或已停用。", f"There is no active account {username}.")
        details = InstitutionDetails.objects.filter(code=code).order_by("-starts_on").first()
        if details is None:
            raise Fault(f"找不到代碼 {code} 的機構。", f"There is no institution with the code {code}.")
        self.user, self.institution_id, self.code, self.all_or_none = user, details.institution_id, code, all_or_none

    def record(self, lines: Sequence[VisitLine]) -> int:
        """Record the lines and tell what became of each; answers how many were refused."""
        from quitledger.accounts.scope import try_twice
        from quitledger.audit import journal

        recorded = refused = 0
        step = max(1, len(lines) if self.all_or_none else AT_ONCE)
        token = journal.request_uid.set(uuid4())
        try:
            for first in range(0, len(lines), step):
                part = lines[first : first + step]
                kept = True
                try:
                    outcomes = try_twice(lambda part=part: self._record(part))  # type: ignore[misc]
                except _Refused as none:
                    outcomes, kept = none.outcomes, False
                for line, outcome in zip(part, outcomes, strict=True):
                    _tell(line, outcome, kept)
                refused += sum(outcome.visit is None for outcome in outcomes)
                recorded += sum(outcome.visit is not None for outcome in outcomes) if kept else 0
        finally:
            journal.request_uid.reset(token)
        click.echo(f"已登錄 {recorded} 筆，未登錄 {len(lines) - recorded} 筆。"
                   f" / {recorded} recorded, {len(lines) - recorded} not.")  # fmt: skip
        return refused

    def _record(self, lines: Sequence[VisitLine]) -> "list[Outcome]":
        """One transaction, in the scope that the database gives the account at the institution."""
        from django.db import transaction

        from quitledger.portal.transactions import enter
        from quitledger.visits.services import Outcome, record_visits

        with transaction.atomic():
            actor = enter(self.user.pk, self.user.display_name, self.institution_id).actor
            if actor.institution_id != self.institution_id:
                raise Fault(
                    f"{self.user.username} 在 {self.code} 沒有角色。",
                    f"{self.user.username} has no place at {self.code}.",
                )
            names = _Names(self.institution_id, [line.word("case") for line in lines])
            good = []
            for line in lines:
                line.read(names.case, names.staff)
                if line.case and line.entry and not line.problems:
                    good.append((line.case, line.entry))
            made = iter(record_visits(good, by=actor))
            outcomes = [Outcome(problems=line.problems) if line.problems else next(made) for line in lines]
            if self.all_or_none and any(outcome.visit is None for outcome in outcomes):
                raise _Refused(outcomes)
        return outcomes


class _Names:
    """What the words of the lines mean at an institution: chart numbers, uids, names of staff."""

    def __init__(self, institution_id: int, words: Sequence[str]) -> None:
        from quitledger.cases.models import Case
        from quitledger.institutions.models import StaffMember

        uids = {uid for word in words if (uid := _uid(word))}
        cases = Case.objects.filter(institution_id=institution_id).select_related("person")
        self._cases = {case.chart_no: case for case in cases.filter(chart_no__in={word for word in words if word})}
        self._cases |= {str(case.uid): case for case in cases.filter(uid__in=uids)}
        self._staff: dict[str, UUID | None] = {}
        for staff in StaffMember.objects.filter(contracts__institution_id=institution_id).distinct():
            self._staff[staff.name] = None if staff.name in self._staff else staff.uid
            self._staff[str(staff.uid)] = staff.uid

    def case(self, word: str):  # type: ignore[no-untyped-def]
        """The case with this chart number or uid; None where there is none."""
        return self._cases.get(word) or self._cases.get(str(_uid(word)))

    def staff(self, word: str) -> UUID | None:
        """The uid of the staff member of this name or uid; None where there is none, or more than one of the name."""
        return self._staff.get(word) or self._staff.get(str(_uid(word)))


def _uid(word: str) -> UUID | None:
    try:
        return UUID(word)
    except ValueError:
        return None


def _tell(line: VisitLine, outcome: "Outcome", kept: bool) -> None:
    """Print what became of a line."""
    where = f"第 {line.number} 行 line {line.number}："
    if outcome.visit is None:
        for sentence in sentences(outcome.problems):
            click.echo(f"{where}未登錄 refused：{sentence}")
    elif kept:
        word = "先前已登錄 recorded before" if outcome.repeated else "已登錄 recorded"
        click.echo(f"{where}{word} {format_roc(outcome.visit.visit_on)} {outcome.visit.uid}")
    else:
        click.echo(f"{where}未登錄，因為其他行有錯 not recorded because of another line")


@visits.command("recompute-courses")
def recompute() -> None:
    """\b
    重新計算所有戒菸者的療程，改正不同的並列給管理窗口；規定值或分院關係改變後執行。以擁有者角色執行。
    Compute the courses of all persons anew, put right what differs and list it to the desk; to be run after a value of
    policy or a branch changed. Runs as the owner role.
    """
    with told():
        prepare("owner")
        from quitledger.accounts.actors import SYSTEM
        from quitledger.accounts.scope import scoped
        from quitledger.visits.services import recompute_courses

        began = time.perf_counter()
        with scoped(SYSTEM):
            persons = recompute_courses(by=SYSTEM)
        seconds = time.perf_counter() - began
    click.echo(
        f"已重新計算，改正 {persons} 人，{seconds:.1f} 秒。 / Computed anew: {persons} persons put right, {seconds:.1f} s."
    )
