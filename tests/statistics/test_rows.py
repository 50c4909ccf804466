"""The rows that a number counts are exactly those: counted for every cell of every indicator."""

from datetime import date
from typing import Any

import psycopg
import pytest
from django.core.exceptions import PermissionDenied

from quitledger.accounts.scope import scoped
from quitledger.statistics import measures
from quitledger.statistics.indicators import Grouping, Part, indicators
from quitledger.statistics.measures import Basis, Cell, Measured, Period
from quitledger.statistics.rows import Behind, contracts, count_contracts, count_services, services

from .. import world
from .test_annual import MARCH, YEAR, crowd, given, origin

__all__ = ["crowd", "given", "origin"]


def counted(name: str, period: Period, grouping: Grouping, basis: Basis) -> Measured:
    """As counted, before anything is suppressed."""
    desk = world.actor("desk_officer")
    with scoped(desk, one_snapshot=True):
        (measured,) = measures._counted([indicators()[name]], period, grouping, basis, {}, desk)
        return measured


def behind(measured: Measured, cell: Cell, basis: Basis) -> Behind:
    grouping = Grouping.TOTAL if cell.group is None and cell == measured.total else measured.grouping
    return Behind(measured.indicator.name, measured.period, grouping, cell.group, basis=basis)


@pytest.mark.parametrize("name", sorted(indicators()))
def test_every_cell_has_as_many_rows_as_it_counts(name: str, crowd: Any, given: psycopg.Connection) -> None:
    given.execute(
        "UPDATE institutions_institutiondetails SET starts_on = '2025-03-13' WHERE code = %s", [world.PHARMACY]
    )
    desk, cells = world.actor("desk_officer"), 0
    for period in (YEAR, Period.year(2025, date(2025, 3, 12)), Period.year(2023)):
        for grouping in indicators()[name].groupings:
            for basis in Basis:
                measured = counted(name, period, grouping, basis)
                for cell in (*measured.cells, measured.total):
                    one = behind(measured, cell, basis)
                    with scoped(desk):
                        assert _both(one, desk) == (cell.numerator, cell.denominator), one
                        assert _rows(one, desk) == (cell.numerator, cell.denominator), one
                    cells += 1
    assert cells > 20


def _both(one: Behind, desk: Any) -> tuple[int, int | None]:
    if one.indicator.persons is None:
        return count_contracts(one, by=desk)
    in_services, persons = count_services(one, by=desk)
    return (persons, None) if one.indicator.persons is Part.NUMERATOR else (in_services, persons)


def _rows(one: Behind, desk: Any) -> tuple[int, int | None]:
    """The same, from the rows as they are shown."""
    if one.indicator.persons is None:
        executing, contracted = (
            contracts(Behind(one.name, one.period, one.grouping, one.group, part, one.basis), by=desk, limit=1000)
            for part in Part
        )
        assert [row for row in contracted if row.executing] == executing
        return len(executing), len(contracted)
    found = services(one, by=desk, limit=1000)
    assert found == sorted(found, key=lambda row: row.visit_on, reverse=True)
    return _both(one, desk) if one.indicator.persons is Part.NUMERATOR else (len(found), _both(one, desk)[1])


def test_rows_come_page_by_page(crowd: Any) -> None:
    desk = world.actor("desk_officer")
    one = Behind("counselling_visits", MARCH, Grouping.TIER, "clinic")
    with scoped(desk):
        whole = services(one, by=desk, limit=1000)
        pages = [row for offset in range(0, 40, 10) for row in services(one, by=desk, limit=10, offset=offset)]
    assert pages == whole
    assert len({(row.visit_uid, row.service) for row in whole}) == 39


@pytest.mark.parametrize("username", ["analyst", "recorder", "supervisor", "administrator", "nowhere"])
def test_services_are_for_whom_visits_and_statistics_are_open(username: str, crowd: Any) -> None:
    by = world.actor(username)
    for ask in (lambda one: services(one, by=by, limit=10), lambda one: count_services(one, by=by)):
        with scoped(by), pytest.raises(PermissionDenied):
            ask(Behind("counselling_visits", MARCH))


@pytest.mark.parametrize("username", ["recorder", "administrator", "nowhere"])
def test_contracts_are_for_whom_statistics_are_open(username: str, crowd: Any) -> None:
    by = world.actor(username)
    for ask in (lambda one: contracts(one, by=by, limit=10), lambda one: count_contracts(one, by=by)):
        with scoped(by), pytest.raises(PermissionDenied):
            ask(Behind("staff_execution", MARCH))


def test_an_analyst_sees_of_staff_what_they_are_and_where_and_not_who(crowd: Any) -> None:
    one = Behind("staff_execution", MARCH, Grouping.TIER, "clinic", Part.DENOMINATOR)
    found = {}
    for username in ("analyst", "desk_officer"):
        by = world.actor(username)
        with scoped(by):
            found[username] = contracts(one, by=by, limit=10)
    assert [(row.profession, row.code, row.executing) for row in found["analyst"]] == [
        (row.profession, row.code, row.executing) for row in found["desk_officer"]
    ]
    assert {row.staff for row in found["desk_officer"]} == {"示範丑", "示範子", "示範寅"}
    assert {(row.staff, row.staff_uid) for row in found["analyst"]} == {("", None)}


def test_a_grouping_that_an_indicator_does_not_have_is_refused(crowd: Any) -> None:
    by = world.actor("analyst")
    with scoped(by), pytest.raises(ValueError, match="not grouped by month"):
        contracts(Behind("staff_execution", MARCH, Grouping.MONTH, date(2025, 3, 1)), by=by, limit=10)
