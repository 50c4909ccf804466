"""What was counted is said again only while it is right: whoever changes whatever, and whoever looks from which state."""

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from django.db import InternalError, connection, transaction

from quitledger.accounts.actors import SYSTEM
from quitledger.accounts.scope import in_one_snapshot, scoped
from quitledger.statistics import kept, measures
from quitledger.statistics.indicators import Grouping, indicators
from quitledger.statistics.kept import Kept
from quitledger.statistics.measures import Basis, Period
from quitledger.statistics.served import SERVED, WORKED

from .. import world
from ..sql import Keys, acting, insert_service, keys, one, record

pytestmark = pytest.mark.engine

YEAR, BEFORE = Period.year(2025), Period.year(2024)
DAY = date(2025, 3, 5)
ALL = list(indicators())


class Watched(Kept):
    """Notes what was counted: how many questions, and of them the months whose services were passed over."""

    def __init__(self) -> None:
        super().__init__()
        self.counted = 0
        self.months: list[date] = []

    def rows(self, statement: str, periods: Any, count: Any) -> list[Sequence[Any]]:
        def counted(whole: str, values: Any) -> Any:
            if "grouping" in values:
                self.counted += 1
            elif statement != WORKED:
                self.months.append(values["first"])
            return count(whole, values)

        return super().rows(statement, periods, counted)

    def forget(self) -> None:
        """What was counted until now."""
        self.counted, self.months = 0, []


@pytest.fixture
def watched(monkeypatch) -> Watched:
    found = Watched()
    monkeypatch.setattr(measures, "_kept", found)
    return found


def ask(period: Period = YEAR, grouping: Grouping = Grouping.TIER) -> list[Any]:
    with scoped(SYSTEM, one_snapshot=True):
        return measures.measure_all(ALL, period, grouping=grouping, by=SYSTEM)


def fresh(period: Period = YEAR) -> list[Any]:
    """What is counted by somebody who has kept nothing."""
    before, measures._kept = measures._kept, Kept()
    try:
        return ask(period)
    finally:
        measures._kept = before


@pytest.fixture
def at(owner) -> Keys:
    return keys(owner)


@pytest.fixture
def visit(committed, at) -> int:
    with acting(committed, at.institution, at.account) as there:
        return record(there, at, DAY)


def test_what_did_not_change_is_counted_once(committed, watched, visit):
    first = ask()
    assert ask() == first == fresh()
    assert watched.counted == 1


MONTHS = [date(2025, month, 1) for month in range(1, 13)]


def test_only_the_months_that_changed_are_counted_anew(committed, watched, at, visit):
    ask()
    assert watched.months == MONTHS
    watched.forget()
    with acting(committed, at.institution, at.account) as there:
        record(there, at, DAY + timedelta(days=9))
    assert ask() == fresh()
    assert (watched.counted, watched.months) == (1, [date(2025, 3, 1)])


def test_a_visit_that_goes_into_another_month_changes_both(committed, owner, watched, visit):
    ask()
    watched.forget()
    owner.execute("SELECT set_config('quitledger.scope', '0', false)")
    owner.execute("UPDATE visits_visit SET visit_on = '2025-02-27', version = 2 WHERE id = %s", [visit])
    assert ask() == fresh()
    assert watched.months == [date(2025, 2, 1), date(2025, 3, 1)]


def test_a_year_to_date_shares_its_whole_months_with_the_year(committed, watched, visit):
    ask()
    watched.forget()
    ask(Period.year(2025, date(2025, 3, 12)))
    assert (watched.counted, watched.months) == (1, [date(2025, 3, 1)])


def test_another_tier_changes_every_month(committed, owner, watched, at, visit):
    ask()
    watched.forget()
    owner.execute("SELECT set_config('quitledger.scope', '0', false)")
    owner.execute(DESK_CHANGES["an institution has another tier"], _values(owner, at, visit))
    assert ask() == fresh()
    assert watched.months == MONTHS


def test_whoever_is_helped_in_two_months_is_one_person(committed, watched, at, visit):
    before = ask(grouping=Grouping.TOTAL)
    with acting(committed, at.institution, at.account) as there:
        record(there, at, date(2025, 4, 1))
    after = dict(zip(ALL, ask(grouping=Grouping.TOTAL), strict=True))
    assert after["persons_served"].total == dict(zip(ALL, before, strict=True))["persons_served"].total
    assert after["counselling_visits"].total.numerator == 2
    with scoped(SYSTEM, one_snapshot=True):
        (by_month,) = measures._counted(
            [indicators()["persons_served"]], YEAR, Grouping.MONTH, Basis.ANY_DAY, {}, SYSTEM
        )
    assert [(cell.group, cell.numerator) for cell in by_month.cells] == [(date(2025, 3, 1), 1), (date(2025, 4, 1), 1)]
    assert by_month.total.numerator == 1


def test_outside_of_one_snapshot_nothing_is_counted(committed, visit):
    with scoped(SYSTEM), pytest.raises(InternalError, match="one snapshot"):
        measures.measure_all(ALL, YEAR, by=SYSTEM)


def test_other_periods_groups_and_bases_are_other_questions(committed, watched, visit):
    ask(), ask(BEFORE), ask(grouping=Grouping.TOTAL), ask(Period.year(2025, date(2025, 3, 31)))
    assert watched.counted == 4
    ask(), ask(BEFORE), ask(grouping=Grouping.TOTAL), ask(Period.year(2025, date(2025, 3, 31)))
    assert watched.counted == 4


CHANGES = {
    "a visit is recorded": lambda c, at, visit: record(c, at, DAY + timedelta(days=9)),
    "a service is added": lambda c, at, visit: insert_service(c, at, visit, DAY, "medication", version=1),
    "a visit is voided": "UPDATE visits_visit SET in_force = false, version = 2 WHERE id = %(visit)s",
    "a visit moves": "UPDATE visits_visit SET visit_on = '2025-03-06', version = 2 WHERE id = %(visit)s",
    "somebody else gave it": "UPDATE visits_service SET staff_id = %(other)s WHERE visit_id = %(visit)s",
}
DESK_CHANGES = {
    "an institution has another tier": "UPDATE institutions_institutiondetails SET tier = 'pharmacy' WHERE institution_id = %(institution)s",
    "a contract ends": "UPDATE institutions_contract SET ends_on = '2025-03-31' WHERE institution_id = %(institution)s",
    "a staff contract ends": "UPDATE institutions_staffcontract SET ends_on = '2025-03-31' WHERE institution_id = %(institution)s",
    "a service is deleted": "DELETE FROM visits_medicationline; DELETE FROM visits_service WHERE visit_id = %(visit)s",
}


def _values(owner: psycopg.Connection, at: Keys, visit: int) -> dict[str, Any]:
    other = one(owner, "SELECT id FROM institutions_staffmember WHERE name = '示範子'")
    return {"visit": visit, "other": other, "institution": at.institution}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changed_is_counted_anew(committed, owner, watched, at, visit, name):
    ask(), ask(BEFORE)
    with acting(committed, at.institution, at.account) as there:
        what = CHANGES[name]
        assert what(there, at, visit) if callable(what) else there.execute(what, _values(owner, at, visit)).rowcount
        assert ask() == fresh(), "not committed"
        assert watched.counted == 2
    assert ask() == fresh()
    assert watched.counted == 3
    ask(BEFORE)
    assert watched.counted == 3, "nothing of that year changed"


@pytest.mark.parametrize("name", DESK_CHANGES)
def test_what_the_owner_changes_is_counted_anew_too(committed, owner, watched, at, visit, name):
    ask()
    owner.execute("SELECT set_config('quitledger.scope', '0', false)")
    with owner.transaction():
        for statement in DESK_CHANGES[name].split("; "):
            owner.execute(statement, _values(owner, at, visit))
    assert ask() == fresh()
    assert watched.counted == 2


def test_a_visit_that_goes_into_another_year_changes_both(committed, owner, watched, at, visit):
    ask(), ask(BEFORE)
    owner.execute("SELECT set_config('quitledger.scope', '0', false)")
    owner.execute("UPDATE visits_visit SET visit_on = '2024-12-30', version = 2 WHERE id = %s", [visit])
    assert (ask(), ask(BEFORE)) == (fresh(), fresh(BEFORE))
    assert watched.counted == 4


def test_what_began_before_and_commits_after_the_count_is_counted_anew(committed, watched, at, visit):
    with acting(committed, at.institution, at.account) as there:
        record(there, at, DAY + timedelta(days=9))
        before = ask()
    after = ask()
    assert watched.counted == 2
    assert before != after == fresh()
    ask()
    assert watched.counted == 2


def test_what_is_rolled_back_changes_nothing(committed, watched, at, visit):
    before = ask()
    with acting(committed, at.institution, at.account) as there:
        record(there, at, DAY + timedelta(days=9))
        there.rollback()
    assert ask() == before
    assert watched.counted == 1


def test_who_writes_sees_what_he_wrote_and_nobody_else_does(committed, watched, at, visit):
    before = ask()
    with scoped(SYSTEM, one_snapshot=True):
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('quitledger.scope', %s, true)", [str(at.institution)])
            cursor.execute("SELECT set_config('quitledger.account', %s, true)", [str(at.account)])
            cursor.execute("UPDATE visits_visit SET in_force = false, version = 2 WHERE id = %s", [visit])
            cursor.execute("SELECT set_config('quitledger.scope', '0', true)")
        voided = measures.measure_all(ALL, YEAR, grouping=Grouping.TIER, by=SYSTEM)
        transaction.set_rollback(True)
    assert voided != before
    assert ask() == before
    assert watched.counted == 2, "the one that wrote counted for itself"


def test_who_looks_at_an_earlier_state_is_not_told_a_later_one(committed, watched, at, visit):
    with transaction.atomic():
        in_one_snapshot()
        with scoped(SYSTEM):
            before = measures.measure_all(ALL, YEAR, by=SYSTEM)
        with acting(committed, at.institution, at.account) as there:
            record(there, at, DAY + timedelta(days=9))
        _ask_by_another_connection(committed, watched)
        with scoped(SYSTEM):
            assert measures.measure_all(ALL, YEAR, by=SYSTEM) == before
    with scoped(SYSTEM, one_snapshot=True):
        assert measures.measure_all(ALL, YEAR, by=SYSTEM) != before


def _ask_by_another_connection(committed: Any, watched: Watched) -> None:
    """What is kept from now on is of the state that this one sees."""
    from threading import Thread

    from django.db import connections

    def work() -> None:
        try:
            with scoped(SYSTEM, one_snapshot=True):
                measures.measure_all(ALL, YEAR, by=SYSTEM)
        finally:
            connections.close_all()

    counted = watched.counted
    thread = Thread(target=work)
    thread.start()
    thread.join()
    assert watched.counted == counted + 1


def test_another_database_is_another_place(committed, another, owner, watched, at, visit):
    from ..conftest import connect_django

    here = ask()
    other = another()
    try:
        connect_django(other.app_url)
        there = ask()
        assert there != here
        assert watched.counted == 2
        connect_django(committed.app_url)
        assert ask() == here
    finally:
        connect_django(committed.app_url)
        other.drop()


def test_no_more_is_kept_than_the_limit(committed, watched, monkeypatch):
    monkeypatch.setattr(kept, "AT_MOST", 24)  # of a year its months, twice
    ask()
    watched.forget()
    ask()
    assert (watched.counted, watched.months) == (0, [])
    ask(BEFORE)
    assert len(watched._answers) == 24
    watched.forget()
    ask()
    assert (watched.counted, watched.months) == (1, MONTHS)


def test_whatever_a_statement_counts_from_is_looked_at_for_changes(committed, owner):
    said = " ".join([SERVED, WORKED, *(one.statement for one in indicators().values())])
    counted_from = set(re.findall(r"\b(?:institutions|visits|cases|accounts)_[a-z]+\b", said))
    looked_at = one(owner, "SELECT prosrc FROM pg_proc WHERE proname = 'statistics_changes'")
    assert counted_from
    assert {f"{table}_history" for table in counted_from} <= set(re.findall(r"\b[a-z]+_[a-z]+_history\b", looked_at))
    assert world.TODAY.year == YEAR.first.year
