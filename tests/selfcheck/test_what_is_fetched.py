"""Of a month only the visits are fetched at which a check may find something: its page says what it would say of all.

Hundreds of made-up visits, of every sort that a check asks for, are written by the superuser, for whom no rule is held:
contracts that end, certificates, courses, intakes and later visits as chance has it.
"""

import random
from collections import Counter
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest

from quitledger.selfcheck import queries
from quitledger.selfcheck.queries import MonthCheck, digest, month_check, snapshot
from quitledger.selfcheck.rules import Around, Check, check_visits

from .. import world
from .scene import MARCH, signed, step

FIRST, DAYS, PEOPLE = date(2025, 2, 10), 65, 90  # visits from that day on
MEDICINES = [world.PATCH, world.GUM, world.OLD_MEDICINE]
MONTHS = (date(2025, 2, 1), MARCH, date(2025, 4, 1))
KEY = 1_000_000  # of everything made up, above all that were given
# Member of staff (the ninth has none here), contract from, until (None: open), may medicate, may counsel.
CONTRACTS = [
    (1, "2024-01-01", None, True, True),
    (2, "2024-01-01", None, False, True),
    (3, "2024-01-01", "2025-03-15", True, True),
    (4, "2025-03-10", None, True, True),
    (5, "2024-01-01", "2025-03-11", True, False),  # prolonged on the day after, as both
    (5, "2025-03-12", None, True, True),
    (6, "2024-01-01", None, True, True),
    (7, "2024-01-01", None, True, True),
    (8, "2024-01-01", None, True, True),
]
CERTIFICATES = [  # member of staff, from (None: always), until
    (6, None, "2025-03-12"),
    (7, "2024-01-01", "2025-03-12"),
    (7, "2025-03-13", "2030-12-31"),
    (8, None, "2030-12-31"),
    (9, None, "2025-01-31"),
]
PERSON = """
INSERT INTO cases_person (id, identity_kind, identity_country, identity_hash, identity_token, identity_key_id, birth_on, sex)
SELECT %(id)s, 'national_id', '', sha256(%(id)s::bigint::text::bytea), identity_token, identity_key_id, '1970-01-01', 'male'
FROM cases_person ORDER BY id LIMIT 1
"""
CASE = """
INSERT INTO cases_case (id, uid, person_id, institution_id, name, chart_no, phone, opened_on, version, change_reason)
VALUES (%(id)s, gen_random_uuid(), %(id)s, %(here)s, '示範', 'M' || %(id)s::bigint, '', %(on)s, 1, '')
"""
INTAKE = """
INSERT INTO cases_baseline (uid, case_id, person_id, institution_id, taken_on, first_cigarette, hard_to_refrain, hardest_to_give_up,
  most_cigarettes, more_in_first_hours, smokes_when_ill, ftnd_score, pregnant, version, change_reason)
VALUES (gen_random_uuid(), %(id)s, %(id)s, %(here)s, %(on)s, '', '', '', '', '', '', %(score)s, false, 1, '')
ON CONFLICT DO NOTHING
"""
VISIT = """
INSERT INTO visits_visit (id, uid, case_id, person_id, institution_id, visit_on, pregnant, cigarettes_per_day, note, in_force, version,
  recorded_at, changed_at, change_reason, late_entry, taken_over)
VALUES (%(visit)s, gen_random_uuid(), %(id)s, %(id)s, %(here)s, %(on)s, false, %(cigarettes)s, '', %(in_force)s, 1 + %(visit)s %% 3,
  %(on)s::date + make_interval(hours => %(hours)s), %(on)s::date + make_interval(hours => %(hours)s), '',
  CASE WHEN %(hours)s > 900 THEN gen_random_uuid() END, %(taken_over)s)
"""
SERVICE = """
INSERT INTO visits_service (id, visit_id, person_id, institution_id, visit_on, in_force, taken_over, kind, staff_id, counselling_mode,
  spacing_days, entry_uid, version)
VALUES (%(service)s, %(visit)s, %(id)s, %(here)s, %(on)s, %(in_force)s, %(taken_over)s, %(kind)s, %(staff)s, %(mode)s,
  1, gen_random_uuid(), 1)
"""
LINE = """
INSERT INTO visits_medicationline (service_id, visit_id, institution_id, medicine_code, supply_weeks, supply_days, version)
VALUES (%(service)s, %(visit)s, %(here)s, %(medicine)s, %(weeks)s, %(days)s, 1)
"""
COURSE = """
INSERT INTO visits_course (person_id, institution_id, kind, course_year, course_no, first_on)
VALUES (%(id)s, %(here)s, %(kind)s, 2025, %(number)s, %(on)s)
"""


def made_up(connection: psycopg.Connection, chance: random.Random, here: int, elsewhere: int, contracted: bool) -> None:
    """People, intakes, visits and courses; the institution's contract misses five days of March unless `contracted`."""
    connection.execute("SET session_replication_role = replica")
    for member in range(1, 10):
        connection.execute(
            "INSERT INTO institutions_staffmember (id, name, profession, identity_hash, identity_token, identity_key_id)"
            " VALUES (%s, '示範人員', 'physician', %s, '', '')",
            [KEY + member, f"staff {member}".encode()],
        )
    for member, *contract in CONTRACTS:
        connection.execute(
            "INSERT INTO institutions_staffcontract (staff_id, institution_id, starts_on, ends_on, may_medicate, may_counsel)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [KEY + member, here, *contract],
        )
    for member, *certificate in CERTIFICATES:
        connection.execute(
            "INSERT INTO institutions_certificate (staff_id, kind, number, starts_on, ends_on) VALUES (%s, '示範', '', %s, %s)",
            [KEY + member, *certificate],
        )
    if not contracted:
        connection.execute("UPDATE institutions_contract SET ends_on = '2025-03-20' WHERE institution_id = %s", [here])
        connection.execute(
            "INSERT INTO institutions_contract (institution_id, starts_on, end_reason) VALUES (%s, '2025-03-26', '')",
            [here],
        )
    connection.execute(
        "INSERT INTO visits_servicemonth (institution_id, month, closes_at, prompt_hours) SELECT i, month, closes_at, prompt_hours"
        " FROM visits_month, unnest(%s::bigint[]) i WHERE month BETWEEN '2025-02-01' AND '2025-04-01' ON CONFLICT DO NOTHING",
        [[here, elsewhere]],
    )
    visit = service = KEY
    for person in range(KEY, KEY + PEOPLE):
        someone: dict[str, Any] = {"id": person, "here": here}
        began = FIRST + timedelta(days=chance.randrange(DAYS))
        connection.execute(PERSON, someone)
        connection.execute(CASE, someone | {"on": began})
        for _ in range(chance.choice([0, 1, 1, 2])):
            taken_on = began + timedelta(days=chance.randrange(-40, 15))
            connection.execute(INTAKE, someone | {"on": taken_on, "score": chance.choice([None, 5, 5])})
        days = sorted({began, *(began + timedelta(days=chance.randrange(45)) for _ in range(chance.randrange(4)))})
        courses: Counter[str] = Counter()
        for on in days:
            visit += 1
            said = someone | {
                "visit": visit, "on": on, "cigarettes": chance.choice([None, 0, *[9] * 6]), "in_force": chance.random() < 0.9,
                "taken_over": chance.random() < 0.1, "hours": chance.choice([10, 10, 80, 1000]),
                "here": chance.choice([here, here, here, here, elsewhere]),
            }  # fmt: skip
            connection.execute(VISIT, said)
            for kind in chance.choice([["medication"], ["counselling"], ["medication", "counselling"]]):
                service += 1
                said |= {"service": service, "kind": kind, "staff": KEY + chance.choice([1, 1, 1, *range(1, 10)])}
                said["mode"] = "in_person" if kind == "counselling" else ""
                connection.execute(SERVICE, said)
                if on == began or chance.random() < 0.2:
                    courses[kind] += 1
                    connection.execute(COURSE, said | {"number": courses[kind]})
                if kind == "medication":
                    for medicine in chance.sample(MEDICINES, chance.choice([1, 1, 1, 2, 3])):
                        weeks = chance.randrange(1, 5)
                        days_of_supply = 7 * weeks + chance.choice([*[0] * 7, -1, 1])
                        connection.execute(LINE, said | {"medicine": medicine, "weeks": weeks, "days": days_of_supply})


@pytest.mark.parametrize(("seed", "contracted"), [(1, True), (2, False), (3, True)])
def test_the_page_says_what_it_would_say_if_every_visit_were_fetched(
    committed: Any, monkeypatch: pytest.MonkeyPatch, seed: int, contracted: bool
) -> None:
    here, elsewhere = world.institution_id(), world.institution_id(world.PHARMACY)
    with psycopg.connect(committed.cluster.ensure_running().url(committed.name), autocommit=True) as superuser:
        made_up(superuser, random.Random(seed), here, elsewhere, contracted)
    fetched: list[int] = []
    checks: set[Check] = set()

    def counted(visits: Any, around: Around) -> Any:
        fetched.append(len(visits))
        return check_visits(visits, around)

    def said(today: date, month: date) -> tuple[MonthCheck, Any]:
        check = month_check(month, moment=world.NOW, today=today, by=by)
        assert check is not None
        words = [one.message for one in check.findings]
        return check, (check.findings, words, check.books, check.standing, digest(check), snapshot(check))

    monkeypatch.setattr(queries, "check_visits", counted)
    for sign_it in (False, True):
        if sign_it:
            signed(reason="示範")
        for today in (date(2025, 3, 24), world.TODAY, date(2025, 5, 10)):
            for month in (one for one in MONTHS if one <= today):
                with step("supervisor") as by:
                    check, few = said(today, month)
                    with monkeypatch.context() as patched:
                        patched.setattr(queries, "MAY_MISS", "true")
                        _check, every = said(today, month)
                assert few == every
                checks.update(one.check for one in check.findings)
                assert fetched[-2] < fetched[-1] == check.visits, "some are not fetched, else this test says nothing"
    assert checks == set(Check) - {Check.DRAFT, *([Check.INSTITUTION_CONTRACT] if contracted else [])}
