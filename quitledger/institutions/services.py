"""The only writers of institutions, contracts, staff and memberships. Run as the owner role (commands)."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TextIO

from django.db import transaction

from quitledger.accounts.actors import Actor
from quitledger.accounts.keys import keys
from quitledger.accounts.models import User
from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.policy import DateError, parse_date
from quitledger.policy.problem import Problem, Refused

from .models import (
    Certificate,
    Contract,
    Institution,
    InstitutionDetails,
    Membership,
    Profession,
    StaffContract,
    StaffMember,
    Tier,
)


@dataclass(frozen=True)
class InstitutionRow:
    """One line of the list of contracted institutions."""

    code: str
    name: str
    tier: str
    county: str
    address: str
    contract_starts_on: date
    contract_ends_on: date | None


@dataclass(frozen=True)
class StaffRow:
    """One line of the list of contracted staff: a person, an institution and what he may do there."""

    institution_code: str
    identity_number: str = field(repr=False)
    name: str
    profession: str
    starts_on: date
    ends_on: date | None
    may_medicate: bool
    may_counsel: bool
    certificate: str = ""
    certificate_ends_on: date | None = None


def record_institution(row: InstitutionRow, *, by: Actor) -> Institution:
    """Record an institution with its details and contract; one known by its code is left as it is."""
    by.require(Permission.INSTITUTION_IMPORT)
    known = InstitutionDetails.objects.filter(code=row.code).select_related("institution").first()
    if known is not None:
        return known.institution
    with transaction.atomic():
        institution = Institution.objects.create()
        institution.refresh_from_db(fields=["uid"])
        InstitutionDetails.objects.create(
            institution=institution,
            starts_on=row.contract_starts_on,
            code=row.code,
            name=row.name,
            tier=row.tier,
            county=row.county,
            address=row.address,
        )
        Contract.objects.create(institution=institution, starts_on=row.contract_starts_on, ends_on=row.contract_ends_on)
        journal.record(
            Permission.INSTITUTION_IMPORT,
            record_type="institution",
            uids=[institution.uid],
            fields=["code", "name", "tier", "county", "address", "contract"],
        )
    return institution


def record_staff(row: StaffRow, *, by: Actor) -> StaffMember:
    """Record a staff member (found by identity number where known) and the contract with an institution.

    Raises Refused where no institution has the code. A contract that starts on the same day is left as it is.
    """
    by.require(Permission.INSTITUTION_IMPORT)
    details = InstitutionDetails.objects.filter(code=row.institution_code).first()
    if details is None:
        raise Refused(
            [Problem("institution-unknown", f"找不到代碼 {row.institution_code} 的機構。", "institution_code")]
        )
    hashed = keys().keyed_hash(f"staff:{row.identity_number}")
    with transaction.atomic():
        staff = StaffMember.objects.filter(identity_hash=hashed).first()
        if staff is None:
            token, key_id = keys().encrypt(row.identity_number, about=b"staff")
            staff = StaffMember.objects.create(
                name=row.name,
                profession=row.profession,
                identity_hash=hashed,
                identity_token=token,
                identity_key_id=key_id,
            )
            staff.refresh_from_db(fields=["uid"])
        StaffContract.objects.get_or_create(
            staff=staff,
            institution_id=details.institution_id,
            starts_on=row.starts_on,
            defaults={"ends_on": row.ends_on, "may_medicate": row.may_medicate, "may_counsel": row.may_counsel},
        )
        if row.certificate and row.certificate_ends_on:
            Certificate.objects.get_or_create(staff=staff, kind=row.certificate, ends_on=row.certificate_ends_on)
        journal.record(
            Permission.INSTITUTION_IMPORT,
            record_type="staff",
            uids=[staff.uid],
            fields=["name", "profession", "contract"],
        )
    return staff


def add_membership(
    *, user: User, institution: Institution, role: str, starts_on: date, ends_on: date | None = None, by: Actor
) -> Membership:
    """Give an account its place at an institution from a day on."""
    by.require(Permission.ACCOUNT_ADD)
    with transaction.atomic():
        membership = Membership.objects.create(
            user=user, institution=institution, role=role, starts_on=starts_on, ends_on=ends_on
        )
        journal.record("membership.add", record_type="account", uids=[user.uid, institution.uid], fields=["role"])
    return membership


# --- Import from CSV -------------------------------------------------------------------------------------------------

INSTITUTION_COLUMNS = {
    "醫事機構代碼": "code",
    "機構名稱": "name",
    "層級別": "tier",
    "縣市": "county",
    "地址": "address",
    "合約起日": "contract_starts_on",
    "合約迄日": "contract_ends_on",
}
STAFF_COLUMNS = {
    "醫事機構代碼": "institution_code",
    "身分證字號": "identity_number",
    "姓名": "name",
    "職類": "profession",
    "合約起日": "starts_on",
    "合約迄日": "ends_on",
    "用藥": "may_medicate",
    "衛教": "may_counsel",
    "資格證明": "certificate",
    "證明到期日": "certificate_ends_on",
}
_OPTIONAL = {"address", "contract_ends_on", "ends_on", "certificate", "certificate_ends_on"}
_WORDS = {"是": True, "否": False, "1": True, "0": False, "Y": True, "N": False}
_LABELS = {
    "tier": dict(zip(Tier.labels, Tier.values, strict=True)),
    "profession": dict(zip(Profession.labels, Profession.values, strict=True)),
}


@dataclass
class ImportReport:
    """What an import did: rows recorded, and for each bad row its line in the file and its problems."""

    recorded: int = 0
    refused: list[tuple[int, list[Problem]]] = field(default_factory=list)


def import_institutions(file: TextIO, *, good_rows_only: bool, by: Actor) -> ImportReport:
    """Import institutions from CSV (columns INSTITUTION_COLUMNS): all or, where chosen, the good rows only."""
    return _import(file, INSTITUTION_COLUMNS, InstitutionRow, record_institution, good_rows_only, by)


def import_staff(file: TextIO, *, good_rows_only: bool, by: Actor) -> ImportReport:
    """Import staff and their contracts from CSV (columns STAFF_COLUMNS): all or, where chosen, the good rows only."""
    return _import(file, STAFF_COLUMNS, StaffRow, record_staff, good_rows_only, by)


def _import(file: TextIO, columns: Mapping[str, str], make, record, good_rows_only: bool, by: Actor) -> ImportReport:  # type: ignore[no-untyped-def]
    by.require(Permission.INSTITUTION_IMPORT)
    report = ImportReport()
    reader = csv.DictReader(file)
    missing = [
        title for title, name in columns.items() if name not in _OPTIONAL and title not in (reader.fieldnames or [])
    ]
    if missing:
        raise Refused(
            [Problem("column-missing", f"檔案缺少欄位：{'、'.join(missing)}。", title) for title in missing[:1]]
        )
    rows = []
    for cells in reader:
        values, problems = _read(cells, columns)
        if problems:
            report.refused.append((reader.line_num, problems))
        else:
            rows.append((reader.line_num, make(**values)))
    if report.refused and not good_rows_only:
        return report
    with transaction.atomic():
        for line, row in rows:
            try:
                with transaction.atomic():
                    record(row, by=by)
                report.recorded += 1
            except Refused as refused:
                report.refused.append((line, refused.problems))
        if report.refused and not good_rows_only:
            transaction.set_rollback(True)
            report.recorded = 0
    return report


def _read(cells: Mapping[str, str | None], columns: Mapping[str, str]) -> tuple[dict[str, object], list[Problem]]:
    """One row's values by name, and its problems."""
    values: dict[str, object] = {}
    problems: list[Problem] = []
    for title, name in columns.items():
        text = (cells.get(title) or "").strip()
        if not text and name not in _OPTIONAL:
            problems.append(Problem("value-missing", f"「{title}」沒有填。", title))
        elif name.endswith("_on"):
            try:
                values[name] = parse_date(text) if text else None
            except DateError as error:
                problems.append(Problem("date-unreadable", f"「{title}」：{error}", title))
        elif name in _LABELS:
            values[name] = _LABELS[name].get(text)
            if values[name] is None:
                problems.append(Problem("word-unknown", f"「{title}」應為 {'、'.join(_LABELS[name])} 之一。", title))
        elif name.startswith("may_"):
            values[name] = _WORDS.get(text.upper())
            if values[name] is None:
                problems.append(Problem("word-unknown", f"「{title}」應為「是」或「否」。", title))
        else:
            values[name] = text
    if "code" in columns.values() and not _is_code(str(values.get("code", ""))):
        problems.append(Problem("code-invalid", "「醫事機構代碼」應為 10 位數字。", "醫事機構代碼"))
    return values, problems


def _is_code(text: str) -> bool:
    return len(text) == 10 and text.isascii() and text.isdigit()
