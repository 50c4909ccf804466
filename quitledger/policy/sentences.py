"""Our own words as they travel from a rule to a page: said in Chinese at once, and in another language by the portal.

A `Sentence` is the finished Chinese text; it remembers the template and the values it was made of. `Words` are fixed
words of ours among those values. Any other text among them is data (a name, what somebody typed) and is never
translated. Days, months and moments are given as they are: each language has its own way of writing them.

Whoever shows them says how: while a page is made in another language, `speaker` holds what says a text there, and
templates ask it (`__html__`). Nobody set: Chinese.
"""

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from datetime import date, datetime, time
from decimal import Decimal
from html import escape
from typing import Any, NamedTuple, Self

from quitledger.policy.roc_formats import format_closing, format_roc, format_roc_month, format_roc_year

speaker: ContextVar["Say | None"] = ContextVar("speaker", default=None)


class Text(str):
    """A text of ours, whose parts are known."""

    def __html__(self) -> str:
        say = speaker.get()
        return escape(say(self) if say else str(self))


class Words(Text):
    """Fixed words of ours, a label or the name of a thing: 用藥, 居留證（新式）."""


class Month(NamedTuple):
    """The month of a day: 114 年 2 月."""

    day: date


class Year(NamedTuple):
    """A year of the common era: 114."""

    number: int


Value = str | int | Decimal | date | time | Month | Year  # and so are the texts of this module, which are str
Say = Callable[[Value], str]


class Several(Text):
    """A list of things: 用藥、衛教."""

    parts: tuple[Value, ...]
    separator = "、"

    def __new__(cls, parts: Iterable[Value]) -> Self:
        parts = tuple(parts)
        several = super().__new__(cls, cls.separator.join(map(in_chinese, parts)))
        several.parts = parts
        return several

    def __getnewargs__(self) -> tuple[Any]:
        return (self.parts,)


class Clauses(Several):
    """A list of things with commas of their own: 5 分鐘以內 3；6 到 30 分鐘 2."""

    separator = "；"


class Sentence(Text):
    """A text of ours with named values: `Sentence("{day} 已登錄過{service}。", day=visit_on, service=Words("用藥"))`."""

    template: str
    values: dict[str, Value]

    def __new__(cls, template: str, /, **values: Value) -> Self:
        shown = {name: in_chinese(value) for name, value in values.items()}
        sentence = super().__new__(cls, template.format_map(shown) if values else template)
        sentence.template, sentence.values = template, values
        return sentence

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, Any]]:
        return (self.template,), self.values

    def said(self, template: str, say: Say) -> str:
        """The sentence in another language: its `template` there, and how that language says a value."""
        return (
            template.format_map({name: say(value) for name, value in self.values.items()}) if self.values else template
        )


def in_chinese(value: Value) -> str:
    """A value as Chinese pages show it."""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return format_closing(value)
    if isinstance(value, date):
        return format_roc(value)
    if isinstance(value, time):
        return f"{value:%H:%M}"
    if isinstance(value, Month):
        return format_roc_month(value.day)
    if isinstance(value, Year):
        return format_roc_year(value.number)
    return str(value)
