"""Identity number, birth date and sex of a person, put right by an application: rules, decision, and SQL by itself."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import PermissionDenied
from psycopg import errors

from quitledger.accounts.scope import scoped
from quitledger.audit import journal
from quitledger.cases.models import Case, Person
from quitledger.cases.rules import Identity
from quitledger.cases.services import change_person, find_by_identity, identity_of
from quitledger.corrections.differences import entries_of, in_words
from quitledger.corrections.identities import identity_asked
from quitledger.corrections.models import Application, AskedIdentity
from quitledger.corrections.queries import compared, others_with_number
from quitledger.corrections.rules import State
from quitledger.corrections.services import (
    claim_application,
    confirm_application,
    items_of,
    register_on_paper,
    renew_identities,
    rewrite_application,
    sign_application,
    submit_application,
    trial,
    write_application,
)
from quitledger.policy.identity import IdentityKind, checksum_ok, make_up, mask
from quitledger.policy.problem import Problem, Refused

from .. import world
from ..sql import acting, one
from ..visits.merged import MISTYPED, registered
from .scene import asking, claimed, decided, late, recorded, sent, step, submitted
from .test_every_way import REJECTED, after, alone
from .test_no_way_around import accounts, clinic

FEBRUARY_3 = date(2025, 2, 3)


def codes(problems: list[Problem]) -> list[tuple[str, str | None]]:
    return [(one_.code, one_.field) for one_ in problems]


def refused(work: Callable[[], Any]) -> list[tuple[str, str | None]]:
    with pytest.raises(Refused) as raised:
        work()
    return codes(raised.value.problems)


@pytest.fixture
def case(committed: Any) -> Case:
    """Of a person whom another institution knows too: his institution corrects nothing by itself any more."""
    registered(940, world.PHARMACY, "示範辛")
    return registered(940, world.CLINIC, "示範辛")


def applied(case: Case, **said: Any) -> Application:
    with step("recorder") as by:
        return write_application(
            uid=uuid4(), case=case, reason="換發身分證", discovered_on=world.TODAY, items=[asking(case, **said)], by=by
        )


def in_review(case: Case, **said: Any) -> Application:
    return claimed(lambda: [asking(case, **said)], name="示範辛")


def now(case: Case) -> Person:
    with scoped(world.SYSTEM):
        return Person.objects.get(pk=case.person_id)


# --- Deciding --------------------------------------------------------------------------------------------------------


def test_the_desks_approval_makes_the_persons_next_version_under_the_application(case: Case, owner: Any) -> None:
    application = decided(in_review(case))
    person = now(case)
    assert (application.state, person.identity_number, person.version) == (State.APPROVED, make_up(941), 2)
    assert person.change_reason == f"更正申請 {application.case_no}"
    assert person.authority == application.uid
    assert one(owner, "SELECT made_version FROM corrections_item") == 2
    assert one(owner, "SELECT count(*) FROM visits_permit") == 0
    with step("recorder") as by:
        assert [found.pk for found in find_by_identity(number=make_up(941), by=by)] == [case.pk]
        assert find_by_identity(number=make_up(940), by=by) == []
    entry = owner.execute("SELECT record_uids, fields FROM audit_journal WHERE action = 'person.change'").fetchall()
    assert entry == [([person.uid, case.uid], ["identity_number"])]


def test_what_was_rejected_changes_nobody(case: Case) -> None:
    assert decided(in_review(case), REJECTED).state == State.REJECTED
    assert now(case).version == 1


def test_a_single_persons_application_waits_for_the_second_decision(case: Case, owner: Any) -> None:
    alone(owner)
    application = after(applied(case), "recorder", sign_application)
    application = decided(after(application, "desk_officer", claim_application))
    assert (application.state, now(case).version) == (State.SECOND, 1)
    after(application, "desk_supervisor", confirm_application, text="")
    assert (now(case).version, now(case).authority) == (2, application.uid)


def test_person_and_visit_in_one_application_are_checked_with_who_he_then_is(committed: Any, case: Case) -> None:
    """A woman typed as a man: her late entry says that she is pregnant."""
    day = world.TODAY.replace(month=2, day=15)
    application = claimed(lambda: [late(day, pregnant=True), asking(case, sex="female")], name="示範辛")
    assert decided(application).state == State.APPROVED
    assert now(case).sex == "female"


def test_another_person_with_the_number_stops_it_and_the_desk_is_told_who_decides_then(case: Case) -> None:
    application = in_review(case)
    registered(941, world.PHARMACY, "示範壬")
    with step("desk_officer") as by:
        assert codes(trial(application, list(application.items.all()), by=by)) == [("person-known", "item-0")]
    assert refused(lambda: decided(application)) == [("person-known", "item-0")]
    with step("recorder") as by:
        found = trial(application, list(application.items.all()), by=by)
    assert codes(found) == [], "no institution learns from it whom others know"
    assert now(case).version == 1


def test_whoever_has_the_number_born_on_another_day_is_counted_for_the_desk_alone(case: Case) -> None:
    application = in_review(case)
    registered(941, world.PHARMACY, "示範壬", birth_on=MISTYPED)
    with step("desk_officer") as by:
        item = application.items.select_related("identity").get()
        assert codes(trial(application, [item], by=by)) == []
        assert others_with_number(item, by=by) == 1
    with step("recorder") as by, pytest.raises(PermissionDenied):
        others_with_number(item, by=by)


def test_who_was_corrected_meanwhile_is_not_overwritten(case: Case) -> None:
    application = in_review(case)
    with step("desk_officer") as by:
        said = replace(identity_of(case.person), birth_on=MISTYPED)
        change_person(
            case=case, version=1, identity=said, reason="證件", today=world.TODAY, made_up_allowed=True, by=by
        )
    assert refused(lambda: decided(application)) == [("person-changed-meanwhile", "item-0")]
    with step("recorder") as by:
        found = trial(application, list(application.items.all()), by=by)
    assert codes(found) == [("person-changed-meanwhile", "item-0")]
    assert now(case).version == 2


def test_an_approval_without_its_journal_entry_did_not_happen(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    application = in_review(case)
    recorded_ = journal.record

    def broken(action: str, **more: Any) -> None:
        if action == "correction.decide":
            raise RuntimeError("no journal")
        recorded_(action, **more)

    monkeypatch.setattr(journal, "record", broken)
    with pytest.raises(RuntimeError):
        decided(application)
    assert now(case).version == 1


# --- Applying --------------------------------------------------------------------------------------------------------


def test_while_the_institution_may_do_it_itself_it_is_told_so(committed: Any) -> None:
    mine = registered(942, world.CLINIC, "示範癸")
    assert refused(lambda: applied(mine)) == [("person-open", None)]


def test_after_the_first_window_it_applies(committed: Any) -> None:
    recorded(committed, FEBRUARY_3)
    with scoped(world.SYSTEM):
        found = world.case("示範甲")
    assert applied(found, birth_on=date(1961, 1, 1)).state == State.DRAFT


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"number": "A123456788"}, [("identity-checksum", "identity_number")]),
        ({"sex": "male"}, [("nothing-changed", None)]),
        ({"kind": IdentityKind.PASSPORT, "number": "X1234567"}, [("identity-country-missing", "identity_country")]),
        ({"number": make_up(943)}, [("case-exists", "identity_number")]),
        ({"birth_on": date(2030, 1, 1)}, [("birth-in-future", "birth_on")]),
    ],
)
def test_everything_that_is_wrong_is_said_before_it_is_written(
    said: dict[str, Any], expected: list[tuple[str, str | None]], case: Case
) -> None:
    registered(943, world.CLINIC, "示範癸")
    assert refused(lambda: applied(case, **said)) == expected


def test_the_same_form_twice_is_one_and_another_one_is_told(case: Case) -> None:
    item, uid = asking(case), uuid4()

    def write(one_: Any) -> Application:
        with step("recorder") as by:
            return write_application(
                uid=uid, case=case, reason="換發身分證", discovered_on=world.TODAY, items=[one_], by=by
            )

    assert write(item).pk == write(item).pk
    other = replace(item, identity=replace(item.identity, asked=replace(item.identity.asked, sex="female")))
    assert refused(lambda: write(other)) == [("application-written-otherwise", None)]


def test_a_draft_is_typed_anew_and_what_was_sent_stays(case: Case, committed: Any, owner: Any) -> None:
    draft = applied(case)
    with step("recorder") as by:
        (item,) = items_of(draft)
        assert item.identity is not None
        assert item.identity.asked.number == make_up(941)
        other = replace(item, identity=replace(item.identity, asked=replace(item.identity.asked, birth_on=MISTYPED)))
        draft = rewrite_application(
            application=draft, version=1, reason=draft.reason, discovered_on=draft.discovered_on, items=[other], by=by
        )
        assert items_of(draft) == [other]
    after(draft, "recorder", submit_application)
    for scope, username in ((clinic(), "recorder"), (0, "desk_officer")):
        for statement in (
            "UPDATE corrections_askedidentity SET token = 'x'", "DELETE FROM corrections_askedidentity",
            "UPDATE corrections_askedidentity SET person_version = 9",
        ):  # fmt: skip
            refused_by = (errors.CheckViolation, errors.InsufficientPrivilege)
            with pytest.raises(refused_by), acting(committed, scope, accounts(owner)[username]) as sql:
                sql.execute(statement)


def test_on_paper_the_desk_registers_it(case: Case) -> None:
    with step("desk_officer") as by:
        application = register_on_paper(
            uid=uuid4(), case=case, reason="換發身分證", discovered_on=world.TODAY, received_on=world.TODAY,
            items=[asking(case)], by=by,
        )  # fmt: skip
        assert application.state == State.NEW
        item = application.items.select_related("identity").get()
        assert identity_asked(item).asked.number == make_up(941)


# --- What is seen ----------------------------------------------------------------------------------------------------


def test_numbers_are_masked_and_two_that_look_alike_are_told_apart(case: Case) -> None:
    number = make_up(940)
    alike = next(
        other
        for other in (f"{number[:5]}{middle:02}{number[7:]}" for middle in range(100))
        if other != number and re.fullmatch(r"A[0-9]{9}", other) and checksum_ok(other)
    )
    application = applied(case, number=alike)
    with step("recorder") as by:
        (shown,) = compared(application, [], by=by)
        rows = {row.field: row for row in shown.rows}
        said = rows["identity_number"]
        assert (said.before, said.after) == (mask(number), f"{mask(number)}（遮住的數字不同）")
        assert [row.field for row in shown.rows if row.changed] == ["identity_number"]
        assert [str(group) for group in shown.groups] == ["基本資料"]
        (shown,) = compared(application, [], whole=True, by=by)
        assert {row.after for row in shown.rows} >= {alike}


def test_no_text_of_an_item_holds_a_number_and_no_column_does(case: Case, owner: Any) -> None:
    item = asking(case)
    assert make_up(941) not in repr(item)
    applied(case)
    for table in ("corrections_item", "corrections_item_history", "corrections_askedidentity", "audit_journal"):
        assert make_up(941) not in str(owner.execute(f"SELECT t::text FROM {table} t").fetchall())


def test_what_its_keeping_time_has_taken_is_said_so(case: Case, owner: Any) -> None:
    application = in_review(case)
    owner.execute("DELETE FROM corrections_askedidentity")
    with step("desk_officer") as by:
        item = application.items.get()
        assert in_words(item, entries_of(item, by=by)) == ({}, {"identity_number": "（已清除）"})
    assert refused(lambda: decided(application)) == [("person-emptied", "item-0")]


def test_another_key_comes_to_it_too(case: Case, committed: Any, owner: Any, tmp_path: Any, monkeypatch: Any) -> None:
    import os
    import shutil

    from quitledger.accounts.keys import add_key, make_current
    from quitledger.ops.keys_export import needed_key_ids

    path = tmp_path / "keys.json"
    shutil.copy(os.environ["QUITLEDGER_KEYS_FILE"], path)
    path.chmod(0o600)
    monkeypatch.setenv("QUITLEDGER_KEYS_FILE", str(path))
    application = applied(case)
    make_current(path, add_key(path))
    with committed.as_owner(), scoped(world.SYSTEM):
        with pytest.raises(PermissionDenied):
            renew_identities(after=0, limit=9, by=world.actor("desk_supervisor"))
        last, renewed = renew_identities(after=0, limit=9, by=world.SYSTEM)
        assert renewed == 1
        assert renew_identities(after=last, limit=9, by=world.SYSTEM) == (last, 0)
        assert "k2" in needed_key_ids()
    with step("recorder"):
        assert AskedIdentity.objects.get().key_id == "k2"
        assert items_of(application)[0].identity.asked.number == make_up(941)


# --- No way around ---------------------------------------------------------------------------------------------------

CHANGE = (
    "SELECT cases_change_person({person}, 1, ARRAY['x'::bytea], '1985-06-08', 'male', 'national_id', '', 'x', 'k1', 'x',"
    " '{authority}')"
)


@pytest.mark.engine
@pytest.mark.parametrize("username", ["desk_officer", "desk_supervisor"])
def test_a_version_names_only_an_application_that_asks_for_it_and_that_this_account_decides(
    username: str, case: Case, committed: Any, owner: Any
) -> None:
    new = sent(lambda: [asking(case)], name="示範辛")
    mine = claimed(lambda: [late()], name="示範辛")  # of a visit: it asks for nobody's number
    for authority in (uuid4(), new.uid, mine.uid):
        with pytest.raises(errors.CheckViolation), acting(committed, 0, accounts(owner)[username]) as sql:
            sql.execute(CHANGE.format(person=case.person_id, authority=authority))
    theirs = claimed(lambda: [asking(case)], username="desk_supervisor", name="示範辛")
    work = CHANGE.format(person=case.person_id, authority=theirs.uid)
    if username == "desk_officer":
        with pytest.raises(errors.CheckViolation), acting(committed, 0, accounts(owner)[username]) as sql:
            sql.execute(work)
    else:
        with acting(committed, 0, accounts(owner)[username]) as sql:
            sql.execute(work)


@pytest.mark.engine
def test_an_item_is_of_a_visit_or_of_the_person(case: Case, committed: Any, owner: Any) -> None:
    draft = applied(case)
    who = accounts(owner)["recorder"]
    for statement in (
        "UPDATE corrections_item SET visit_on = '2025-02-15'",
        "UPDATE corrections_item SET contents = '{}'",
        "UPDATE corrections_item SET kind = 'late_entry'",
        "INSERT INTO corrections_item (uid, application_id, institution_id, position, kind, linked, taken_out, decision,"
        " rejected_for) SELECT gen_random_uuid(), application_id, institution_id, 1, 'person', false, false, '', ''"
        " FROM corrections_item",
    ):
        with pytest.raises((errors.CheckViolation, errors.UniqueViolation)), acting(committed, clinic(), who) as sql:
            sql.execute(statement)
    other = submitted(lambda: [late()])
    with pytest.raises(errors.CheckViolation), acting(committed, clinic(), who) as sql:
        sql.execute(
            "INSERT INTO corrections_askedidentity (item_id, institution_id, person_version, token, key_id)"
            " SELECT id, institution_id, 1, '', 'k1' FROM corrections_item WHERE application_id = %s",
            [other.pk],
        )
    assert draft.state == State.DRAFT


def test_the_identity_that_is_compared_is_written_as_numbers_are_compared(case: Case) -> None:
    asked = Identity(IdentityKind.PASSPORT, "ｘ1234567", "vnm", MISTYPED, "male")
    application = applied(case, **vars(asked))
    with step("recorder"):
        assert items_of(application)[0].identity.asked == replace(asked, number="X1234567", country="VNM")
