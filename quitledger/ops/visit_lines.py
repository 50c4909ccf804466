"""Visits as JSON, one object a line: read into entries, with every fault of a line found at once."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from quitledger.cases.rules import UNSTORABLE
from quitledger.policy import DateError, parse_date, parse_time
from quitledger.policy.problem import Problem
from quitledger.visits.rules import Counselling, Entry, Line, Medication

if TYPE_CHECKING:
    from quitledger.cases.models import Case

_SPACE = UUID("51d0a5f2-7f1c-4f0b-9d53-0a6a1a3c1a55")
_LONGEST_SHOWN = 20  # characters of a word in a message: a line may hold anything


@dataclass
class VisitLine:
    """One line of a file: what could be read of it, and what could not.

    A line without a uid of its own gets one from its contents: sent again, it is the same visit.
    """

    number: int
    text: str = field(repr=False)
    problems: list[Problem] = field(default_factory=list)
    entry: Entry | None = None
    case: "Case | None" = None

    def word(self, name: str) -> str:
        """A text of the line before it is read, to find at once what the words of all lines mean; else ""."""
        try:
            value = json.loads(self.text)[name]
        except (ValueError, TypeError, LookupError, RecursionError):
            return ""
        return value.strip() if isinstance(value, str) and not UNSTORABLE.search(value) else ""

    def read(self, case_of: Callable[[str], "Case | None"], staff_of: Callable[[str], UUID | None]) -> None:
        """Read the line; `case_of` and `staff_of` find what its words mean at the institution."""
        self.problems = []
        try:
            cells = json.loads(self.text)
        except (ValueError, RecursionError):
            cells = None
        if not isinstance(cells, dict):
            self.problems.append(Problem("line-unreadable", "不是一個 JSON 物件。"))
            return
        reader = _Cells(cells, self.problems)
        word = reader.text("case", required=True)
        self.case = case_of(word) if word else None
        if word and self.case is None:
            self.problems.append(Problem("case-unknown", "「case」貴機構沒有這個個案。", "case"))
        visit_on = reader.date("visit_on")
        visit_time = reader.time("visit_time")
        medication = self._medication(reader.part("medication"), staff_of)
        counselling = self._counselling(reader.part("counselling"), staff_of)
        pregnant, note = reader.flag("pregnant"), reader.text("note")
        cigarettes, co_ppm = reader.number("cigarettes_per_day"), reader.number("co_ppm")
        uid = reader.uid("uid")
        reader.nothing_else()
        if self.problems or self.case is None or visit_on is None:
            return
        same = json.dumps(cells, sort_keys=True, ensure_ascii=True)
        uid = uid or uuid5(_SPACE, f"{self.case.institution_id} {same}")
        self.entry = Entry(uid, visit_on, visit_time, medication, counselling, pregnant, cigarettes, co_ppm, note)

    def _medication(self, reader: "_Cells | None", staff_of: Callable[[str], UUID | None]) -> Medication | None:
        if reader is None:
            return None
        staff = self._staff(reader, staff_of)
        lines = []
        for part in reader.parts("lines"):
            code, weeks = part.text("medicine_code", required=True), part.number("supply_weeks", required=True)
            days = part.number("supply_days")
            part.nothing_else()
            lines.append(Line(code, weeks or 0, days))
        reader.nothing_else()
        return Medication(staff, tuple(lines))

    def _counselling(self, reader: "_Cells | None", staff_of: Callable[[str], UUID | None]) -> Counselling | None:
        if reader is None:
            return None
        staff = self._staff(reader, staff_of)
        mode = reader.text("mode") or "in_person"
        reader.nothing_else()
        return Counselling(staff, mode)

    def _staff(self, reader: "_Cells", staff_of: Callable[[str], UUID | None]) -> UUID | None:
        word = reader.text("staff")
        found = staff_of(word) if word else None
        if word and found is None:
            message = f"「{reader.path}staff」貴機構沒有這位人員，或有同名的人員；請改填 uid。"
            self.problems.append(Problem("staff-unknown", message, "staff"))
        return found


class _Cells:
    """An object of a line: reads its members, reports those that are not what they should be, and those nobody knows."""

    def __init__(self, cells: Mapping[str, Any], problems: list[Problem], path: str = "") -> None:
        self._cells, self._problems, self.path = dict(cells), problems, path

    def text(self, name: str, *, required: bool = False) -> str:
        value = self._take(name, str, "文字", required)
        if value and UNSTORABLE.search(value):
            self._wrong(name, "有無法儲存的字元")
            return ""
        return (value or "").strip()

    def number(self, name: str, *, required: bool = False) -> int | None:
        value: int | None = self._take(name, int, "整數", required)
        if value is not None and not -32768 <= value <= 32767:
            self._wrong(name, "不是合理的數字")
            return None
        return value

    def flag(self, name: str) -> bool:
        return bool(self._take(name, bool, "true 或 false", False))

    def date(self, name: str) -> date | None:
        text = self.text(name, required=True)
        return self._parsed(name, parse_date, text)

    def time(self, name: str) -> time | None:
        return self._parsed(name, parse_time, self.text(name))

    def uid(self, name: str) -> UUID | None:
        return self._parsed(name, UUID, self.text(name))

    def part(self, name: str) -> "_Cells | None":
        value = self._take(name, dict, "物件", False)
        return None if value is None else _Cells(value, self._problems, f"{self.path}{name}.")

    def parts(self, name: str) -> list["_Cells"]:
        values = self._take(name, list, "陣列", False) or []
        if not all(isinstance(value, dict) for value in values):
            self._wrong(name, "應為物件的陣列")
            return []
        return [_Cells(value, self._problems, f"{self.path}{name}[{n}].") for n, value in enumerate(values)]

    def nothing_else(self) -> None:
        """Report the members that nobody asked for: a slip of the pen is not passed over in silence."""
        for name in self._cells:
            self._wrong(name, "沒有這個欄位")

    def _take(self, name: str, kind: type, label: str, required: bool) -> Any:
        value = self._cells.pop(name, None)
        if value is None or value == "":
            if required:
                self._wrong(name, "沒有填")
            return None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self._wrong(name, f"應為{label}")
            return None
        return value

    def _parsed(self, name: str, parse: Callable[[str], Any], text: str) -> Any:
        if not text:
            return None
        try:
            return parse(text)
        except DateError as error:
            self._wrong(name, str(error).rstrip("。"))
        except ValueError:
            self._wrong(name, "看不懂")
        return None

    def _wrong(self, name: str, what: str) -> None:
        self._problems.append(Problem("value-unreadable", f"「{self.path}{_shown(name)}」{what}。", name))


def _shown(word: str) -> str:
    """A word of the file as a message may repeat it."""
    plain = UNSTORABLE.sub("?", word)
    return plain if len(plain) <= _LONGEST_SHOWN else f"{plain[:_LONGEST_SHOWN]}…"
