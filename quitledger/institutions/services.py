"""The only writers of institutions, contracts, staff and memberships. Run as the owner role (commands)."""

from dataclasses import dataclass, field, replace
from datetime import date
from typing import TextIO

from django.db import transaction

from quitledger.accounts.actors import Actor
from quitledger.accounts.keys import keys
from quitledger.accounts.models import User
from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.audit.database import purpose
from quitledger.policy.identity import check_identity, normalise, recognise
from quitledger.policy.problem import Problem, Refused
from quitledger.policy.sentences import Sentence

from . import imports
from .imports import Column, ImportReport
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

    Raises Refused where no institution has the code, or of a certificate only its name or its last day is given. A
    contract that starts on the same day is left as it is.
    """
    by.require(Permission.INSTITUTION_IMPORT)
    details = InstitutionDetails.objects.filter(code=row.institution_code).first()
    if details is None:
        raise Refused(
            [
                Problem(
                    "institution-unknown",
                    Sentence("找不到代碼 {code} 的機構。", code=row.institution_code),
                    "institution_code",
                )
            ]
        )
    if bool(row.certificate) != bool(row.certificate_ends_on):
        missing = "證明到期日" if row.certificate else "資格證明"
        message = Sentence("「{column}」沒有填，無法登錄資格證明。", column=missing)
        raise Refused([Problem("certificate-incomplete", message, missing)])
    number = normalise(row.identity_number)
    problems = _check_staff_number(number)
    if problems:
        raise Refused(problems)
    hashed = keys().keyed_hash(f"staff:{number}")
    with transaction.atomic():
        staff = StaffMember.objects.filter(identity_hash=hashed).first()
        if staff is None:
            token, key_id = keys().encrypt(number, about=b"staff")
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
            fields=["name", "profession", "contract", *(["certificate"] if row.certificate else [])],
        )
    return staff


def _check_staff_number(number: str) -> list[Problem]:
    """A staff member is told apart by his card's number: one wrong character makes a second person of him."""
    kind = recognise(number)
    if kind is None:
        message = Sentence("「身分證字號」不是身分證或居留證的號碼（1 個英文字母加 9 位數字），請核對證件。")
        return [Problem("identity-unreadable", message, "身分證字號")]
    found = check_identity(kind, number, made_up_allowed=purpose() != "production")
    return [replace(problem, field="身分證字號") for problem in found]


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

INSTITUTION_COLUMNS = (
    Column("醫事機構代碼", "code", imports.code),
    Column("機構名稱", "name", imports.text(100)),
    Column("層級別", "tier", imports.one_of(dict(Tier.choices))),
    Column("縣市", "county", imports.text(10)),
    Column("地址", "address", imports.text(200), optional=True, empty=""),
    Column("合約起日", "contract_starts_on", imports.day),
    Column("合約迄日", "contract_ends_on", imports.day, optional=True),
)
STAFF_COLUMNS = (
    Column("醫事機構代碼", "institution_code", imports.code),
    Column("身分證字號", "identity_number", imports.text(20)),
    Column("姓名", "name", imports.text(60)),
    Column("職類", "profession", imports.one_of(dict(Profession.choices))),
    Column("合約起日", "starts_on", imports.day),
    Column("合約迄日", "ends_on", imports.day, optional=True),
    Column("用藥", "may_medicate", imports.yes_or_no),
    Column("衛教", "may_counsel", imports.yes_or_no),
    Column("資格證明", "certificate", imports.text(60), optional=True, empty=""),
    Column("證明到期日", "certificate_ends_on", imports.day, optional=True),
)


def import_institutions(file: TextIO, *, good_rows_only: bool, by: Actor) -> ImportReport:
    """Import institutions from CSV (columns INSTITUTION_COLUMNS): all or, where chosen, the good rows only."""
    by.require(Permission.INSTITUTION_IMPORT)
    return imports.import_rows(
        file, INSTITUTION_COLUMNS, InstitutionRow, record_institution, good_rows_only=good_rows_only, by=by
    )


def import_staff(file: TextIO, *, good_rows_only: bool, by: Actor) -> ImportReport:
    """Import staff and their contracts from CSV (columns STAFF_COLUMNS): all or, where chosen, the good rows only."""
    by.require(Permission.INSTITUTION_IMPORT)
    return imports.import_rows(file, STAFF_COLUMNS, StaffRow, record_staff, good_rows_only=good_rows_only, by=by)
