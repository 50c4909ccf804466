"""`quitledger synthesize`, through the command itself, at a hundredth of the size: what is written counts to the numbers."""

import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal

import click
import psycopg
import pytest
from django.db import DataError, IntegrityError, connection, transaction
from psycopg.rows import dict_row

from quitledger.accounts.actors import SYSTEM
from quitledger.accounts.keys import KeysUnavailable, keys
from quitledger.accounts.scope import scoped
from quitledger.cases.services import identity_hashes
from quitledger.ops import demo_data, synthesis, synthesis_command
from quitledger.ops.demo_story import ACCOUNTS
from quitledger.ops.faults import Fault
from quitledger.ops.postgres import Cluster, DatabaseUrls
from quitledger.ops.synthesis_plan import PlanFails
from quitledger.ops.synthesis_steps import making
from quitledger.ops.synthesis_targets import KINDS, target
from quitledger.policy import TAIPEI, PolicyGap
from quitledger.policy.identity import make_up
from quitledger.statistics import measures
from quitledger.statistics.annual import PRINTED_TIERS
from quitledger.statistics.indicators import Grouping, indicators
from quitledger.statistics.measures import Basis
from quitledger.statistics.measures import Period as StatisticsPeriod
from quitledger.visits.rules import (
    Counselling,
    CourseFacts,
    Entry,
    Facts,
    IntakeFacts,
    Line,
    Medication,
    MedicineFacts,
    Period,
    RecordedService,
    StaffFacts,
    StaffPeriod,
    check_visit,
)

from ..conftest import connect_django
from .commands import as_program, assert_told, eventually, quitledger
from .runs import processes

SCALE = Decimal("0.01")
WANTED = target(2024, SCALE)
LAST_DAY = date(2024, 12, 31)


def synthesize(urls: DatabaseUrls, *words: str, year: str = "113", run=quitledger):
    return run(
        "synthesize", "--year", year, "--scale", str(SCALE), "--today", "114/4/1", *words,
        DATABASE_URL=urls.app_url, DATABASE_OWNER_URL=urls.owner_url, patience=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def urls(empty_database: Callable[[], DatabaseUrls]) -> DatabaseUrls:
    made = empty_database()
    outcome = synthesize(made)
    assert outcome.returncode == 0, outcome
    return made


@pytest.fixture(scope="module")
def blank(empty_database: Callable[[], DatabaseUrls]) -> DatabaseUrls:
    """A migrated database that holds nothing."""
    made = empty_database()
    addresses = {"DATABASE_URL": made.app_url, "DATABASE_OWNER_URL": made.owner_url}
    assert quitledger("db", "migrate", "--purpose", "demo", **addresses).returncode == 0
    return made


@pytest.fixture
def to_fill(template: Cluster, blank: DatabaseUrls) -> Iterator[DatabaseUrls]:
    """A migrated database that holds nothing, to be filled."""
    name = blank.owner_url.rpartition("/")[2]
    yield template.create_database(f"{name}_filled", template=name)
    template.drop_database(f"{name}_filled")


@pytest.fixture
def rows(urls: DatabaseUrls) -> Iterator[psycopg.Cursor]:
    """The owner's cursor on the loaded database."""
    with psycopg.connect(urls.owner_url, autocommit=True) as connection:
        connection.execute("SELECT set_config('quitledger.scope', '0', false)")
        yield connection.cursor()


def one(rows: psycopg.Cursor, query: str, *values: object):
    return rows.execute(query, values).fetchone()[0]


def by_tier(rows: psycopg.Cursor, query: str, *values: object) -> dict:
    return {tier: tuple(numbers) for tier, *numbers in rows.execute(query, values)}


# --- It counts to the numbers ----------------------------------------------------------------------------------------


def test_institutions_count_to_table_1(rows):
    found = by_tier(
        rows,
        "SELECT d.tier, count(DISTINCT c.institution_id), count(DISTINCT v.institution_id)"
        " FROM institutions_contract c JOIN institutions_institutiondetails d USING (institution_id)"
        " LEFT JOIN visits_visit v ON v.institution_id = c.institution_id AND v.in_force"
        " WHERE daterange(c.starts_on, c.ends_on, '[]') @> %s AND daterange(d.starts_on, d.ends_on, '[]') @> %s GROUP BY 1",
        LAST_DAY, LAST_DAY,
    )  # fmt: skip
    assert found == {tier: (row.institutions, row.executing_institutions) for tier, row in WANTED.tiers.items()}


def test_staff_count_to_table_2_with_its_distinct_totals(rows):
    query = (
        "SELECT {} count(DISTINCT c.staff_id), count(DISTINCT s.staff_id)"
        " FROM institutions_staffcontract c JOIN institutions_institutiondetails d USING (institution_id)"
        " LEFT JOIN visits_service s ON s.staff_id = c.staff_id AND s.institution_id = c.institution_id"
    )
    assert by_tier(rows, query.format("d.tier,") + " GROUP BY 1") == {
        tier: (row.staff, row.executing_staff) for tier, row in WANTED.tiers.items()
    }
    assert rows.execute(query.format("")).fetchone() == (WANTED.staff, WANTED.executing_staff)


def test_the_engine_of_the_annual_tables_counts_to_the_same_numbers(urls):
    """Whoever's contract counts, of any day of the year or of its last."""
    for basis in ((), ("--last-day",)):
        printed = json.loads(
            quitledger("statistics", "annual", "113", "--json", *basis, DATABASE_URL=urls.app_url).stdout
        )
        first, second, third = (
            {row["tier"]: row for row in printed[name]["rows"]}
            for name in ("table_1_institutions", "table_2_staff", "table_3_services")
        )
        for tier, row in WANTED.tiers.items():
            name = PRINTED_TIERS.get(tier, tier)
            assert (first[name]["contracted"], first[name]["executing"]) == (
                row.institutions,
                row.executing_institutions,
            )
            assert (second[name]["contracted"], second[name]["executing"]) == (row.staff, row.executing_staff)
            for kind in KINDS:
                assert third[name][f"{kind}_visits"] == row.visits[kind]
                mean = Decimal(third[name][f"mean_{kind}_visits_per_person"])
                assert abs(mean - row.means[kind]) <= Decimal("0.25")  # it is rounded to one decimal
        total = printed["table_2_staff"]["total"]
        assert (total["contracted"], total["executing"]) == (WANTED.staff, WANTED.executing_staff)
        assert printed["persons_served"] == WANTED.people


def test_services_and_people_count_to_table_3(rows):
    found = by_tier(
        rows,
        "SELECT d.tier, count(*) FILTER (WHERE s.kind = 'medication'), count(*) FILTER (WHERE s.kind = 'counselling'),"
        " count(DISTINCT s.person_id) FILTER (WHERE s.kind = 'medication'),"
        " count(DISTINCT s.person_id) FILTER (WHERE s.kind = 'counselling')"
        " FROM visits_service s JOIN institutions_institutiondetails d USING (institution_id) WHERE s.in_force GROUP BY 1",
    )
    for tier, row in WANTED.tiers.items():
        assert found[tier][:2] == tuple(row.visits[kind] for kind in KINDS)
        for kind, visits, people in zip(KINDS, found[tier][:2], found[tier][2:], strict=True):
            assert abs(Decimal(visits) / people - row.means[kind]) <= Decimal("0.2")
    assert one(rows, "SELECT count(DISTINCT person_id) FROM visits_service") == WANTED.people


@pytest.mark.parametrize(
    "grouping", [Grouping.TIER, Grouping.COUNTY, Grouping.INSTITUTION, Grouping.MONTH, Grouping.SERVICE]
)
def test_in_every_grouping_the_engine_counts_what_plain_sql_counts(grouping, urls):
    """Also where institutions changed tier, county and code within the year, and where nothing is known of one."""
    year, names = StatisticsPeriod.year(2024), ("medication_visits", "counselling_visits", "persons_served")
    asked = [indicators()[name] for name in names]
    connect_django(urls.owner_url)
    with scoped(SYSTEM, one_snapshot=True), connection.cursor() as cursor:
        cursor.execute(_MOVES)
        counted = measures._rows(asked, year, grouping, Basis.ANY_DAY, SYSTEM)
        cursor.execute(_PLAIN.format(group=measures.GROUPS[grouping]), measures.parameters(year, Basis.ANY_DAY))
        plain = cursor.fetchall()
        transaction.set_rollback(True)
    assert len(plain) > 2
    for place, name in enumerate(names):
        expected = {(group, whole): (row[2 * place], row[2 * place + 1]) for group, whole, *row in plain}
        assert {(group, whole): tuple(rest) for group, whole, *rest in counted[name]} == expected


# Every second institution becomes another tier's in another county on 1 June; of every fifth nothing is known from then on.
_MOVES = """
WITH old AS (UPDATE institutions_institutiondetails SET ends_on = '2024-05-31' WHERE institution_id % 2 = 0 RETURNING *)
INSERT INTO institutions_institutiondetails (institution_id, starts_on, ends_on, code, name, tier, county, address, change)
SELECT institution_id, '2024-06-01', NULL, '98' || right(code, 8), name, CASE tier WHEN 'clinic' THEN 'pharmacy' ELSE 'clinic' END,
  CASE county WHEN '臺北市' THEN '高雄市' ELSE '臺北市' END, address, '' FROM old WHERE institution_id % 5 <> 0
"""
_PLAIN = """
SELECT {group}, grouping({group}), count(*) FILTER (WHERE s.kind = 'medication'),
  count(DISTINCT s.person_id) FILTER (WHERE s.kind = 'medication'), count(*) FILTER (WHERE s.kind = 'counselling'),
  count(DISTINCT s.person_id) FILTER (WHERE s.kind = 'counselling'), count(DISTINCT s.person_id), NULL
FROM visits_service s LEFT JOIN institutions_institutiondetails d ON d.institution_id = s.institution_id
  AND d.starts_on <= s.visit_on AND coalesce(d.ends_on, 'infinity') >= s.visit_on
WHERE s.in_force AND s.visit_on BETWEEN %(first)s AND %(last)s GROUP BY GROUPING SETS (({group}), ())
"""


# --- It is what would have been recorded -----------------------------------------------------------------------------


def test_everybody_is_made_up_and_his_number_is_encrypted_and_found(rows):
    assert one(rows, "SELECT count(*) FROM cases_person") == WANTED.people
    assert one(rows, "SELECT bool_and(name LIKE '示範%%') FROM cases_case")
    assert one(rows, "SELECT bool_and(name LIKE '示範%%') FROM institutions_staffmember")
    assert one(rows, "SELECT bool_and(code ~ '^DEMO[0-9]{6}$') FROM visits_medicine")
    for number, hashed, token, key_id in rows.execute(
        "SELECT id, identity_hash, identity_token, identity_key_id FROM cases_person ORDER BY id LIMIT 20"
    ).fetchall():
        identity = keys().decrypt(token, key_id, about=b"identity")
        assert identity == make_up(number)
        assert identity[1] == "0"
        assert hashed == identity_hashes("national_id", identity)[0]
    hashed, token, key_id = rows.execute(
        "SELECT identity_hash, identity_token, identity_key_id FROM institutions_staffmember WHERE id = 1"
    ).fetchone()
    assert keys().decrypt(token, key_id, about=b"staff") == make_up(1, "S")
    assert hashed == keys().keyed_hash(f"staff:{make_up(1, 'S')}")


def test_every_row_has_its_first_version_and_the_load_one_entry(rows):
    for table in (
        "cases_person",
        "cases_case",
        "cases_baseline",
        "visits_visit",
        "visits_service",
        "visits_medicationline",
    ):
        count = one(rows, f"SELECT count(*) FROM {table}")
        assert count
        kept = "SELECT count(*) FROM {0}_history h JOIN {0} t ON t.id = h.id WHERE h.history_change = 'insert'"
        assert one(rows, kept.format(table)) == count
    assert one(rows, "SELECT count(*) FROM audit_journal WHERE action = 'nation.synthesize'") == 1
    assert one(rows, "SELECT count(*) FROM audit_journal WHERE action = 'visit.record'") == 0


def test_months_are_open_courses_are_computed_and_a_fresh_computation_finds_the_same(urls, rows):
    assert one(rows, "SELECT count(*) FROM visits_visit v WHERE NOT EXISTS (SELECT FROM visits_servicemonth m"
                     " WHERE m.institution_id = v.institution_id AND m.month = date_trunc('month', v.visit_on))") == 0  # fmt: skip
    assert one(rows, "SELECT count(DISTINCT person_id) FROM visits_course") == WANTED.people
    assert_courses_are_those_computed_anew(urls)


def assert_courses_are_those_computed_anew(urls: DatabaseUrls) -> None:
    again = quitledger(
        "visits", "recompute-courses", DATABASE_URL=urls.app_url, DATABASE_OWNER_URL=urls.owner_url, patience=300
    )  # fmt: skip
    assert "改正 0 人" in again.stdout


def foreign_keys(rows: psycopg.Cursor) -> list:
    return rows.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated"
        " FROM pg_constraint WHERE contype = 'f' ORDER BY 1, 2"
    ).fetchall()


def test_the_keys_that_were_set_aside_are_there_again(rows, committed):
    with committed.owner() as untouched:
        assert foreign_keys(rows) == foreign_keys(untouched.cursor())


def test_most_visits_are_recorded_promptly_and_few_late(rows):
    late, prompt, count, latest = rows.execute(
        "SELECT count(*) FILTER (WHERE v.recorded_at >= m.closes_at),"
        " count(*) FILTER (WHERE v.recorded_at < (v.visit_on + 1) AT TIME ZONE 'Asia/Taipei'), count(*), max(v.recorded_at)"
        " FROM visits_visit v JOIN visits_servicemonth m"
        "  ON m.institution_id = v.institution_id AND m.month = date_trunc('month', v.visit_on)"
    ).fetchone()
    assert 0.005 * count < late < 0.03 * count
    assert 0.7 * count < prompt < 0.85 * count
    assert latest <= one(rows, "SELECT programme_now()")


def test_numbers_go_on_after_those_that_were_written(rows):
    for table in ("institutions_institution", "cases_person", "cases_case", "visits_visit", "visits_service"):
        last = one(rows, f"SELECT max(id) FROM {table}")
        assert one(rows, "SELECT nextval(pg_get_serial_sequence(%s, 'id'))", table) > last


# --- By the real rules -----------------------------------------------------------------------------------------------

_VISITS = """
SELECT v.*, p.birth_on, p.sex, m.closes_at,
  (SELECT json_agg(json_build_object('kind', s.kind, 'staff', t.uid, 'mode', s.counselling_mode, 'id', s.id,
     'medicine', l.medicine_code, 'weeks', l.supply_weeks))
   FROM visits_service s JOIN institutions_staffmember t ON t.id = s.staff_id
   LEFT JOIN visits_medicationline l ON l.service_id = s.id WHERE s.visit_id = v.id) AS services
FROM visits_visit v JOIN cases_person p ON p.id = v.person_id
JOIN visits_servicemonth m ON m.institution_id = v.institution_id AND m.month = date_trunc('month', v.visit_on)
WHERE v.person_id % 4 = 0 ORDER BY v.visit_on, v.id
"""


def test_every_visit_of_a_quarter_of_the_people_would_have_been_recorded_by_the_rules(rows):
    assert asked_one_by_one(rows) > WANTED.people // 4


def asked_one_by_one(rows: psycopg.Cursor) -> int:
    """Ask the rules of recording for each visit of every fourth person, in turn, with what was known then; how many."""
    contracts, staff, baselines = defaultdict(list), defaultdict(lambda: defaultdict(list)), defaultdict(list)
    for institution, *period in rows.execute("SELECT institution_id, starts_on, ends_on FROM institutions_contract"):
        contracts[institution].append(Period(*period))
    for institution, uid, *contract in rows.execute(
        "SELECT institution_id, m.uid, starts_on, ends_on, may_medicate, may_counsel"
        " FROM institutions_staffcontract JOIN institutions_staffmember m ON m.id = staff_id"
    ):
        staff[institution][uid].append(StaffPeriod(*contract))
    for case, *intake in rows.execute(
        "SELECT case_id, taken_on, ftnd_score, cigarettes_per_day, insured FROM cases_baseline"
    ):
        baselines[case].append(IntakeFacts(*intake))
    medicines = {
        code: MedicineFacts(starts_on, ends_on, name)
        for code, name, starts_on, ends_on in rows.execute("SELECT code, name, starts_on, ends_on FROM visits_medicine")
    }
    recorded, given = defaultdict(list), defaultdict(list)
    asked = 0
    visits = rows.connection.cursor(row_factory=dict_row).execute(_VISITS).fetchall()
    for visit in visits:
        by_kind = {service["kind"]: service for service in visit["services"]}
        medication, counselling = by_kind.get("medication"), by_kind.get("counselling")
        here = {str(uid): uid for uid in staff[visit["institution_id"]]}
        entry = Entry(
            visit["uid"], visit["visit_on"], visit["visit_time"],
            Medication(here[medication["staff"]], (Line(medication["medicine"], medication["weeks"]),)) if medication else None,
            Counselling(here[counselling["staff"]], counselling["mode"]) if counselling else None,
            visit["pregnant"], visit["cigarettes_per_day"], visit["co_ppm"], visit["note"],
        )  # fmt: skip
        courses = CourseFacts(list(given[visit["person_id"]]), visit["institution_id"], visit["institution_id"])
        facts = Facts(
            moment=visit["recorded_at"], closes_at=visit["closes_at"], birth_on=visit["birth_on"], sex=visit["sex"],
            contracts=contracts[visit["institution_id"]],
            staff={uid: StaffFacts("", tuple(periods)) for uid, periods in staff[visit["institution_id"]].items()},
            medicines=medicines, baselines=baselines[visit["case_id"]], services=list(recorded[visit["case_id"]]),
            courses=courses, permitted=visit["recorded_at"] >= visit["closes_at"],
        )  # fmt: skip
        assert check_visit(entry, facts) == []
        for kind, service in by_kind.items():
            recorded[visit["case_id"]].append(RecordedService(visit["uid"], visit["visit_on"], kind))
            given[visit["person_id"]].append(
                courses.service(kind, visit["visit_on"], visit["visit_time"], service["weeks"] or 0)
            )
        asked += 1
    return asked


# --- The command -----------------------------------------------------------------------------------------------------


def test_the_accounts_are_those_of_the_demo(urls, rows):
    assert {row[0] for row in rows.execute("SELECT username FROM accounts_user")} == set(ACCOUNTS)
    again = synthesize(urls)
    assert again.returncode == 0
    assert "已載入" in again.stdout
    assert all(username in again.stdout for username in ACCOUNTS)
    demo = quitledger("demo", "load", DATABASE_URL=urls.app_url, DATABASE_OWNER_URL=urls.owner_url)
    assert demo.returncode == 0
    assert "虛構的國家" in demo.stdout
    assert one(rows, "SELECT count(*) FROM institutions_institution") == sum(
        r.institutions for r in WANTED.tiers.values()
    )


def test_the_same_seed_makes_the_same_records(to_fill, rows):
    query = (
        "SELECT v.uid, visit_on, visit_time, recorded_at, birth_on, cigarettes_per_day, person_id"
        " FROM visits_visit v JOIN cases_person p ON p.id = person_id ORDER BY v.uid"
    )
    # A program of its own has another order of sets.
    assert synthesize(to_fill, run=as_program).returncode == 0
    with psycopg.connect(to_fill.owner_url) as connection:
        assert connection.execute(query).fetchall() == rows.execute(query).fetchall()


def test_several_years_have_people_who_come_back_and_contracts_for_every_visit(to_fill):
    outcome = quitledger(
        "synthesize", "--years", "111-113", "--scale", str(SCALE), "--today", "114/4/1",
        DATABASE_URL=to_fill.app_url, DATABASE_OWNER_URL=to_fill.owner_url, patience=300,
    )  # fmt: skip
    assert outcome.returncode == 0, outcome
    with psycopg.connect(to_fill.owner_url) as connection:
        people = dict(connection.execute("SELECT extract(year FROM visit_on)::int, count(DISTINCT person_id)"
                                         " FROM visits_visit GROUP BY 1").fetchall())  # fmt: skip
        assert people == {year: target(year, SCALE).people for year in (2022, 2023, 2024)}
        back = connection.execute("SELECT count(*) FROM (SELECT person_id FROM visits_visit GROUP BY 1"
                                  " HAVING count(DISTINCT extract(year FROM visit_on)) > 1) x").fetchone()[0]  # fmt: skip
        assert 0 < back < people[2022]
        outside = connection.execute("SELECT count(*) FROM visits_visit v WHERE NOT EXISTS (SELECT FROM"
                                     " institutions_contract c WHERE c.institution_id = v.institution_id"
                                     " AND c.starts_on <= v.visit_on)").fetchone()[0]  # fmt: skip
        assert outside == 0
        connection.execute("SELECT set_config('quitledger.scope', '0', false)")
        assert asked_one_by_one(connection.cursor()) > 0
    assert_courses_are_those_computed_anew(to_fill)


def test_a_production_database_is_refused(template, to_fill, keep_purpose):
    keep_purpose(template, to_fill.owner_url.rpartition("/")[2], "production")
    assert_told(synthesize(to_fill), "production")
    with psycopg.connect(to_fill.owner_url) as connection:
        assert connection.execute("SELECT count(*) FROM institutions_institution").fetchone() == (0,)


def test_a_database_with_other_data_is_left_alone(committed):
    outcome = quitledger(
        "synthesize", "--year", "113", DATABASE_URL=committed.app_url, DATABASE_OWNER_URL=committed.owner_url
    )
    assert_told(outcome, "其他資料")


def test_a_year_that_goes_on_is_refused(to_fill):
    assert_told(synthesize(to_fill, year="114"), "還沒有過完", "--today")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--year", "abc"], "ROC years"),
        (["--years", "113-112"], "ROC years"),
        (["--year", "113", "--scale", "2"], "0.01"),
        (["--year", "113", "--scale", "much"], "0.01"),
    ],
)
def test_what_cannot_be_read_is_said(words, said):
    outcome = quitledger("synthesize", *words)
    assert outcome.returncode == 2
    assert said in outcome.stderr


def test_one_of_year_and_years_is_needed():
    assert_told(quitledger("synthesize"), "--years")


# --- The maker, a process of its own ---------------------------------------------------------------------------------

INSTITUTIONS, VISITS = "institutions, staff", "2024:"  # in the lines that are told
NOW = datetime(2025, 4, 1, tzinfo=TAIPEI)


@pytest.fixture
def into(blank: DatabaseUrls) -> Iterator[DatabaseUrls]:
    """Django as the owner of the blank database, in which nothing is afterwards and for which nothing works any more."""
    connect_django(blank.owner_url)
    yield blank
    with psycopg.connect(blank.owner_url) as connection:
        connection.execute("SELECT set_config('quitledger.scope', '0', false)")
        for table in ("institutions_institution", "accounts_user", "visits_medicine", "cases_person", "visits_course"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    assert not synthesis.is_loaded()
    assert makers(os.getpid()) == []


def makers(of: int | None) -> list[int]:
    """Processes that make rows, of a process or all."""
    return [pid for pid, parent, command in processes() if "synthesis_maker" in command and of in (None, parent)]


def at(part: str, do: Callable[[], None]) -> Callable[[str], None]:
    """Whom lines are told to: does something at the one that holds `part`."""
    return lambda line: do() if part in line else None


@pytest.mark.parametrize(("part", "error"), [(INSTITUTIONS, RuntimeError), (VISITS, KeyboardInterrupt)])
def test_where_whoever_writes_fails_the_maker_is_ended(part, error, into):
    seen = []

    def fail() -> None:
        seen.extend(makers(os.getpid()))
        raise error

    with pytest.raises(error):
        synthesis.load([2024], seed=1, scale=SCALE, tell=at(part, fail))
    assert len(seen) == 1


def test_where_the_database_refuses_the_maker_is_ended(into, monkeypatch):
    monkeypatch.setattr(demo_data, "add_memberships", lambda *_: demo_data.one("SELECT 1 / 0"))
    with pytest.raises(DataError):
        synthesis.load([2024], seed=1, scale=SCALE)


def test_a_row_without_what_it_points_at_is_refused_in_the_end(into, monkeypatch):
    take = synthesis._take

    def with_one_more(*said):
        loaded = take(*said)
        statement = (
            "INSERT INTO visits_course (person_id, institution_id, kind, course_year, course_no, first_on)"
            " VALUES (999999999, 1, 'medication', 2024, 1, '2024-01-01')"
        )
        connection.connection.execute(statement)
        return loaded

    monkeypatch.setattr(synthesis, "_take", with_one_more)
    with pytest.raises(IntegrityError, match="visits_course_person"):
        synthesis.load([2024], seed=1, scale=SCALE)


def test_a_killed_maker_is_told_and_nothing_is_loaded(into, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", into.app_url)
    monkeypatch.setattr(
        click, "echo", at(VISITS, lambda: [os.kill(maker, signal.SIGKILL) for maker in makers(os.getpid())])
    )
    with pytest.raises(Fault, match=f"什麼都沒有載入(.|\n)*-{signal.SIGKILL:d}"):
        synthesis_command._fill([2024], 1, SCALE, None)


def test_what_goes_wrong_with_the_maker_is_raised_as_it_was(into, monkeypatch):
    with pytest.raises(PlanFails, match="too few staff"):
        synthesis.load([2024], seed=1, scale=Decimal("0.0001"))
    with pytest.raises(PolicyGap) as gap:
        synthesis.load([1990], seed=1, scale=SCALE)
    assert gap.value.day.year == 1990
    monkeypatch.setenv("QUITLEDGER_KEYS", "{}")
    with pytest.raises(KeysUnavailable, match="QUITLEDGER_KEYS"):
        synthesis.load([2024], seed=1, scale=SCALE)


def test_the_maker_knows_no_database_and_the_keys_not_from_its_command_line(monkeypatch):
    started, begin = {}, subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda words, **options: started.update(options, words=words) or begin(words, **options)
    )
    monkeypatch.setenv("DATABASE_OWNER_URL", "postgresql://owner:secret@localhost/quitledger")
    monkeypatch.setenv("QUITLEDGER_KEYS", "the keys")
    with making([2024], seed=1, scale=SCALE, now=NOW):
        pass
    assert not any("postgresql:" in value for value in started["env"].values())
    assert started["env"]["QUITLEDGER_KEYS"] == "the keys"
    assert "the keys" not in " ".join(started["words"])


_ASKS = f"""
from quitledger.ops.synthesis_steps import making, Decimal, datetime
with making([2024], seed=1, scale=Decimal(1), now=datetime.fromisoformat("{NOW}")) as steps:
    print(next(steps))
"""


def test_the_maker_leaves_when_whoever_asked_for_it_was_killed():
    asking = subprocess.Popen([sys.executable, "-c", _ASKS], stdout=subprocess.PIPE)
    eventually(lambda: makers(asking.pid))
    (maker,) = makers(asking.pid)
    asking.kill()
    asking.communicate()
    eventually(lambda: maker not in makers(None))
