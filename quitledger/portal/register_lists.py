"""The desk's lists as pages, files and forms show them: one Register each. The pages themselves: portal.registers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from django.db.models import Exists, Model, OuterRef, Q, QuerySet

from quitledger.accounts.permissions import Permission
from quitledger.institutions import lists
from quitledger.institutions.imports import YES_NO, Column, Writer
from quitledger.institutions.models import (
    Certificate,
    Change,
    Contract,
    InstitutionDetails,
    Quota,
    QuotaKind,
    StaffContract,
    Tier,
)
from quitledger.institutions.services import (
    record_certificate,
    record_contract,
    record_institution,
    record_quota,
    record_staff,
)
from quitledger.interop.sheets import Cell
from quitledger.policy import TAIPEI, policy_on
from quitledger.policy.sentences import Month, Sentence, Words, Year
from quitledger.visits.findings import with_used
from quitledger.visits.models import WindowExtension
from quitledger.visits.services import EXTENSION_COLUMNS, ExtensionRow, record_extension


@dataclass(frozen=True)
class Around:
    """What a line says beyond its record: today, and how the institutions on the page are called."""

    today: date
    institutions: Mapping[int, InstitutionDetails]

    def code(self, institution_id: int | None) -> str:
        """The code of an institution."""
        details = self.institutions.get(institution_id or 0)
        return details.code if details else ""

    def name(self, institution_id: int | None) -> str:
        """The name of an institution."""
        details = self.institutions.get(institution_id or 0)
        return details.name if details else ""


Tag = tuple[str, str]  # kind and words of a tag of state


@dataclass(frozen=True)
class Register:
    """One of the desk's lists.

    `columns` are those of its file and its form. `values` says what a record holds, by column name (list, download and
    the form begin with it); `more` what else is worth a column, by title. `listed` and `more_listed` are the columns of the
    page's list, beside the heading. `history`: column of the table → label.
    """

    name: str
    title: str
    about: str
    columns: tuple[Column, ...]
    make: Callable[..., Any]
    record: Writer
    rows: Callable[[], Any]
    search: Callable[[str], Q]
    heading: Callable[[Any, Around], str]
    values: Callable[[Any, Around], Mapping[str, Cell]]
    listed: tuple[str, ...]
    more: Mapping[str, Callable[[Any, Around], Cell]] = field(default_factory=dict)
    more_listed: tuple[str, ...] = ()
    tag: Callable[[Any, Around], Tag | None] = lambda record, around: None
    filters: Mapping[str, tuple[str, Callable[[Any, date], QuerySet[Any]]]] = field(default_factory=dict)
    history: Mapping[str, str] = field(default_factory=dict)
    history_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    permission: Permission = Permission.REGISTER_RECORD
    can_change: bool = True
    dated: bool = False  # a new value from a day on is a record of its own

    @property
    def table(self) -> str:
        """The table of its records."""
        return str(self.rows().model._meta.db_table)

    @property
    def form_columns(self) -> dict[str, Column]:
        """The columns by name."""
        return {column.name: column for column in self.columns}


def around(records: Sequence[Model], today: date) -> Around:
    """Today's (else the latest) details of the institutions of these records."""
    keys: set[int] = {key for record in records if (key := getattr(record, "institution_id", None))}
    keys |= {
        record.institution.parent_id
        for record in records
        if isinstance(record, InstitutionDetails) and record.institution.parent_id
    }
    found = InstitutionDetails.objects.filter(institution_id__in=keys).order_by("starts_on")
    names: dict[int, InstitutionDetails] = {}
    for details in found:
        if details.institution_id not in names or details.starts_on <= today:
            names[details.institution_id] = details
    return Around(today, names)


def _of_institution(words: str) -> Q:
    details = InstitutionDetails.objects.filter(Q(code=words) | Q(name__icontains=words))
    return Q(institution_id__in=details.values("institution_id"))


def _yes_no(value: bool) -> str:
    return YES_NO["yes"] if value else YES_NO["no"]


def _period_tag(record: Any, around: Around) -> Tag | None:
    if record.ends_on and record.ends_on < around.today:
        return "", Sentence("{day} 已終止", day=record.ends_on)
    if record.starts_on > around.today:
        return "in", Sentence("{day} 起", day=record.starts_on)
    if record.ends_on:
        return "warn", Sentence("到 {day}", day=record.ends_on)
    return "ok", Words("有效")


# --- Institutions and contracts --------------------------------------------------------------------------------------


def _institution_values(details: InstitutionDetails, around: Around) -> Mapping[str, Cell]:
    return {
        "code": details.code, "name": details.name, "tier": details.get_tier_display(), "county": details.county,
        "address": details.address, "starts_on": details.starts_on, "new_code": "",
        "change": details.get_change_display() if details.change else "",
        "parent_code": around.code(details.institution.parent_id),
    }  # fmt: skip


INSTITUTIONS = Register(
    name="institutions",
    title=Words("醫事機構"),
    about=Words("代碼、名稱、層級別、縣市、地址與上級機構。換發代碼、更名、遷址、改制、承接，都從某一天起登錄新的內容，機構的就醫資料、療程與帳號不變。"),
    columns=lists.INSTITUTION_COLUMNS,
    make=lists.InstitutionRow,
    record=record_institution,
    rows=lambda: InstitutionDetails.objects.select_related("institution").order_by("code", "-starts_on"),
    search=_of_institution,
    heading=lambda details, around: f"{details.name} {details.code}",
    values=_institution_values,
    listed=("tier", "county", "starts_on"),
    more_listed=(Words("迄日"),),
    more={Words("迄日"): lambda details, around: details.ends_on},
    tag=_period_tag,
    filters={
        "now": (Words("現在的"), lambda rows, today: rows.in_force_on(today)),
        "branches": (Words("分院"), lambda rows, today: rows.in_force_on(today).filter(institution__parent__isnull=False)),
        "all": (Words("含以前的"), lambda rows, today: rows),
    },
    history={
        "code": Words("醫事機構代碼"), "name": Words("機構名稱"), "tier": Words("層級別"), "county": Words("縣市"), "address": Words("地址"), "starts_on": Words("起日"),
        "ends_on": Words("迄日"), "change": Words("變更事由"),
    },
    history_labels={"tier": dict(Tier.choices), "change": dict(Change.choices)},
    dated=True,
)  # fmt: skip
CONTRACTS = Register(
    name="contracts",
    title=Words("機構合約"),
    about=Words("機構從哪一天到哪一天提供戒菸服務。終止的合約填迄日與事由；溯及終止時，已登錄的就醫資料不變，另列在「無合約的服務」。"),
    columns=lists.CONTRACT_COLUMNS,
    make=lists.ContractRow,
    record=record_contract,
    rows=lambda: Contract.objects.select_related("institution").order_by("-starts_on", "-pk"),
    search=_of_institution,
    heading=lambda contract, around: around.name(contract.institution_id),
    values=lambda contract, around: {
        "institution_code": around.code(contract.institution_id), "starts_on": contract.starts_on,
        "ends_on": contract.ends_on, "end_reason": contract.end_reason,
    },
    listed=("institution_code", "starts_on", "ends_on", "end_reason"),
    more={Words("機構名稱"): lambda contract, around: around.name(contract.institution_id)},
    tag=_period_tag,
    filters={
        "all": (Words("全部"), lambda rows, today: rows),
        "now": (Words("有效的"), lambda rows, today: rows.in_force_on(today)),
        "ended": (Words("已終止的"), lambda rows, today: rows.filter(ends_on__lt=today)),
    },
    history={"starts_on": Words("合約起日"), "ends_on": Words("合約迄日"), "end_reason": Words("終止事由")},
)  # fmt: skip


# --- Staff -----------------------------------------------------------------------------------------------------------

STAFF = Register(
    name="staff",
    title=Words("人員合約"),
    about=Words("醫事人員在哪個機構、從哪一天到哪一天、可以提供用藥或衛教。同一人在幾個機構就有幾筆合約；證號只用來認人，不再顯示。"),
    columns=lists.STAFF_COLUMNS,
    make=lists.StaffRow,
    record=record_staff,
    rows=lambda: StaffContract.objects.select_related("staff", "institution").order_by("staff__name", "-starts_on", "pk"),
    search=lambda words: _of_institution(words) | Q(staff__name__icontains=words),
    heading=lambda contract, around: Sentence("{staff} {name}", staff=str(contract.staff), name=around.name(contract.institution_id)),
    values=lambda contract, around: {
        "institution_code": around.code(contract.institution_id), "name": contract.staff.name,
        "profession": contract.staff.get_profession_display(), "starts_on": contract.starts_on,
        "ends_on": contract.ends_on, "may_medicate": _yes_no(contract.may_medicate),
        "may_counsel": _yes_no(contract.may_counsel),
    },
    listed=("institution_code", "starts_on", "ends_on", "may_medicate", "may_counsel"),
    more={Words("機構名稱"): lambda contract, around: around.name(contract.institution_id)},
    tag=_period_tag,
    filters={
        "all": (Words("全部"), lambda rows, today: rows),
        "now": (Words("有效的"), lambda rows, today: rows.in_force_on(today)),
        "ended": (Words("已終止的"), lambda rows, today: rows.filter(ends_on__lt=today)),
    },
    history={
        "starts_on": Words("合約起日"), "ends_on": Words("合約迄日"), "may_medicate": Words("用藥"), "may_counsel": Words("衛教"),
    },
)  # fmt: skip


def notice_until(today: date) -> date:
    """Certificates that end until this day are listed as expiring (policy certificate_notice_days)."""
    days: int = policy_on(today, "certificate_notice_days")
    return today + timedelta(days=days)


def expiring(rows: QuerySet[Any], today: date) -> QuerySet[Any]:
    """Certificates of staff with a contract in force that have ended or soon will, and that no later one of the same
    kind follows."""
    later = Certificate.objects.filter(staff=OuterRef("staff"), kind=OuterRef("kind"), ends_on__gt=OuterRef("ends_on"))
    contracted = StaffContract.objects.in_force_on(today).values("staff_id")
    return rows.filter(~Exists(later), ends_on__lte=notice_until(today), staff_id__in=contracted)


def _certificate_tag(certificate: Certificate, around: Around) -> Tag | None:
    if certificate.ends_on < around.today:
        return "bad", Words("已到期")
    if certificate.ends_on <= notice_until(around.today):
        return "warn", Sentence("剩 {days} 天", days=(certificate.ends_on - around.today).days)
    return "ok", Words("有效")


CERTIFICATES = Register(
    name="certificates",
    title=Words("資格證明"),
    about=Words("醫事人員的資格證明與到期日。到期日照證明登錄，不由系統推算。"),
    columns=lists.CERTIFICATE_COLUMNS,
    make=lists.CertificateRow,
    record=record_certificate,
    rows=lambda: Certificate.objects.select_related("staff").order_by("ends_on", "pk"),
    search=lambda words: (
        Q(staff__name__icontains=words) | Q(kind__icontains=words) | Q(number=words)
        | Q(staff__contracts__institution_id__in=InstitutionDetails.objects.filter(
            Q(code=words) | Q(name__icontains=words)).values("institution_id"))
    ),
    heading=lambda certificate, around: Sentence("{staff} {kind}", staff=str(certificate.staff), kind=certificate.kind),
    values=lambda certificate, around: {
        "kind": certificate.kind, "number": certificate.number, "starts_on": certificate.starts_on,
        "ends_on": certificate.ends_on,
    },
    listed=("number", "ends_on"),
    more={Words("人員"): lambda certificate, around: str(certificate.staff)},
    tag=_certificate_tag,
    filters={
        "all": (Words("全部"), lambda rows, today: rows),
        "expiring": (Words("即將到期或已到期"), expiring),
    },
    history={"kind": Words("證明種類"), "number": Words("字號"), "starts_on": Words("發證日"), "ends_on": Words("到期日")},
)  # fmt: skip


# --- Quotas and extensions -------------------------------------------------------------------------------------------


def _quota_tag(quota: Any, around: Around) -> Tag | None:
    if quota.visits is None:
        return "", Words("沒有上限")
    return ("warn", Words("已達上限")) if quota.used >= quota.visits else ("ok", Words("未達上限"))


QUOTAS = Register(
    name="quotas",
    title=Words("人次上限"),
    about=Words("各機構各年各項服務的人次上限。超過時只提醒機構與窗口，不拒絕登錄。沒有登錄的，就是沒有上限。"),
    columns=lists.QUOTA_COLUMNS,
    make=lists.QuotaRow,
    record=record_quota,
    rows=lambda: with_used(Quota.objects.select_related("institution")).order_by("-year", "institution_id", "kind"),
    search=_of_institution,
    heading=lambda quota, around: Sentence("{name} {year} 年", name=around.name(quota.institution_id), year=Year(quota.year)),
    values=lambda quota, around: {
        "institution_code": around.code(quota.institution_id), "year": Sentence("{year}", year=Year(quota.year)),
        "kind": quota.get_kind_display(), "visits": quota.visits,
    },
    listed=("institution_code", "kind", "visits"),
    more_listed=(Words("已登錄"),),
    more={
        Words("機構名稱"): lambda quota, around: around.name(quota.institution_id),
        Words("已登錄"): lambda quota, around: quota.used,
    },
    tag=_quota_tag,
    filters={
        "all": (Words("全部"), lambda rows, today: rows),
        "year": (Words("今年的"), lambda rows, today: rows.filter(year=today.year)),
    },
    history={"year": Words("年度（西元）"), "kind": Words("服務"), "visits": Words("人次上限")},
    history_labels={"kind": dict(QuotaKind.choices)},
)  # fmt: skip


def _extension_values(extension: WindowExtension, around: Around) -> Mapping[str, Cell]:
    last = (extension.closes_at - timedelta(minutes=1)).astimezone(TAIPEI)
    whole_day = extension.closes_at.astimezone(TAIPEI).time() == last.min.time()
    closes_at = extension.closes_at.astimezone(TAIPEI)
    return {
        "month": Sentence("{month}", month=Month(extension.month)), "reach": extension.get_reach_display(),
        "county": extension.county, "institution_code": around.code(extension.institution_id),
        "last_day": last.date() if whole_day else closes_at.date(),
        "last_time": "" if whole_day else f"{closes_at:%H:%M}", "reason": extension.reason,
    }  # fmt: skip


EXTENSIONS = Register(
    name="extensions",
    title=Words("登錄期限延長"),
    about=Words("因系統中斷、天災等延長某月的登錄期限。只能延長，不能縮短；登錄後不修改也不收回。"),
    columns=EXTENSION_COLUMNS,
    make=ExtensionRow,
    record=record_extension,
    rows=lambda: WindowExtension.objects.select_related("decided_by").order_by("-decided_at", "-pk"),
    search=lambda words: _of_institution(words) | Q(county=words) | Q(reason__icontains=words),
    heading=lambda extension, around: Sentence("{month}", month=Month(extension.month)),
    values=_extension_values,
    listed=("month", "reach", "county", "institution_code", "last_day", "last_time", "reason"),
    more_listed=(Words("決定者"), Words("決定時間")),
    more={
        Words("決定者"): lambda extension, around: str(extension.decided_by),
        Words("決定時間"): lambda extension, around: extension.decided_at,
    },
    filters={"all": (Words("全部"), lambda rows, today: rows)},
    permission=Permission.WINDOW_EXTEND,
    can_change=False,
)
REGISTERS = {register.name: register for register in (INSTITUTIONS, CONTRACTS, STAFF, CERTIFICATES, QUOTAS, EXTENSIONS)}
