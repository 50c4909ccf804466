"""What the desk is told: services that no contract covers any longer, quotas that are used up."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import psycopg
import pytest
from django.core.exceptions import PermissionDenied

from quitledger.accounts.scope import scoped
from quitledger.institutions.lists import ContractRow, QuotaRow, StaffRow
from quitledger.institutions.models import Contract, Quota, StaffContract
from quitledger.institutions.services import record_contract, record_quota, record_staff
from quitledger.visits.findings import INSTITUTION, STAFF, Finding, findings, quotas_reached

from .. import world
from ..sql import acting, keys, record

MARCH, APRIL = date(2025, 3, 3), world.TODAY


@pytest.fixture
def recorded(committed: Any, owner: psycopg.Connection) -> Iterator[Any]:
    """The clinic's physician gave medication in March and April; the desk looks."""
    at = keys(owner)
    with acting(committed, at.institution, at.account) as application:
        for day in (MARCH, APRIL):
            record(application, at, day, "medication")
    desk = world.actor("desk_officer")
    with scoped(desk):
        yield desk


def found(by: Any, **asked: Any) -> list[tuple[date, str]]:
    """Day and reason of the findings."""
    return [(one.visit_on, one.reason) for one in findings(by=by, **asked)]


def end_contract(by: Any, last: date) -> None:
    contract = Contract.objects.get(institution=world.institution())
    record_contract(ContractRow("", world.FIRST_DAY, last, "停業"), by=by, of=contract)


def change_staff(by: Any, **changes: Any) -> None:
    contract = StaffContract.objects.get(staff__name="示範丑")
    values = {"institution_code": "", "identity_number": "", "name": "示範丑", "profession": "physician",
              "starts_on": world.FIRST_DAY, "ends_on": None, "may_medicate": True, "may_counsel": True}  # fmt: skip
    record_staff(StaffRow(**(values | changes)), by=by, of=contract)


def test_while_contracts_cover_everything_nothing_is_found(recorded: Any) -> None:
    assert found(recorded) == []


@pytest.mark.parametrize(
    ("last", "days"),
    [(APRIL, []), (date(2025, 3, 31), [APRIL]), (MARCH, [APRIL]), (date(2025, 3, 2), [APRIL, MARCH])],
)
def test_a_contract_ended_in_retrospect_lists_what_came_after_its_last_day(
    recorded: Any, last: date, days: list[date]
) -> None:
    end_contract(recorded, last)
    assert found(recorded) == [(day, INSTITUTION) for day in days]


def test_a_contract_begun_again_takes_its_days_off_the_list(recorded: Any) -> None:
    end_contract(recorded, date(2025, 2, 28))
    record_contract(ContractRow(world.CLINIC, APRIL), by=recorded)
    assert found(recorded) == [(MARCH, INSTITUTION)]


def test_a_staff_contract_and_its_permission_count_likewise(recorded: Any) -> None:
    change_staff(recorded, ends_on=date(2025, 3, 31))
    assert found(recorded) == [(APRIL, STAFF)]
    change_staff(recorded, may_medicate=False)
    assert found(recorded) == [(APRIL, STAFF), (MARCH, STAFF)]
    change_staff(recorded, may_counsel=False)
    assert found(recorded) == []


def test_a_finding_says_where_and_who_and_is_found_by_that(recorded: Any) -> None:
    end_contract(recorded, date(2025, 3, 31))
    (one,) = findings(by=recorded)
    assert (one.institution_code, one.institution_name, one.staff, one.kind) == (
        world.CLINIC, "示範戒菸診所", "示範丑", "medication",
    )  # fmt: skip
    assert isinstance(one, Finding)
    assert one.words == "就醫日機構沒有合約"
    for words, count in ((world.CLINIC, 1), ("戒菸", 1), ("範丑", 1), ("%", 0), (world.PHARMACY, 0)):
        assert len(findings(words=words, by=recorded)) == count


def test_findings_are_the_desks_to_see(recorded: Any) -> None:
    with pytest.raises(PermissionDenied):
        findings(by=world.actor("supervisor"))


@pytest.mark.parametrize(
    ("kind", "year", "limit", "reached"),
    [
        ("medication", 2025, 2, True),
        ("medication", 2025, 1, True),
        ("medication", 2025, 3, False),
        ("medication", 2025, None, False),
        ("medication", 2025, 0, True),
        ("counselling", 2025, 1, False),
        ("medication", 2024, 1, False),
    ],
)
def test_a_quota_is_reached_when_as_many_services_of_its_kind_and_year_are_recorded(
    recorded: Any, kind: str, year: int, limit: int | None, reached: bool
) -> None:
    record_quota(QuotaRow(world.CLINIC, year, kind, limit), by=recorded)
    quotas = quotas_reached(world.institution_id(), year)
    assert [(one.kind, one.used) for one in quotas] == ([(kind, 2 if kind == "medication" else 0)] if reached else [])
    assert Quota.objects.count() == 1
