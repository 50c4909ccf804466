"""What the services of a period come to: how many of each group, and of how many people; and who of the staff served where.

Counted month by month (served.sql, worked.sql): what a month came to is kept for as long as it is right, and after a correction
that month alone is counted anew. Whoever was helped in several months or groups is one person: for that his key in the
database, and nothing else of him, is kept in memory. It does not leave this file.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pyroaring import BitMap64

from quitledger.visits.rules import COUNSELLING, MEDICATION

from .kept import Kept, Row, fetched

SERVED, WORKED = (Path(__file__).with_name(f"{name}.sql").read_text(encoding="utf-8") for name in ("served", "worked"))
# The relations that indicators count from, and their columns: what the months come to together, given to the database again.
RELATIONS = {
    "tally": ("place", "whole", "medication", "medicated", "counselling", "counselled", "persons"),
    "worked": ("institution_id", "staff_id"),
}

Month = Mapping[str, date]  # its first and its last day, as far as they are asked for
Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class Served:
    """How many services, and whom they helped: keys of persons."""

    services: int
    people: BitMap64


def relations(place: str) -> str:
    """The relations as a statement begins with them; `place`: the type of what is grouped by."""
    return "WITH " + ", ".join(_relation(name, place) for name in RELATIONS)


def _relation(name: str, place: str) -> str:
    columns = RELATIONS[name]
    given = (f"%({column})s::{place}[]" if column == "place" else f"%({column})b::bigint[]" for column in columns)
    return f"{name} AS (SELECT * FROM unnest({', '.join(given)}) t ({', '.join(columns)}))"  # noqa: S608 - ours


def tally(kept: Kept, months: Sequence[Month], group: str) -> Columns:
    """The columns of `tally`: of each group (an expression of measures.GROUPS), and (whole: 1) in all."""
    groups: dict[Any, dict[str, list[Served]]] = defaultdict(lambda: {MEDICATION: [], COUNSELLING: []})
    for rows in kept.rows(SERVED.format(group=group), months, _served):
        for place, kind, *served in rows:
            groups[place][kind].append(Served(*served))
    lines, everybody = [], []
    for place, given in groups.items():
        of_group = {kind: _together(served) for kind, served in given.items()}
        lines.append((place, 0, *_numbers(of_group)))
        everybody.append(of_group)
    whole = {kind: _together([of_group[kind] for of_group in everybody]) for kind in (MEDICATION, COUNSELLING)}
    lines.append((None, 1, *_numbers(whole)))
    return _columns("tally", lines)


def worked(kept: Kept, months: Sequence[Month]) -> Columns:
    """The columns of `worked`: who of the staff gave a service where."""
    return _columns("worked", set[Row]().union(*kept.rows(WORKED, months, fetched)))


def _served(statement: str, month: Month) -> list[Row]:
    return [(*row, services, BitMap64(people or ())) for *row, services, people in fetched(statement, month)]


def _together(parts: Sequence[Served]) -> Served:
    return Served(sum(part.services for part in parts), BitMap64().union(*(part.people for part in parts)))


def _numbers(served: Mapping[str, Served]) -> tuple[int, ...]:
    medication, counselling = served[MEDICATION], served[COUNSELLING]
    return (
        medication.services, len(medication.people), counselling.services, len(counselling.people),
        len(medication.people | counselling.people),
    )  # fmt: skip


def _columns(relation: str, rows: Collection[Row]) -> Columns:
    return {column: [row[number] for row in rows] for number, column in enumerate(RELATIONS[relation])}
