"""The annual tables, computed from records that a reader can count."""

import json
from datetime import date, datetime, time
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import yaml
from django.core.exceptions import PermissionDenied

from quitledger.accounts.actors import Actor
from quitledger.accounts.scope import scoped
from quitledger.cases.models import Case
from quitledger.institutions.models import Institution
from quitledger.policy import TAIPEI
from quitledger.statistics import indicators as reading
from quitledger.statistics.annual import AnnualTables, annual_tables, as_printed
from quitledger.statistics.indicators import Grouping, IndicatorFault, indicators
from quitledger.statistics.measures import FINER, Basis, Measured, Period, PeriodOpen, measure
from quitledger.visits.rules import Counselling, Entry, Line, Medication
from quitledger.visits.services import record_visits

from .. import world
from ..conftest import TEMPLATE, Database, Prepare
from ..ops.commands import assert_told, quitledger
from ..sql import acting
from .crowd import serve

CLINIC, PHARMACY, HOSPITAL = world.CLINIC, world.PHARMACY, world.HOSPITAL
YEAR = Period.year(2025)
# case, institution, day, medication, counselling: by whom
GIVEN = [
    ("示範甲", CLINIC, date(2025, 3, 12), "示範丑", "示範子"),
    ("示範甲", CLINIC, date(2025, 3, 20), "", "示範子"),
    ("示範甲", CLINIC, date(2025, 3, 27), "", "示範丑"),
    ("示範乙", CLINIC, date(2025, 3, 12), "", "示範子"),
    ("示範戊", PHARMACY, date(2025, 3, 14), "", "示範卯"),
    ("示範甲", PHARMACY, date(2025, 2, 3), "", "示範卯"),  # the same person elsewhere
]


def recorded(name: str, code: str, day: date, medication: str, counselling: str) -> None:
    institution = Institution.objects.get(details__code=code)
    by = Actor(None, institution.pk, None, system=True)
    entry = Entry(
        uuid4(), day, None,
        Medication(world.staff(medication).uid, (Line(world.PATCH, 2),)) if medication else None,
        Counselling(world.staff(counselling).uid) if counselling else None,
    )  # fmt: skip
    case = Case.objects.select_related("person").get(name=name, institution=institution)
    (outcome,) = record_visits([(case, entry)], by=by, recorded_at=[datetime.combine(day, time(18), TAIPEI)])
    assert outcome.visit, outcome.problems


def a_few(database: Database) -> None:
    with database.as_owner(), scoped(world.SYSTEM):
        for one in GIVEN:
            recorded(*one)
        recorded("示範戊", PHARMACY, date(2025, 3, 28), "", "示範卯")
    with database.owner() as owner:
        owner.execute("SELECT set_config('quitledger.scope', '0', false)")
        owner.execute("UPDATE visits_visit SET in_force = false, version = 2 WHERE visit_on = '2025-03-28'")


def many(database: Database) -> None:
    march = [date(2025, 3, 3), date(2025, 3, 10), date(2025, 3, 17)]
    with database.as_owner(), scoped(world.SYSTEM):
        serve(CLINIC, 13, march, "示範丑", medicated=9, at_once=True)
        serve(PHARMACY, 9, march[:1], "示範卯", at_once=True)
        serve(HOSPITAL, 4, [date(2025, 2, 3), date(2025, 2, 10)], "示範辰", at_once=True)


def many_and_a_few(database: Database) -> None:
    many(database)
    a_few(database)


@pytest.fixture
def origin(request: pytest.FixtureRequest, prepare: Prepare) -> str:
    served = {("crowd",): many, ("given",): a_few, ("crowd", "given"): many_and_a_few}
    asked = tuple(name for name in ("crowd", "given") if name in request.fixturenames)
    return prepare(served[asked])[0].name if asked else TEMPLATE


@pytest.fixture
def given(owner: psycopg.Connection) -> psycopg.Connection:
    """The services of GIVEN, and one visit that was voided; the owner's cursor, in the agency's scope."""
    owner.execute("SELECT set_config('quitledger.scope', '0', false)")
    return owner


def tables(period: Period = YEAR, **how: Any) -> AnnualTables:
    by = world.actor("analyst")
    with scoped(by, one_snapshot=True):
        return annual_tables(period, by=by, **how)


def rows(tables_: dict[str, Any], name: str) -> dict[str, list[Any]]:
    return {row["tier_zh"]: [value for key, value in row.items() if key not in ("tier", "tier_zh")]
            for row in tables_[name]["rows"]}  # fmt: skip


def test_the_three_tables_count_what_was_recorded(given: Any) -> None:
    printed = as_printed(tables())
    assert rows(printed, "table_3_services") == {
        "醫學中心": [0, 0, "—", "—"], "區域醫院": [0, 0, "—", "—"], "地區醫院": [0, 0, "—", "—"],
        "西醫診所": [1, 4, "1.0", "2.0"], "衛生所": [0, 0, "—", "—"], "牙科診所": [0, 0, "—", "—"], "藥局": [0, 2, "—", "1.0"],
    }  # fmt: skip
    assert printed["table_3_services"]["total"] == {
        "medication_visits": 1, "counselling_visits": 6, "mean_medication_visits_per_person": "1.0",
        "mean_counselling_visits_per_person": "2.0",  # six visits of three people: nobody is counted twice
    }  # fmt: skip
    assert printed["persons_served"] == 3
    first = rows(printed, "table_1_institutions")
    assert (first["西醫診所"], first["藥局"]) == ([1, 1, "100.00"], [1, 1, "100.00"])
    assert printed["table_1_institutions"]["total"] == {
        "contracted": 3, "executing": 2, "execution_rate_percent": "66.67",
    }  # fmt: skip


def test_the_shape_is_that_of_the_printed_tables(given: Any) -> None:
    printed = as_printed(tables())
    tiers = ["medical_center", "regional_hospital", "district_hospital", "western_clinic", "public_health_center",
             "dental_clinic", "pharmacy"]  # fmt: skip
    for name in ("table_1_institutions", "table_2_staff", "table_3_services"):
        assert [row["tier"] for row in printed[name]["rows"]] == tiers
        assert set(printed[name]) == {"rows", "total"}


def test_an_institution_counts_in_the_tier_it_had(given: psycopg.Connection) -> None:
    """The clinic became a health centre on 114/3/15: services by their day, institutions by the year's end."""
    given.execute(
        "WITH old AS (UPDATE institutions_institutiondetails SET ends_on = '2025-03-14' WHERE code = %s RETURNING *)"
        " INSERT INTO institutions_institutiondetails (institution_id, starts_on, ends_on, code, name, tier, county, address,"
        " change) SELECT institution_id, '2025-03-15', NULL, '9900000999', name, 'health_center', county, address, '' FROM old",
        [CLINIC],
    )
    printed = as_printed(tables())
    third, first = rows(printed, "table_3_services"), rows(printed, "table_1_institutions")
    assert (third["西醫診所"][:2], third["衛生所"][:2]) == ([1, 2], [0, 2])
    assert (first["西醫診所"], first["衛生所"]) == ([0, 0, "—"], [1, 1, "100.00"])


def test_a_contract_that_ended_in_the_year_counts_of_any_day_and_not_of_the_last(given: psycopg.Connection) -> None:
    given.execute(
        "UPDATE institutions_contract SET ends_on = '2025-03-31' WHERE institution_id ="
        " (SELECT institution_id FROM institutions_institutiondetails WHERE code = %s)",
        [PHARMACY],
    )
    found = tables().institutions, tables(basis=Basis.LAST_DAY).institutions, tables(Period.year(2026)).institutions
    assert [(one.total.numerator, one.total.denominator) for one in found] == [(2, 3), (1, 1), (0, 1)]
    assert tables().institutions.of("pharmacy").said == "100.00", "by the tier of the contract's last day"


def test_staff_who_work_in_two_tiers_are_one_person_in_the_total(given: psycopg.Connection) -> None:
    before = tables().staff
    given.execute(
        "INSERT INTO institutions_staffcontract (staff_id, institution_id, starts_on, may_medicate, may_counsel)"
        " SELECT s.id, d.institution_id, '2024-01-01', true, true FROM institutions_staffmember s, institutions_institutiondetails d"
        " WHERE s.name = '示範丑' AND d.code = %s",
        [HOSPITAL],
    )
    found = tables().staff
    tier = next(cell.group for cell in found.cells if cell.denominator and cell.group not in ("clinic", "pharmacy"))
    assert found.of(tier).denominator == (before.of(tier).denominator or 0) + 1
    assert found.of(tier).numerator == 0, "he served elsewhere"
    assert (found.total.numerator, found.total.denominator) == (before.total.numerator, before.total.denominator)


def test_a_year_to_date_counts_no_later_day(given: Any) -> None:
    until = Period.year(2025, date(2025, 3, 12))
    assert (until.last, Period.year(2024, date(2025, 1, 1)).last) == (date(2025, 3, 12), date(2024, 12, 31))
    found = tables(until)
    assert (found.counselling.total.numerator, found.persons.total.numerator) == (3, 2)


# --- Broken down ----------------------------------------------------------------------------------------------------

MARCH = Period.year(2025, date(2025, 3, 31))  # the months of this world that are over


@pytest.fixture
def crowd(owner: psycopg.Connection) -> psycopg.Connection:
    """Counselling of thirteen people thrice at the clinic, nine of them with medication; of nine at the pharmacy; of four at the hospital twice."""
    owner.execute("SELECT set_config('quitledger.scope', '0', false)")
    return owner


def by(name: str, grouping: Grouping, username: str = "analyst", period: Period = MARCH) -> Measured:
    actor = world.actor(username)
    with scoped(actor, one_snapshot=True):
        return measure(name, period, grouping=grouping, by=actor)


def said(measured: Measured) -> dict[str, Any]:
    return {str(cell.label): (cell.numerator, cell.denominator, cell.said) for cell in measured.cells}


def test_the_same_by_institution_county_month_and_service(crowd: None) -> None:
    institutions = by("counselling_visits", Grouping.INSTITUTION)
    assert said(institutions) == {
        "9900000019 示範戒菸診所": (
            None,
            None,
            "＊",
        ),  # thirteen: hidden with the other of its county, which would be the difference
        "9900000028 示範藥局": (10, 10, "1.0"),  # nine services of nine people
        "9900000037 示範醫院": (None, None, "＊"),  # four
    }
    assert [cell.hidden for cell in institutions.cells] == [True, False, True]
    assert (institutions.total.numerator, institutions.total.denominator) == (39 + 9 + 8, 26), "what everybody may know"
    assert said(by("counselling_visits", Grouping.COUNTY)) == {"臺北市": (45, 15, "3.0"), "高雄市": (10, 10, "1.0")}
    assert said(by("persons_served", Grouping.MONTH)) == {
        "114 年 2 月": (None, None, "＊"),
        "114 年 3 月": (None, None, "＊"),
    }
    assert said(by("persons_served", Grouping.SERVICE)) == {"衛教": (25, None, "25"), "用藥": (10, None, "10")}


def test_a_small_county_is_not_worked_out_from_its_institutions(crowd: psycopg.Connection) -> None:
    """The hospital stands alone in a county of four people: hidden with the smallest other county, and so are their institutions."""
    crowd.execute("UPDATE institutions_institutiondetails SET county = '花蓮縣' WHERE code = %s", [HOSPITAL])
    assert {cell.group for cell in by("persons_served", Grouping.COUNTY).cells if cell.hidden} == {"花蓮縣", "高雄市"}
    assert {str(cell.label)[:10] for cell in by("persons_served", Grouping.INSTITUTION).cells if cell.hidden} == {
        HOSPITAL, PHARMACY,
    }  # fmt: skip


@pytest.mark.parametrize("username", ["analyst", "desk_officer", "desk_supervisor"])
def test_what_is_hidden_is_hidden_from_everybody_who_asks(username: str, crowd: None) -> None:
    """Rows are another right; a number is the same for all."""
    assert said(by("persons_served", Grouping.INSTITUTION, username))["9900000037 示範醫院"] == (None, None, "＊")


def test_by_tier_and_in_all_and_of_institutions_and_staff_everything_is_exact(crowd: None) -> None:
    assert said(by("counselling_visits", Grouping.TIER)) == {
        "區域醫院": (8, 4, "2.0"), "西醫診所": (39, 13, "3.0"), "藥局": (9, 9, "1.0"),
    }  # fmt: skip
    assert said(by("persons_served", Grouping.TIER))["區域醫院"] == (4, None, "4")
    for name in ("institution_execution", "staff_execution"):
        found = by(name, Grouping.COUNTY)
        assert found.suppressed is None
        assert found.cells
        assert not any(cell.hidden for cell in found.cells)
    assert said(by("institution_execution", Grouping.INSTITUTION))["9900000037 示範醫院"] == (1, 1, "100.00")


@pytest.mark.parametrize("until", [date(2025, 3, 30), date(2025, 4, 1), date(2025, 4, 30), date(2025, 12, 31)])
@pytest.mark.parametrize("grouping", FINER)
def test_a_breakdown_ends_with_a_month_that_is_over(until: date, grouping: Grouping, given: Any) -> None:
    """From one day to the next the difference of two tables would count the people of a day."""
    period = Period.year(2025, until)
    with pytest.raises(PeriodOpen):
        by("persons_served", grouping, period=period)
    assert by("persons_served", Grouping.TIER, period=period).total.numerator == 3
    assert by("institution_execution", Grouping.COUNTY, period=period).cells


def test_institutions_are_called_as_on_the_last_day_of_the_period(given: psycopg.Connection) -> None:
    given.execute("UPDATE institutions_institutiondetails SET ends_on = '2025-04-02' WHERE code = %s", [CLINIC])
    given.execute(
        "INSERT INTO institutions_institutiondetails (institution_id, starts_on, code, name, tier, county, address, change)"
        " SELECT institution_id, '2025-04-03', code, '新名診所', tier, county, address, 'name'"
        " FROM institutions_institutiondetails WHERE code = %s",
        [CLINIC],
    )
    name = "institution_execution"
    assert "9900000019 示範戒菸診所" in said(by(name, Grouping.INSTITUTION))
    assert "9900000019 新名診所" in said(by(name, Grouping.INSTITUTION, period=YEAR))


def test_what_stands_nowhere_on_that_day_is_told_as_unknown_and_not_left_out(given: psycopg.Connection) -> None:
    given.execute("UPDATE institutions_institutiondetails SET starts_on = '2025-03-13' WHERE code = %s", [PHARMACY])
    found = tables().counselling
    assert [(str(cell.label), cell.numerator) for cell in found.cells] == [("西醫診所", 4), ("藥局", 1), ("不明", 1)]


def test_a_grouping_that_an_indicator_does_not_have_is_refused(given: Any) -> None:
    by = world.actor("analyst")
    with scoped(by), pytest.raises(ValueError, match="not grouped by month"):
        measure("staff_execution", YEAR, grouping=Grouping.MONTH, by=by)


@pytest.mark.parametrize("username", ["recorder", "supervisor", "administrator", "nowhere"])
def test_who_has_no_right_gets_no_number(username: str, given: Any) -> None:
    by = world.actor(username)
    with scoped(by), pytest.raises(PermissionDenied):
        annual_tables(YEAR, by=by)


def test_counting_widens_nobodys_scope(given: Any, committed: Any) -> None:
    by = world.actor("analyst")
    with scoped(by, one_snapshot=True):
        measure("persons_served", YEAR, by=by)
        assert Case.objects.count() == 0
    with acting(committed, -1) as sql:
        assert sql.execute("SELECT count(*) FROM visits_visit").fetchone() == (0,)


def test_the_command_prints_the_tables_and_the_file(given: Any, committed: Any) -> None:
    urls = {"DATABASE_URL": committed.app_url}
    printed = json.loads(quitledger("statistics", "annual", "114", "--json", **urls).stdout)
    assert printed == json.loads(json.dumps(as_printed(tables())))
    said = quitledger("statistics", "annual", "114", "--until", "114/3/12", "--last-day", **urls).stdout
    assert "西醫診所　1　1　100.00" in said
    assert "服務 2 人" in said


def test_the_command_breaks_the_tables_down_and_hides_small_counts(given: Any, committed: Any) -> None:
    urls = {"DATABASE_URL": committed.app_url}
    asked = ("statistics", "annual", "114", "--until", "114/3/31", "--by")
    by_county = {one["indicator"]: one for one in json.loads(quitledger(*asked, "county", "--json", **urls).stdout)}
    assert by_county.keys() == indicators().keys()
    assert by_county["persons_served"]["suppressed"] == {"hidden_up_to": 7, "rounded_to": 5}
    assert all(row["hidden"] and row["numerator"] is None for row in by_county["persons_served"]["rows"])
    assert by_county["persons_served"]["total"]["numerator"] == 3
    assert by_county["institution_execution"]["suppressed"] is None
    assert sum(row["numerator"] for row in by_county["institution_execution"]["rows"]) == 2
    by_month = quitledger(*asked, "month", **urls).stdout
    assert "服務人數\n  114 年 2 月　＊" in by_month
    assert_told(quitledger("statistics", "annual", "114", "--until", "114/3/30", "--by", "month", **urls), "--until")


# --- The definitions ------------------------------------------------------------------------------------------------


def test_every_indicator_says_what_it_counts() -> None:
    for indicator in indicators().values():
        assert all(
            (indicator.title, indicator.why, indicator.numerator, indicator.grain, indicator.unit, indicator.author)
        )
        assert indicator.reviewed <= date.today()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"measure": "share"}, "share"), ({"source": "rumour"}, "source"), ({"denominator": None}, "denominator"),
        ({"groupings": ["colour"]}, "colour"), ({"colour": "red"}, "colour"), ({"persons": "both"}, "both"),
    ],
)  # fmt: skip
def test_a_file_that_says_something_else_is_a_fault(changed: dict[str, Any], words: str, tmp_path: Path) -> None:
    said = yaml.safe_load((reading.FOLDER / "staff_execution.yaml").read_text())
    path = tmp_path / "one.yaml"
    path.write_text(yaml.safe_dump(said | changed))
    for end in (".sql", ".rows.sql"):
        path.with_suffix(end).write_text("SELECT 1")
    with pytest.raises(IndicatorFault, match=words):
        reading.read(path)
