"""What the services of a period come to: how many of each group, and of how many people; and who of the staff served where.

Counted month by month (served.sql, worked.sql): what a month came to is kept for as long as it is right, and after a correction
that month alone is counted anew. Whoever was helped in several months or groups is one person: for that his key in the
database, and nothing else of him, is kept in memory. It does not leave this file.
"""

from array import array
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

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


def relations(place: str) -> str:
    """The relations as a statement begins with them; `place`: the type of what is grouped by."""
    return "WITH " + ", ".join(_relation(name, place) for name in RELATIONS)


def _relation(name: str, place: str) -> str:
    columns = RELATIONS[name]
    given = (f"%({column})s::{place}[]" if column == "place" else f"%({column})b::bigint[]" for column in columns)
    return f"{name} AS (SELECT * FROM unnest({', '.join(given)}) t ({', '.join(columns)}))"  # noqa: S608 - ours


def tally(kept: Kept, months: Sequence[Month], group: str) -> Columns:
    """The columns of `tally`: of each group (an expression of measures.GROUPS), and (whole: 1) in all."""
    statement = SERVED.format(group=group)
    groups: dict[Any, dict[str, list[array[int]]]] = defaultdict(lambda: {MEDICATION: [], COUNSELLING: []})
    for rows in kept.rows(statement, months, _served):
        for place, kind, people in rows:
            groups[place][kind].append(people)
    services, everybody = {MEDICATION: 0, COUNSELLING: 0}, {MEDICATION: set[int](), COUNSELLING: set[int]()}
    lines = []
    for place, given in groups.items():
        counts = {kind: sum(map(len, helped)) for kind, helped in given.items()}
        people = {kind: set[int]().union(*helped) for kind, helped in given.items()}
        lines.append((place, 0, *_numbers(counts, people)))
        for kind in services:
            services[kind] += counts[kind]
            everybody[kind] |= people[kind]
    lines.append((None, 1, *_numbers(services, everybody)))
    return _columns("tally", lines)


def worked(kept: Kept, months: Sequence[Month]) -> Columns:
    """The columns of `worked`: who of the staff gave a service where."""
    return _columns("worked", set[Row]().union(*kept.rows(WORKED, months, fetched)))


def _served(statement: str, month: Month) -> list[Row]:
    """The rows of SERVED, the people of each as small as they get."""
    return [(*row, array("q", people or ())) for *row, people in fetched(statement, month)]


def _numbers(services: Mapping[str, int], people: Mapping[str, set[int]]) -> tuple[int, ...]:
    medicated, counselled = people[MEDICATION], people[COUNSELLING]
    return (
        services[MEDICATION], len(medicated), services[COUNSELLING], len(counselled), len(medicated | counselled)
    )  # fmt: skip


def _columns(relation: str, rows: Collection[Row]) -> Columns:
    return {column: [row[number] for row in rows] for number, column in enumerate(RELATIONS[relation])}
