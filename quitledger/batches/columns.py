"""The columns of a file: what each is called, in Chinese or English, and how its cells are read. Pure."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache

from quitledger.cases.rules import FTND_ITEMS, FtndItem
from quitledger.institutions import imports
from quitledger.institutions.imports import Column, Unreadable, read_cells
from quitledger.policy import DateError, parse_date, parse_moment, parse_time
from quitledger.policy.identity import IdentityKind, recognise
from quitledger.policy.problem import Problem
from quitledger.policy.sentences import Sentence, Several, Words
from quitledger.visits.courses import COUNSELLING, LABELS, MEDICATION
from quitledger.visits.rules import COUNSELLING_MODES

_LONGEST = 500  # characters of a text without a width of its own; the rules say what is too long
_SERIAL_ZERO = date(1899, 12, 30)  # day 0 of spreadsheet programs
_SERIAL = re.compile(r"[0-9]{4,5}")  # no way of writing a date has so few digits
_FRACTION = re.compile(r"0\.[0-9]+")
_WEIGHT = re.compile(r"[0-9]{1,9}(\.[0-9])?")
_MINUTES_A_DAY = 24 * 60


class Kind(StrEnum):
    """What the rows of a file are."""

    VISITS = "visits"
    PERSONS = "persons"

    @property
    def label(self) -> Words:
        """In Chinese."""
        return _KINDS[self]


_KINDS = {Kind.VISITS: Words("就醫資料"), Kind.PERSONS: Words("戒菸者名單")}


# --- Cells -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)  # a file has few days
def day(cell: str) -> date:
    """Reads a date in ROC or ISO form, with or without a time, or the number of days that spreadsheet programs keep.

    Raises DateError.
    """
    if is_serial(cell):
        return _SERIAL_ZERO + timedelta(days=int(cell))
    try:
        return parse_date(cell)
    except DateError as error:
        if ":" not in cell:
            raise
        try:
            return parse_moment(cell).date()
        except DateError:
            raise error from None


def is_serial(cell: str) -> bool:
    """True for a day as spreadsheet programs keep it: the number of days since 1899-12-30."""
    return _SERIAL.fullmatch(cell) is not None


def clock(cell: str) -> time:
    """Reads a time of day, alone or after a date, or the part of a day that spreadsheet programs keep. Raises DateError."""
    if _FRACTION.fullmatch(cell):
        minutes = round(float(cell) * _MINUTES_A_DAY)
        return time(minutes // 60 % 24, minutes % 60)
    return parse_time(cell.rsplit(" ", 1)[-1])


def services(cell: str) -> frozenset[str]:
    """Reads the services of a visit: 用藥, 衛教, or both."""
    words = {label: kind for kind, label in LABELS.items()} | {kind: kind for kind in LABELS}
    parts = [part for part in re.split(r"[、,，+/&及和與\s]+", cell.lower()) if part]
    if not parts or not set(parts) <= words.keys():
        raise Unreadable(Sentence("應為「用藥」、「衛教」或兩者。"))
    return frozenset(words[part] for part in parts)


def sex(cell: str) -> str:
    """Reads 男 or 女 (also M, F, and the 1 and 2 of the second character of a card)."""
    words = {"男": "male", "女": "female", "m": "male", "f": "female", "male": "male", "female": "female", "1": "male", "2": "female"}  # fmt: skip
    found = words.get(cell.strip("性").lower())
    if found is None:
        raise Unreadable(Sentence("應為「男」或「女」。"))
    return found


def mode(cell: str) -> str:
    """Reads how counselling was given."""
    words = {label: word for word, label in COUNSELLING_MODES.items()} | {word: word for word in COUNSELLING_MODES}
    cell = cell.lower().removeprefix("by ").replace(" ", "_")
    if cell not in words:
        raise Unreadable(Sentence("應為{choices}之一。", choices=Several(COUNSELLING_MODES.values())))
    return words[cell]


def identity_kind(cell: str) -> str:
    """Reads the kind of an identity number by its label or word."""
    words = {kind.label: kind.value for kind in IdentityKind} | {kind.value: kind.value for kind in IdentityKind}
    words |= {"身分證": IdentityKind.NATIONAL_ID.value, "居留證": IdentityKind.RESIDENT_CERTIFICATE.value}  # fmt: skip
    if cell not in words:
        raise Unreadable(Sentence("應為{choices}之一。", choices=Several(kind.label for kind in IdentityKind)))
    return words[cell]


def kilograms(cell: str) -> Decimal:
    """Reads a weight with at most one digit after the point; how much is plausible is a rule's question."""
    if not _WEIGHT.fullmatch(cell):
        raise Unreadable(Sentence("應為數字，小數最多一位，例：68.5。"))
    return Decimal(cell)


def answer(item: FtndItem) -> Callable[[str], str]:
    """Reads an answer to a question of the Fagerström test: its label on the page, or the word that is stored.

    Not its points: two answers may have the same, and they are policy.
    """
    words = {_without_spaces(one.label): one.word for one in item.answers} | {
        one.word: one.word for one in item.answers
    }
    of_two = item.words == {"yes", "no"}

    def read(cell: str) -> str:
        if of_two and cell.upper() in imports.WORDS:
            return "yes" if imports.WORDS[cell.upper()] else "no"
        found = words.get(_without_spaces(cell)) or words.get(cell.lower())
        if found is None:
            raise Unreadable(Sentence("應為{choices}之一。", choices=Several(one.label for one in item.answers)))
        return found

    return read


def _without_spaces(text: str) -> str:
    return unicodedata.normalize("NFKC", text).replace(" ", "")


def _optional(title: Words, name: str, read: "object", empty: object = None, hint: str = "") -> Column:
    return Column(title, name, read, optional=True, empty=empty, hint=hint)  # type: ignore[arg-type]


_text = imports.text(_LONGEST)
_number = imports.whole_number
_WHO = (
    _optional(Words("病歷號"), "chart_no", _text, "", Words("病歷號與證號至少要有一個")),
    Column(Words("身分證字號"), "identity_number", _text, optional=True, empty="", secret=True,
           hint=Words("居留證、護照號碼也可以")),
)  # fmt: skip
_MEDICINES = (  # of one row
    (Words("藥品代碼"), Words("週數"), Words("天數")),
    (Words("藥品代碼 2"), Words("週數 2"), Words("天數 2")),
    (Words("藥品代碼 3"), Words("週數 3"), Words("天數 3")),
)
MOST_MEDICINES = len(_MEDICINES)


def _medicines() -> tuple[Column, ...]:
    return tuple(
        column
        for number, (medicine, weeks, days) in enumerate(_MEDICINES)
        for column in (
            _optional(medicine, f"medicine_{number}", _text, ""),
            _optional(weeks, f"weeks_{number}", _number),
            _optional(days, f"days_{number}", _number, None, Words("不填就是週數乘以 7")),
        )
    )


VISIT_COLUMNS: tuple[Column, ...] = (
    *_WHO,
    Column(Words("就醫日期"), "visit_on", day, hint=Words("例：114/4/1、1140401 或 2025-04-01")),
    _optional(Words("就醫時間"), "visit_time", clock, None, Words("例：09:20；填寫後，24 小時由此起算")),
    _optional(Words("服務"), "services", services, frozenset(), Words("用藥、衛教，或兩者；不填就看填了哪些欄位")),
    _optional(Words("用藥人員"), "medication_staff", _text, "", Words("姓名")),
    *_medicines(),
    _optional(Words("衛教人員"), "counselling_staff", _text, "", Words("姓名")),
    _optional(Words("衛教方式"), "counselling_mode", mode, "in_person", Words("面對面或電話；不填就是面對面")),
    _optional(Words("懷孕"), "pregnant", imports.yes_or_no, False, Words("是或否")),
    _optional(Words("平均每日支數"), "cigarettes_per_day", _number),
    _optional(Words("一氧化碳"), "co_ppm", _number, None, "ppm"),
    _optional(Words("備註"), "note", imports.text(2000), ""),
)
_ANSWERS = (  # of the Fagerström test, in the order in which it is asked
    Words("成癮度第 1 題"), Words("成癮度第 2 題"), Words("成癮度第 3 題"), Words("成癮度第 4 題"), Words("成癮度第 5 題"),
    Words("成癮度第 6 題"),
)  # fmt: skip


def _answers() -> tuple[Column, ...]:
    return tuple(
        _optional(
            title, f"ftnd_{item.name}", answer(item), "",
            Sentence("{question} {choices}", question=item.question, choices=Several(one.label for one in item.answers)),
        )
        for title, item in zip(_ANSWERS, FTND_ITEMS, strict=True)
    )  # fmt: skip


# 收案評估, where it was taken on the same occasion; what the page of an intake asks.
INTAKE_COLUMNS: tuple[Column, ...] = (
    _optional(Words("評估日期"), "taken_on", day, None, Words("有收案評估才填；填了下列任一欄就要填")),
    *_answers(),
    _optional(Words("平均每日支數"), "cigarettes_per_day", _number),
    _optional(Words("一氧化碳"), "co_ppm", _number, None, "ppm"),
    _optional(Words("體重"), "weight_kg", kilograms, None, Words("公斤")),
    _optional(Words("懷孕"), "pregnant", imports.yes_or_no, False, Words("是或否")),
    _optional(Words("健保在保"), "insured", imports.yes_or_no, None, Words("是或否")),
)
PERSON_COLUMNS: tuple[Column, ...] = (
    Column(Words("身分證字號"), "identity_number", _text, secret=True, hint=Words("居留證、護照號碼也可以")),
    _optional(Words("證號種類"), "identity_kind", identity_kind, "", Words("不填就由號碼判斷")),
    _optional(Words("發照國家"), "identity_country", _text, "", Words("護照才填，三碼，例：JPN")),
    Column(Words("出生日期"), "birth_on", day, hint=Words("例：69/2/3、0690203 或 1980-02-03")),
    Column(Words("性別"), "sex", sex, hint=Words("男或女")),
    Column(Words("姓名"), "name", _text),
    _optional(Words("病歷號"), "chart_no", _text, ""),
    _optional(Words("聯絡電話"), "phone", _text, ""),
    *INTAKE_COLUMNS,
)
COLUMNS: dict[Kind, tuple[Column, ...]] = {Kind.VISITS: VISIT_COLUMNS, Kind.PERSONS: PERSON_COLUMNS}
# What a row says of the columns that it does not fill.
_EMPTY: dict[Kind, dict[str, object]] = {
    kind: {column.name: column.empty for column in columns if column.optional} for kind, columns in COLUMNS.items()
}
# Of each of these one column is enough.
ONE_OF: dict[Kind, tuple[tuple[str, ...], ...]] = {
    Kind.VISITS: (("chart_no", "identity_number"), ("visit_on",)),
    Kind.PERSONS: tuple((column.name,) for column in PERSON_COLUMNS if not column.optional),
}
_ALIASES: dict[str, str] = {
    "chart_no": "病歷號碼 病歷編號 病歷 病歷碼 chart chartno chartnumber mrn 個案編號 個案",
    "identity_number": "身分證號 身份證字號 身份證號 身分證統一編號 國民身分證統一編號 證號 身分證 身份證 id idno idnumber nationalid 身分證號碼 居留證號碼 護照號碼 identity identitynumber",
    "visit_on": "看診日期 就診日期 門診日期 服務日期 日期 就醫日 visitdate date servicedate dateofvisit",
    "visit_time": "看診時間 就診時間 服務時間 時間 visittime time timeofvisit",
    "services": "服務項目 本次服務 服務類別 service servicetype",
    "medication_staff": "醫師 開藥醫師 處方醫師 藥師 physician doctor prescriber medicationby",
    "medicine_0": "藥品 藥碼 藥品碼 藥品代碼1 medicine medicinecode drug drugcode medicinecode1 codeofthemedicine",
    "weeks_0": "用藥週數 週數1 weeks supplyweeks weeks1",
    "days_0": "用藥天數 天數1 days supplydays days1",
    "medicine_1": "藥品代碼2 medicinecode2", "weeks_1": "週數2 weeks2", "days_1": "天數2 days2",
    "medicine_2": "藥品代碼3 medicinecode3", "weeks_2": "週數3 weeks3", "days_2": "天數3 days3",
    "counselling_staff": "衛教師 衛教員 個管師 個案管理師 counsellor counselor educator counsellingby",
    "counselling_mode": "mode counselingmode modeofcounselling",
    "pregnant": "是否懷孕 目前懷孕 pregnancy",
    "cigarettes_per_day": "每日支數 每日菸量 吸菸支數 支數 cpd cigarettes cigarettesadayonaverage",
    "co_ppm": "一氧化碳值 一氧化碳ppm 一氧化碳濃度 co coppm carbonmonoxide",
    "note": "備考 註記 notes remark remarks comment",
    "identity_kind": "證件種類 證件類別 idtype kindofidentitynumber",
    "identity_country": "國籍 國家 country nationality countryofissue",
    "birth_on": "生日 出生年月日 birthdate birthday dob dateofbirth birth",
    "sex": "gender",
    "name": "病人姓名 病患姓名 個案姓名 戒菸者姓名 戒菸者 patientname fullname",
    "phone": "電話 手機 行動電話 連絡電話 telephone mobile tel",
    "taken_on": "收案評估日期 收案日期 評估日 intakedate dateofintake assessmentdate takenon",
    **{
        f"ftnd_{item.name}": f"成癮度{n} 尼古丁成癮度第{n}題 尼古丁成癮度{n} 第{n}題 ftnd{n} ftndq{n} q{n} dependencequestion{n} {item.name.replace('_', '')}"
        for n, item in enumerate(FTND_ITEMS, start=1)
    },
    "weight_kg": "體重公斤 weight weightkg bodyweight",
    "insured": "健保身分 健保 是否在保 insurance nhi nhiinsured",
}  # fmt: skip


# --- Titles ----------------------------------------------------------------------------------------------------------


def plain_title(title: str) -> str:
    """A title as titles are compared: what stands in brackets, spaces and signs are left out."""
    text = unicodedata.normalize("NFKC", title).lower()
    text = re.sub(r"\(.*?\)|\[.*?\]|【.*?】", "", text)
    return re.sub(r"[\s\x00_\-.*:＊#/]+", "", text)


def _known_titles(kind: Kind) -> dict[str, str]:
    """Every title that is recognised → the column's name."""
    found: dict[str, str] = {}
    for column in COLUMNS[kind]:
        for title in (column.title, column.name, *_ALIASES.get(column.name, "").split()):
            found.setdefault(plain_title(title), column.name)
    return found


@dataclass(frozen=True)
class Titles:
    """The line of titles of a file: where each column was recognised, and what is missing.

    `places`: column's name → index of the cell. `missing`: of each the columns of which one is needed.
    """

    line: int
    titles: tuple[str, ...]
    places: Mapping[str, int]
    missing: tuple[tuple[str, ...], ...] = ()


def find_titles(
    lines: Sequence[tuple[int, Sequence[str]]], kind: Kind, remembered: Mapping[str, str]
) -> Titles | list[Problem]:
    """The titles among the first lines of a file. `remembered`: plain title → column, as the institution said before.

    A problem where no line can hold titles. Field: file.
    """
    tried = [_titles(line, cells, kind, remembered) for line, cells in lines]
    best = max(tried, key=lambda one: len(one.places), default=None)
    if best is None:
        return [Problem("file-empty", "檔案沒有資料。", "file")]
    if len(best.places) < 2 or any(map(_is_data, best.titles)):
        best = next(
            (one for one in tried if sum(map(bool, one.titles)) > 1 and not any(map(_is_data, one.titles))), None
        )
    if best is None:
        message = Words("找不到欄位名稱。檔案的第一列要是欄位名稱，例如：病歷號、就醫日期。請對照範例檔。")
        return [Problem("titles-missing", message, "file")]
    return best


def _titles(line: int, cells: Sequence[str], kind: Kind, remembered: Mapping[str, str]) -> Titles:
    known = _known_titles(kind)
    places: dict[str, int] = {}
    exact = {column.title: column.name for column in COLUMNS[kind]}
    for table, key in ((exact, str.strip), (remembered, plain_title), (known, plain_title)):
        for place, title in enumerate(cells):
            name = table.get(key(title))
            if name and name not in places and place not in places.values():
                places[name] = place
    return Titles(line, tuple(cells), places, missing_of(kind, places))


def missing_of(kind: Kind, places: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Of each the columns of which one is needed and none is there."""
    there = set(places)
    return tuple(names for names in ONE_OF[kind] if not there & set(names))


def _is_data(cell: str) -> bool:
    """True for what is no title: a number, a date, an identity number, a long text."""
    if not cell:
        return False
    if recognise(cell) or re.fullmatch(r"[\d./:-]+", cell) or len(cell) > 60:
        return True
    try:
        parse_date(cell)
    except DateError:
        return False
    return True


# --- Rows ------------------------------------------------------------------------------------------------------------


def cells_of(line: Sequence[str], places: Mapping[str, int]) -> dict[str, str]:
    """The cells of a line by their columns' names."""
    return {name: line[place] for name, place in places.items() if place < len(line)}


def read_row(cells: Mapping[str, str], kind: Kind) -> tuple[dict[str, object], list[Problem]]:
    """A row's values by name, and its problems."""
    filled = [column for column in COLUMNS[kind] if cells.get(column.name) or not column.optional]
    values, problems = read_cells({column.title: cells.get(column.name, "") for column in filled}, filled)
    values = _EMPTY[kind] | values
    for problem in problems:
        values.pop(problem.field or "", None)
    return values, problems


def has_intake(values: Mapping[str, object]) -> bool:
    """True where a row of a person, as far as it was read, tells an intake. 懷孕「否」 alone says nothing: systems fill it
    in always."""
    said = {column.name: values.get(column.name) for column in INTAKE_COLUMNS}
    return bool(said.pop("pregnant")) or any(value is not None and value != "" for value in said.values())


def is_given(cells: Mapping[str, str], service: str) -> bool:
    """True where a cell of the service is filled. How counselling is given says nothing: systems fill it in always."""
    mark = {MEDICATION: ("medication_staff", "medicine_", "weeks_", "days_"), COUNSELLING: ("counselling_staff",)}[
        service
    ]
    return any(text for name, text in cells.items() if name.startswith(mark))


_RULE_FIELDS = re.compile(r"lines-(\d+)-(medicine|supply_weeks|supply_days)")
_LINE_FIELDS = {"medicine": "medicine_{}", "supply_weeks": "weeks_{}", "supply_days": "days_{}"}


def column_of(field: str | None) -> str:
    """The name of the column that a problem's field belongs to; "" for none."""
    found = _RULE_FIELDS.fullmatch(field or "")
    if found:
        return _LINE_FIELDS[found[2]].format(found[1])
    return field or ""
