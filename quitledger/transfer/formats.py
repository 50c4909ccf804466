"""The files in which the system before this one hands over its records: ours, documented in docs/transfer.md.

A folder of CSV files. Institutions, contracts, staff and medicines have the columns of the desk's lists; persons, intakes
and visits name each other by the numbers that the old system gave them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from quitledger.cases.rules import FTND_ITEMS, SEXES
from quitledger.corrections.rules import ITEM_KINDS, REASON_LENGTH, ItemKind
from quitledger.institutions import imports
from quitledger.institutions.imports import Column, Unreadable
from quitledger.institutions.lists import (
    CONTRACT_COLUMNS,
    INSTITUTION_COLUMNS,
    STAFF_COLUMNS,
    ContractRow,
    InstitutionRow,
    StaffRow,
)
from quitledger.policy import parse_moment, parse_time
from quitledger.policy.identity import IdentityKind
from quitledger.policy.sentences import Sentence, Words
from quitledger.visits.rules import COUNSELLING_MODES, Line
from quitledger.visits.services import MEDICINE_COLUMNS, MedicineRow

MOST_OLD_NUMBER = 40  # characters of a number of the old system: no rule of the programme


@dataclass(frozen=True)
class PersonRow:
    """戒菸者 as an institution knows him; `number` is the old system's, of the case."""

    institution_code: str
    number: str
    name: str
    identity_kind: str
    identity_number: str = field(repr=False)
    birth_on: date
    sex: str
    opened_on: date
    identity_country: str = ""
    chart_no: str = ""
    phone: str = ""


@dataclass(frozen=True)
class IntakeRow:
    """收案評估 of a case: the six answers of the Fagerström test, all or none."""

    institution_code: str
    number: str
    taken_on: date
    ftnd: Mapping[str, str]  # item → word
    cigarettes_per_day: int | None = None
    co_ppm: int | None = None
    weight_kg: Decimal | None = None
    pregnant: bool = False
    insured: bool | None = None

    @classmethod
    def read(cls, **values: Any) -> "IntakeRow":
        """Of the values of its columns, among them one for each question."""
        ftnd = {item.name: values.pop(item.name) for item in FTND_ITEMS}
        return cls(ftnd={name: word for name, word in ftnd.items() if word}, **values)


@dataclass(frozen=True)
class VisitRow:
    """就醫資料: `number` is the old system's. Staff by identity number. `*_course`: (year AD, number) as it numbered them."""

    institution_code: str
    number: str
    case_number: str
    visit_on: date
    recorded_at: datetime
    visit_time: time | None = None
    medication_staff: str = field(default="", repr=False)
    lines: tuple[Line, ...] = ()
    counselling_staff: str = field(default="", repr=False)
    counselling_mode: str = "in_person"
    cigarettes_per_day: int | None = None
    co_ppm: int | None = None
    pregnant: bool = False
    note: str = ""
    medication_course: tuple[int, int] | None = None
    counselling_course: tuple[int, int] | None = None


def _moment(cell: str) -> datetime:
    """A moment with its time: a day alone does not say whether the visit was recorded before or after it."""
    if ":" not in cell:
        raise Unreadable(Sentence("應為日期與時間，例：113/3/1 10:30。"))
    return parse_moment(cell)


def _weight(cell: str) -> Decimal:
    try:
        found = Decimal(cell)
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or round(found, 1) != found or not 0 < found < 1000:
        raise Unreadable(Sentence("應為公斤，最多 1 位小數。"))
    return found


def _lines(cell: str) -> tuple[Line, ...]:
    """DEMO000001*2*14；DEMO000002*1: code, weeks, and days where they are not seven a week."""
    found = []
    for part in cell.replace(";", "；").split("；"):
        code, *numbers = (word.strip() for word in part.split("*"))
        if not code or len(numbers) not in (1, 2) or not all(word.isascii() and word.isdigit() for word in numbers):
            raise Unreadable(Sentence("應為「代碼*週數*天數」，多項以「；」分開，例：DEMO000001*2*14。"))
        weeks, days = (int(word[:4]) for word in (numbers if len(numbers) > 1 else (*numbers, "0")))
        found.append(Line(code, weeks, days or None))
    return tuple(found)


def _course(cell: str) -> tuple[int, int]:
    """113-2: the second of the year 113."""
    year, _, number = cell.partition("-")
    if not number.isascii() or not number.isdigit() or int(number[:4]) < 1:
        raise Unreadable(Sentence("應為「年度-療程次」，例：113-2。"))
    return imports.year(year), int(number[:4])


@dataclass(frozen=True)
class CorrectionRow:
    """更正申請 that the old system has not decided: of a visit never recorded, or one to be voided (`visit.number`)."""

    number: str
    kind: str
    reason: str
    discovered_on: date
    received_on: date
    visit: VisitRow

    @property
    def institution_code(self) -> str:
        """Whose it is."""
        return self.visit.institution_code

    @classmethod
    def read(cls, **values: Any) -> "CorrectionRow":
        """Of the values of its columns: its own, and those of the visit."""
        own = {name: values.pop(name) for name in ("kind", "reason", "discovered_on", "received_on")}
        number, values["number"] = values["number"], values.pop("visit_number")
        return cls(number, **own, visit=VisitRow(**values, recorded_at=datetime.min))


_CODE = Column(Words("醫事機構代碼"), "institution_code", imports.code)
_KINDS = {kind.value: kind.label for kind in IdentityKind}
_NUMBER = imports.text(MOST_OLD_NUMBER)

PERSON_COLUMNS = (
    _CODE,
    Column(Words("個案編號"), "number", _NUMBER),
    Column(Words("姓名"), "name", imports.text(60)),
    Column(Words("證號種類"), "identity_kind", imports.one_of(_KINDS)),
    Column(Words("證號"), "identity_number", imports.text(30)),
    Column(Words("核發國家"), "identity_country", imports.text(3), optional=True, empty=""),
    Column(Words("出生日期"), "birth_on", imports.day),
    Column(Words("性別"), "sex", imports.one_of(SEXES)),
    Column(Words("收案日期"), "opened_on", imports.day),
    Column(Words("病歷號"), "chart_no", imports.text(30), optional=True, empty=""),
    Column(Words("電話"), "phone", imports.text(30), optional=True, empty=""),
)
_ANSWERS = tuple(
    Column(Words(item.question), item.name, imports.one_of({one.word: one.label for one in item.answers}), optional=True, empty="")
    for item in FTND_ITEMS
)  # fmt: skip
INTAKE_COLUMNS = (
    _CODE,
    Column(Words("個案編號"), "number", _NUMBER),
    Column(Words("評估日期"), "taken_on", imports.day),
    *_ANSWERS,
    Column(Words("平均每日支數"), "cigarettes_per_day", imports.whole_number, optional=True),
    Column(Words("一氧化碳"), "co_ppm", imports.whole_number, optional=True),
    Column(Words("體重"), "weight_kg", _weight, optional=True),
    Column(Words("懷孕"), "pregnant", imports.yes_or_no, optional=True, empty=False),
    Column(Words("健保在保"), "insured", imports.yes_or_no, optional=True),
)
VISIT_COLUMNS = (
    _CODE,
    Column(Words("就醫編號"), "number", _NUMBER),
    Column(Words("個案編號"), "case_number", _NUMBER),
    Column(Words("就醫日期"), "visit_on", imports.day),
    Column(Words("就醫時間"), "visit_time", parse_time, optional=True),
    Column(Words("登錄時間"), "recorded_at", _moment),
    Column(Words("用藥人員"), "medication_staff", imports.text(20), optional=True, empty=""),
    Column(Words("藥品"), "lines", _lines, optional=True, empty=()),
    Column(Words("衛教人員"), "counselling_staff", imports.text(20), optional=True, empty=""),
    Column(Words("衛教方式"), "counselling_mode", imports.one_of(COUNSELLING_MODES), optional=True, empty="in_person"),
    Column(Words("平均每日支數"), "cigarettes_per_day", imports.whole_number, optional=True),
    Column(Words("一氧化碳"), "co_ppm", imports.whole_number, optional=True),
    Column(Words("懷孕"), "pregnant", imports.yes_or_no, optional=True, empty=False),
    Column(Words("備註"), "note", imports.text(500), optional=True, empty=""),
    Column(Words("用藥療程"), "medication_course", _course, optional=True),
    Column(Words("衛教療程"), "counselling_course", _course, optional=True),
)


_SAID_OF_VISIT = tuple(
    column
    for column in VISIT_COLUMNS
    if column.name not in ("number", "recorded_at", "medication_course", "counselling_course")
)
CORRECTION_COLUMNS = (
    Column(Words("案件編號"), "number", _NUMBER),
    Column(
        Words("類別"), "kind", imports.one_of({kind.value: ITEM_KINDS[kind].label for kind in (ItemKind.LATE_ENTRY, ItemKind.VOID)})
    ),
    *_SAID_OF_VISIT,
    Column(Words("就醫編號"), "visit_number", _NUMBER, optional=True, empty=""),
    Column(Words("原因"), "reason", imports.text(REASON_LENGTH)),
    Column(Words("發現日"), "discovered_on", imports.day),
    Column(Words("收件日"), "received_on", imports.day),
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A kind of file: the beginning of its name (visits.csv, visits-113.csv), its columns, whether it has to be there."""

    stem: str
    columns: Sequence[Column]
    make: Callable[..., Any]  # the row of the values of its columns
    label: Words
    needed: bool = False


INSTITUTIONS = Kind("institutions", INSTITUTION_COLUMNS, InstitutionRow, Words("醫事機構"), needed=True)
CONTRACTS = Kind("contracts", CONTRACT_COLUMNS, ContractRow, Words("機構合約"))
STAFF = Kind("staff", STAFF_COLUMNS, StaffRow, Words("人員與合約"))
MEDICINES = Kind("medicines", MEDICINE_COLUMNS, MedicineRow, Words("藥品"))
PERSONS = Kind("persons", PERSON_COLUMNS, PersonRow, Words("戒菸者"))
INTAKES = Kind("intakes", INTAKE_COLUMNS, IntakeRow.read, Words("收案評估"))
VISITS = Kind("visits", VISIT_COLUMNS, VisitRow, Words("就醫資料"))
CORRECTIONS = Kind("corrections", CORRECTION_COLUMNS, CorrectionRow.read, Words("未審核的更正申請"))
KINDS = (
    MEDICINES,
    INSTITUTIONS,
    CONTRACTS,
    STAFF,
    PERSONS,
    INTAKES,
    VISITS,
)  # in the order in which they need each other
