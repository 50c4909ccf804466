"""Texts of ours kept for later as JSON, and read back with their parts, so that a page can say them in another language."""

from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from .problem import Problem
from .sentences import Clauses, Month, Sentence, Several, Value, Words, Year

# What is no text or number: its sign, its class, how it is written and read.
_VALUES: list[tuple[str, type, Callable[[Any], Any], Callable[[Any], Any]]] = [
    ("month", Month, lambda value: value.day.isoformat(), lambda text: Month(date.fromisoformat(text))),
    ("year", Year, lambda value: value.number, Year),
    ("moment", datetime, lambda value: value.isoformat(), datetime.fromisoformat),
    ("day", date, lambda value: value.isoformat(), date.fromisoformat),
    ("time", time, lambda value: value.isoformat(), time.fromisoformat),
    ("number", Decimal, str, Decimal),
    ("words", Words, str, Words),
]
_READ = {sign: read for sign, _kind, _write, read in _VALUES}


def packed(value: Value) -> Any:
    """A text or value as JSON; data stay plain texts."""
    if isinstance(value, Sentence):
        return {"sentence": value.template, "values": {name: packed(one) for name, one in value.values.items()}}
    if isinstance(value, Several):
        return {"clauses" if isinstance(value, Clauses) else "several": [packed(one) for one in value.parts]}
    for sign, kind, write, _read in _VALUES:
        if isinstance(value, kind):
            return {sign: write(value)}
    return value


def unpacked(found: Any) -> Any:
    """What `packed` was given."""
    if not isinstance(found, dict):
        return found
    if "sentence" in found:
        return Sentence(found["sentence"], **{name: unpacked(one) for name, one in found["values"].items()})
    if "several" in found:
        return Several(map(unpacked, found["several"]))
    if "clauses" in found:
        return Clauses(map(unpacked, found["clauses"]))
    ((sign, value),) = found.items()
    return _READ[sign](value)


def packed_problem(problem: Problem) -> list[Any]:
    """A problem as JSON."""
    return [problem.code, packed(problem.message), problem.field, problem.policy]


def unpacked_problem(found: list[Any]) -> Problem:
    """What `packed_problem` was given."""
    code, message, field, policy = found
    return Problem(code, unpacked(message), field, policy)
