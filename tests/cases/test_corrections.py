"""A case called otherwise, a person who is somebody else than was typed: rules, services, and SQL by itself."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError
from psycopg import errors

from quitledger.accounts.actors import SYSTEM
from quitledger.accounts.scope import scoped
from quitledger.audit import journal
from quitledger.cases.models import Case, Person
from quitledger.cases.rules import Identity, PersonFacts, check_person_change, check_reason
from quitledger.cases.services import Stale, change_case, change_person, find_by_identity, identity_hashes, identity_of
from quitledger.policy import TAIPEI
from quitledger.policy.identity import IdentityKind, make_up
from quitledger.policy.problem import Refused

from .. import world
from ..sql import acting, keys, one, set_clock
from ..visits.merged import BIRTH_ON, MISTYPED, at, counselled, officer, refusals, registered, rows
from ..visits.test_concurrency import at_once

CLINIC, PHARMACY = world.CLINIC, world.PHARMACY

# --- Rules -----------------------------------------------------------------------------------------------------------

RECORDED = Identity(IdentityKind.NATIONAL_ID, make_up(900), "", BIRTH_ON, "male")
OPEN = PersonFacts(is_open=True)


@pytest.mark.parametrize(
    ("said", "facts", "reason", "expected"),
    [
        ({"number": make_up(901)}, OPEN, "打錯", []),
        ({"birth_on": MISTYPED}, OPEN, "打錯", []),
        ({"sex": "female"}, OPEN, "打錯", []),
        ({"kind": IdentityKind.PASSPORT, "number": "X1234567", "country": "VNM"}, OPEN, "換證", []),
        ({}, OPEN, "打錯", ["nothing-changed"]),
        ({"number": make_up(900).lower()}, OPEN, "打錯", ["nothing-changed"]),
        ({"number": make_up(901)}, OPEN, " ", ["reason-missing"]),
        ({"number": make_up(901)}, OPEN, "長" * 201, ["reason-too-long"]),
        ({"number": make_up(901)}, OPEN, "\x00", ["reason-unreadable"]),
        ({"number": "A123456788"}, OPEN, "打錯", ["identity-checksum"]),
        ({"kind": IdentityKind.PASSPORT, "number": "X1234567"}, OPEN, "換證", ["identity-country-missing"]),
        ({"number": "A223456781"}, OPEN, "打錯", ["sex-differs"]),
        ({"birth_on": world.TODAY + timedelta(days=1)}, OPEN, "打錯", ["birth-in-future"]),
        ({"number": make_up(901)}, PersonFacts(is_open=False), "打錯", ["person-not-open"]),
        ({"number": make_up(901)}, PersonFacts(is_open=True, is_known=True), "打錯", ["person-known"]),
        ({"birth_on": date(2025, 3, 4)}, PersonFacts(is_open=True, first_on=date(2025, 3, 3)), "打錯", ["birth-after-records"]),
        ({"birth_on": date(2025, 3, 3)}, PersonFacts(is_open=True, first_on=date(2025, 3, 3)), "打錯", []),
        ({"birth_on": MISTYPED}, PersonFacts(is_open=True, pregnant=True), "打錯", ["sex-of-pregnant"]),
        ({"sex": ""}, PersonFacts(is_open=False), "", ["sex-missing", "person-not-open", "reason-missing"]),  # all at once
    ],
)  # fmt: skip
def test_every_reason_why_a_person_is_not_changed(said, facts, reason, expected):
    problems = check_person_change(
        replace(RECORDED, **said), RECORDED, facts, today=world.TODAY, made_up_allowed=True
    ) + check_reason(reason)
    assert [problem.code for problem in problems] == expected


def test_no_sentence_and_no_text_of_an_identity_holds_a_number():
    assert make_up(900) not in repr(RECORDED)


# --- A case ----------------------------------------------------------------------------------------------------------


def called(case: Case, version: int = 1, **said: Any) -> Case:
    by = at(CLINIC)
    with scoped(by):
        return change_case(
            case=case, version=version, by=by, **({"name": "示範辛辛", "chart_no": "", "phone": "0911"} | said)
        )


def test_a_case_is_called_otherwise_at_any_time_as_its_next_version(db):
    case = registered(900, CLINIC, "示範辛", chart_no="T-900")
    changed = called(case, reason="改名")
    assert (changed.version, changed.name, changed.chart_no, changed.phone) == (2, "示範辛辛", "", "0911")
    assert rows("SELECT version, name, chart_no, change_reason FROM cases_case_history WHERE id = %s ORDER BY 1", case.pk) == [
        (1, "示範辛", "T-900", ""), (2, "示範辛辛", "", "改名"),
    ]  # fmt: skip
    assert rows("SELECT record_type, record_version, fields FROM audit_journal WHERE action = 'case.change'") == [
        ("case", 2, ["name", "chart_no", "phone"])
    ]
    assert called(case).version == 2, "sent twice"


def test_who_was_slower_is_told_and_overwrites_nothing(db):
    case = registered(900, CLINIC, "示範辛")
    called(case)
    with pytest.raises(Stale) as stale:
        called(case, name="示範癸")
    assert (stale.value.record.version, stale.value.record.name) == (2, "示範辛辛")
    assert called(case, version=2, name="示範癸").version == 3


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"name": " "}, ["name-missing"]), ({"name": "長" * 61, "phone": "\x00"}, ["text-too-long", "text-unreadable"]),
        ({"chart_no": "T-0001"}, ["chart-no-taken"]), ({"name": "示範辛", "phone": ""}, ["nothing-changed"]),
        ({"reason": "長" * 201}, ["reason-too-long"]),
    ],
)  # fmt: skip
def test_what_a_case_cannot_be_called(db, said, expected):
    case = registered(900, CLINIC, "示範辛")
    assert refusals(lambda: called(case, **said)) == expected


def test_another_institutions_case_and_a_desk_that_has_none(db):
    case = registered(900, PHARMACY, "示範辛")
    with pytest.raises(Case.DoesNotExist):
        called(case)
    with scoped(officer()), pytest.raises(PermissionDenied):
        change_case(case=case, version=1, name="x", chart_no="", phone="", by=officer())


# --- A person --------------------------------------------------------------------------------------------------------


def corrected(
    case: Case, *, by: Any = None, version: int = 1, reason: str = "證號打錯", authority: Any = None, **said: Any
) -> Person:
    """Somebody corrects a person: another number unless told otherwise."""
    by = by or at(CLINIC)
    with scoped(SYSTEM):
        case = Case.objects.select_related("person").get(pk=case.pk)
        identity = replace(identity_of(case.person), **({"number": make_up(901)} | said))
    with scoped(by):
        return change_person(
            case=case, version=version, identity=identity, reason=reason, authority=authority, today=world.TODAY,
            made_up_allowed=True, by=by,
        )  # fmt: skip


def test_an_institution_corrects_whom_it_alone_knows_while_the_first_window_is_open(committed, owner):
    case = registered(900, CLINIC, "示範辛")
    counselled(case, date(2025, 3, 3), CLINIC)
    person = corrected(case)
    assert (person.identity_number, person.version, person.change_reason) == (make_up(901), 2, "證號打錯")
    assert person.changed_by_id == at(CLINIC).account_id
    with scoped(at(CLINIC)):
        assert [one_.pk for one_ in find_by_identity(number=make_up(901), by=at(CLINIC))] == [case.pk]
        assert find_by_identity(number=make_up(900), by=at(CLINIC)) == [], "the old one finds nobody"
    kept = owner.execute(
        "SELECT identity_hash FROM cases_person_history WHERE id = %s ORDER BY history_id", [person.pk]
    ).fetchall()
    assert [bytes(hash_) for (hash_,) in kept] == [identity_hashes("national_id", make_up(n))[0] for n in (900, 901)]
    entry = owner.execute(
        "SELECT record_type, record_uids, record_version, fields FROM audit_journal WHERE action = 'person.correct'"
    )
    assert entry.fetchall() == [("person", [person.uid, case.uid], 2, ["identity_number"])]
    assert corrected(case).version == 2, "sent twice"
    with pytest.raises(Stale):
        corrected(case, number=make_up(902))

    set_clock(owner, datetime(2025, 4, 21, 0, 0, tzinfo=TAIPEI))
    assert refusals(lambda: corrected(case, version=2, number=make_up(902))) == ["person-not-open"]
    with pytest.raises(IntegrityError, match="no application is being decided"):
        corrected(case, version=2, number=make_up(902), by=officer(), authority=uuid4())
    person = corrected(case, version=2, number=make_up(902), by=officer())
    assert (person.version, person.authority, person.changed_by_id) == (3, None, officer().account_id)
    assert one(owner, "SELECT fields FROM audit_journal WHERE action = 'person.change'") == ["identity_number"]


def test_a_passport_becomes_a_resident_certificate(db):
    case = registered(900, CLINIC, "Nguyen")
    passport = {"kind": IdentityKind.PASSPORT, "number": "X1234567", "country": "VNM"}
    assert corrected(case, **passport).identity_country == "VNM"
    person = corrected(
        case, version=2, kind=IdentityKind.RESIDENT_CERTIFICATE, number="A800000014", country="", reason="換證"
    )
    assert (person.identity_kind, person.masked_identity, person.identity_country) == (
        "resident_certificate",
        "A80****014",
        "",
    )


def test_a_number_left_empty_stays(db):
    case = registered(900, CLINIC, "示範辛")
    person = corrected(case, number="", birth_on=MISTYPED)
    assert (person.identity_number, person.birth_on) == (make_up(900), MISTYPED)
    assert rows("SELECT fields FROM audit_journal WHERE action = 'person.correct'") == [(["birth_on"],)]


def messages_of(work: Any) -> list[str]:
    with pytest.raises(Refused) as refused:
        work()
    return [str(problem.message) for problem in refused.value.problems]


def test_whatever_others_know_is_refused_in_the_same_words(committed, owner):
    """Another institution's case, another person's number, a closed window: nothing tells which."""
    shared, alone, old = (registered(n, CLINIC, "示範辛") for n in (900, 910, 920))
    registered(900, PHARMACY, "示範辛")
    registered(911, PHARMACY, "示範壬")
    said = [messages_of(lambda: corrected(shared)), messages_of(lambda: corrected(alone, number=make_up(911)))]
    set_clock(owner, datetime(2025, 3, 5, 9, 0, tzinfo=TAIPEI))
    counselled(old, date(2025, 3, 3), CLINIC)
    set_clock(owner, datetime(2025, 4, 25, 9, 0, tzinfo=TAIPEI))
    said.append(messages_of(lambda: corrected(old, number=make_up(921))))
    assert said[0] == said[1] == said[2]
    assert len(said[0]) == 1


def test_ones_own_second_case_of_the_number_is_named(db):
    case = registered(900, CLINIC, "示範辛")
    registered(901, CLINIC, "示範辛")
    assert refusals(lambda: corrected(case)) == ["person-not-open", "case-exists"]


def test_the_desk_is_told_of_the_other_person_and_offered_a_merge(db):
    case = registered(900, CLINIC, "示範辛")
    registered(901, PHARMACY, "示範辛")
    assert refusals(lambda: corrected(case, by=officer())) == ["person-known"]


def test_birth_after_a_visit_and_a_pregnant_man_are_refused(db):
    case = registered(900, CLINIC, "示範辛")
    counselled(case, date(2025, 3, 3), CLINIC)
    assert refusals(lambda: corrected(case, birth_on=date(2025, 3, 4))) == ["birth-after-records"]
    with scoped(SYSTEM):
        woman = world.case("示範乙")
    assert corrected(woman, number="", birth_on=date(1973, 5, 7)).version == 2


def test_a_correction_without_its_journal_entry_did_not_happen(db, monkeypatch):
    case = registered(900, CLINIC, "示範辛")

    def broken(*_args: Any, **_more: Any) -> None:
        raise RuntimeError("no journal")

    monkeypatch.setattr(journal, "record", broken)
    for work in (lambda: corrected(case), lambda: called(case)):
        with pytest.raises(RuntimeError):
            work()
    assert rows(
        "SELECT p.version, c.version FROM cases_case c JOIN cases_person p ON p.id = c.person_id WHERE c.id = %s",
        case.pk,
    ) == [(1, 1)]


@pytest.mark.parametrize("username", ["analyst", "administrator", "nowhere"])
def test_who_has_no_right_corrects_nobody(db, username):
    case = registered(900, CLINIC, "示範辛")
    with pytest.raises(PermissionDenied):
        corrected(case, by=world.actor(username))
    with pytest.raises(PermissionDenied):
        corrected(case, by=SYSTEM)


CHANGE = (
    "SELECT cases_change_person({person}, {version}, ARRAY['x'::bytea], '1985-06-08', 'male', 'national_id', '', 'x', 'k1',"
    " {reason}, {authority})"
)


@pytest.mark.engine
def test_the_database_by_itself_lets_nobody_else_change_a_person(committed, owner):
    mine, shared, theirs = (
        registered(900, CLINIC, "示範辛"),
        registered(901, CLINIC, "示範壬"),
        registered(902, PHARMACY, "示範癸"),
    )
    registered(901, PHARMACY, "示範壬")
    who = dict(owner.execute("SELECT username, id FROM accounts_user").fetchall())
    clinic = keys(owner).institution
    right = {"person": mine.person_id, "version": 1, "reason": "'x'", "authority": "NULL"}
    refused = (errors.InsufficientPrivilege, errors.CheckViolation, errors.UniqueViolation)
    for scope, username, changes in (
        (clinic, "recorder", {"person": shared.person_id}), (clinic, "recorder", {"person": theirs.person_id}),
        (clinic, "recorder", {"version": 2}), (clinic, "recorder", {"reason": "' '"}),
        (clinic, "recorder", {"authority": "gen_random_uuid()"}), (0, "recorder", {}), (0, "analyst", {}), (-1, "desk_officer", {}),
    ):  # fmt: skip
        with pytest.raises(refused), acting(committed, scope, who[username]) as own:
            own.execute(CHANGE.format(**(right | changes)))
    with pytest.raises(errors.InsufficientPrivilege), acting(committed, clinic, who["recorder"]) as own:
        own.execute("UPDATE cases_person SET changed_at = changed_at")
    with pytest.raises(errors.InsufficientPrivilege), acting(committed, clinic) as own:
        own.execute("SELECT cases_person_facts(%s, '{}', '2000-01-01')", [theirs.person_id])
    with acting(committed, clinic, who["recorder"]) as own:
        own.execute(CHANGE.format(**right))
    with acting(committed, 0, who["desk_officer"]) as own:
        facts = own.execute("SELECT version, is_open FROM cases_person_facts(%s, '{}', '2000-01-01')", [mine.person_id])
        assert facts.fetchone() == (2, True)


def test_two_who_correct_at_once_make_one_version_and_the_other_is_told(committed, owner):
    case = registered(900, CLINIC, "示範辛")

    def work(number: str) -> Any:
        try:
            return corrected(case, number=number).identity_number
        except Stale:
            return "stale"

    results = at_once([lambda: work(make_up(901)), lambda: work(make_up(902))])
    assert sorted(result == "stale" for result in results) == [False, True]
    assert one(owner, "SELECT version FROM cases_person WHERE id = %s", [case.person_id]) == 2
