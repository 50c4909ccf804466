"""Rows of persons: what they say, and what the rules of registering answer."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from quitledger.accounts.actors import Actor
from quitledger.accounts.keys import keys
from quitledger.audit.database import programme_now, purpose
from quitledger.cases.rules import FTND_ITEMS
from quitledger.cases.services import (
    BaselineEntry,
    KnownCases,
    Registered,
    Registration,
    check_registrations,
    register_cases,
)
from quitledger.policy import TAIPEI
from quitledger.policy.identity import IdentityKind, normalise, recognise
from quitledger.policy.problem import Problem
from quitledger.policy.sentences import Sentence, Words

from .columns import Kind, has_intake, read_row
from .verdicts import Verdict, verdict

Cells = Mapping[str, str]


def read(cells: Cells, by: Actor) -> Registration | list[Problem]:
    """A row as the rules know it. Its uid is made of the institution and of what it says, by the key of hashes."""
    values, problems = read_row(cells, Kind.PERSONS)
    with_intake = has_intake(values)
    if with_intake and values.get("taken_on", "") is None:
        problems.append(
            Problem("value-missing", Sentence("「{column}」沒有填。", column=Words("評估日期")), "taken_on")
        )
    if problems:
        return problems
    said: dict[str, Any] = values
    number, country = str(said["identity_number"]), str(said["identity_country"])
    kind = (
        said["identity_kind"] or recognise(number) or (IdentityKind.PASSPORT if country else IdentityKind.NATIONAL_ID)
    )
    rest = [said["birth_on"].isoformat(), said["sex"], said["name"], said["chart_no"], said["phone"]]
    text = json.dumps([by.at_institution(), kind, normalise(number), normalise(country), *rest])
    return Registration(
        _uid(f"case {text}"),
        IdentityKind(kind),
        number,
        country,
        said["birth_on"],
        said["sex"],
        said["name"],
        said["chart_no"],
        said["phone"],
        _intake(said, text) if with_intake else None,
    )


def _intake(said: Mapping[str, Any], person: str) -> BaselineEntry:
    """The intake of a row; its uid is made like that of the case."""
    values = {name: said[name] for name in ("cigarettes_per_day", "co_ppm", "weight_kg", "pregnant", "insured")}
    ftnd = {item.name: said[f"ftnd_{item.name}"] for item in FTND_ITEMS}
    text = json.dumps([person, said["taken_on"].isoformat(), ftnd, values], default=str)
    return BaselineEntry(_uid(f"baseline {text}"), said["taken_on"], ftnd, **values)


def _uid(text: str) -> UUID:
    return UUID(bytes=keys().keyed_hash(text)[:16], version=4)


class PersonRows:
    """The rows of one file, part after part: who stood in an earlier part is known in a later one."""

    def __init__(self, by: Actor) -> None:
        self._by = by
        self._known: KnownCases | None = None
        moment = programme_now()
        self._today: date = moment.astimezone(TAIPEI).date()
        self._made_up_allowed = purpose() in ("demo", "test")

    def check(self, rows: Sequence[Cells]) -> list[Verdict]:
        """What would become of the rows now. Raises PermissionDenied."""
        return self._verdicts(rows, records=False)

    def record(self, rows: Sequence[Cells]) -> list[Verdict]:
        """Register the persons of the rows, the good ones. Raises PermissionDenied."""
        return self._verdicts(rows, records=True)

    def _verdicts(self, rows: Sequence[Cells], *, records: bool) -> list[Verdict]:
        read_rows = [read(cells, self._by) for cells in rows]
        asked = [row for row in read_rows if isinstance(row, Registration)]
        known = KnownCases(asked, self._by)
        if self._known is not None:
            known.follow(self._known)
        self._known = known
        ask = register_cases if records else check_registrations
        outcomes = iter(ask(asked, today=self._today, made_up_allowed=self._made_up_allowed, known=known, by=self._by))
        return [
            _verdict(next(outcomes)) if isinstance(row, Registration) else verdict(row, is_known=False)
            for row in read_rows
        ]


def _verdict(outcome: Registered) -> Verdict:
    return verdict(outcome.problems, is_known=(outcome.repeated or outcome.is_known) and not outcome.takes_intake)
