"""The lists of contracted institutions and staff, as the owner's commands import them: one fault a file."""

from datetime import date
from typing import Any

import psycopg
import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection

from quitledger.accounts.actors import SYSTEM
from quitledger.accounts.scope import scoped
from quitledger.institutions.imports import ImportReport
from quitledger.institutions.lists import INSTITUTION_COLUMNS, STAFF_COLUMNS
from quitledger.institutions.models import Certificate, Contract, InstitutionDetails, StaffContract, StaffMember
from quitledger.institutions.services import import_institutions, import_staff
from quitledger.policy.identity import make_up
from quitledger.policy.problem import Refused

from .. import world
from ..conftest import connect_django

INSTITUTION = {
    "醫事機構代碼": "9900000100", "機構名稱": "示範新診所", "層級別": "西醫診所", "縣市": "臺中市", "地址": "示範路 9 號",
    "起日": "114/1/1", "合約起日": "114/1/1", "合約迄日": "",
}  # fmt: skip
STAFF = {
    "醫事機構代碼": world.CLINIC, "身分證字號": make_up(300, "S"), "姓名": "示範申", "職類": "衛教師", "合約起日": "1140101",
    "合約迄日": "2025-12-31", "用藥": "否", "衛教": "是", "資格證明": "衛教師證", "證明到期日": "115/6/30",
}  # fmt: skip


@pytest.fixture
def as_owner(committed: Any) -> psycopg.Connection:
    """Django connected as the owner, in the system's scope, in one transaction that is rolled back."""
    connect_django(committed.owner_url)
    with scoped(SYSTEM):
        yield
        connection.set_rollback(True)


def csv_of(*rows: dict[str, str]) -> bytes:
    """A file with these rows; the titles are those of the first."""
    lines = [",".join(rows[0])] + [",".join(row.get(title, "") for title in rows[0]) for row in rows]
    return ("\r\n".join(lines) + "\r\n").encode()


def institutions(*rows: dict[str, str], good_rows_only: bool = False) -> ImportReport:
    """Import institutions."""
    return import_institutions(csv_of(*rows), good_rows_only=good_rows_only, by=SYSTEM)


def staff(*rows: dict[str, str], good_rows_only: bool = False) -> ImportReport:
    """Import staff."""
    return import_staff(csv_of(*rows), good_rows_only=good_rows_only, by=SYSTEM)


def refusals(report: ImportReport) -> list[tuple[int, list[str]]]:
    """Line and codes of every row refused."""
    return [(line, [problem.code for problem in problems]) for line, problems in report.refused]


def test_an_institution_is_imported_with_its_details_and_contract(as_owner):
    report = institutions(INSTITUTION)
    assert (report.recorded, report.refused) == (1, [])
    details = InstitutionDetails.objects.get(code="9900000100")
    assert (details.name, details.tier, details.county) == ("示範新診所", "clinic", "臺中市")
    assert (details.address, details.starts_on, details.ends_on) == ("示範路 9 號", date(2025, 1, 1), None)
    contract = Contract.objects.get(institution=details.institution)
    assert (contract.starts_on, contract.ends_on) == (date(2025, 1, 1), None)


def test_a_staff_member_is_imported_with_contract_and_certificate(as_owner):
    assert staff(STAFF).recorded == 1
    member = StaffMember.objects.get(name="示範申")
    contract = StaffContract.objects.get(staff=member)
    assert (contract.starts_on, contract.ends_on) == (date(2025, 1, 1), date(2025, 12, 31))
    assert (contract.may_medicate, contract.may_counsel) == (False, True)
    certificate = Certificate.objects.get(staff=member)
    assert (certificate.kind, certificate.ends_on) == ("衛教師證", date(2026, 6, 30))
    assert make_up(300, "S").encode() not in bytes(member.identity_token)


def test_the_same_list_twice_changes_nothing(as_owner):
    for _ in range(2):
        assert institutions(INSTITUTION).recorded == 1
        assert staff(STAFF).recorded == 1
    assert InstitutionDetails.objects.filter(code="9900000100").count() == 1
    assert StaffContract.objects.filter(staff__name="示範申").count() == 1
    assert Certificate.objects.filter(staff__name="示範申").count() == 1


def test_one_person_at_two_institutions_is_one_staff_member(as_owner):
    assert staff(STAFF, STAFF | {"醫事機構代碼": world.PHARMACY}).recorded == 2
    assert StaffMember.objects.filter(name="示範申").count() == 1
    assert StaffContract.objects.filter(staff__name="示範申").count() == 2


INSTITUTION_FAULTS = [
    ({"醫事機構代碼": ""}, "value-missing"),
    ({"醫事機構代碼": "123"}, "value-unreadable"),
    ({"醫事機構代碼": "99000001O0"}, "value-unreadable"),
    ({"醫事機構代碼": "９９０００００１００"}, "value-unreadable"),
    ({"機構名稱": ""}, "value-missing"),
    ({"機構名稱": "示" * 101}, "value-unreadable"),
    ({"層級別": "診所"}, "value-unreadable"),
    ({"縣市": ""}, "value-missing"),
    ({"地址": "示\x00範"}, "value-unreadable"),
    ({"起日": ""}, "value-missing"),
    ({"合約起日": "114/2/30"}, "value-unreadable"),
    ({"合約迄日": "明年"}, "value-unreadable"),
    ({"合約迄日": "113/12/31"}, "period-reversed"),
]
STAFF_FAULTS = [
    ({"醫事機構代碼": "9900000999"}, "institution-unknown"),
    ({"身分證字號": ""}, "value-missing"),
    ({"姓名": ""}, "value-missing"),
    ({"職類": "護理師"}, "value-unreadable"),
    ({"合約起日": "2025-13-01"}, "value-unreadable"),
    ({"合約迄日": "113/1/1"}, "period-reversed"),
    ({"用藥": "也許"}, "value-unreadable"),
    ({"衛教": ""}, "value-missing"),
    ({"證明到期日": "昨天"}, "value-unreadable"),
    ({"證明到期日": ""}, "certificate-incomplete"),
    ({"資格證明": ""}, "certificate-incomplete"),
]


@pytest.mark.parametrize(("fault", "code"), INSTITUTION_FAULTS)
def test_one_fault_in_a_list_of_institutions(as_owner, fault, code):
    good = INSTITUTION | {"醫事機構代碼": "9900000101"}
    before = InstitutionDetails.objects.count()
    report = institutions(good, INSTITUTION | fault)
    assert (report.recorded, refusals(report)) == (0, [(3, [code])])
    assert InstitutionDetails.objects.count() == before, "all or nothing"
    report = institutions(good, INSTITUTION | fault, good_rows_only=True)
    assert (report.recorded, refusals(report)) == (1, [(3, [code])])
    assert InstitutionDetails.objects.count() == before + 1


@pytest.mark.parametrize(("fault", "code"), STAFF_FAULTS)
def test_one_fault_in_a_list_of_staff(as_owner, fault, code):
    good = STAFF | {"身分證字號": make_up(301, "S"), "姓名": "示範酉"}
    before = StaffMember.objects.count()
    report = staff(good, STAFF | fault)
    assert (report.recorded, refusals(report)) == (0, [(3, [code])])
    assert StaffMember.objects.count() == before, "all or nothing"
    report = staff(good, STAFF | fault, good_rows_only=True)
    assert (report.recorded, refusals(report)) == (1, [(3, [code])])
    assert StaffMember.objects.count() == before + 1


def test_a_contract_that_overlaps_another_is_refused(as_owner):
    report = staff(STAFF, STAFF | {"合約起日": "114/6/1", "合約迄日": ""})
    assert (report.recorded, refusals(report)) == (0, [(3, ["period-overlaps"])])
    assert staff(STAFF, STAFF | {"合約起日": "115/1/1", "合約迄日": ""}).recorded == 2


def test_every_bad_row_is_named_by_its_line(as_owner):
    report = institutions(INSTITUTION | {"縣市": ""}, INSTITUTION, INSTITUTION | {"層級別": "", "縣市": ""})
    assert refusals(report) == [(2, ["value-missing"]), (4, ["value-missing", "value-missing"])]


@pytest.mark.parametrize(
    ("columns", "importing"),
    [(INSTITUTION_COLUMNS, institutions), (STAFF_COLUMNS, staff)],
    ids=["institutions", "staff"],
)
def test_a_missing_column_is_named(as_owner, columns, importing):
    complete = INSTITUTION if importing is institutions else STAFF
    for column in columns:
        row = {title: value for title, value in complete.items() if title != column.title}
        if column.optional:
            continue
        with pytest.raises(Refused) as refused:
            importing(row)
        assert [problem.code for problem in refused.value.problems] == ["column-missing"]
        assert column.title in refused.value.problems[0].message


def test_an_empty_file_and_a_file_of_titles_alone_are_told_apart(as_owner):
    with pytest.raises(Refused):
        import_institutions(b"", good_rows_only=False, by=SYSTEM)
    titles = ",".join(INSTITUTION) + "\r\n"
    report = import_institutions(titles.encode(), good_rows_only=False, by=SYSTEM)
    assert (report.recorded, report.refused) == (0, [])


def test_no_message_repeats_an_identity_number(as_owner):
    number = STAFF["身分證字號"]
    report = staff(STAFF, *(STAFF | fault for fault, _ in STAFF_FAULTS))
    said = " ".join(problem.message for _, problems in report.refused for problem in problems)
    assert said
    assert number not in said


def test_what_was_imported_is_journaled_without_values(as_owner):
    staff(STAFF)
    with connection.cursor() as cursor:
        cursor.execute("SELECT record_type, fields, to_jsonb(j)::text FROM audit_journal j ORDER BY id DESC LIMIT 1")
        record_type, fields, whole = cursor.fetchone()
    assert (record_type, set(fields)) == ("staff", {"name", "profession", "contract", "certificate"})
    assert STAFF["身分證字號"] not in whole
    assert "示範申" not in whole


@pytest.mark.parametrize("username", ["recorder", "supervisor", "administrator", "analyst"])
def test_only_the_desk_imports(db, username):
    actor = world.actor(username)
    for importing, row in ((import_institutions, INSTITUTION), (import_staff, STAFF)):
        with pytest.raises(PermissionDenied):
            importing(csv_of(row), good_rows_only=False, by=actor)


def test_one_card_written_in_two_ways_is_one_staff_member(as_owner: None) -> None:
    small = STAFF | {"醫事機構代碼": world.PHARMACY, "身分證字號": f" {make_up(300, 'S').lower()}"}
    report = staff(STAFF, small)
    assert (report.recorded, report.refused) == (2, [])
    (member,) = StaffMember.objects.filter(name="示範申")
    assert StaffContract.objects.filter(staff=member).count() == 2


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (make_up(300, "S")[:-1] + "x", "identity-unreadable"),
        ("A123456780", "identity-checksum"),
        ("王小明", "identity-unreadable"),
    ],
)
def test_a_staff_number_that_is_no_card_is_refused_with_its_reason(as_owner: None, number: str, code: str) -> None:
    report = staff(STAFF | {"身分證字號": number})
    ((_, problems),) = report.refused
    assert [problem.code for problem in problems] == [code]
    assert number not in problems[0].message
