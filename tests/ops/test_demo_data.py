"""`quitledger demo load`, through the command itself, at a small scale."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from random import Random

import psycopg
import pytest

from quitledger.ops.demo_story import ACCOUNTS, CLINIC, institutions, missing_day, staff
from quitledger.ops.postgres import DatabaseUrls

from .commands import as_program, assert_told, quitledger

TODAY = date(2025, 4, 1)


@pytest.fixture(scope="module")
def urls(empty_database: Callable[[], DatabaseUrls]) -> DatabaseUrls:
    """A database loaded for 114/4/1 with 80 people."""
    made = empty_database()
    outcome = load(made)
    assert outcome.returncode == 0, outcome
    return made


@pytest.fixture
def rows(urls: DatabaseUrls) -> Iterator[psycopg.Cursor]:
    """The owner's cursor on the loaded database."""
    with psycopg.connect(urls.owner_url, autocommit=True) as connection:
        connection.execute("SELECT set_config('quitledger.scope', '0', false)")
        yield connection.cursor()


def load(urls: DatabaseUrls, *words: str, run=quitledger):
    return run(
        "demo", "load", "--today", "114/4/1", "--persons", "80", *words,
        DATABASE_URL=urls.app_url, DATABASE_OWNER_URL=urls.owner_url,
    )  # fmt: skip


def one(rows: psycopg.Cursor, query: str, *values: object):
    return rows.execute(query, values).fetchone()[0]


def test_the_world_has_every_tier_several_counties_and_staff_with_two_places(rows):
    assert one(rows, "SELECT count(*) FROM institutions_institution") == 30
    assert one(rows, "SELECT count(DISTINCT tier) FROM institutions_institutiondetails") == 7
    assert one(rows, "SELECT count(DISTINCT county) FROM institutions_institutiondetails") > 5
    assert one(rows, "SELECT count(*) FROM institutions_staffmember") >= 150
    assert one(rows, "SELECT count(*) FROM (SELECT staff_id FROM institutions_staffcontract GROUP BY 1"
                     " HAVING count(DISTINCT institution_id) > 1) x") > 5  # fmt: skip
    assert one(rows, "SELECT count(*) FROM institutions_staffcontract WHERE ends_on < %s", TODAY) > 5
    assert one(rows, "SELECT count(*) FROM institutions_certificate WHERE ends_on < %s", date(2025, 6, 1)) > 5


def test_applications_are_on_their_way_as_people_would_have_made_them(rows):
    assert rows.execute(
        "SELECT a.state, a.case_no, w.username, s.username, d.username FROM corrections_application a"
        " JOIN accounts_user w ON w.id = a.written_by_id LEFT JOIN accounts_user s ON s.id = a.signed_by_id"
        " LEFT JOIN accounts_user d ON d.id = a.decided_by_id ORDER BY a.id"
    ).fetchall() == [
        ("to_sign", None, "demo-recorder", None, None),
        ("new", "114-04-0001", "demo-recorder", "demo-supervisor", None),
        ("waiting", "114-04-0002", "demo-recorder", "demo-supervisor", None),
        ("approved", "114-04-0003", "demo-recorder", "demo-supervisor", "demo-desk"),
    ]
    assert one(rows, "SELECT count(*) FROM visits_permit WHERE used_at IS NOT NULL") == 1


def test_whatever_the_day_nobodys_contract_ends_before_it_begins():
    """The demo is made for today, whichever that is."""
    for days in range(0, 1000, 7):
        today = date(2025, 4, 1) + timedelta(days=days)
        places = institutions(today)
        for people in staff(places, today, Random(f"1 {today}")).values():
            assert not [one for one in people if one.ends_on and one.ends_on < one.starts_on], today


def test_everybody_is_made_up_and_every_medicine_an_example(rows):
    assert one(rows, "SELECT count(*) FROM cases_person") == 80
    assert one(rows, "SELECT bool_and(name LIKE '示範%%') FROM cases_case")
    assert one(rows, "SELECT bool_and(name LIKE '示範%%') FROM institutions_staffmember")
    assert one(rows, "SELECT bool_and(code ~ '^DEMO[0-9]{6}$' AND name LIKE '%%示範%%') FROM visits_medicine")


def test_a_year_of_visits_up_to_yesterday_with_no_sunday_and_none_late(rows):
    first, last, count = rows.execute("SELECT min(visit_on), max(visit_on), count(*) FROM visits_visit").fetchone()
    assert last == date(2025, 3, 31)
    assert first < date(2024, 7, 1)
    assert count > 150
    sundays = "SELECT count(*) FROM visits_visit WHERE extract(isodow FROM visit_on) = 7 AND visit_on <> %s"
    assert one(rows, sundays, missing_day(TODAY)) <= 2  # the two people of the examples keep to their days
    late = """SELECT count(*) FILTER (WHERE v.recorded_at >= m.closes_at),
                     count(*) FILTER (WHERE v.recorded_at >= v.visit_on + interval '2 days'), max(v.recorded_at)
              FROM visits_visit v JOIN visits_servicemonth m
                ON m.institution_id = v.institution_id AND m.month = date_trunc('month', v.visit_on)"""
    late_count, within_the_window, latest = rows.execute(late).fetchone()
    assert late_count == 0
    assert count * 0.05 < within_the_window < count * 0.4
    assert latest <= one(rows, "SELECT programme_now()")


def test_the_example_of_the_seed_is_ready(rows):
    """114/3/31 is recorded, 114/2/15 is missing and could be a visit: nothing lies within five days of it."""
    case, medication_days = rows.execute(
        "SELECT c.uid, array_agg(v.visit_on ORDER BY v.visit_on) FROM cases_case c"
        " JOIN institutions_institutiondetails d USING (institution_id) JOIN visits_visit v ON v.case_id = c.id"
        " WHERE d.code = %s AND c.chart_no = 'DEMO-0002' GROUP BY 1",
        [CLINIC],
    ).fetchone()
    assert case
    assert missing_day(TODAY) == date(2025, 2, 15)
    assert medication_days[-1] == date(2025, 3, 31)
    assert all(abs((day - date(2025, 2, 15)).days) >= 5 for day in medication_days)
    assert one(rows, "SELECT count(*) FROM cases_baseline b JOIN cases_case c ON c.id = b.case_id"
                     " WHERE c.uid = %s AND taken_on = '2025-02-15'", case) == 1  # fmt: skip


def test_there_is_an_account_for_every_role_with_the_password_printed(urls, rows):
    assert {row[0] for row in rows.execute("SELECT username FROM accounts_user")} == set(ACCOUNTS)
    roles = {row[0] for row in rows.execute("SELECT role FROM institutions_membership UNION"
                                            " SELECT agency_role FROM accounts_user WHERE agency_role <> ''")}  # fmt: skip
    assert roles == {"recorder", "supervisor", "desk_officer", "desk_supervisor", "analyst", "administrator"}
    again = load(urls)
    assert all(username in again.stdout for username in ACCOUNTS)


def test_the_load_is_one_story_in_the_journal(rows):
    assert one(rows, "SELECT count(*) FROM audit_journal WHERE action = 'demo.load'") == 1
    assert one(rows, "SELECT count(DISTINCT request_uid) FROM audit_journal WHERE request_uid IS NOT NULL") == 1


def test_loading_twice_says_so_and_changes_nothing(urls, rows):
    before = one(rows, "SELECT count(*) FROM visits_visit")
    again = load(urls)
    assert again.returncode == 0
    assert "已載入" in again.stdout
    assert one(rows, "SELECT count(*) FROM visits_visit") == before


def test_another_day_is_refused_until_asked_for_again(urls):
    outcome = quitledger(
        "demo", "load", "--today", "114/5/1", DATABASE_URL=urls.app_url, DATABASE_OWNER_URL=urls.owner_url
    )
    assert_told(outcome, "--again")


def test_the_same_seed_makes_the_same_world(empty_database, rows):
    other = empty_database()
    assert load(other, run=as_program).returncode == 0  # a program of its own has another order of sets
    query = "SELECT uid, visit_on, visit_time, cigarettes_per_day FROM visits_visit ORDER BY uid"
    with psycopg.connect(other.owner_url) as connection:
        assert connection.execute(query).fetchall() == rows.execute(query).fetchall()


def test_a_database_with_other_data_is_left_alone(committed):
    outcome = quitledger("demo", "load", DATABASE_URL=committed.app_url, DATABASE_OWNER_URL=committed.owner_url)
    assert_told(outcome, "test")
