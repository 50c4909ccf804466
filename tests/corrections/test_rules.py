"""The rules of applications: states and owners, signatures, decisions; truth tables."""

from datetime import date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quitledger.accounts.permissions import Role
from quitledger.corrections import diagram, rules
from quitledger.corrections.entries import contents_of, entry_from
from quitledger.corrections.rules import (
    DECIDED,
    ITEM_KINDS,
    OPEN,
    REASON_LENGTH,
    STATES,
    TRANSITIONS,
    ItemKind,
    Owner,
    Rejection,
    State,
    Step,
)
from quitledger.policy import TAIPEI
from quitledger.visits.models import PermitKind
from quitledger.visits.rules import Counselling, Entry, Line, Medication

TODAY, FEBRUARY_15 = date(2025, 4, 1), date(2025, 2, 15)
NOW = datetime(2025, 4, 1, 9, 30, tzinfo=TAIPEI)


def codes(problems: Any) -> list[str]:
    return [problem.code for problem in problems]


# --- states ---------------------------------------------------------------------------------------------------------------


def test_every_state_has_an_owner_and_only_what_has_ended_has_none() -> None:
    assert set(STATES) == set(State)
    assert {state for state in State if STATES[state].owner is Owner.NOBODY} == {*DECIDED, State.WITHDRAWN}
    assert all(standing.label and standing.owner.label for standing in STATES.values())


def test_every_step_leads_somewhere_and_out_of_what_has_ended_leads_none() -> None:
    assert set(TRANSITIONS) == set(Step)
    assert not {state for way in TRANSITIONS.values() for state in way.from_states if state} - set(OPEN)
    assert {state for way in TRANSITIONS.values() for state in way.to_states} == set(State)


def test_out_of_every_open_state_there_is_a_step_of_its_owner() -> None:
    for state in OPEN:
        assert [step for step, way in TRANSITIONS.items() if state in way.from_states and step is not Step.WITHDRAW]


def test_every_kind_of_item_needs_a_permit_of_a_known_kind() -> None:
    assert set(ITEM_KINDS) == set(ItemKind)
    assert {kind.permit for kind in ITEM_KINDS.values()} == {*PermitKind.values, ""}
    assert all(one.label for one in (*Rejection, *Step))


# --- what an application says ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"reason": "  "}, ["reason-missing"]),
        ({"reason": "字" * REASON_LENGTH}, []),
        ({"reason": "字" * (REASON_LENGTH + 1)}, ["reason-too-long"]),
        ({"reason": "a\x00"}, ["reason-unreadable"]),
        ({"discovered_on": None}, ["discovered-missing"]),
        ({"discovered_on": TODAY + timedelta(days=1)}, ["discovered-in-future"]),
        ({"discovered_on": FEBRUARY_15}, []),
        ({"discovered_on": FEBRUARY_15 - timedelta(days=1)}, ["discovered-before-visit"]),
        ({"items": 0, "visit_days": []}, ["items-missing"]),
        ({"visit_days": []}, []),
        ({"items": 10, "visit_days": [FEBRUARY_15] * 10}, []),
        ({"items": 11, "visit_days": [FEBRUARY_15] * 11}, ["items-too-many"]),
        ({"reason": "", "discovered_on": None, "items": 0, "visit_days": []}, ["reason-missing", "discovered-missing", "items-missing"]),
    ],
)  # fmt: skip
def test_what_an_application_must_say(changes: dict[str, Any], expected: list[str]) -> None:
    said = {"reason": "漏登", "discovered_on": TODAY, "today": TODAY, "items": 1, "visit_days": [FEBRUARY_15]}
    assert codes(rules.check_application(**(said | changes))) == expected


@pytest.mark.parametrize(
    ("closing", "expected"),
    [
        ([], []),
        ([NOW], []),
        ([NOW + timedelta(seconds=1)], ["window-open"]),
        ([None], []),
        ([NOW + timedelta(days=9), NOW], []),
        ([NOW + timedelta(days=9), NOW + timedelta(days=30)], ["window-open"]),
    ],
)
def test_what_the_institution_can_do_itself_needs_no_application(closing: list[Any], expected: list[str]) -> None:
    months = [(date(2025, number + 1, 1), at) for number, at in enumerate(closing)]
    assert codes(rules.check_needed(months, NOW)) == expected


@pytest.mark.parametrize(
    ("kind", "day", "recorded", "expected"),
    [
        (ItemKind.PARKED, FEBRUARY_15, TODAY, []),
        (ItemKind.PARKED, TODAY, TODAY, ["day-not-moved"]),
        (ItemKind.CHANGE, date(2025, 2, 16), FEBRUARY_15, []),
        (ItemKind.CHANGE, TODAY, FEBRUARY_15, ["month-moved"]),
        (ItemKind.CHANGE, date(2024, 2, 15), FEBRUARY_15, ["month-moved"]),
        (ItemKind.OVERWRITTEN, date(2025, 3, 31), TODAY, ["month-moved"]),
        (ItemKind.OVERWRITTEN, TODAY, TODAY, []),
        (ItemKind.LATE_ENTRY, FEBRUARY_15, None, []),
        (ItemKind.VOID, FEBRUARY_15, FEBRUARY_15, []),
    ],
)
def test_the_true_day(kind: ItemKind, day: date, recorded: date | None, expected: list[str]) -> None:
    assert codes(rules.check_true_day(kind, day, recorded)) == expected


@pytest.mark.parametrize(
    ("kind", "recorded_at", "closes_at", "expected"),
    [
        (ItemKind.LATE_ENTRY, None, NOW + timedelta(days=1), True),
        (ItemKind.PARKED, NOW, NOW, True),
        (ItemKind.PARKED, NOW, NOW + timedelta(seconds=1), False),
        (ItemKind.PARKED, NOW, None, True),
        (ItemKind.PARKED, None, NOW, True),
        *((kind, NOW, NOW, False) for kind in (ItemKind.CHANGE, ItemKind.VOID, ItemKind.RESTORE, ItemKind.OVERWRITTEN)),
    ],
)
def test_what_counts_as_late_for_ever(kind: ItemKind, recorded_at: Any, closes_at: Any, expected: bool) -> None:
    assert rules.is_late(kind, recorded_at, closes_at) is expected


# --- who ------------------------------------------------------------------------------------------------------------------------

R, S = Role.RECORDER, Role.SUPERVISOR


@pytest.mark.parametrize(
    ("signer", "writer", "roles", "accounts", "submitted", "expected"),
    [
        (1, 2, [S, R], 2, True, []),
        (1, 2, [R, S], 2, True, []),  # a supervisor wrote it, somebody else signs
        (1, 2, [R, R], 3, True, ["supervisor-missing"]),
        (1, 1, [S, S], 2, True, ["signed-by-writer"]),
        (1, 2, [S, R], 2, False, ["not-submitted"]),
        (1, 2, [R, None], 2, False, ["not-submitted", "supervisor-missing"]),
        (1, 1, [R], 1, False, []),  # counted: an institution of one account
        (1, 1, [S], 1, True, []),
    ],
)
def test_two_persons_where_there_are_two(
    signer: int, writer: int, roles: list[Any], accounts: int, submitted: bool, expected: list[str]
) -> None:
    found = rules.check_signature(signer=signer, writer=writer, roles=roles, accounts=accounts, submitted=submitted)
    assert codes(found) == expected


def test_who_decides() -> None:
    for decider, first, settled, role in product(
        (1, 2, 3, 4), (None, 3), (False, True), (Role.DESK_OFFICER, Role.DESK_SUPERVISOR)
    ):
        found = rules.check_decider(decider=decider, applicants=[1, 2, None], first=first, settled=settled, role=role)
        expected = []
        if decider in (1, 2):
            expected.append("decided-by-applicant")
        if decider == first:
            expected.append("decided-twice")
        if settled and role is Role.DESK_OFFICER:
            expected.append("month-settled")
        assert codes(found) == expected


@pytest.mark.parametrize(
    ("decisions", "text", "expected"),
    [
        ([("approved", "", False)], "", []),
        ([("rejected", "evidence", False)], "", []),
        ([("rejected", "", False)], "", ["rejection-missing"]),
        ([("rejected", "nonsense", False)], "", ["rejection-missing"]),
        ([("", "", False), ("maybe", "", False)], "", ["decision-missing", "decision-missing"]),
        ([("rejected", "other", False)], " ", ["text-missing"]),
        ([("rejected", "other", False)], "請補件", []),
        ([("approved", "", True), ("rejected", "date", True)], "", ["linked-apart"]),
        ([("approved", "", True), ("rejected", "date", False), ("approved", "", True)], "", []),
        ([("approved", "", False)], "字" * (REASON_LENGTH + 1), ["text-too-long"]),
    ],
)
def test_how_items_are_decided(decisions: list[Any], text: str, expected: list[str]) -> None:
    assert codes(rules.check_decisions(decisions, text)) == expected


@pytest.mark.parametrize(
    ("decisions", "state"),
    [
        (["approved"], State.APPROVED),
        (["approved", "approved"], State.APPROVED),
        (["rejected", "rejected"], State.REJECTED),
        (["rejected", "approved"], State.IN_PART),
    ],
)
def test_what_all_decisions_make(decisions: list[str], state: State) -> None:
    assert rules.outcome(decisions) is state


# --- what an item says, as it is kept ---------------------------------------------------------------------------------------------

UIDS = st.uuids()
ENTRIES = st.builds(
    Entry,
    uid=UIDS,
    visit_on=st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    visit_time=st.none() | st.times().map(lambda at: at.replace(second=0, microsecond=0, tzinfo=None)),
    medication=st.none()
    | st.builds(
        Medication,
        st.none() | UIDS,
        st.lists(st.builds(Line, st.text(max_size=5), st.integers(1, 9), st.none() | st.integers(1, 60))).map(tuple),
    ),
    counselling=st.none() | st.builds(Counselling, st.none() | UIDS, st.sampled_from(["in_person", "telephone"])),
    pregnant=st.booleans(),
    cigarettes_per_day=st.none() | st.integers(0, 200),
    co_ppm=st.none() | st.integers(0, 200),
    note=st.text(max_size=20),
)


@given(ENTRIES)
def test_what_was_typed_comes_back_as_it_was(entry: Entry) -> None:
    assert entry_from(entry.uid, contents_of(entry)) == entry


def test_a_note_that_was_emptied_is_none() -> None:
    entry = Entry(uuid4(), FEBRUARY_15, note="秘密")
    contents = contents_of(entry)
    del contents["note"]
    assert entry_from(entry.uid, contents).note == ""


def test_the_diagram_of_the_documentation_is_that_of_the_rules() -> None:
    shown = (Path(__file__).parents[2] / "docs" / "corrections" / "states.md").read_text(encoding="utf-8")
    assert shown == diagram.page(), "python -m quitledger.corrections.diagram > docs/corrections/states.md"


ASKED, RECEIVED = date(2025, 4, 10), date(2025, 4, 1)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.NEW, RECEIVED + timedelta(days=30)),
        (State.IN_REVIEW, RECEIVED + timedelta(days=30)),
        (State.SECOND, RECEIVED + timedelta(days=30)),
        (State.WAITING, ASKED + timedelta(days=7)),
        (State.DRAFT, None),
        (State.APPROVED, None),
    ],
)
def test_whose_turn_it_is_until_when(state: State, expected: date | None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rules.due_on(state, received_on=RECEIVED, since=ASKED) is None  # the programme says no limit
    days = {"correction_decision_days": 30, "correction_answer_days": 7}
    monkeypatch.setattr(rules, "policy_on", lambda day, name: days[name])
    assert rules.due_on(state, received_on=RECEIVED, since=ASKED) == expected
