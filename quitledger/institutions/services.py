"""The only writers of the desk's lists: institutions, contracts, staff, their contracts and certificates, quotas.

Each writes one row of a list (institutions.lists): as a new record, as a change of the one that the row finds, or of the
one given as `of`. The pages of the desk, files and the owner's commands call the same.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, TypeVar

from django.db import connection, models, transaction

from quitledger.accounts.actors import Actor
from quitledger.accounts.keys import keys
from quitledger.accounts.permissions import Permission
from quitledger.accounts.services import EncryptedNumber
from quitledger.audit import journal
from quitledger.audit.database import purpose
from quitledger.policy.identity import check_identity, normalise, recognise
from quitledger.policy.problem import Problem, Refused
from quitledger.policy.sentences import Sentence, Words

from . import imports, rules
from .imports import CHANGED, NEW, SAME, ImportReport, Recorded
from .lists import (
    INSTITUTION_COLUMNS,
    NO_PARENT,
    STAFF_COLUMNS,
    CertificateRow,
    ContractRow,
    InstitutionRow,
    QuotaRow,
    StaffRow,
)
from .models import Certificate, Contract, Institution, InstitutionDetails, Quota, StaffContract, StaffMember

Row = TypeVar("Row", bound=models.Model)


def institution_by_code(code: str, on: date) -> Institution | None:
    """The institution that has a code on a day; else whichever had it last, or will: old files find it, too."""
    found = InstitutionDetails.objects.filter(code=code).select_related("institution")
    details = found.in_force_on(on).first() or found.order_by("-starts_on").first()
    return details.institution if details else None


def record_institution(row: InstitutionRow, *, by: Actor, of: InstitutionDetails | None = None) -> Recorded:
    """Record what an institution is called and where it stands from a day on, its parent, and perhaps its contract.

    `of`: correct that record, its first day and code too, instead of adding one. Returns the details. Raises Refused,
    PermissionDenied.
    """
    by.require(Permission.REGISTER_RECORD)
    starts_on = row.starts_on
    with transaction.atomic():
        institution = of.institution if of else institution_by_code(row.code, starts_on)
        parent, problems = _parent(row, institution, starts_on)
        if problems:
            raise Refused(problems)
        if institution is None:
            institution = Institution.objects.create(parent=parent)
            institution.refresh_from_db(fields=["uid"])
        values = {name: getattr(row, name) for name in ("name", "tier", "county", "address", "change")}
        recorded = (
            _correct_details(of, row, starts_on, values) if of else _date_details(institution, row, starts_on, values)
        )
        did = [recorded.did]
        if row.parent_code and institution.parent_id != (parent.pk if parent else None):
            institution.parent = parent
            institution.save(update_fields=["parent"])
            did.append(CHANGED)
        if row.contract_starts_on:
            contract = ContractRow(row.new_code or row.code, row.contract_starts_on, row.contract_ends_on)
            did.append(record_contract(contract, by=by, institution=institution).did)
        recorded = _in_all(recorded, did)
        if recorded.did != SAME:
            journal.record(
                Permission.REGISTER_RECORD, record_type="institution", uids=[institution.uid],
                fields=["code", "name", "tier", "county", "address", "parent", "starts_on"],
            )  # fmt: skip
    return recorded


def _correct_details(
    details: InstitutionDetails, row: InstitutionRow, starts_on: date, values: Mapping[str, Any]
) -> Recorded:
    others = details.institution.details.exclude(pk=details.pk).values_list("starts_on", "ends_on")
    _refuse(rules.check_period(starts_on, details.ends_on, others, what=Words("資料")))
    new = {**values, "starts_on": starts_on, "code": row.new_code or row.code}
    _refuse_taken(new["code"], details.institution, starts_on, details.ends_on)
    return _brought_up(details, new)


def _date_details(
    institution: Institution, row: InstitutionRow, starts_on: date, values: Mapping[str, Any]
) -> Recorded:
    """Let `values` hold from a day on, until the next ones that are recorded already."""
    dated = institution.details.order_by("starts_on")
    now: InstitutionDetails | None = dated.in_force_on(starts_on).first()
    later = dated.filter(starts_on__gt=starts_on).first()
    code = row.new_code or (now.code if now else row.code)
    before_later = later.starts_on - timedelta(days=1) if later else None
    ends_on = now.ends_on if now else before_later
    _refuse_taken(code, institution, starts_on, ends_on)
    new = {**values, "code": code}
    if now is not None:
        said = {name: value for name, value in new.items() if name != "change" or value}
        if all(getattr(now, name) == value for name, value in said.items()):
            return Recorded(now, SAME)
        if now.starts_on == starts_on:
            return _brought_up(now, said)
        now.ends_on = starts_on - timedelta(days=1)
        now.save(update_fields=["ends_on"])
    details = InstitutionDetails.objects.create(institution=institution, starts_on=starts_on, ends_on=ends_on, **new)
    return Recorded(details, CHANGED if now else NEW)


def _refuse_taken(code: str, institution: Institution, starts_on: date, ends_on: date | None) -> None:
    """A code belongs to one institution at a time."""
    others = InstitutionDetails.objects.filter(code=code).exclude(institution=institution)
    taken = rules.check_period(starts_on, ends_on, others.values_list("starts_on", "ends_on"))
    _refuse([Problem("code-taken", "這個代碼在這段期間是另一個機構的。", "new_code")] if taken else [])


def _parent(row: InstitutionRow, institution: Institution | None, on: date) -> tuple[Institution | None, list[Problem]]:
    if row.parent_code in ("", NO_PARENT):
        return None, []
    parent = institution_by_code(row.parent_code, on)
    if parent is None:
        return None, [
            Problem(
                "institution-unknown", Sentence("找不到代碼 {code} 的上級機構。", code=row.parent_code), "parent_code"
            )
        ]
    return parent, rules.check_parent(
        is_itself=institution is not None and parent.pk == institution.pk,
        parent_is_branch=parent.parent_id is not None,
        has_branches=institution is not None and institution.branches.exists(),
    )


def record_contract(
    row: ContractRow, *, by: Actor, of: Contract | None = None, institution: Institution | None = None
) -> Recorded:
    """Record the contract of an institution; one that begins on the same day is changed. Raises Refused, PermissionDenied.

    A contract may be ended in retrospect: what was recorded stays, and is listed (visits.findings).
    """
    by.require(Permission.REGISTER_RECORD)
    institution = institution or (of.institution if of else _found(row.institution_code, row.starts_on))
    with transaction.atomic():
        _in_turn(institution)
        contracts = Contract.objects.filter(institution=institution)
        contract = of or contracts.filter(starts_on=row.starts_on).first()
        others = contracts.exclude(pk=contract.pk if contract else 0).values_list("starts_on", "ends_on")
        _refuse(rules.check_period(row.starts_on, row.ends_on, others, what=Words("合約")))
        values = {"starts_on": row.starts_on, "ends_on": row.ends_on, "end_reason": row.end_reason}
        recorded = _written(Contract(institution=institution), contract, values)
        _tell(recorded, "contract", [institution.uid], values)
    return recorded


def record_staff(row: StaffRow, *, by: Actor, of: StaffContract | None = None) -> Recorded:
    """Record a staff member (found by identity number where known) and the contract with an institution.

    Returns the contract; one that begins on the same day is changed. `of`: correct that contract and its staff member,
    whose number stays. Raises Refused, PermissionDenied.
    """
    by.require(Permission.REGISTER_RECORD)
    institution = of.institution if of else _found(row.institution_code, row.starts_on)
    problems = rules.check_certificate(row.certificate, None, row.certificate_ends_on)
    number = "" if of else normalise(row.identity_number)
    problems += [] if of else _check_staff_number(number)
    _refuse(problems)
    with transaction.atomic():
        _in_turn(institution)
        staff = of.staff if of else staff_by_number(number)
        person = _written(_unknown(number), staff, {"name": row.name, "profession": row.profession})
        contracts = StaffContract.objects.filter(staff=person.record, institution=institution)
        contract = of or contracts.filter(starts_on=row.starts_on).first()
        others = contracts.exclude(pk=contract.pk if contract else 0).values_list("starts_on", "ends_on")
        _refuse(rules.check_period(row.starts_on, row.ends_on, others, what=Words("人員合約")))
        values = {
            "starts_on": row.starts_on, "ends_on": row.ends_on,
            "may_medicate": row.may_medicate, "may_counsel": row.may_counsel,
        }  # fmt: skip
        recorded = _written(StaffContract(staff=person.record, institution=institution), contract, values)
        did = [recorded.did, person.did]
        if row.certificate and row.certificate_ends_on:
            certificate = CertificateRow(row.identity_number, row.certificate, row.certificate_ends_on)
            did.append(record_certificate(certificate, by=by, staff=person.record).did)
        recorded = _in_all(recorded, did)
        fields = ["name", "profession", "contract", *(["certificate"] if row.certificate else [])]
        _tell(recorded, "staff", [person.record.uid, institution.uid], fields)
    return recorded


def record_certificate(
    row: CertificateRow, *, by: Actor, of: Certificate | None = None, staff: StaffMember | None = None
) -> Recorded:
    """Record a certificate of a staff member; one of the same kind and last day is changed. Raises Refused,
    PermissionDenied."""
    by.require(Permission.REGISTER_RECORD)
    staff = staff or (of.staff if of else None)
    problems = rules.check_certificate(row.kind, row.starts_on, row.ends_on)
    if staff is None:
        number = normalise(row.identity_number)
        problems += _check_staff_number(number)
        staff = staff_by_number(number)
        if staff is None and not problems:
            problems.append(Problem("staff-unknown", "找不到這個證號的醫事人員，請先登錄人員合約。", "identity_number"))
    _refuse(problems)
    with transaction.atomic():
        held = Certificate.objects.filter(staff=staff)
        same = held.filter(kind=row.kind, ends_on=row.ends_on).first()
        if of is not None and same is not None and same.pk != of.pk:
            raise Refused([Problem("certificate-twice", "這位人員已有同一種、同一天到期的證明。", "ends_on")])
        values = {"kind": row.kind, "ends_on": row.ends_on}
        # A list of contracts names neither number nor first day: what is known of them stays.
        values |= {name: value for name in ("number", "starts_on") if (value := getattr(row, name)) or of}
        recorded = _written(Certificate(staff=staff), of or same, values)
        _tell(recorded, "certificate", [staff.uid] if staff else [], values)
    return recorded


def record_quota(row: QuotaRow, *, by: Actor, of: Quota | None = None) -> Recorded:
    """Record the yearly quota of an institution and a service. Raises Refused, PermissionDenied."""
    by.require(Permission.REGISTER_RECORD)
    institution = of.institution if of else _found(row.institution_code, date(row.year, 1, 1))
    with transaction.atomic():
        _in_turn(institution)
        same = Quota.objects.filter(institution=institution, year=row.year, kind=row.kind).first()
        if of is not None and same is not None and same.pk != of.pk:
            raise Refused([Problem("quota-twice", "這個機構這一年這項服務已有上限，請修改那一筆。", "year")])
        values = {"year": row.year, "kind": row.kind, "visits": row.visits}
        recorded = _written(Quota(institution=institution), of or same, values)
        _tell(recorded, "quota", [institution.uid], values)
    return recorded


# --- What they share -------------------------------------------------------------------------------------------------


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise Refused(problems)


def _found(code: str, on: date) -> Institution:
    institution = institution_by_code(code, on)
    if institution is None:
        raise Refused(
            [Problem("institution-unknown", Sentence("找不到代碼 {code} 的機構。", code=code), "institution_code")]
        )
    return institution


def _in_turn(institution: Institution) -> None:
    """Two who write a list of one institution at once do it one after the other: the second sees what the first wrote, and
    their rows do not wait for each other in a circle. Recording visits there goes on."""
    Institution.objects.select_for_update(no_key=True).get(pk=institution.pk)


def _written(new: Row, known: Row | None, values: Mapping[str, Any]) -> Recorded:
    """`known` brought up to the values, or `new` with them."""
    if known is not None:
        return _brought_up(known, values)
    for name, value in values.items():
        setattr(new, name, value)
    new.save()
    if hasattr(new, "uid"):
        new.refresh_from_db(fields=["uid"])
    return Recorded(new, NEW)


def _brought_up(known: models.Model, values: Mapping[str, Any]) -> Recorded:
    if _differing(known, values):  # read once more, locked: the same form sent twice at once changes it once
        known = type(known)._base_manager.select_for_update().get(pk=known.pk)
    changed = _differing(known, values)
    for name in changed:
        setattr(known, name, values[name])
    if changed:
        known.save(update_fields=changed)
    return Recorded(known, CHANGED if changed else SAME)


def _differing(known: models.Model, values: Mapping[str, Any]) -> list[str]:
    return [name for name, value in values.items() if getattr(known, name) != value]


def _in_all(recorded: Recorded, did: list[str]) -> Recorded:
    """A record that is as it was, but with something new beside it, was changed."""
    return replace(recorded, did=CHANGED) if recorded.did == SAME and set(did) != {SAME} else recorded


def _tell(recorded: Recorded, record_type: str, uids: list[Any], fields: Any) -> None:
    if recorded.did != SAME:
        journal.record(Permission.REGISTER_RECORD, record_type=record_type, uids=uids, fields=list(fields))


def _staff_text(number: str) -> str:
    """What is hashed of a staff member's number."""
    return f"staff:{number}"


STAFF_NUMBERS = EncryptedNumber("institutions_staffmember", b"staff", (), _staff_text)


def staff_by_number(number: str) -> StaffMember | None:
    """The staff member with this number, under whichever key. One at a time: two keys give one number two hashes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('institutions_staffmember'))")
    return StaffMember.objects.filter(identity_hash__in=keys().keyed_hashes(_staff_text(number))).first()


def _unknown(number: str) -> StaffMember:
    """A staff member whose number is met for the first time."""
    token, key_id = keys().encrypt(number, about=b"staff")
    hashed = keys().keyed_hash(_staff_text(number))
    return StaffMember(identity_hash=hashed, identity_token=token, identity_key_id=key_id)


def _check_staff_number(number: str) -> list[Problem]:
    """A staff member is told apart by his card's number: one wrong character makes a second person of him."""
    kind = recognise(number)
    if kind is None:
        words = Words("「身分證字號」不是身分證或居留證的號碼（1 個英文字母加 9 位數字），請核對證件。")
        return [Problem("identity-unreadable", words, "identity_number")]
    found = check_identity(kind, number, made_up_allowed=purpose() != "production")
    return [replace(problem, field="identity_number") for problem in found]


# --- The owner's commands --------------------------------------------------------------------------------------------


def import_institutions(content: bytes, *, good_rows_only: bool, by: Actor) -> ImportReport:
    """Import institutions from a file (columns INSTITUTION_COLUMNS): all or, where chosen, the good rows only."""
    by.require(Permission.REGISTER_RECORD)
    return imports.import_rows(
        imports.read_table(content, INSTITUTION_COLUMNS, most_rows=None),
        INSTITUTION_COLUMNS,
        InstitutionRow,
        record_institution,
        good_rows_only=good_rows_only,
        by=by,
    )


def import_staff(content: bytes, *, good_rows_only: bool, by: Actor) -> ImportReport:
    """Import staff and their contracts from a file (columns STAFF_COLUMNS): all or, where chosen, the good rows only."""
    by.require(Permission.REGISTER_RECORD)
    return imports.import_rows(
        imports.read_table(content, STAFF_COLUMNS, most_rows=None),
        STAFF_COLUMNS,
        StaffRow,
        record_staff,
        good_rows_only=good_rows_only,
        by=by,
    )
