"""Merging two persons and undoing it: by the service, as the application role."""

from collections import Counter
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection
from psycopg import errors

from quitledger.accounts.actors import SYSTEM
from quitledger.accounts.scope import scoped
from quitledger.audit import journal
from quitledger.cases.models import Baseline, Case, Merge, Person
from quitledger.cases.queries import find_cases, visible_case
from quitledger.cases.services import BaselineEntry, find_by_identity, record_baseline
from quitledger.policy import TAIPEI
from quitledger.policy.identity import make_up
from quitledger.policy.problem import Refused
from quitledger.visits.course_records import services_of
from quitledger.visits.courses import courses_of
from quitledger.visits.history import versions_of
from quitledger.visits.merge_services import undo_merge
from quitledger.visits.models import Course, CourseFinding, Draft, Visit
from quitledger.visits.rules import Counselling, Entry
from quitledger.visits.services import keep_draft, record_visits, void_visit

from .. import world
from ..sql import acting, keys, one, set_clock
from .merged import (
    AT,
    MISTYPED,
    Twins,
    at,
    counselled,
    merge,
    officer,
    refusals,
    registered,
    rows,
    standing,
    undo,
)
from .test_concurrency import at_once

CLINIC, PHARMACY = world.CLINIC, world.PHARMACY
MARCH = date(2025, 3, 3)
pytestmark = pytest.mark.engine


@pytest.fixture
def apart(db: Any) -> Twins:
    """One person, at two institutions under two birth dates; two visits at each."""
    twins = Twins(registered(900, CLINIC, "示範辛"), registered(900, PHARMACY, "示範辛辛", MISTYPED))
    for case, code, day in (
        (twins.kept, CLINIC, MARCH), (twins.kept, CLINIC, MARCH + timedelta(days=14)),
        (twins.merged, PHARMACY, MARCH + timedelta(days=1)), (twins.merged, PHARMACY, MARCH + timedelta(days=8)),
    ):  # fmt: skip
        counselled(case, day, code)
    return twins


@pytest.fixture
def twice(db: Any) -> Twins:
    """One person, registered twice at the clinic, by passport number and by certificate number as it were."""
    twins = Twins(registered(901, CLINIC, "示範壬", chart_no="T-901"), registered(902, CLINIC, "Ren", chart_no="T-902"))
    counselled(twins.kept, MARCH, CLINIC)
    counselled(twins.merged, MARCH + timedelta(days=7), CLINIC)
    return twins


# --- What a merge does -----------------------------------------------------------------------------------------------


def test_a_merge_repoints_cases_and_visits_keeps_both_persons_and_counts_the_courses_anew(apart):
    kept, merged = apart.kept.person_id, apart.merged.person_id
    before = {
        row[0]: row[1:]
        for row in rows("SELECT id, version, recorded_at FROM visits_visit WHERE person_id = %s", merged)
    }
    made = merge(apart)
    with scoped(officer()):
        assert set(
            Case.objects.filter(pk__in=[apart.kept.pk, apart.merged.pk]).values_list("person_id", flat=True)
        ) == {kept}
        person = Person.objects.get(pk=merged)
        assert (person.merged_into_id, person.birth_on, person.version) == (kept, MISTYPED, 2)
        for visit in Visit.objects.filter(pk__in=before):
            version, recorded_at = before[visit.pk]
            assert (visit.person_id, visit.case_id, visit.version) == (kept, apart.merged.pk, version + 1)
            assert (visit.change_reason, visit.authority, visit.recorded_at) == ("合併戒菸者", made.uid, recorded_at)
            assert visit.changed_by_id == officer().account_id
            assert {service.person_id for service in visit.services.all()} == {kept}
            newest = versions_of(visit, by=officer())[0]
            assert (newest.number, newest.reason, newest.changes) == (2, "合併戒菸者", ())
        assert not Course.objects.filter(person_id=merged).exists()
        found = [(c.first_on, c.number) for c in courses_of(services_of([kept])[kept])]
        assert (
            list(Course.objects.filter(person_id=kept).order_by("course_no").values_list("first_on", "course_no"))
            == found
        )
        assert len(found) == 3, "clinic, pharmacy, clinic again"
        assert set(CourseFinding.objects.filter(caused_by=made.uid).values_list("before_no", "after_no")) == {
            (1, 2),
            (1, 3),
        }
        assert (made.kept_id, made.merged_id, made.decided_by_id) == (kept, merged, officer().account_id)
        assert Counter(made.records.values_list("kind", flat=True)) == {"case": 1, "visit": 2}


def test_what_was_recorded_in_a_closed_month_is_repointed_too(committed, owner):
    twins = Twins(registered(900, CLINIC, "示範辛"), registered(900, PHARMACY, "示範辛", MISTYPED))
    counselled(twins.merged, MARCH, PHARMACY)
    set_clock(owner, datetime(2025, 6, 1, 9, 0, tzinfo=TAIPEI))
    merge(twins)
    assert one(owner, "SELECT person_id FROM visits_visit") == twins.kept.person_id
    at_pharmacy = keys(owner, "示範戊", PHARMACY).institution
    with pytest.raises(errors.CheckViolation, match="window"), acting(committed, at_pharmacy) as recorder:
        recorder.execute("UPDATE visits_visit SET note = 'x', version = version + 1")


def test_at_one_institution_the_visits_go_into_the_case_kept_and_the_other_stays_readable(twice):
    with scoped(at(CLINIC)):
        keep_draft(case=twice.merged, visit=None, contents={"note": ["未完"]}, by=at(CLINIC))
    merge(twice)
    recorder = at(CLINIC)
    with scoped(recorder):
        assert set(Visit.objects.values_list("case_id", "person_id")) == {(twice.kept.pk, twice.kept.person_id)}
        left = Case.objects.select_related("person").get(pk=twice.merged.pk)
        assert (left.person_id, left.name, left.chart_no) == (twice.merged.person_id, "Ren", "T-902")
        shown = visible_case(twice.merged.uid, by=recorder)
        assert (shown.uid, shown.found_as.uid) == (twice.kept.uid, twice.merged.uid)
        assert [case.uid for case in find_cases("T-902", by=recorder)] == [twice.kept.uid]
        assert [case.uid for case in find_cases("Ren", by=recorder)] == [twice.kept.uid]
        assert Draft.objects.get().case_id == twice.kept.pk


def test_the_number_of_the_merged_person_finds_who_is_kept_and_registers_nobody_anew(twice):
    merge(twice)
    recorder = at(CLINIC)
    with scoped(recorder):
        assert [case.uid for case in find_by_identity(number=make_up(902), by=recorder)] == [twice.kept.uid]
    assert refusals(lambda: registered(902, CLINIC, "示範壬")) == ["case-exists"]
    assert refusals(lambda: registered(902, CLINIC, "示範壬", MISTYPED)) == ["birth-differs"]
    elsewhere = registered(902, PHARMACY, "示範壬")
    assert elsewhere.person_id == twice.kept.person_id
    with scoped(at(PHARMACY)):
        assert [case.uid for case in find_by_identity(number=make_up(901), by=at(PHARMACY))] == [elsewhere.uid]


def test_intakes_of_one_day_stay_apart_and_others_come_along(twice):
    recorder = at(CLINIC)

    def intake(case: Case, day: date) -> None:
        entry = BaselineEntry(uuid4(), day, world.FTND, 20, 24, Decimal("68.5"), pregnant=False, insured=True)
        record_baseline(case=case, entry=entry, today=world.TODAY, by=recorder)

    with scoped(recorder):
        for case, day in ((twice.kept, MARCH), (twice.merged, MARCH), (twice.merged, MARCH + timedelta(days=7))):
            intake(case, day)
    before = standing()
    made = merge(twice)
    with scoped(recorder):
        assert set(Baseline.objects.filter(case__in=[twice.kept.pk, twice.merged.pk]).values_list("case_id", "taken_on")) == {
            (twice.kept.pk, MARCH), (twice.kept.pk, MARCH + timedelta(days=7)), (twice.merged.pk, MARCH),
        }  # fmt: skip
    undo(made)
    assert standing() == before


def test_a_merge_is_journaled_with_everything_it_repointed_and_no_value(apart):
    made = merge(apart)
    with scoped(SYSTEM):
        visits = set(Visit.objects.filter(case_id=apart.merged.pk).values_list("uid", flat=True))
    ((record_type, uids, fields, account),) = rows(
        "SELECT record_type, record_uids, fields, account_id FROM audit_journal WHERE action = 'person.merge'"
    )
    assert (record_type, fields, account) == ("merge", ["person", "courses"], officer().account_id)
    assert set(uids) == {made.uid, apart.kept.person.uid, apart.merged.person.uid, apart.merged.uid} | visits


def test_a_merge_without_its_journal_entry_did_not_happen(apart, monkeypatch):
    before = standing()

    def broken(*_args: Any, **_more: Any) -> None:
        raise RuntimeError("no journal")

    with monkeypatch.context() as patched:
        patched.setattr(journal, "record", broken)
        with pytest.raises(RuntimeError):
            merge(apart)
    assert standing() == before
    made = merge(apart)
    after = standing()
    with monkeypatch.context() as patched:
        patched.setattr(journal, "record", broken)
        with pytest.raises(RuntimeError):
            undo(made)
    assert standing() == after


def test_the_same_form_sent_twice_is_one_merge_and_another_is_told(apart):
    uid = uuid4()
    assert merge(apart, uid=uid).pk == merge(apart, uid=uid).pk
    assert refusals(lambda: merge(apart, uid=uid, reason="別的原因")) == ["merge-recorded-otherwise"]
    assert rows("SELECT count(*) FROM cases_merge") == [(1,)]


# --- What is refused -------------------------------------------------------------------------------------------------


def test_visits_of_one_day_or_too_near_at_one_institution_are_all_named(twice):
    counselled(twice.merged, MARCH + timedelta(days=20), CLINIC)
    near = counselled(twice.kept, MARCH + timedelta(days=22), CLINIC)
    same = counselled(twice.kept, MARCH + timedelta(days=7), CLINIC)
    before = standing()
    assert refusals(lambda: merge(twice)) == ["merge-same-day", "merge-too-near"]
    with pytest.raises(Refused) as refused:
        merge(twice)
    assert [str(problem.message)[:24] for problem in refused.value.problems] == [
        "示範戒菸診所 9900000019：114/03", "示範戒菸診所 9900000019：衛教 114",
    ]  # fmt: skip
    assert standing() == before
    with scoped(at(CLINIC)):
        for visit in (near, same):
            void_visit(visit=Visit.objects.get(pk=visit.pk), version=1, reason="重複", by=at(CLINIC))
    assert merge(twice).is_in_force


def test_who_was_merged_or_is_the_same_is_not_merged(apart):
    third = registered(905, PHARMACY, "示範癸")
    itself = Twins(apart.kept, apart.kept)
    assert refusals(lambda: merge(itself)) == ["merge-with-itself"]
    merge(apart)
    assert refusals(lambda: merge(Twins(third, apart.kept))) == ["merge-kept-before"]
    gone = Case(person_id=apart.merged.person_id)
    assert refusals(lambda: merge(Twins(third, gone))) == ["merge-of-merged"]
    assert refusals(lambda: merge(Twins(gone, third))) == ["merge-of-merged"]
    assert refusals(lambda: merge(Twins(apart.kept, third), reason="  ")) == ["reason-missing"]
    assert merge(Twins(apart.kept, third)).is_in_force, "one more into who was kept"


def test_a_visit_before_the_birth_of_who_is_kept_is_refused(db):
    young = registered(903, CLINIC, "示範癸", date(2025, 3, 20))
    old = registered(903, PHARMACY, "示範癸", date(1990, 3, 20))
    counselled(old, MARCH, PHARMACY)
    assert refusals(lambda: merge(Twins(young, old))) == ["merge-before-birth"]
    assert merge(Twins(old, young)).is_in_force


@pytest.mark.parametrize("username", ["recorder", "supervisor", "analyst", "administrator", "nowhere"])
def test_the_desk_alone_merges_and_undoes(apart, username):
    actor = world.actor(username)
    with pytest.raises(PermissionDenied):
        merge(apart, by=actor)
    with pytest.raises(PermissionDenied):
        merge(apart, by=SYSTEM)
    made = merge(apart)
    with scoped(actor), pytest.raises(PermissionDenied):
        undo_merge(merge=made, reason="x", by=actor)


# --- Undoing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["apart", "twice"])
def test_undoing_puts_everything_back_as_it_was(which, apart, twice):
    twins = {"apart": apart, "twice": twice}[which]
    before = standing()
    made = merge(twins)
    assert standing() != before
    undone = undo(made)
    assert standing() == before
    assert (undone.is_in_force, undone.undo_reason, undone.undone_by_id) == (
        False,
        "其實是兩個人",
        officer().account_id,
    )
    assert undo(made).undone_at == undone.undone_at, "sent twice"
    assert refusals(lambda: undo(made, reason="再一次")) == ["merge-undone"]
    assert rows("SELECT count(*) FROM audit_journal WHERE action = 'merge.undo'") == [(1,)]
    assert merge(twins).is_in_force, "and may be merged again"


def test_what_was_recorded_since_goes_with_the_case_under_which_it_was_recorded(db):
    twins = Twins(registered(900, CLINIC, "示範辛"), registered(900, PHARMACY, "示範辛辛", MISTYPED))
    counselled(twins.kept, MARCH, CLINIC)
    made = merge(twins)
    since = counselled(twins.merged, MARCH + timedelta(days=22), PHARMACY)
    assert since.person_id == twins.kept.person_id
    undo(made)
    person, case = twins.merged.person_id, twins.merged.pk
    assert rows("SELECT person_id, case_id FROM visits_visit WHERE id = %s", since.pk) == [(person, case)]
    assert rows("SELECT first_on FROM visits_course WHERE person_id = %s", person) == [(since.visit_on,)]


def test_what_was_recorded_since_in_a_case_of_both_must_be_said_to_stay(committed, owner):
    twins = Twins(registered(901, CLINIC, "示範壬"), registered(902, CLINIC, "Ren"))
    counselled(twins.merged, MARCH + timedelta(days=7), CLINIC)
    made = merge(twins)
    since = counselled(twins.kept, MARCH + timedelta(days=22), CLINIC)
    assert refusals(lambda: undo(made)) == ["undo-whose"]
    assert refusals(lambda: undo(made, staying=(uuid4(),))) == ["undo-whose"]
    undo(made, staying=(since.uid,))
    assert one(owner, "SELECT person_id FROM visits_visit WHERE id = %s", [since.pk]) == twins.kept.person_id
    assert one(owner, "SELECT count(*) FROM visits_visit WHERE person_id = %s", [twins.merged.person_id]) == 1


def test_the_later_of_two_merges_is_undone_first(apart):
    third = registered(905, PHARMACY, "示範癸")
    before = standing()
    first = merge(apart)
    second = merge(Twins(apart.kept, third))
    assert refusals(lambda: undo(first)) == ["merged-later"]
    undo(second)
    undo(first)
    assert standing() == before


# --- The database by itself ------------------------------------------------------------------------------------------


def test_nothing_is_recorded_for_a_merged_person(twice):
    merge(twice)
    for statement in (
        "INSERT INTO cases_case (uid, person_id, institution_id, name, chart_no, phone, opened_on, version, change_reason)"
        " SELECT gen_random_uuid(), person_id, institution_id, 'x', '', '', opened_on, 1, '' FROM cases_case WHERE id = %s",
        "UPDATE cases_case SET name = 'x', version = version + 1 WHERE id = %s",
        "INSERT INTO visits_visit (uid, case_id, person_id, institution_id, visit_on, pregnant, note, in_force, version,"
        " change_reason) SELECT gen_random_uuid(), id, person_id, institution_id, '2025-04-01', false, '', true, 1, ''"
        " FROM cases_case WHERE id = %s",
        "INSERT INTO visits_draft (institution_id, account_id, case_id, contents)"
        " SELECT institution_id, current_account(), id, '{}' FROM cases_case WHERE id = %s",
    ):
        with (
            pytest.raises(Exception, match="merged into another"), scoped(at(CLINIC)), connection.cursor() as cursor
        ):  # fmt: skip
            cursor.execute(statement, [twice.merged.pk])


def test_of_many_visits_in_one_statement_none_is_recorded_where_one_is_a_merged_persons(twice):
    statement = (
        "INSERT INTO visits_visit (uid, case_id, person_id, institution_id, visit_on, pregnant, note, in_force, version,"
        " change_reason) SELECT gen_random_uuid(), id, person_id, institution_id, '2025-04-01', false, '', true, 1, ''"
        " FROM cases_case WHERE id = ANY (%s)"
    )
    merge(twice)
    with scoped(world.SYSTEM):
        before = Visit.objects.count()
    with pytest.raises(IntegrityError, match="merged into another"), scoped(at(CLINIC)), connection.cursor() as cursor:
        cursor.execute(statement, [[twice.kept.pk, twice.merged.pk]])
    with scoped(world.SYSTEM):
        assert Visit.objects.count() == before


MERGING = "SELECT visits_merge_persons(gen_random_uuid(), {kept}, {merged}, 'x')"
DIRECTLY = [
    "UPDATE cases_person SET merged_into_id = {kept} WHERE id = {merged}",
    "INSERT INTO cases_merge (uid, kept_id, merged_id, reason, decided_by_id) VALUES (gen_random_uuid(), {kept}, {merged}, 'x', 1)",
    "UPDATE cases_merge SET reason = 'x'",
    "DELETE FROM cases_merge",
    "INSERT INTO cases_mergedrecord (merge_id, kind, record_id, from_case_id) VALUES (1, 'case', 1, 1)",
    "UPDATE cases_case SET person_id = {kept}, version = version + 1 WHERE person_id = {merged}",
    "SELECT cases_require_desk()",
    "SELECT visits_first_window_is_open({kept})",
]


def test_the_application_role_merges_by_the_function_alone_and_only_for_the_desk(committed, owner):
    twins = Twins(registered(900, CLINIC, "示範辛"), registered(900, PHARMACY, "示範辛", MISTYPED))
    ids = {"kept": twins.kept.person_id, "merged": twins.merged.person_id}
    who = dict(owner.execute("SELECT username, id FROM accounts_user").fetchall())
    clinic = keys(owner).institution
    for scope, username in (
        (clinic, "recorder"),
        (clinic, "desk_officer"),
        (0, "recorder"),
        (0, "analyst"),
        (-1, "desk_officer"),
    ):
        with pytest.raises(errors.InsufficientPrivilege), acting(committed, scope, who[username]) as connection_:
            connection_.execute(MERGING.format(**ids))
    with pytest.raises(errors.InsufficientPrivilege), acting(committed, 0) as connection_:
        connection_.execute(MERGING.format(**ids))
    owner.execute("UPDATE accounts_user SET is_active = false WHERE username = 'desk_supervisor'")
    with pytest.raises(errors.InsufficientPrivilege), acting(committed, 0, who["desk_supervisor"]) as connection_:
        connection_.execute(MERGING.format(**ids))
    for statement in DIRECTLY:
        with (
            pytest.raises((errors.InsufficientPrivilege, errors.CheckViolation)),
            acting(committed, 0, who["desk_officer"]) as own,
        ):
            own.execute(statement.format(**ids))
    for text, wrong in (("'x'", "'  '"), ("{kept}", "{merged}"), ("{merged}", "999999")):
        with pytest.raises(errors.CheckViolation), acting(committed, 0, who["desk_officer"]) as desk:
            desk.execute(MERGING.replace(text, wrong).format(**ids))
    with acting(committed, 0, who["desk_officer"]) as desk:
        desk.execute(MERGING.format(**ids))
    for sql in (
        "SELECT visits_undo_merge(1, 'x', '{}')",
        "SELECT visits_recorded_since_merge(1)",
        "SELECT FROM cases_merge",
    ):
        with acting(committed, clinic, who["recorder"]) as connection_:
            if "undo" in sql:
                with pytest.raises(errors.InsufficientPrivilege):
                    connection_.execute(sql)
            else:
                assert connection_.execute(sql).fetchall() == []


def test_a_collision_that_slipped_past_the_rules_is_refused_by_the_database(twice, monkeypatch):
    counselled(twice.kept, MARCH + timedelta(days=9), CLINIC)
    before = standing()
    from quitledger.visits import merge_services

    monkeypatch.setattr(merge_services, "check_merge", lambda *_a, **_k: [])
    with pytest.raises(Exception, match="visits_service_spacing"):
        merge(twice)
    assert standing() == before


# --- At once ---------------------------------------------------------------------------------------------------------


def test_two_desks_at_once_make_one_merge(committed, owner):
    twins = Twins(registered(900, CLINIC, "示範辛"), registered(900, PHARMACY, "示範辛", MISTYPED))
    desks = [officer(), world.actor("desk_supervisor")]
    results = at_once([lambda by=by: merge(twins, by=by).uid for by in desks])
    assert Counter(type(result).__name__ for result in results) == {"UUID": 1, "tuple": 1}
    assert ("merge-of-merged",) in results
    assert one(owner, "SELECT count(*) FROM cases_merge") == 1


@pytest.mark.parametrize("places", [(CLINIC, PHARMACY), (CLINIC, CLINIC)], ids=["apart", "twice"])
def test_who_records_while_the_desk_merges_records_for_who_is_kept(committed, owner, places):
    for turn in range(4):
        twins = Twins(registered(910 + 2 * turn, places[0], "示範辛"), registered(911 + 2 * turn, places[1], "示範辛"))
        by, day = at(places[1]), world.TODAY

        def recording(twins: Twins = twins, by: Any = by, day: date = day) -> Any:
            with scoped(SYSTEM):
                staff = world.staff(AT[places[1]][1]).uid
            with scoped(by):
                case = visible_case(twins.merged.uid, by=by)
                entry = Entry(uuid4(), day, time(9, 0), counselling=Counselling(staff))
                return record_visits([(case, entry)], by=by)[0].problems

        results = at_once([recording, lambda twins=twins: merge(twins).uid])
        assert results[0] == []
        (visit,) = owner.execute(
            "SELECT person_id, case_id FROM visits_visit WHERE person_id = ANY (%s)",
            [[twins.kept.person_id, twins.merged.person_id]],
        ).fetchall()
        assert visit == (twins.kept.person_id, (twins.kept if places[0] == places[1] else twins.merged).pk)
        assert one(owner, "SELECT count(*) FROM visits_course WHERE person_id = %s", [twins.kept.person_id]) == 1
    assert one(owner, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0


@pytest.mark.parametrize("places", [(CLINIC, PHARMACY), (CLINIC, CLINIC)], ids=["apart", "twice"])
def test_a_case_read_before_a_merge_is_read_again(db, places):
    """As it happens to whoever waited for the desk: the first try fails as lost races do, the second is right."""
    from django.db import OperationalError

    twins = Twins(registered(900, places[0], "示範辛"), registered(901, places[1], "示範辛"))
    by = at(places[1])
    with scoped(by):
        stale = Case.objects.select_related("person").get(pk=twins.merged.pk)
    merge(twins)
    with scoped(SYSTEM):
        staff = world.staff(AT[places[1]][1]).uid
    with pytest.raises(OperationalError), scoped(by):
        record_visits([(stale, Entry(uuid4(), world.TODAY, counselling=Counselling(staff)))], by=by)


def test_merges_are_the_desks_to_see(apart):
    merge(apart)
    with scoped(at(CLINIC)):
        assert not Merge.objects.exists()
    with scoped(officer()):
        assert Merge.objects.count() == 1
