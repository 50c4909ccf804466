"""The desk's lists: what one row of each holds, and how its cells are read. A file and a form are read by the same."""

from dataclasses import dataclass, field
from datetime import date

from quitledger.policy.sentences import Words

from . import imports
from .imports import Column
from .models import Change, Profession, QuotaKind, Tier

NO_PARENT = "-"  # in the column of the parent: no branch any longer


@dataclass(frozen=True)
class InstitutionRow:
    """An institution as it is called and stands from a day on; with a contract's days, its contract, too.

    `code` finds the institution, an old code as well; `new_code` is its code from that day on. `parent_code`: "" leaves
    the parent as it is, NO_PARENT takes it away.
    """

    code: str
    name: str
    tier: str
    county: str
    address: str
    starts_on: date
    contract_starts_on: date | None = None
    contract_ends_on: date | None = None
    new_code: str = ""
    change: str = ""
    parent_code: str = ""


@dataclass(frozen=True)
class ContractRow:
    """A contract of an institution. Its first day tells it from the institution's others."""

    institution_code: str
    starts_on: date
    ends_on: date | None = None
    end_reason: str = ""


@dataclass(frozen=True)
class StaffRow:
    """A person, an institution and what he may do there; perhaps a certificate."""

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


@dataclass(frozen=True)
class CertificateRow:
    """A qualification of a staff member, who is found by his identity number. Kind and last day tell it from others."""

    identity_number: str = field(repr=False)
    kind: str
    ends_on: date
    number: str = ""
    starts_on: date | None = None


@dataclass(frozen=True)
class QuotaRow:
    """How many visits with a service an institution may have in a year; None: no limit. A warning, never a refusal."""

    institution_code: str
    year: int
    kind: str
    visits: int | None


_CODE = Column(
    Words("醫事機構代碼"), "institution_code", imports.code, hint=Words("10 位數字，舊代碼也可以"), width="m"
)
_IDENTITY = Column(Words("身分證字號"), "identity_number", imports.text(20), secret=True, width="m")

INSTITUTION_COLUMNS = (
    Column(Words("醫事機構代碼"), "code", imports.code, hint=Words("10 位數字；用舊代碼也找得到機構"), width="m"),
    Column(Words("機構名稱"), "name", imports.text(100), grow=True),
    Column(Words("層級別"), "tier", imports.one_of(dict(Tier.choices)), choices=dict(Tier.choices)),
    Column(Words("縣市"), "county", imports.text(10), width="m"),
    Column(Words("地址"), "address", imports.text(200), optional=True, empty="", grow=True),
    Column(Words("起日"), "starts_on", imports.day, hint=Words("以上內容從哪一天起"), width="m"),
    Column(Words("新代碼"), "new_code", imports.code, optional=True, empty="", hint=Words("換發代碼時填，自起日生效"), width="m"),
    Column(Words("變更事由"), "change", imports.one_of(dict(Change.choices)), optional=True, empty="", choices=dict(Change.choices)),
    Column(Words("上級機構代碼"), "parent_code", imports.parent_code, optional=True, empty="",
           hint=Words("分院填總院的代碼；填 - 表示不再是分院"), width="m"),
    Column(Words("合約起日"), "contract_starts_on", imports.day, optional=True, hint=Words("同時登錄合約時填"), width="m"),
    Column(Words("合約迄日"), "contract_ends_on", imports.day, optional=True, width="m"),
)  # fmt: skip
CONTRACT_COLUMNS = (
    _CODE,
    Column(Words("合約起日"), "starts_on", imports.day, width="m"),
    Column(Words("合約迄日"), "ends_on", imports.day, optional=True, hint=Words("含當日；不填就是尚未終止"), width="m"),
    Column(Words("終止事由"), "end_reason", imports.text(200), optional=True, empty="", grow=True),
)
STAFF_COLUMNS = (
    _CODE,
    _IDENTITY,
    Column(Words("姓名"), "name", imports.text(60), width="l"),
    Column(Words("職類"), "profession", imports.one_of(dict(Profession.choices)), choices=dict(Profession.choices)),
    Column(Words("合約起日"), "starts_on", imports.day, width="m"),
    Column(Words("合約迄日"), "ends_on", imports.day, optional=True, hint=Words("含當日；不填就是尚未終止"), width="m"),
    Column(Words("用藥"), "may_medicate", imports.yes_or_no, choices=imports.YES_NO),
    Column(Words("衛教"), "may_counsel", imports.yes_or_no, choices=imports.YES_NO),
    Column(Words("資格證明"), "certificate", imports.text(60), optional=True, empty="", width="l"),
    Column(Words("證明到期日"), "certificate_ends_on", imports.day, optional=True, width="m"),
)
CERTIFICATE_COLUMNS = (
    _IDENTITY,
    Column(Words("證明種類"), "kind", imports.text(60), width="l"),
    Column(Words("字號"), "number", imports.text(60), optional=True, empty="", width="l"),
    Column(Words("發證日"), "starts_on", imports.day, optional=True, width="m"),
    Column(Words("到期日"), "ends_on", imports.day, hint=Words("照證明上的日期，不由系統推算"), width="m"),
)
QUOTA_COLUMNS = (
    _CODE,
    Column(Words("年度"), "year", imports.year, hint=Words("民國年，例：114"), width="s"),
    Column(Words("服務"), "kind", imports.one_of(dict(QuotaKind.choices)), choices=dict(QuotaKind.choices)),
    Column(Words("人次上限"), "visits", imports.whole_number, optional=True, hint=Words("不填就是沒有上限"), width="s"),
)
