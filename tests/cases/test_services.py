"""Registering people, finding them again, showing a number: through the services, as the application role."""

import re
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test.utils import CaptureQueriesContext

from quitledger.accounts.actors import Actor
from quitledger.accounts.scope import scoped
from quitledger.audit import journal
from quitledger.cases.models import Baseline, Case, Person
from quitledger.cases.services import (
    BaselineEntry,
    Registration,
    find_by_identity,
    identity_hashes,
    record_baseline,
    register_case,
    show_identity,
)
from quitledger.policy.identity import make_up
from quitledger.policy.problem import Refused

from .. import world

BIRTH_ON = date(1988, 8, 8)
HERE, ELSEWHERE = 1, 5  # serials of the world: 示範甲, known here and at the pharmacy; 示範戊, known there alone
NOBODY_KNOWS = 900


def entry(serial: int = NOBODY_KNOWS, **changes: Any) -> Registration:
    """A registration as typed."""
    return replace(
        Registration(uuid4(), "national_id", make_up(serial), "", BIRTH_ON, "male", "示範新", "", "0900000000"),
        **changes,
    )


def register(typed: Registration, by: Actor, *, made_up_allowed: bool = True) -> Case:
    """Register it today."""
    return register_case(typed, today=world.TODAY, made_up_allowed=made_up_allowed, by=by)


def codes(typed: Registration, by: Actor, **options: Any) -> list[str]:
    """The codes of the reasons for which it is refused."""
    with pytest.raises(Refused) as refused:
        register(typed, by, **options)
    return [problem.code for problem in refused.value.problems]


@pytest.fixture
def recorder(db: Any) -> Actor:
    """The clinic's recorder, in whose scope the test runs."""
    actor = world.actor("recorder")
    with scoped(actor):
        pass  # the scope lasts until the test's transaction ends
    return actor


def entries(action: str) -> list[tuple[Any, ...]]:
    """The journal's entries of an action."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT record_type, record_uids, record_version, fields FROM audit_journal WHERE action = %s ORDER BY id",
            [action],
        )
        return cursor.fetchall()


# --- Registering -----------------------------------------------------------------------------------------------------


def test_a_person_is_registered_with_his_case_and_one_journal_entry(recorder):
    typed = entry(chart_no="T-900")
    case = register(typed, recorder)
    kept = Case.objects.select_related("person").get(pk=case.pk)
    assert (kept.uid, kept.name, kept.chart_no, kept.institution_id) == (typed.uid, "示範新", "T-900", recorder.scope)
    assert (kept.opened_on, kept.version, kept.changed_by_id) == (world.TODAY, 1, recorder.account_id)
    assert kept.changed_at >= world.NOW
    assert (kept.person.birth_on, kept.person.sex, kept.person.identity_number) == (BIRTH_ON, "male", make_up(900))
    fields = ["identity_number", "birth_on", "sex", "name", "chart_no", "phone"]
    assert entries("case.register")[-1] == ("case", [case.uid, kept.person.uid], 1, fields)


def _statements(typed: Registration, by: Actor) -> list[str]:
    """The statements of a registration, without the values in them."""
    with CaptureQueriesContext(connection) as captured:
        register(typed, by)
    return [
        re.sub(r"'(?:[^']|'')*'|\b\d+\b|ARRAY\[.*?\]|SAVEPOINT .*", "?", query["sql"])
        for query in captured.captured_queries
    ]


def test_registering_looks_the_same_whether_or_not_the_person_is_known_elsewhere(recorder):
    known_there = next(person for person in world.PEOPLE if person.serial == ELSEWHERE)
    assert known_there.institution_code != world.CLINIC
    unknown = _statements(entry(NOBODY_KNOWS), recorder)
    known = _statements(entry(ELSEWHERE, birth_on=known_there.birth_on), recorder)
    differently_born = _statements(entry(6), recorder)  # 示範己 of the hospital, with another birth date
    assert unknown == known == differently_born
    fields = [fields for *_, fields in entries("case.register")[-3:]]
    assert fields[0] == fields[1] == fields[2]


def test_who_is_known_elsewhere_is_the_same_person_here(recorder):
    there = world.PEOPLE[4]
    assert there.serial == ELSEWHERE
    case = register(entry(ELSEWHERE, birth_on=there.birth_on), recorder)
    with scoped(world.SYSTEM):
        assert world.case(there.name, world.PHARMACY).person_id == case.person_id


def test_another_birth_date_elsewhere_is_no_reason_to_refuse_and_makes_another_person(recorder):
    """Refusing would tell that the number is known; the desk merges the two later."""
    case = register(entry(ELSEWHERE), recorder)
    with scoped(world.SYSTEM):
        other = world.case("示範戊", world.PHARMACY)
        assert other.person_id != case.person_id
        assert bytes(other.person.identity_hash) == bytes(Person.objects.get(pk=case.person_id).identity_hash)


def test_what_another_institution_said_of_a_person_is_not_overwritten(recorder):
    there = world.PEOPLE[4]
    register(entry(ELSEWHERE, birth_on=there.birth_on, sex="female"), recorder)
    with scoped(world.SYSTEM):
        assert world.case("示範戊", world.PHARMACY).person.sex == there.sex


def test_the_same_form_sent_twice_is_one_case(recorder):
    typed = entry()
    assert register(typed, recorder).pk == register(typed, recorder).pk


def test_the_same_person_again_is_refused(recorder):
    assert codes(entry(HERE, birth_on=world.PEOPLE[0].birth_on), recorder) == ["case-exists"]


def test_another_birth_date_than_ones_own_records_is_refused(recorder):
    assert codes(entry(HERE), recorder) == ["birth-differs"]


def test_a_chart_number_is_given_once_at_an_institution(recorder):
    assert codes(entry(chart_no="T-0001"), recorder) == ["chart-no-taken"]
    stranger = world.actor("stranger")
    with scoped(stranger):
        assert register(entry(chart_no="T-0001"), stranger).chart_no == "T-0001"


def test_several_may_have_no_chart_number(recorder):
    assert register(entry(900), recorder).chart_no == register(entry(901), recorder).chart_no == ""


def test_a_made_up_number_is_refused_where_the_database_is_not_made_up(recorder):
    assert codes(entry(), recorder, made_up_allowed=False) == ["identity-made-up"]
    real_looking = entry(identity_number="A123456789")
    assert register(real_looking, recorder, made_up_allowed=False).uid == real_looking.uid


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"identity_number": "A123456788"}, ["identity-checksum"]),
        ({"identity_number": "A223456781", "sex": "male"}, ["sex-differs"]),
        ({"identity_number": ""}, ["identity-missing"]),
        ({"birth_on": world.TODAY + timedelta(days=1)}, ["birth-in-future"]),
        ({"birth_on": date(1850, 1, 1)}, ["value-implausible"]),
        ({"sex": ""}, ["sex-missing"]),
        ({"name": "  "}, ["name-missing"]),
        ({"name": "示" * 61}, ["text-too-long"]),
        ({"name": "示範\x00"}, ["text-unreadable"]),
        ({"chart_no": "9" * 31}, ["text-too-long"]),
        ({"phone": "\x00"}, ["text-unreadable"]),
        ({"identity_kind": "passport", "identity_number": "X1234567"}, ["identity-country-missing"]),
        ({"identity_number": "A123456788", "name": "", "sex": ""},
         ["identity-checksum", "sex-missing", "name-missing"]),  # all at once
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_registration_is_said_all_at_once(recorder, changes, expected):
    before = Case.objects.count()
    assert codes(entry(**changes), recorder) == expected
    assert Case.objects.count() == before


@pytest.mark.parametrize("name", ["𠮷田", "O'Brien; DROP TABLE", "=1+1", "示" * 60])
def test_rare_characters_of_a_name_are_kept(recorder, name):
    assert Case.objects.get(pk=register(entry(name=name), recorder).pk).name == name


@pytest.mark.parametrize("username", ["desk_officer", "analyst", "administrator", "nowhere"])
def test_only_institutions_register(db, username):
    actor = world.actor(username)
    with scoped(actor), pytest.raises(PermissionDenied):
        register(entry(), actor)


# --- Numbers ---------------------------------------------------------------------------------------------------------


def test_a_number_stands_nowhere_in_the_database(recorder):
    number = make_up(NOBODY_KNOWS)
    case = register(entry(), recorder)
    person = Person.objects.get(pk=case.person_id)
    assert person.identity_number == number
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p') AND has_table_privilege(oid, 'SELECT')"
        )
        tables = [name for (name,) in cursor.fetchall()]
        assert "cases_person" in tables
        for table in tables:
            cursor.execute(
                f"SELECT count(*) FROM {table} t WHERE to_jsonb(t)::text LIKE ANY (%s)",
                [[f"%{number}%", f"%{number.encode().hex()}%"]],
            )
            assert cursor.fetchone() == (0,), table


def test_a_number_is_encrypted_anew_each_time_and_hashed_always_the_same(recorder):
    here = register(entry(), recorder)
    stranger = world.actor("stranger")
    with scoped(stranger):
        other_birth = register(entry(birth_on=BIRTH_ON + timedelta(days=1)), stranger)
    with scoped(world.SYSTEM):
        one, other = Person.objects.get(pk=here.person_id), Person.objects.get(pk=other_birth.person_id)
        assert bytes(one.identity_hash) == bytes(other.identity_hash) == identity_hashes("national_id", make_up(900))[0]
        assert bytes(one.identity_token) != bytes(other.identity_token)
        assert one.identity_number == other.identity_number


def test_kind_and_country_are_part_of_what_is_hashed():
    hashes = {
        identity_hashes("national_id", "A123456789")[0],
        identity_hashes("passport", "A123456789", "VNM")[0],
        identity_hashes("passport", "A123456789", "IDN")[0],
        identity_hashes("resident_certificate", "A123456789")[0],
    }
    assert len(hashes) == 4
    assert identity_hashes("national_id", " a1234-56789 ")[0] in hashes
    assert identity_hashes("passport", "A123456789", "vnm")[0] in hashes


def _found(number: str, by: Actor) -> list[UUID]:
    return [case.uid for case in find_by_identity(number=number, by=by)]


@pytest.mark.parametrize("typed", [make_up(HERE), make_up(HERE).lower(), f" {make_up(HERE)[:3]} {make_up(HERE)[3:]}"])
def test_a_number_finds_the_case_of_ones_own_institution(recorder, typed):
    assert _found(typed, recorder) == [world.uid(f"case 示範甲 {world.CLINIC}")]


def test_a_number_known_elsewhere_alone_finds_nothing(recorder):
    assert _found(make_up(ELSEWHERE), recorder) == []
    assert _found(make_up(NOBODY_KNOWS), recorder) == []
    assert _found("", recorder) == _found("=1+1", recorder) == []


def test_the_desk_finds_the_cases_of_every_institution(db):
    officer = world.actor("desk_officer")
    with scoped(officer):
        assert sorted(_found(make_up(HERE), officer)) == sorted(
            world.uid(f"case 示範甲 {code}") for code in (world.CLINIC, world.PHARMACY)
        )


def test_a_passport_is_found_without_naming_its_country(recorder):
    case = register(entry(identity_kind="passport", identity_number="X1234567", identity_country="VNM"), recorder)
    assert _found("x1234567", recorder) == [case.uid]
    assert _found("X1234568", recorder) == []


@pytest.mark.parametrize("username", ["analyst", "administrator", "nowhere"])
def test_who_reads_no_cases_finds_nobody(db, username):
    actor = world.actor(username)
    with scoped(actor), pytest.raises(PermissionDenied):
        find_by_identity(number=make_up(HERE), by=actor)


def test_showing_a_number_is_journaled_by_itself(recorder):
    case = world.case()
    assert show_identity(case=case, by=recorder) == make_up(HERE)
    assert entries("identity.show") == [("case", [case.uid], None, [])]


def test_a_number_is_not_shown_without_its_journal_entry(committed):
    recorder = world.actor("recorder")
    with scoped(recorder):
        case = world.case()
    with pytest.raises(journal.OutsideTransaction):
        show_identity(case=case, by=recorder)


@pytest.mark.parametrize("username", ["analyst", "administrator", "nowhere"])
def test_a_number_is_shown_to_those_who_may(db, username):
    with scoped(world.SYSTEM):
        case = world.case()
    actor = world.actor(username)
    with scoped(actor), pytest.raises(PermissionDenied):
        show_identity(case=case, by=actor)


# --- Intake ----------------------------------------------------------------------------------------------------------


def intake(**changes: Any) -> BaselineEntry:
    """An intake of today as typed."""
    typed = BaselineEntry(uuid4(), world.TODAY, world.FTND, 20, 24, Decimal("68.5"), pregnant=False, insured=True)
    return replace(typed, **changes)


def test_an_intake_is_recorded_with_its_score_and_who_did_it(recorder):
    case, typed = world.case(), intake()
    made = Baseline.objects.get(pk=record_baseline(case=case, entry=typed, today=world.TODAY, by=recorder).pk)
    assert (made.uid, made.ftnd_score, made.version, made.changed_by_id) == (typed.uid, 6, 1, recorder.account_id)
    assert made.recorded_at >= world.NOW
    fields = ["taken_on", "ftnd_score", "cigarettes_per_day", "co_ppm", "weight_kg", "insured"]
    assert entries("baseline.record")[-1] == ("baseline", [typed.uid, case.uid], 1, fields)
    again = record_baseline(case=case, entry=typed, today=world.TODAY, by=recorder)
    assert again.pk == made.pk


def test_an_intake_without_answers_has_no_score(recorder):
    made = record_baseline(case=world.case("示範丁"), entry=intake(ftnd={}), today=world.TODAY, by=recorder)
    assert made.ftnd_score is None
    assert "ftnd_score" not in entries("baseline.record")[-1][3]


def test_one_intake_a_day(recorder):
    record_baseline(case=world.case(), entry=intake(), today=world.TODAY, by=recorder)
    with pytest.raises(Refused) as refused:
        record_baseline(case=world.case(), entry=intake(), today=world.TODAY, by=recorder)
    assert [problem.code for problem in refused.value.problems] == ["baseline-exists"]


@pytest.mark.parametrize("username", ["desk_officer", "analyst", "nowhere"])
def test_only_institutions_record_an_intake(db, username):
    with scoped(world.SYSTEM):
        case = world.case()
    actor = world.actor(username)
    with scoped(actor), pytest.raises(PermissionDenied):
        record_baseline(case=case, entry=intake(), today=world.TODAY, by=actor)
