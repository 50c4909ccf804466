"""Spacing and the one visit a day, as the database holds them against whoever writes SQL."""

from collections.abc import Iterator
from datetime import date, timedelta

import psycopg
import pytest
from psycopg import errors

from .. import world
from ..conftest import Database
from ..sql import Keys, insert_service, insert_visit, keys, open_month, record, set_scope

pytestmark = pytest.mark.engine

FIRST = date(2025, 3, 15)
SPACING = 5  # days, of the rows that tests.sql writes


@pytest.fixture(scope="module")
def at(shared: Database) -> Keys:
    """The keys of 示範甲 at the clinic."""
    with shared.owner() as owner:
        return keys(owner)


@pytest.fixture(params=["application", "owner"])
def writer(request: pytest.FixtureRequest, shared: Database, at: Keys) -> Iterator[psycopg.Connection]:
    """A connection in the clinic's scope as either role, rolled back at the end."""
    with shared.app() if request.param == "application" else psycopg.connect(shared.owner_url) as connection:
        set_scope(connection, at.institution, at.account)
        yield connection
        connection.rollback()


@pytest.mark.parametrize("kind", ["medication", "counselling"])
@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("days", range(1, SPACING + 2))
def test_two_services_of_a_kind_are_at_least_five_days_apart(writer, at, kind, direction, days):
    record(writer, at, FIRST, kind)
    day = FIRST + timedelta(days=direction * days)
    if days >= SPACING:
        assert record(writer, at, day, kind)
        return
    with pytest.raises(errors.ExclusionViolation) as refused:
        record(writer, at, day, kind)
    assert refused.value.diag.constraint_name == "visits_service_spacing"


@pytest.mark.parametrize(
    ("earlier", "later", "apart", "stands"), [(3, 5, 3, True), (5, 3, 3, False), (3, 9, 2, False), (9, 1, 8, False)]
)
@pytest.mark.parametrize("first_typed", ["earlier", "later"])
def test_the_spacing_of_the_earlier_day_counts(writer, at, earlier, later, apart, stands, first_typed):
    days = [(FIRST, earlier), (FIRST + timedelta(days=apart), later)]
    (day, spacing), (other_day, other_spacing) = days if first_typed == "earlier" else reversed(days)
    open_month(writer, at.institution, FIRST)
    insert_service(writer, at, insert_visit(writer, at, day), day, spacing_days=spacing)
    other = insert_visit(writer, at, other_day)
    if stands:
        assert insert_service(writer, at, other, other_day, spacing_days=other_spacing)
        return
    with pytest.raises(errors.ExclusionViolation):
        insert_service(writer, at, other, other_day, spacing_days=other_spacing)


def test_one_visit_a_day(writer, at):
    record(writer, at, FIRST, "medication")
    with pytest.raises(errors.UniqueViolation) as refused:
        insert_visit(writer, at, FIRST)
    assert refused.value.diag.constraint_name == "visits_visit_one_a_day"


def test_one_service_of_a_kind_a_visit(writer, at):
    visit = record(writer, at, FIRST, "medication", "counselling")
    with pytest.raises((errors.UniqueViolation, errors.ExclusionViolation)):
        insert_service(writer, at, visit, FIRST, "counselling")


def test_another_person_kind_or_institution_is_free(db, at):
    with db.owner() as owner:
        other, elsewhere = keys(owner, "示範乙"), keys(owner, "示範甲", world.PHARMACY)
        assert (elsewhere.person, elsewhere.institution == at.institution) == (at.person, False)
    with psycopg.connect(db.owner_url) as writer:
        set_scope(writer, 0)
        record(writer, at, FIRST, "medication")
        assert record(writer, at, FIRST + timedelta(days=1), "counselling")
        assert record(writer, other, FIRST, "medication")
        assert record(writer, elsewhere, FIRST, "medication")
        writer.rollback()


def test_a_voided_visit_blocks_nothing_until_it_is_restored(writer, at):
    voided = record(writer, at, FIRST)
    change = "UPDATE visits_visit SET in_force = %s, version = version + 1 WHERE id = %s"
    writer.execute(change, [False, voided])
    assert record(writer, at, FIRST)
    with pytest.raises(errors.UniqueViolation), writer.transaction():
        writer.execute(change, [True, voided])
    near = record(writer, at, FIRST + timedelta(days=10))
    writer.execute("UPDATE visits_visit SET in_force = false, version = version + 1 WHERE id = %s", [near])
    assert record(writer, at, FIRST + timedelta(days=12))
    with pytest.raises(errors.ExclusionViolation):
        writer.execute(change, [True, near])


def test_a_visit_that_moves_takes_its_services_along(writer, at):
    record(writer, at, FIRST)
    moving = record(writer, at, FIRST + timedelta(days=10), "medication", "counselling")
    move = "UPDATE visits_visit SET visit_on = %s, version = version + 1 WHERE id = %s"
    writer.execute(move, [FIRST + timedelta(days=5), moving])
    days = writer.execute("SELECT DISTINCT visit_on FROM visits_service WHERE visit_id = %s", [moving]).fetchall()
    assert days == [(FIRST + timedelta(days=5),)]
    with pytest.raises(errors.ExclusionViolation):
        writer.execute(move, [FIRST + timedelta(days=4), moving])


def test_two_visits_may_move_together(writer, at):
    """A correction that shifts a row of visits passes through days that are too near: it is asked at the end."""
    first, second = record(writer, at, FIRST), record(writer, at, FIRST + timedelta(days=5))
    writer.execute("SET CONSTRAINTS visits_service_spacing DEFERRED")
    move = "UPDATE visits_visit SET visit_on = visit_on + 3, version = version + 1 WHERE id = %s"
    writer.execute(move, [first])
    writer.execute(move, [second])
    writer.execute("SET CONSTRAINTS visits_service_spacing IMMEDIATE")
    writer.execute("SET CONSTRAINTS visits_service_spacing DEFERRED")
    writer.execute(move, [first])
    with pytest.raises(errors.ExclusionViolation):
        writer.execute("SET CONSTRAINTS visits_service_spacing IMMEDIATE")


@pytest.mark.parametrize(
    "lie", [{"visit_on": FIRST + timedelta(days=1)}, {"in_force": False}, {"person_id": 2}, {"spacing_days": 0}]
)
def test_a_service_says_of_its_visit_what_the_visit_says(writer, at, lie):
    visit = insert_visit(writer, at, FIRST)
    with pytest.raises((errors.ForeignKeyViolation, errors.CheckViolation)):
        insert_service(writer, at, visit, FIRST, **lie)


@pytest.mark.parametrize("column", ["visit_on = visit_on + 1", "in_force = false", "person_id = 2"])
def test_a_service_does_not_leave_its_visit(writer, at, column):
    record(writer, at, FIRST)
    with pytest.raises(errors.ForeignKeyViolation):
        writer.execute(f"UPDATE visits_service SET {column}")
