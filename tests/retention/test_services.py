"""What a plan finds, what a run empties, what it leaves, and what the database holds of it by itself."""

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from threading import Thread
from uuid import uuid4

import psycopg
import pytest
from django.core.exceptions import PermissionDenied

from quitledger.accounts.actors import SYSTEM
from quitledger.accounts.scope import scoped
from quitledger.cases.models import EMPTIED_NAME, EMPTIED_NUMBER, Case
from quitledger.cases.queries import find_cases
from quitledger.cases.services import Registration, record_baseline, register_case, show_identity
from quitledger.ops.keys_export import needed_key_ids
from quitledger.policy import TAIPEI, PolicyGap
from quitledger.policy.identity import make_up
from quitledger.policy.problem import Refused
from quitledger.retention import rules, services
from quitledger.visits.models import Draft
from quitledger.visits.rules import Counselling, Entry
from quitledger.visits.services import keep_draft, record_visit

from .. import world
from ..conftest import Database
from ..sql import one, set_clock
from .conftest import LATER, STATISTICS, TEXTS, agent, everything_said


def codes(refused):
    return [problem.code for problem in refused.value.problems]


# --- Plan ------------------------------------------------------------------------------------------------------------


def test_a_plan_says_how_many_until_when_and_in_how_many_institutions(kept, owner):
    plan = kept.plan()
    assert plan.run.people == 5, "all but the minor"
    assert plan.until == {date(2032, 4, 1): 5}
    assert plan.institutions == {1: 4, 2: 1}
    said = everything_said(owner)
    assert all(text in said for text in TEXTS), "nothing is emptied yet"
    entry = owner.execute(
        "SELECT account_id, record_uids FROM audit_journal WHERE action = 'retention.plan'"
    ).fetchone()
    assert entry == (plan.run.planned_by_id, [plan.run.uid])
    assert kept.plan(today=LATER - timedelta(days=1)) is None, "on the last day nobody's has ended"
    assert kept.plan(today=date(2033, 4, 3)).run.people == 6, "the minor, seven years after majority"


def test_values_that_are_null_keep_everybody(kept, monkeypatch):
    def unknown(day, name):
        raise PolicyGap(name, day, "不明")

    monkeypatch.setattr(rules, "policy_on", unknown)
    assert kept.plan() is None


def test_who_is_known_under_two_birth_dates_is_kept_as_long_as_either(kept, owner):
    """示範乙 comes to the pharmacy, where a birth date is mistyped: another person by mistake."""
    stranger = world.actor("stranger")
    again = Registration(uuid4(), "national_id", make_up(2), "", date(1973, 6, 5), "female", "示範乙")
    with scoped(stranger):
        register_case(again, today=LATER, made_up_allowed=True, by=stranger)
    assert kept.plan().run.people == 4


def test_who_was_merged_is_kept_as_long_as_who_was_kept_in_his_place_and_the_other_way_round(kept, owner):
    """示範乙 is the minor by another number; so is 示範丁, who was merged into 示範戊 long ago."""
    minor, second, fourth, fifth = (
        one(owner, "SELECT id FROM cases_person WHERE birth_on = %s", [day])
        for day in (date(2008, 4, 2), date(1973, 5, 6), date(1990, 7, 8), date(1965, 9, 10))
    )
    into = "UPDATE cases_person SET merged_into_id = %s WHERE id = %s"
    owner.execute(into, [minor, second])
    owner.execute(into, [fifth, fourth])
    plan = kept.plan()
    assert plan.run.people == 4, "neither the minor nor who is the same"
    assert plan.institutions == {1: 1, 2: 3}
    assert kept.plan(today=date(2033, 4, 3)).run.people == 6


@pytest.mark.parametrize("username", ["recorder", "desk_officer", "analyst"])
def test_a_role_without_the_permission_neither_plans_nor_runs(emptied, username):
    with pytest.raises(PermissionDenied):
        emptied.plan(by=username)
    with pytest.raises(PermissionDenied):
        emptied.confirm("0000", by=username)
    with pytest.raises(PermissionDenied), scoped(SYSTEM):
        services.plan_run(today=LATER, by=SYSTEM)


# --- Two persons -----------------------------------------------------------------------------------------------------


def test_a_plan_is_confirmed_by_another_person(kept, owner):
    run = kept.plan().run
    with pytest.raises(Refused) as refused:
        kept.confirm(run.code, by="desk_supervisor")
    assert codes(refused) == ["plan-own"]
    with pytest.raises(Refused) as refused:
        kept.empty(run)
    assert codes(refused) == ["plan-not-confirmed"]
    confirmed = kept.confirm(services.said(run.code).upper())
    assert (confirmed.pk, confirmed.confirmed_by_id) == (run.pk, agent("administrator").account_id)
    with pytest.raises(Refused) as refused:
        kept.confirm("0" * 16)
    assert codes(refused) == ["plan-unknown"]


REFUSED = [
    ("UPDATE retention_run SET confirmed_by_id = planned_by_id, confirmed_at = now()", "retention_run_two_persons"),
    ("UPDATE retention_run SET planned_by_id = {other}", "planned and confirmed stays"),
    ("UPDATE retention_run SET finished_at = now()", "retention_run_in_order"),
    ("UPDATE retention_plannedperson SET outcome = 'emptied'", "planned and confirmed stays"),
    ("UPDATE retention_plannedperson SET kept_until = '2020-01-01'", "planned and confirmed stays"),
    ("DELETE FROM retention_plannedperson", "planned and confirmed stays"),
    ("DELETE FROM retention_run", "planned and confirmed stays"),
    ("TRUNCATE retention_plannedperson CASCADE", "append-only|keeps every version"),
    ("TRUNCATE retention_run CASCADE", "append-only|keeps every version"),
    ("UPDATE cases_person SET emptied_run = {run}", "a second person confirmed"),
    ("UPDATE cases_person SET identity_token = NULL", "cases_person_emptied"),
    ("UPDATE cases_case SET name = ''", "cases_case_name"),
]


def test_the_database_holds_what_was_planned_and_that_two_stand_behind_it(kept, owner):
    run = kept.plan().run
    other = agent("administrator").account_id
    for statement, error in REFUSED:
        with pytest.raises(psycopg.DatabaseError, match=error):
            owner.execute(statement.format(run=run.pk, other=other))
    kept.confirm(run.code)
    taken_back = "UPDATE retention_run SET confirmed_by_id = NULL, confirmed_at = NULL"
    with pytest.raises(psycopg.DatabaseError, match="planned and confirmed stays"):
        owner.execute(taken_back)


def test_other_columns_than_the_plan_said_are_not_emptied(kept, monkeypatch):
    code = kept.plan().run.code
    monkeypatch.setitem(Case.keeping.emptied, "opened_on", "NULL")
    with pytest.raises(Refused) as refused:
        kept.confirm(code)
    assert codes(refused) == ["plan-differs"]


# --- What a run empties, and what it leaves --------------------------------------------------------------------------


def test_a_run_leaves_nothing_that_tells_who_somebody_was(emptied):
    assert all(text in emptied.before for text in TEXTS)
    after = everything_said(emptied.owner)
    assert [text for text in TEXTS if text in after] == []
    assert "示範丙" in after, "the minor is kept"
    for table in ("cases_person", "cases_person_history"):
        said = emptied.owner.execute(
            f"SELECT DISTINCT identity_hash, identity_token, identity_key_id, identity_country, emptied_run FROM {table}"
            " WHERE birth_on <> '2008-04-02'"
        ).fetchall()
        assert said == [(None, None, "", "", 1)], table
    assert one(emptied.owner, "SELECT count(*) FROM visits_draft") == 0


def test_rows_uids_days_services_sex_and_year_of_birth_stay(emptied):
    assert emptied.statistics == emptied.owner.execute(STATISTICS).fetchall()
    births = "SELECT array_agg(DISTINCT birth_on ORDER BY birth_on) FROM cases_person_history WHERE emptied_run = 1"
    assert one(emptied.owner, births) == [date(year, 1, 1) for year in (1958, 1965, 1973, 1980, 1990)]


def test_every_step_of_it_is_in_the_journal_without_a_value(emptied):
    entries = emptied.owner.execute(
        "SELECT record_type, account_id, cardinality(record_uids), fields FROM audit_journal"
        " WHERE action = 'retention.run' ORDER BY id"
    ).fetchall()
    confirmer = agent("administrator").account_id
    assert [entry[:3] for entry in entries] == [("retention_run", confirmer, 1), ("person", confirmer, 5)]
    assert {"name", "chart_no", "identity_hash", "birth_on", "note"} <= set(entries[1][3])


def test_what_was_emptied_is_told_by_a_verification_and_is_no_tampering(emptied):
    report = emptied.ledger.verify()
    assert report.findings == []
    assert list(report.rewritten) == ["retention 1"]
    assert report.rewritten["retention 1"] == one(emptied.owner, "SELECT count(*) FROM audit_rewritten")


def test_anything_else_is_still_tampering(kept, owner):
    kept.done()
    assert kept.ledger.found() == []
    rows = "SELECT array_agg(history_id ORDER BY history_id) FROM cases_case_history WHERE emptied_run = 1"
    first, second, third, *_ = one(owner, rows)
    case = one(owner, "SELECT min(id) FROM cases_case WHERE emptied_run = 1")
    person = one(owner, "SELECT id FROM cases_person WHERE birth_on = '1980-01-01'")
    with kept.ledger.tampering() as superuser:
        superuser.execute("ALTER TABLE cases_case DROP CONSTRAINT cases_case_name")
        superuser.execute("UPDATE cases_case_history SET name = 'x' WHERE history_id = %s", [first])
        superuser.execute("UPDATE cases_case_history SET opened_on = '2020-01-01' WHERE history_id = %s", [second])
        superuser.execute("DELETE FROM cases_case_history WHERE history_id = %s", [third])
        superuser.execute("UPDATE cases_case SET phone = 'x' WHERE id = %s", [case])
        superuser.execute("UPDATE cases_person SET birth_on = '1981-01-01' WHERE id = %s", [person])
    assert sorted(kept.ledger.found()) == [
        ("record-differs", "cases_case", case),
        ("record-differs", "cases_person", person),
        ("row-changed", "cases_case_history", first),
        ("row-changed", "cases_case_history", second),
        ("row-removed", "cases_case_history", third),
    ]
    with kept.ledger.tampering() as superuser:
        superuser.execute("UPDATE audit_rewriting SET run = 2")
    assert "rewriting-forged" in {fault for fault, _, _ in kept.ledger.found()}


def test_the_keys_that_are_needed_are_those_of_who_is_left(emptied):
    with emptied.ledger.database.as_owner():
        assert needed_key_ids() == {"k1"}, "staff and the minor"


# --- An emptied person -----------------------------------------------------------------------------------------------


def test_an_emptied_person_is_shown_in_words_and_found_by_nothing(emptied):
    recorder = world.actor("recorder")
    with scoped(recorder):
        case = world.case()
        assert (case.called, case.person.masked_identity) == (EMPTIED_NAME, EMPTIED_NUMBER)
        assert str(case) == EMPTIED_NAME
        for text in (make_up(1), "T-0001", "示範甲", "清除", EMPTIED_NAME):
            assert find_cases(text, by=recorder) == []
        with pytest.raises(Refused):
            show_identity(case=case, by=recorder)


def test_nothing_is_recorded_for_an_emptied_person(emptied):
    recorder = world.actor("recorder")
    with scoped(recorder):
        case, staff = world.case(), world.staff("示範子").uid
        entry = Entry(uuid4(), LATER, counselling=Counselling(staff))
        with pytest.raises(Refused) as refused:
            record_visit(case=case, entry=entry, by=recorder)
        assert "person-emptied" in codes(refused)
        with pytest.raises(Refused) as refused:
            keep_draft(case=case, visit=None, contents={"note": ["x"]}, by=recorder)
        assert codes(refused) == ["person-emptied"]
        with pytest.raises(Refused) as refused:
            record_baseline(case=case, entry=None, today=LATER, by=recorder)
        assert codes(refused) == ["person-emptied"]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO visits_visit (uid, case_id, person_id, institution_id, visit_on, pregnant, note, in_force, version,"
        " change_reason) SELECT gen_random_uuid(), id, person_id, institution_id, '2032-04-02', false, '', true, 1, ''"
        " FROM cases_case WHERE emptied_run = 1",
        "INSERT INTO visits_draft (institution_id, account_id, case_id, contents)"
        " SELECT institution_id, current_account(), id, '{}' FROM cases_case WHERE emptied_run = 1",
        "INSERT INTO cases_case (uid, person_id, institution_id, name, chart_no, phone, opened_on, version, change_reason)"
        " SELECT gen_random_uuid(), person_id, institution_id, 'x', '', '', opened_on, 1, '' FROM cases_case"
        " WHERE emptied_run = 1",
        "UPDATE cases_case SET name = 'x', emptied_run = NULL, version = version + 1 WHERE emptied_run = 1",
        "UPDATE cases_case SET emptied_run = 1, version = version + 1 WHERE emptied_run IS NULL",
        "UPDATE visits_visit SET note = 'x', version = version + 1",
    ],
)
def test_the_database_records_nothing_for_an_emptied_person(emptied, statement):
    recorder = world.actor("recorder")
    with emptied.ledger.database.app() as app:
        app.execute("SELECT set_config('quitledger.scope', %s, true)", [str(recorder.scope)])
        app.execute("SELECT set_config('quitledger.account', %s, true)", [str(recorder.account_id)])
        with pytest.raises((psycopg.errors.CheckViolation, psycopg.errors.InsufficientPrivilege)):
            app.execute(statement)


def test_no_run_is_taken_back_by_the_owner_either(emptied):
    with pytest.raises(psycopg.errors.InsufficientPrivilege), emptied.owner.transaction():
        emptied.owner.execute("UPDATE cases_person SET emptied_run = NULL WHERE emptied_run = 1")


def test_the_same_number_registered_anew_is_another_person(kept):
    old = kept_case()
    kept.done()
    recorder = world.actor("recorder")
    again = Registration(uuid4(), "national_id", make_up(1), "", date(1980, 2, 3), "male", "示範甲", "T-0001")
    with scoped(recorder):
        with pytest.raises(Refused):  # the old form once more: nobody knows any more what it said
            register_case(replace(again, uid=old.uid), today=LATER, made_up_allowed=True, by=recorder)
        new = register_case(again, today=LATER, made_up_allowed=True, by=recorder)
        assert new.person_id != old.person_id
        assert find_cases(make_up(1), by=recorder) == [new]
    assert kept.plan() is None, "he is a person of today"


def kept_case() -> Case:
    with scoped(SYSTEM):
        return world.case()


# --- Since the plan --------------------------------------------------------------------------------------------------


def test_who_has_a_younger_record_since_the_plan_is_kept(kept, owner):
    """示範甲 has a draft at the clinic since; 示範戊 is known to the pharmacy alone and is emptied."""
    run = kept.confirm(kept.plan().run.code)
    recorder = world.actor("recorder")
    with scoped(recorder):
        keep_draft(case=world.case(), visit=None, contents={"note": ["again"]}, by=recorder)
    while kept.empty(run):
        pass
    with kept.ledger.database.as_owner():
        assert services.outcomes(run) == {"emptied": 4, "kept": 1}
    assert one(owner, "SELECT count(*) FROM cases_case WHERE name = '示範甲'") == 2
    with scoped(recorder):
        assert Draft.objects.get().contents == {"note": ["again"]}


def test_a_run_waits_for_whoever_is_recording_and_then_keeps_the_person(kept, owner):
    run = kept.confirm(kept.plan().run.code)
    at = world.actor("recorder")
    with kept.ledger.database.app() as app:
        app.execute("SELECT set_config('quitledger.scope', %s, true)", [str(at.scope)])
        app.execute(
            "INSERT INTO cases_baseline (uid, case_id, person_id, institution_id, taken_on, first_cigarette,"
            " hard_to_refrain, hardest_to_give_up, most_cigarettes, more_in_first_hours, smokes_when_ill, pregnant, version,"
            " change_reason) SELECT gen_random_uuid(), id, person_id, institution_id, '2032-04-02', '', '', '', '', '', '',"
            " false, 1, '' FROM cases_case WHERE name = '示範乙'"
        )
        emptying = Thread(target=kept.empty, args=(run,))
        emptying.start()
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        while not one(owner, waiting):
            assert emptying.is_alive()
    emptying.join(30)
    with kept.ledger.database.as_owner():
        assert services.outcomes(run) == {"emptied": 4, "kept": 1}
    assert one(owner, "SELECT count(*) FROM cases_case WHERE name = '示範乙'") == 1


# --- Cut off, and once more ------------------------------------------------------------------------------------------


def test_a_run_cut_off_goes_on_under_its_number_and_is_done_once(kept, owner):
    plan = kept.plan()
    run = kept.confirm(plan.run.code)
    assert kept.empty(run, limit=2) == 2
    assert one(owner, "SELECT count(*) FROM cases_person WHERE emptied_run = %s", [run.pk]) == 2
    again = kept.confirm(plan.run.code)  # and then the power failed
    assert (again.pk, again.confirmed_at, again.finished_at) == (run.pk, run.confirmed_at, None)
    assert [kept.empty(again, limit=2) for _ in range(4)] == [2, 1, 0, 0]
    assert one(owner, "SELECT array_agg(DISTINCT run) FROM audit_rewriting") == [run.pk]
    rewritten = one(owner, "SELECT count(*) FROM audit_rewritten")
    finished = kept.confirm(plan.run.code)
    assert finished.finished_at is not None
    assert kept.empty(finished) == 0
    assert one(owner, "SELECT count(*) FROM audit_rewritten") == rewritten
    assert kept.ledger.found() == []
    assert kept.plan() is None


def test_an_older_backup_is_brought_to_the_same_state_by_another_run(kept, owner, template, tmp_path):
    """A copy of the database as it was before the run stands for the backup that was restored."""
    name = kept.ledger.database.name
    from django.db import connections

    connections.close_all()
    owner.close()
    template.create_database(f"{name}_backup", template=name)
    restored = Database.__new__(Database)
    restored.cluster, restored.name = template, f"{name}_backup"
    restored.urls = template.ensure_database(f"{name}_backup")
    with kept.ledger.database.owner() as first, restored.owner() as second:
        kept.done()
        kept.ledger.database = restored
        set_clock(second, datetime.combine(LATER + timedelta(days=30), time(9), TAIPEI))
        kept.done()
        said = [everything_said(one_of) for one_of in (first, second)]
        assert [text for text in TEXTS if text in said[1]] == []
        emptied = [one(one_of, "SELECT array_agg(uid ORDER BY uid) FROM cases_person WHERE emptied_run IS NOT NULL")
                   for one_of in (first, second)]  # fmt: skip
        assert emptied[0] == emptied[1]
        assert kept.ledger.found() == []
    restored.drop()
