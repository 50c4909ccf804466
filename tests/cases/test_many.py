"""Many persons registered, and many intakes recorded, at once are what one after the other are."""

from dataclasses import replace
from datetime import date, timedelta
from uuid import uuid4

import pytest
from django.db import connection

from quitledger.accounts.scope import scoped
from quitledger.cases import services
from quitledger.cases.models import Baseline, Case, Person
from quitledger.cases.services import BaselineEntry, Registration, record_baselines, register_cases
from quitledger.policy.identity import IdentityKind, make_up

from .. import world
from ..portal.conftest import journaled

BORN = date(1980, 2, 3)


def somebody(serial: int, **changes) -> Registration:
    said = {
        "uid": uuid4(), "identity_kind": IdentityKind.NATIONAL_ID, "identity_number": make_up(serial), "identity_country": "",
        "birth_on": BORN, "sex": "male", "name": f"示範{serial}", "chart_no": f"M-{serial}", "phone": "",
    }  # fmt: skip
    return Registration(**(said | changes))


def registered(entries, username="recorder"):
    by = world.actor(username)
    with scoped(by):
        return register_cases(entries, today=world.TODAY, made_up_allowed=True, by=by)


@pytest.mark.parametrize("few", [0, 200], ids=["the table is locked", "birth dates are locked"])
def test_persons_are_made_once_and_found_where_they_are_known(db, monkeypatch, few):
    monkeypatch.setattr(services, "_FEW", few)
    with journaled() as entries:
        here = registered([somebody(700 + n) for n in range(20)])
    assert all(one.case for one in here)
    assert [(entry.action, len(entry.uids)) for entry in entries] == [("case.register", 40)]
    assert make_up(700) not in entries[0].text
    there = registered([somebody(700 + n) for n in range(10, 30)], "stranger")
    assert [one.problems for one in there] == [[]] * 20
    with scoped(world.SYSTEM):
        assert Person.objects.filter(cases__name__startswith="示範7").distinct().count() == 30
        assert Case.objects.filter(name__startswith="示範7").count() == 40
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM cases_case_history WHERE name LIKE '示範7%%'")
            assert cursor.fetchone() == (40,)


def test_each_knows_of_those_before_it(db):
    first = somebody(800)
    answers = registered([
        first, first, somebody(800), somebody(800, birth_on=date(1980, 2, 4)), somebody(801, chart_no="M-800"),
        somebody(802, identity_number="A123456780"), somebody(803),
    ])  # fmt: skip
    assert [[problem.code for problem in one.problems] for one in answers] == [
        [], [], ["chart-no-taken", "case-exists"], ["chart-no-taken", "birth-differs"], ["chart-no-taken"], ["identity-checksum"], [],
    ]  # fmt: skip
    assert [one.repeated for one in answers] == [False, True, False, False, False, False, False]
    assert [bool(one.case) for one in answers] == [True, False, False, False, False, False, True]


def test_the_same_registration_later_is_that_case(db):
    entry = somebody(810)
    (first,) = registered([entry])
    (again,) = registered([entry])
    assert (again.repeated, again.case) == (True, first.case)
    (other,) = registered([somebody(810, uid=entry.uid, name="別人")])
    assert [problem.code for problem in other.problems] == ["case-recorded-otherwise"]
    (known,) = registered([somebody(810)])
    assert known.is_known


def test_cases_are_opened_on_the_days_that_are_told(db):
    by, days = world.actor("recorder"), [date(2025, 1, 2), BORN - timedelta(days=1), date(2025, 3, 4)]
    with scoped(by):
        told = [somebody(820 + n) for n in range(3)]
        answers = register_cases(told, today=world.TODAY, made_up_allowed=True, opened_on=days, by=by)
    assert [one.case and one.case.opened_on for one in answers] == [days[0], None, days[2]]
    assert [problem.field for problem in answers[1].problems] == ["birth_on"], "not born yet on that day"


def test_each_intake_knows_of_those_before_it(db):
    by = world.actor("recorder")
    typed = BaselineEntry(uuid4(), world.TODAY, world.FTND, 20, None, None, pregnant=False, insured=True)
    with journaled() as entries, scoped(by):
        case, other = world.case(), world.case("示範丁")
        answers = record_baselines(
            [
                (case, typed), (case, typed), (case, replace(typed, cigarettes_per_day=0)), (case, replace(typed, uid=uuid4())),
                (other, replace(typed, uid=uuid4(), taken_on=world.TODAY + timedelta(days=1))),
                (other, replace(typed, uid=uuid4(), cigarettes_per_day=0)),
            ],
            today=world.TODAY, by=by,
        )  # fmt: skip
        assert Baseline.objects.filter(taken_on=world.TODAY, case__in=[case, other]).count() == 2
        assert record_baselines([], today=world.TODAY, by=by) == []
    assert [[problem.code for problem in one.problems] for one in answers][:4] == [
        [], [], ["baseline-recorded-otherwise"], ["baseline-exists"],
    ]  # fmt: skip
    assert [problem.field for problem in answers[4].problems] == ["taken_on"], "tomorrow"
    assert answers[0].baseline is answers[1].baseline
    assert [entry.uids for entry in entries] == [[typed.uid, case.uid, answers[5].baseline.uid, other.uid]]
