"""The only writers of comparisons. Each is one transaction with its audit entry, and takes `by=`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction

from quitledger.accounts.actors import Actor
from quitledger.accounts.keys import keys
from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.audit.database import programme_now
from quitledger.files.tables import read_table
from quitledger.policy import TAIPEI, policy_on
from quitledger.policy.identity import normalise
from quitledger.policy.problem import Problem, Refused
from quitledger.policy.sentence_json import packed_problem, unpacked_problem
from quitledger.policy.sentences import Sentence, Several, Words
from quitledger.visits.models import Visit

from .columns import COLUMNS, Kind, Titles, cells_of, find_titles, missing_of, plain_title, read_row
from .comparing import Listed, Match, Pair, Recorded, compare
from .models import ColumnChoice, Comparison
from .services import check_size
from .visit_rows import Names

_ASKED = {"chart_no", "identity_number", "visit_on"}  # all that a comparison reads of a list


class TitlesUnknown(Refused):
    """It has to be said which titles mean what; `titles` are those of the file."""

    def __init__(self, problems: list[Problem], titles: tuple[str, ...]) -> None:
        super().__init__(problems)
        self.titles = titles


@dataclass(frozen=True)
class Compared:
    """A pair as it is kept, by the list's line and the uids of what it names; or a line that could not be read."""

    match: str
    line: int | None = None
    visit_on: date | None = None
    number: str = ""
    chart_no: str = ""
    case_uid: UUID | None = None
    visit_uid: UUID | None = None
    days: int = 0
    digit: bool = False
    problems: tuple[Problem, ...] = ()


UNREAD = "unread"


def compare_list(
    *, uid: UUID, month: date, content: bytes, titles: Mapping[str, str] | None = None, by: Actor
) -> Comparison:
    """Compare a list of the institution's own system with the visits recorded of a month (its first day).

    `titles`: column → title, where it was asked; remembered for the next list. The file is read in memory and not kept.
    The same form sent twice is one comparison. Raises PermissionDenied, Refused, TitlesUnknown. Fields: file, columns.
    """
    by.require(Permission.VISIT_COMPARE)
    if by.account_id is None:
        raise PermissionDenied("an account")
    institution_id = by.at_institution()
    problems = check_size(len(content))
    if problems:
        raise Refused(problems)
    with transaction.atomic():
        known = Comparison.objects.filter(uid=uid, institution_id=institution_id).first()
        if known is not None:
            return known
        _remember(titles or {}, institution_id)
        listed, unread, cases = _listed(content, by)
        recorded = _recorded(month, by)
        near_days = policy_on(month, "comparison_near_days")
        found = [_kept(pair, cases) for pair in compare(listed, recorded, month=month, near_days=near_days)] + unread
        moment = programme_now()
        hours = policy_on(moment.astimezone(TAIPEI).date(), "comparison_kept_hours")
        token, key_id = keys().encrypt(json.dumps([_packed(one) for one in found]), about=_about(uid))
        comparison = Comparison.objects.create(
            uid=uid, institution_id=institution_id, month=month, token=token, key_id=key_id,
            compared_by_id=by.account_id, kept_until=moment + timedelta(hours=hours),
        )  # fmt: skip
        uids = [uid, *(one.uid for one in recorded)]
        journal.record(Permission.VISIT_COMPARE, record_type="visit", uids=uids, fields=["identity_number"])
    return comparison


def open_comparison(comparison: Comparison) -> list[Compared]:
    """What was found. Journal the read."""
    about = _about(comparison.uid)
    return [_unpacked(one) for one in json.loads(keys().decrypt(comparison.token, comparison.key_id, about=about))]


def remove_comparison(*, comparison: Comparison, by: Actor) -> None:
    """Throw the outcome of a comparison away before its time. Raises PermissionDenied."""
    by.require(Permission.VISIT_COMPARE)
    with transaction.atomic():
        gone = Comparison.objects.filter(pk=comparison.pk, institution_id=by.at_institution()).delete()[0]
        if gone:
            journal.record("comparison.remove", record_type="comparison", uids=[comparison.uid])


def renew_comparisons(*, by: Actor) -> int:
    """Encrypt anew under the current key what lies under another one. Returns how many. As the owner."""
    by.require(Permission.KEY_ROTATE)
    known, renewed = keys(), 0
    with transaction.atomic():
        for comparison in Comparison.objects.select_for_update().exclude(key_id=known.current):
            about = _about(comparison.uid)
            plain = known.decrypt(comparison.token, comparison.key_id, about=about)
            comparison.token, comparison.key_id = known.encrypt(plain, about=about)
            comparison.save(update_fields=["token", "key_id"])
            renewed += 1
        if renewed:
            journal.record(Permission.KEY_ROTATE, record_type="comparison", fields=["file"])
    return renewed


def _about(uid: UUID) -> bytes:
    return b"comparison:" + uid.bytes


def _remember(titles: Mapping[str, str], institution_id: int) -> None:
    for column, title in titles.items():
        plain = plain_title(title)[:60]
        if column in _ASKED and plain:
            ColumnChoice.objects.update_or_create(
                institution_id=institution_id, kind=Kind.VISITS, title=plain, defaults={"column": column}
            )


def _listed(content: bytes, by: Actor) -> tuple[list[Listed], list[Compared], dict[int, UUID]]:
    """The lines of a list, those that could not be read, and the cases of the persons they name, by person."""
    choices = ColumnChoice.objects.filter(institution_id=by.at_institution(), kind=Kind.VISITS)
    remembered = dict(choices.values_list("title", "column"))
    with read_table(content, most_rows=settings.COMPARISON_MOST_ROWS) as table:
        titles = find_titles(table.first, Kind.VISITS, remembered)
        if not isinstance(titles, Titles):
            raise Refused(titles)
        missing = missing_of(Kind.VISITS, titles.places)
        if missing:
            raise TitlesUnknown([_missing(names) for names in missing], titles.titles)
        places = {name: place for name, place in titles.places.items() if name in _ASKED}
        rows = [(line, cells_of(cells, places)) for line, cells in table.rows(titles.line)]
    names = Names([cells for _line, cells in rows], by)
    listed: list[Listed] = []
    unread: list[Compared] = []
    cases: dict[int, UUID] = {}
    for line, cells in rows:
        if not any(cells.values()):
            continue
        values, problems = read_row(cells, Kind.VISITS)
        case = names.case(cells)
        if isinstance(case, Problem) and case.code not in ("case-unknown", "case-ambiguous"):
            problems.append(case)
        number, chart_no = normalise(cells.get("identity_number", "")), cells.get("chart_no", "")
        if problems:
            unread.append(Compared(UNREAD, line, None, number, chart_no, problems=tuple(problems)))
            continue
        person = None if isinstance(case, Problem) else case.person_id
        if not isinstance(case, Problem):
            cases[case.person_id] = case.uid
        listed.append(Listed(line, values["visit_on"], number, chart_no, person))  # type: ignore[arg-type]
    return listed, unread, cases


def _missing(names: tuple[str, ...]) -> Problem:
    titles = Several(Words(column.title) for column in COLUMNS[Kind.VISITS] if column.name in names)
    message = Sentence("找不到「{columns}」是哪一欄，請選擇，並再選一次檔案。", columns=titles)
    return Problem("column-missing", message, names[0])


def _recorded(month: date, by: Actor) -> list[Recorded]:
    """The institution's own month, with its identity numbers: in memory alone."""
    last = (month + timedelta(days=31)).replace(day=1)
    visits = Visit.objects.filter(
        institution_id=by.at_institution(), in_force=True, visit_on__gte=month, visit_on__lt=last
    )
    columns = ("uid", "visit_on", "person_id", "person__identity_token", "person__identity_key_id")
    known, numbers, found = keys(), {}, []
    for uid, visit_on, person_id, token, key_id in visits.values_list(*columns):
        if person_id not in numbers:  # of a person who was emptied there is none
            numbers[person_id] = "" if token is None else known.decrypt(token, key_id, about=b"identity")
        found.append(Recorded(uid, visit_on, person_id, numbers[person_id]))
    return found


def _kept(pair: Pair, cases: Mapping[int, UUID]) -> Compared:
    visit_uid = pair.recorded.uid if pair.recorded else None
    if pair.listed is None:
        return Compared(pair.match, visit_uid=visit_uid)
    listed = pair.listed
    case_uid = cases.get(listed.person) if listed.person else None
    return Compared(
        pair.match, listed.line, listed.visit_on, listed.number, listed.chart_no, case_uid, visit_uid, pair.days, pair.digit,
    )  # fmt: skip


def _packed(one: Compared) -> list[Any]:
    return [
        str(one.match), one.line, one.visit_on and one.visit_on.isoformat(), one.number, one.chart_no,
        one.case_uid and str(one.case_uid), one.visit_uid and str(one.visit_uid), one.days, one.digit,
        [packed_problem(problem) for problem in one.problems],
    ]  # fmt: skip


def _unpacked(found: list[Any]) -> Compared:
    match, line, visit_on, number, chart_no, case_uid, visit_uid, days, digit, problems = found
    return Compared(
        match, line, date.fromisoformat(visit_on) if visit_on else None, number, chart_no,
        UUID(case_uid) if case_uid else None, UUID(visit_uid) if visit_uid else None, days, digit,
        tuple(unpacked_problem(one) for one in problems),
    )  # fmt: skip


ORDER = (Match.LISTED, Match.NEAR, Match.RECORDED, Match.BOTH, Match.ELSEWHEN)
LABELS: dict[str, Words] = {**{match.value: match.label for match in ORDER}, UNREAD: Words("讀不懂的列")}
