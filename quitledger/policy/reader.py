"""Reads the dated rules of `data/*.yaml` and answers one question: what did the programme say on that day?

The files are read once per process and checked strictly: a rule file with a fault stops the program at its first
question, never a visit later on. A value in force is never edited; a new date is added below it.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn, Self

import yaml

from quitledger.policy.sentences import Clauses, Sentence, Several, Words
from quitledger.policy.yaml_files import SafeLoader

DATA = Path(__file__).parent / "data"


class _LabelledWord(StrEnum):
    """A closed set of words, each with its Chinese label."""

    label: str

    def __new__(cls, word: str, label: str = "") -> Self:
        member = str.__new__(cls, word)
        member._value_ = word
        member.label = label
        return member


class SelectingDay(_LabelledWord):
    """The day of a case that selects which dated value applies to it."""

    SERVICE_MONTH = "service_month", Words("就醫月份的第 1 日")
    EARLIER_DAY = "earlier_day", Words("兩次就醫中較早的一日")
    VISIT_DAY = "visit_day", Words("就醫日")
    VISIT_MONTH = "visit_month", Words("就醫當月")
    INTAKE_DAY = "intake_day", Words("收案評估日")
    COURSE_FIRST_DAY = "course_first_day", Words("療程的第 1 日")
    DUE_DAY = "due_day", Words("追蹤應完成日")
    PUBLICATION_DAY = "publication_day", Words("公布日")
    ENTRY_DAY = "entry_day", Words("紀錄寫入日")
    ACT_DAY = "act_day", Words("辦理當日")


class Effect(_LabelledWord):
    """What the system does when a case does not keep to the rule."""

    REFUSED = "refused", Words("拒絕登錄")
    NEXT_COURSE = "next_course", Words("起算下一療程")
    WARNING = "warning", Words("提醒，不拒絕")
    DEDUCTION = "deduction", Words("可能核扣")
    LABEL = "label", Words("只標示")
    NONE = "none", Words("不適用")


@dataclass(frozen=True, slots=True)
class WhenBroken:
    """The effect of a broken rule, and one Chinese sentence that explains it."""

    effect: Effect
    explanation: str


@dataclass(frozen=True, slots=True)
class DatedValue:
    """One value of a parameter from `starts_on` (included) until the next value starts.

    `value` is a whole number, a yes/no, a word of the parameter's `words`, a tuple or a read-only mapping of these, or
    None where the value is unknown. Exactly one of `source` and `assumed` holds for a known value. `start_assumed`: the
    source gives the value but not its first day.
    """

    starts_on: date
    value: Any = field(hash=False)
    source: str | None
    assumed: bool
    start_assumed: bool
    note: str | None

    @property
    def basis(self) -> str:
        """What the value rests on, in Chinese: its source, else 「假設」 (assumed) or 「不明」 (unknown)."""
        return self.source or Words("假設" if self.assumed else "不明")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One rule of the programme: its meaning, the day that selects its value, what breaking it does, its history."""

    name: str
    title: str
    title_en: str
    subject: str
    subject_en: str
    unit: str
    day: SelectingDay
    day_assumed: bool
    when_broken: WhenBroken
    note: str | None
    words: Mapping[str, str] = field(hash=False)
    values: tuple[DatedValue, ...]

    def in_force_on(self, day: date) -> DatedValue | None:
        """Return the entry in force on `day`, or None before the first date. An entry may hold an unknown value."""
        place = bisect_right(self.values, day, key=lambda entry: entry.starts_on)
        return self.values[place - 1] if place else None

    def text_of(self, value: Any) -> str:
        """Return `value`, one of this parameter's values, in words with its unit: 「20 日」, 「是」, 「不明」."""
        if value is None:
            return Words("不明")
        if isinstance(value, Mapping):
            parts = ((Words(self.words[key]), self._bare(part)) for key, part in value.items())
            return Clauses(Sentence("{word}：{value}", word=word, value=part) for word, part in parts)
        last = value[-1] if isinstance(value, tuple) else value
        bare = self._bare(value)
        return Sentence("{value} {unit}", value=bare, unit=Words(self.unit)) if type(last) is int else bare

    def _bare(self, value: Any) -> str:
        if isinstance(value, bool):
            return Words("是" if value else "否")
        if isinstance(value, str):
            return Words(self.words[value])
        if isinstance(value, tuple):
            return Several(map(self._bare, value))
        if isinstance(value, Mapping):
            parts = ((Words(self.words[key]), self._bare(part)) for key, part in value.items())
            return Several(Sentence("{word} {value}", word=word, value=part) for word, part in parts)
        return str(value)


class PolicyGap(LookupError):
    """No value is known for that day: the day lies before the first date, or the value in force is unknown (null).

    `name` and `day` are those asked for; `reason` is one Chinese sentence for the reader of a page.
    """

    def __init__(self, name: str, day: date, reason: str) -> None:
        super().__init__(name, day, reason)
        self.name, self.day, self.reason = name, day, reason

    def __str__(self) -> str:
        return self.reason


class UnknownPolicy(KeyError):
    """No parameter has that name: a fault of the caller, not of the data."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"沒有名為 {self.name} 的規定。"


class PolicyFileError(ValueError):
    """A rule file cannot be trusted; the message names the file, the line and the fault."""

    def __init__(self, file: str, line: int, fault: str) -> None:
        super().__init__(file, line, fault)
        self.file, self.line, self.fault = file, line, fault

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.fault}"


@lru_cache(maxsize=8192)  # rules ask for the same few days again and again, hundreds of thousands of times in a file
def policy_on(day: date, name: str) -> Any:
    """Return the value of parameter `name` in force on `day` (a plain date: the day that selects, see `Parameter.day`).

    Raises PolicyGap before the first date and where the value is unknown, UnknownPolicy for a name that does not exist.
    """
    try:
        days, values = _histories()[name]
    except KeyError:
        raise UnknownPolicy(name) from None
    place = bisect_right(days, day)
    if not place:
        reason = Sentence("「{rule}」在 {day} 以前沒有規定值。", rule=Words(parameter(name).title), day=days[0])
        raise PolicyGap(name, day, reason)
    value = values[place - 1]
    if value is None:
        reason = Sentence("「{rule}」在 {day} 的規定值不明。", rule=Words(parameter(name).title), day=day)
        raise PolicyGap(name, day, reason)
    return value


def parameter(name: str) -> Parameter:
    """Return the parameter called `name`; raises UnknownPolicy."""
    try:
        return _packaged()[name]
    except KeyError:
        raise UnknownPolicy(name) from None


def parameters() -> list[Parameter]:
    """Return every parameter in the order of the rule files."""
    return list(_packaged().values())


def load(folder: Path) -> dict[str, Parameter]:
    """Read and check every `*.yaml` of `folder` in the order of names; raises PolicyFileError at the first fault."""
    book: dict[str, Parameter] = {}
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise PolicyFileError(folder.name, 1, "no rule file here")
    for path in paths:
        for line, entry in _RuleFile(path).parameters():
            if entry.name in book:
                raise PolicyFileError(path.name, line, f"name: {entry.name} is defined twice")
            book[entry.name] = entry
    return book


@cache
def _packaged() -> Mapping[str, Parameter]:
    return MappingProxyType(load(DATA))


@cache
def _histories() -> dict[str, tuple[tuple[date, ...], tuple[Any, ...]]]:
    # policy_on is asked many times in one request: with two flat tuples per name it is one look-up and one bisect.
    return {
        name: (tuple(entry.starts_on for entry in found.values), tuple(entry.value for entry in found.values))
        for name, found in _packaged().items()
    }


def _said(text: str | None) -> Words | None:
    return None if text is None else Words(text)


_FILE_KEYS = ("subject", "subject_en", "parameters")
_PARAMETER_KEYS = ("name", "title", "title_en", "unit", "day", "when_broken", "values")
_PARAMETER_OPTIONS = ("day_assumed", "note", "words")
_VALUE_KEYS = ("from", "value")
_VALUE_OPTIONS = ("source", "assumed", "start_assumed", "note")


class _RuleFile:
    """One rule file, walked as YAML nodes rather than plain values, so that every fault can name its line."""

    def __init__(self, path: Path) -> None:
        self.file = path.name
        try:
            root = yaml.compose(path.read_bytes(), Loader=SafeLoader)
        except yaml.YAMLError as fault:
            mark = getattr(fault, "problem_mark", None)
            raise PolicyFileError(self.file, mark.line + 1 if mark else 1, f"not YAML: {fault}") from fault
        if root is None:
            raise PolicyFileError(self.file, 1, "the file is empty")
        self.root = root

    def parameters(self) -> Iterable[tuple[int, Parameter]]:
        """Yield each parameter of the file with the line of its first key."""
        fields = self._fields(self.root, _FILE_KEYS)
        subject, subject_en = self._text(fields, "subject"), self._text(fields, "subject_en")
        for node in self._items(fields["parameters"], "parameters"):
            yield node.start_mark.line + 1, self._parameter(node, subject, subject_en)

    def _parameter(self, node: yaml.Node, subject: str, subject_en: str) -> Parameter:
        fields = self._fields(node, _PARAMETER_KEYS, _PARAMETER_OPTIONS)
        name = self._text(fields, "name")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            self._fault(fields["name"], f"name: {name} is not lower case with underscores")
        broken = self._fields(fields["when_broken"], ("effect", "explanation"))
        words = self._words(fields["words"]) if "words" in fields else {}
        return Parameter(
            name=name,
            title=Words(self._text(fields, "title")),
            title_en=self._text(fields, "title_en"),
            subject=Words(subject),
            subject_en=subject_en,
            unit=Words(self._text(fields, "unit")),
            day=SelectingDay(self._one_of(fields, "day", [day.value for day in SelectingDay])),
            day_assumed=self._flag(fields, "day_assumed"),
            when_broken=WhenBroken(
                Effect(self._one_of(broken, "effect", [effect.value for effect in Effect])),
                Words(self._text(broken, "explanation")),
            ),
            note=_said(self._optional_text(fields, "note")),
            words=MappingProxyType(words),
            values=self._values(fields["values"], words),
        )

    def _values(self, node: yaml.Node, words: Mapping[str, str]) -> tuple[DatedValue, ...]:
        entries: list[DatedValue] = []
        kind: type | None = None
        for item in self._items(node, "values"):
            entry = self._dated_value(item, words)
            if entries and entry.starts_on <= entries[-1].starts_on:
                self._fault(item, f"from: {entry.starts_on} does not come after {entries[-1].starts_on}")
            if entry.value is not None:
                if kind not in (None, type(entry.value)):
                    self._fault(item, "value: not of the same kind as the value before it")
                kind = type(entry.value)
            entries.append(entry)
        return tuple(entries)

    def _dated_value(self, node: yaml.Node, words: Mapping[str, str]) -> DatedValue:
        fields = self._fields(node, _VALUE_KEYS, _VALUE_OPTIONS)
        starts_on = self._scalar(fields["from"], "from")
        if type(starts_on) is not date:
            self._fault(fields["from"], "from: not a day written YYYY-MM-DD")
        value = self._value(fields["value"], words)
        source, note = self._optional_text(fields, "source"), _said(self._optional_text(fields, "note"))
        assumed, start_assumed = self._flag(fields, "assumed"), self._flag(fields, "start_assumed")
        if value is None:
            if note is None:
                self._fault(node, "note: missing; an unknown value says what is not known")
            if assumed:
                self._fault(node, "assumed: an unknown value cannot be assumed")
        elif assumed == (source is not None):
            self._fault(node, "source: a value has either a source or assumed: true")
        return DatedValue(starts_on, value, source, assumed, start_assumed, note)

    def _value(self, node: yaml.Node, words: Mapping[str, str]) -> Any:
        """Return a value that nobody can change afterwards: it is shared by every caller of the process."""
        if isinstance(node, yaml.SequenceNode):
            return tuple(self._value(part, words) for part in self._items(node, "value"))
        if isinstance(node, yaml.MappingNode):
            pairs = self._pairs(node)
            for key in pairs:
                if key not in words:
                    self._fault(node, f"value: {key} has no Chinese label in words")
            return MappingProxyType({key: self._value(part, words) for key, part in pairs.items()})
        value = self._scalar(node, "value")
        if isinstance(value, str) and value not in words:
            self._fault(node, f"value: {value} has no Chinese label in words")
        if not isinstance(value, bool | int | str | None):
            self._fault(node, f"value: {value} is not a whole number, yes/no or word")
        if isinstance(value, int) and value < 0:
            self._fault(node, f"value: {value} is below zero")
        return value

    def _words(self, node: yaml.Node) -> dict[str, str]:
        pairs = self._pairs(node)
        return {key: self._text(pairs, key) for key in pairs}

    def _fields(self, node: yaml.Node, required: Iterable[str], optional: Iterable[str] = ()) -> dict[str, yaml.Node]:
        fields = self._pairs(node)
        for key_node, _ in node.value:
            if key_node.value not in (*required, *optional):
                self._fault(key_node, f"{key_node.value}: unknown key")
        for key in required:
            if key not in fields:
                self._fault(node, f"{key}: missing")
        return fields

    def _pairs(self, node: yaml.Node) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            self._fault(node, "keys with values expected")
        pairs: dict[str, yaml.Node] = {}
        for key_node, value_node in node.value:
            key = self._scalar(key_node, "key")
            if not isinstance(key, str):  # YAML 1.1 reads a bare yes, no, on or off as a truth value
                self._fault(key_node, f"{key}: a key is text; quote it")
            if key in pairs:
                self._fault(key_node, f"{key}: given twice")
            pairs[key] = value_node
        return pairs

    def _items(self, node: yaml.Node, key: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self._fault(node, f"{key}: a list with at least one entry expected")
        items: list[yaml.Node] = node.value
        return items

    def _one_of(self, fields: Mapping[str, yaml.Node], key: str, allowed: list[str]) -> str:
        word = self._text(fields, key)
        if word not in allowed:
            self._fault(fields[key], f"{key}: {word} is not one of {', '.join(allowed)}")
        return word

    def _flag(self, fields: Mapping[str, yaml.Node], key: str) -> bool:
        if key not in fields:
            return False
        if self._scalar(fields[key], key) is not True:
            self._fault(fields[key], f"{key}: is true or left out")
        return True

    def _optional_text(self, fields: Mapping[str, yaml.Node], key: str) -> str | None:
        return self._text(fields, key) if key in fields else None

    def _text(self, fields: Mapping[str, yaml.Node], key: str) -> str:
        text = self._scalar(fields[key], key)
        if not isinstance(text, str) or not text.strip():
            self._fault(fields[key], f"{key}: text expected")
        return text.strip()

    def _scalar(self, node: yaml.Node, key: str) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            self._fault(node, f"{key}: a single value expected")
        try:
            return yaml.constructor.SafeConstructor().construct_document(node)
        except (ValueError, yaml.YAMLError) as fault:
            self._fault(node, f"{key}: {fault}")

    def _fault(self, node: yaml.Node, fault: str) -> NoReturn:
        raise PolicyFileError(self.file, node.start_mark.line + 1, fault)
