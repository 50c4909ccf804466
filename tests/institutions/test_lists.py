"""The writers of the desk's lists: dated contents, periods, what is told to the journal, who may."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from threading import Barrier, Thread
from typing import Any

import psycopg
import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection, connections
from psycopg import errors

from quitledger.accounts.scope import scoped
from quitledger.institutions import rules
from quitledger.institutions.history import edits_of
from quitledger.institutions.imports import CHANGED, NEW, SAME, attempt
from quitledger.institutions.lists import (
    NO_PARENT,
    CertificateRow,
    ContractRow,
    InstitutionRow,
    QuotaRow,
    StaffRow,
)
from quitledger.institutions.models import (
    Certificate,
    Contract,
    Institution,
    InstitutionDetails,
    Membership,
    Quota,
    StaffContract,
    StaffMember,
)
from quitledger.institutions.services import (
    institution_by_code,
    record_certificate,
    record_contract,
    record_institution,
    record_quota,
    record_staff,
)
from quitledger.policy.identity import make_up
from quitledger.policy.problem import Refused
from quitledger.visits.models import Visit

from .. import world
from ..sql import acting, keys, record

APRIL, MAY = date(2025, 4, 1), date(2025, 5, 1)
NEW_CODE = "9900000046"


@pytest.fixture
def desk(db: Any) -> Iterator[Any]:
    """The desk officer, in the agency's scope, as the application role."""
    actor = world.actor("desk_officer")
    with scoped(actor):
        yield actor


def clinic(**changes: Any) -> InstitutionRow:
    """The clinic as it is called from May on."""
    values = {"code": world.CLINIC, "name": "示範戒菸診所", "tier": "clinic", "county": "臺北市", "address": "示範路 1 號",
              "starts_on": MAY}  # fmt: skip
    return InstitutionRow(**(values | changes))


def codes(refused: Callable[[], Any]) -> list[str]:
    """The codes of the problems for which something is refused."""
    with pytest.raises(Refused) as problems:
        refused()
    return [problem.code for problem in problems.value.problems]


def last_entry() -> tuple[str, str, set[str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT action, record_type, fields FROM audit_journal ORDER BY id DESC LIMIT 1")
        action, record_type, fields = cursor.fetchone()
    return action, record_type, set(fields)


# --- Periods (rules) --------------------------------------------------------------------------------------------------

DAY = date(2025, 1, 1)


@pytest.mark.parametrize(
    ("first", "last", "other", "code"),
    [
        (0, 9, (10, None), None),
        (0, 10, (10, None), "period-overlaps"),
        (0, None, (10, 20), "period-overlaps"),
        (21, None, (10, 20), None),
        (20, None, (10, 20), "period-overlaps"),
        (20, 20, (10, 20), "period-overlaps"),
        (15, 16, (10, 20), "period-overlaps"),
        (5, 25, (10, 20), "period-overlaps"),
        (5, 4, (10, 20), "period-reversed"),
        (5, 5, (10, 20), None),
    ],
)
def test_a_period_overlaps_no_other(first: int, last: int | None, other: tuple[int, int | None], code: str) -> None:
    def at(number: int | None) -> date | None:
        return None if number is None else DAY + timedelta(days=number)

    found = rules.check_period(DAY + timedelta(days=first), at(last), [(DAY + timedelta(days=other[0]), at(other[1]))])
    assert [problem.code for problem in found] == ([code] if code else [])


@pytest.mark.parametrize(
    ("itself", "branch", "has", "code"),
    [
        (False, False, False, None),
        (True, False, False, "parent-itself"),
        (False, True, False, "parent-is-branch"),
        (False, False, True, "parent-of-parent"),
    ],
)
def test_a_branch_is_one_step_from_its_parent(itself: bool, branch: bool, has: bool, code: str | None) -> None:
    found = rules.check_parent(is_itself=itself, parent_is_branch=branch, has_branches=has)
    assert [problem.code for problem in found] == ([code] if code else [])


# --- Institutions -----------------------------------------------------------------------------------------------------


def test_a_new_code_from_a_day_on_keeps_the_institution_whole(desk: Any) -> None:
    before = world.institution()
    people = Membership.objects.filter(institution=before).count()
    done = record_institution(clinic(new_code=NEW_CODE, change="take_over", name="示範承接診所"), by=desk)
    assert done.did == CHANGED
    old, new = before.details.order_by("starts_on")
    assert (old.code, old.ends_on) == (world.CLINIC, MAY - timedelta(days=1))
    assert (new.code, new.starts_on, new.ends_on, new.change) == (NEW_CODE, MAY, None, "take_over")
    assert institution_by_code(world.CLINIC, MAY) == institution_by_code(NEW_CODE, APRIL) == before
    assert Membership.objects.filter(institution=before).count() == people
    assert last_entry()[:2] == ("register.record", "institution")


def test_a_code_given_to_another_later_is_the_one_of_the_day(desk: Any) -> None:
    record_institution(clinic(new_code=NEW_CODE), by=desk)
    later = MAY + timedelta(days=30)
    newcomer = InstitutionRow(world.PHARMACY, "示範藥局", "pharmacy", "高雄市", "", later, new_code=world.CLINIC)
    record_institution(newcomer, by=desk)
    assert institution_by_code(world.CLINIC, APRIL) == institution_by_code(NEW_CODE, APRIL)
    assert institution_by_code(world.CLINIC, later) == institution_by_code(world.PHARMACY, later)


def test_contents_that_begin_before_others_end_where_those_begin(desk: Any) -> None:
    institution = world.institution()
    record_institution(clinic(starts_on=MAY, name="五月的名稱"), by=desk)
    done = record_institution(clinic(starts_on=APRIL, name="四月的名稱"), by=desk)
    assert done.did == CHANGED
    named = [(one.name, one.starts_on, one.ends_on) for one in institution.details.order_by("starts_on")]
    assert named == [
        ("示範戒菸診所", world.FIRST_DAY, APRIL - timedelta(days=1)),
        ("四月的名稱", APRIL, MAY - timedelta(days=1)),
        ("五月的名稱", MAY, None),
    ]


def test_what_was_called_so_already_is_no_change(desk: Any) -> None:
    assert record_institution(clinic(), by=desk).did == SAME
    assert world.institution().details.count() == 1


def test_a_record_is_corrected_in_place_and_its_history_keeps_what_it_said(desk: Any) -> None:
    details = world.institution().details.get()
    row = clinic(starts_on=world.FIRST_DAY, name="示範戒煙診所")
    assert record_institution(row, by=desk, of=details).did == CHANGED
    assert record_institution(row, by=desk, of=details).did == SAME
    edits = edits_of("institutions_institutiondetails", details.pk, {"name": "機構名稱"}, {}, by=desk)
    assert [(edit.is_first, [(one.before, one.after) for one in edit.changes]) for edit in edits] == [
        (False, [("示範戒菸診所", "示範戒煙診所")]),
        (True, [("", "示範戒菸診所")]),
    ]
    assert edits[0].by == desk.name


def test_a_branch_gets_and_loses_its_parent(desk: Any) -> None:
    pharmacy = world.institution(world.PHARMACY)
    row = InstitutionRow(world.PHARMACY, "示範藥局", "pharmacy", "高雄市", "示範路 2 號", world.FIRST_DAY)
    for parent_code, parent, did in (
        (world.CLINIC, world.institution(), CHANGED), ("", world.institution(), SAME), (NO_PARENT, None, CHANGED),
    ):  # fmt: skip
        done = record_institution(InstitutionRow(**{**vars(row), "parent_code": parent_code}), by=desk)
        pharmacy.refresh_from_db()
        assert (pharmacy.parent, done.did) == (parent, did)


def test_an_institution_and_its_contract_are_recorded_by_one_row(desk: Any) -> None:
    row = InstitutionRow("9900000055", "示範新診所", "clinic", "臺中市", "", APRIL, APRIL, None)
    done = record_institution(row, by=desk)
    assert done.did == NEW
    assert Contract.objects.get(institution=done.record.institution).starts_on == APRIL


# --- Contracts, staff, certificates, quotas ---------------------------------------------------------------------------


def test_a_contract_is_ended_with_its_reason_and_begun_anew(desk: Any) -> None:
    ended = ContractRow(world.CLINIC, world.FIRST_DAY, date(2025, 2, 28), "停業")
    assert record_contract(ended, by=desk).did == CHANGED
    assert codes(lambda: record_contract(ContractRow(world.CLINIC, date(2025, 2, 28)), by=desk)) == ["period-overlaps"]
    assert record_contract(ContractRow(world.CLINIC, date(2025, 3, 1)), by=desk).did == NEW
    assert last_entry() == ("register.record", "contract", {"starts_on", "ends_on", "end_reason"})


def test_the_first_day_of_a_contract_can_be_corrected(desk: Any) -> None:
    contract = Contract.objects.get(institution=world.institution())
    record_contract(ContractRow("", date(2024, 2, 1)), by=desk, of=contract)
    assert [one.starts_on for one in Contract.objects.filter(institution=world.institution())] == [date(2024, 2, 1)]


def test_a_contract_ended_in_retrospect_leaves_what_was_recorded(committed: Any, owner: psycopg.Connection) -> None:
    at = keys(owner)
    with acting(committed, at.institution, at.account) as application:
        visit = record(application, at, APRIL, "medication")
    with scoped(by := world.actor("desk_officer")):
        record_contract(ContractRow(world.CLINIC, world.FIRST_DAY, date(2025, 2, 28), "停業"), by=by)
    with scoped(world.SYSTEM):
        assert Visit.objects.get(pk=visit).in_force


def staff_row(**changes: Any) -> StaffRow:
    values = {
        "institution_code": world.CLINIC,
        "identity_number": make_up(300, "S"),
        "name": "示範申",
        "profession": "counsellor",
        "starts_on": APRIL,
        "ends_on": None,
        "may_medicate": False,
        "may_counsel": True,
    }
    return StaffRow(**(values | changes))


def test_a_staff_member_is_known_by_the_number_whatever_the_name(desk: Any) -> None:
    first = record_staff(staff_row(), by=desk)
    again = record_staff(staff_row(name="示範申申", institution_code=world.PHARMACY), by=desk)
    assert (first.did, again.did) == (NEW, NEW)
    assert first.record.staff == again.record.staff
    assert StaffMember.objects.get(pk=first.record.staff_id).name == "示範申申"
    assert make_up(300, "S").encode() not in bytes(first.record.staff.identity_token)


def test_a_staff_contract_is_corrected_without_its_number(desk: Any) -> None:
    contract = record_staff(staff_row(), by=desk).record
    row = staff_row(identity_number="", starts_on=MAY, may_medicate=True, profession="physician")
    assert record_staff(row, by=desk, of=contract).did == CHANGED
    contract.refresh_from_db()
    assert (contract.starts_on, contract.may_medicate, contract.staff.profession) == (MAY, True, "physician")
    assert StaffContract.objects.filter(staff=contract.staff).count() == 1


def test_a_certificate_is_told_by_kind_and_last_day(desk: Any) -> None:
    record_staff(staff_row(certificate="訓練證明", certificate_ends_on=MAY), by=desk)
    row = CertificateRow(make_up(300, "S"), "訓練證明", MAY, "字第 1 號", date(2020, 5, 1))
    assert record_certificate(row, by=desk).did == CHANGED
    assert record_staff(staff_row(certificate="訓練證明", certificate_ends_on=MAY), by=desk).did == SAME
    (certificate,) = Certificate.objects.filter(staff__name="示範申")
    assert (certificate.number, certificate.starts_on) == ("字第 1 號", date(2020, 5, 1))
    assert record_certificate(CertificateRow(make_up(300, "S"), "訓練證明", APRIL), by=desk).did == NEW
    assert codes(lambda: record_certificate(CertificateRow("", "訓練證明", APRIL), by=desk, of=certificate)) == [
        "certificate-twice"
    ]


def test_a_quota_may_be_without_a_limit(desk: Any) -> None:
    assert record_quota(QuotaRow(world.CLINIC, 2025, "medication", 100), by=desk).did == NEW
    assert record_quota(QuotaRow(world.CLINIC, 2025, "medication", None), by=desk).did == CHANGED
    other = record_quota(QuotaRow(world.CLINIC, 2025, "counselling", 5), by=desk).record
    assert codes(lambda: record_quota(QuotaRow("", 2025, "medication", 5), by=desk, of=other)) == ["quota-twice"]
    assert Quota.objects.get(kind="medication").visits is None


# --- Who may, and what goes wrong -------------------------------------------------------------------------------------


@pytest.mark.parametrize("username", ["recorder", "supervisor", "analyst", "administrator"])
def test_nobody_else_writes_the_lists(db: Any, username: str) -> None:
    actor = world.actor(username)
    with scoped(actor):
        for writing in (
            lambda: record_institution(clinic(), by=actor),
            lambda: record_contract(ContractRow(world.CLINIC, MAY), by=actor),
            lambda: record_staff(staff_row(), by=actor),
            lambda: record_certificate(CertificateRow(make_up(0, "S"), "x", MAY), by=actor),
            lambda: record_quota(QuotaRow(world.CLINIC, 2025, "medication", 1), by=actor),
        ):
            with pytest.raises(PermissionDenied):
                writing()


def test_an_institution_cannot_write_the_lists_by_sql_either(committed: Any, owner: psycopg.Connection) -> None:
    at = keys(owner)
    for statement in (
        f"INSERT INTO institutions_contract (institution_id, starts_on) VALUES ({at.institution}, '2030-01-01')",
        f"INSERT INTO institutions_quota (institution_id, year, kind) VALUES ({at.institution}, 2030, 'medication')",
        "INSERT INTO institutions_staffcontract (institution_id, staff_id, starts_on, may_medicate, may_counsel)"
        f" VALUES ({at.institution}, {at.staff}, '2030-01-01', true, true)",
    ):
        with pytest.raises(errors.InsufficientPrivilege), acting(committed, at.institution) as application:
            application.execute(statement)
    with acting(committed, at.institution) as application:
        changed = application.execute("UPDATE institutions_contract SET ends_on = NULL").rowcount
    assert changed == 0


def test_two_officers_at_once_leave_one_contract(committed: Any) -> None:
    barrier, done = Barrier(2), []

    def write() -> None:
        try:
            with scoped(by := world.actor("desk_officer")):
                barrier.wait(10)
                row = ContractRow(world.HOSPITAL, date(2025, 3, 1))
                done.append(attempt(record_contract, row, by=by))
        finally:
            connections.close_all()

    threads = [Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(done) == 2
    assert any(recorded is not None and recorded.did == NEW for recorded, _ in done)
    with scoped(world.SYSTEM):
        assert (
            Contract.objects.filter(institution=world.institution(world.HOSPITAL), starts_on=date(2025, 3, 1)).count()
            == 1
        )


def test_what_fails_half_way_leaves_nothing(desk: Any) -> None:
    before = InstitutionDetails.objects.count(), Institution.objects.count()
    row = InstitutionRow("9900000055", "示範新診所", "clinic", "臺中市", "", APRIL, MAY, APRIL)
    recorded, problems = attempt(record_institution, row, by=desk)
    assert (recorded, [problem.code for problem in problems]) == (None, ["period-reversed"])
    assert (InstitutionDetails.objects.count(), Institution.objects.count()) == before
