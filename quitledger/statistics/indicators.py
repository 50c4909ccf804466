"""Indicators: what a number means, said in a YAML file, beside the statement that counts it (indicators/*.yaml, *.sql)."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "indicators"


class Measure(StrEnum):
    """What is made of numerator and denominator."""

    RATE = "rate"  # percent, two decimals
    MEAN = "mean"  # one decimal
    COUNT = "count"  # the numerator alone


class Part(StrEnum):
    """The two counts of an indicator."""

    NUMERATOR = "numerator"
    DENOMINATOR = "denominator"


class Grouping(StrEnum):
    """By what a number is shown."""

    TOTAL = ""
    TIER = "tier"
    COUNTY = "county"
    INSTITUTION = "institution"
    MONTH = "month"
    SERVICE = "service"


@dataclass(frozen=True)
class Indicator:
    """One number of the programme: its meaning in words, and its statement.

    The statement gives (group, 1 where it is the total, numerator, denominator) from tables and the relations of served.py;
    values: first, last (days), counted_from (from which day on a contract counts). `{group}`: an expression of measures.GROUPS.
    `rows` gives what is counted, row by row (rows.py). `persons`: which of the two counts people who were helped, and is
    suppressed with the other where it is broken down (suppression.py).
    """

    name: str
    title: str
    why: str
    numerator: str
    denominator: str | None
    grain: str
    measure: Measure
    unit: str
    groupings: tuple[Grouping, ...]
    persons: Part | None
    source: str  # records or claims
    author: str
    reviewed: date
    statement: str
    rows: str


class IndicatorFault(ValueError):
    """A file says something that no indicator is; raised at the first question."""


@cache
def indicators() -> Mapping[str, Indicator]:
    """All indicators by name. Raises IndicatorFault."""
    return MappingProxyType({path.stem: read(path) for path in sorted(FOLDER.glob("*.yaml"))})


def read(path: Path) -> Indicator:
    """The indicator of a file and of the statements beside it. Raises IndicatorFault."""
    said: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    expected = {field.name for field in fields(Indicator)} - {"name", "statement", "rows"}
    if set(said) != expected:
        raise IndicatorFault(f"{path.name}: {sorted(set(said) ^ expected)}")
    try:
        values = said | {
            "measure": Measure(said["measure"]),
            "groupings": (Grouping.TOTAL, *map(Grouping, said["groupings"])),
            "persons": said["persons"] and Part(said["persons"]),
        }
    except ValueError as fault:
        raise IndicatorFault(f"{path.name}: {fault}") from None
    if (said["denominator"] is None) != (values["measure"] is Measure.COUNT) or said["source"] not in (
        "records",
        "claims",
    ):
        raise IndicatorFault(f"{path.name}: denominator, measure, source")
    statement, rows = (path.with_suffix(end).read_text(encoding="utf-8") for end in (".sql", ".rows.sql"))
    return Indicator(path.stem, statement=statement, rows=rows, **values)
