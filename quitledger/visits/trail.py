"""稽核軌跡: who saw or changed a person, a visit, anything in a time. Read from the journal, which holds no values."""

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from quitledger.accounts.actors import Actor
from quitledger.accounts.models import User
from quitledger.accounts.permissions import Permission
from quitledger.cases.models import Case
from quitledger.institutions.models import InstitutionDetails
from quitledger.policy import TAIPEI
from quitledger.policy.sentences import Sentence, Words

from .models import Visit
from .rules import month_of

SEEN, WRITTEN, ACCOUNTS, OTHER = "seen", "written", "accounts", "other"
KINDS = {
    SEEN: Words("查看與下載"),
    WRITTEN: Words("登錄與修改"),
    ACCOUNTS: Words("帳號與登入"),
    OTHER: Words("系統與名冊"),
}
_P = Permission
# action → its kind, and how it is called
ACTIONS: dict[str, tuple[str, str]] = {
    _P.CASE_READ: (SEEN, Words("查看個案")),
    _P.IDENTITY_SHOW: (SEEN, Words("顯示完整證號")),
    _P.VISIT_READ: (SEEN, Words("查看就醫資料")),
    _P.VISIT_DOWNLOAD: (SEEN, Words("下載就醫資料")),
    _P.COURSE_REVIEW: (SEEN, Words("查看療程次變動")),
    _P.AUDIT_READ: (SEEN, Words("查看稽核軌跡")),
    _P.CASE_REGISTER: (WRITTEN, Words("收案")),
    _P.CASE_CHANGE: (WRITTEN, Words("修改個案資料")),
    _P.PERSON_CORRECT: (WRITTEN, Words("更正證號、出生日期或性別")),
    "person.correct_refused": (WRITTEN, Words("更正證號未成")),
    _P.PERSON_CHANGE: (WRITTEN, Words("窗口更正證號、出生日期或性別")),
    _P.PERSON_MERGE: (WRITTEN, Words("合併戒菸者")),
    _P.MERGE_UNDO: (WRITTEN, Words("撤銷合併")),
    _P.BASELINE_RECORD: (WRITTEN, Words("登錄收案評估")),
    _P.VISIT_RECORD: (WRITTEN, Words("登錄就醫資料")),
    _P.TRANSFER: (WRITTEN, Words("移轉舊系統的資料")),
    _P.VISIT_CHANGE: (WRITTEN, Words("修改就醫資料")),
    _P.VISIT_VOID: (WRITTEN, Words("作廢就醫資料")),
    _P.VISIT_RESTORE: (WRITTEN, Words("恢復就醫資料")),
    _P.CORRECTION_READ: (SEEN, Words("查看更正申請")),
    "correction.see": (SEEN, Words("看過更正申請的審核結果")),
    "correction.write": (WRITTEN, Words("填寫更正申請")),
    "correction.rewrite": (WRITTEN, Words("修改更正申請")),
    "correction.submit": (WRITTEN, Words("更正申請送簽核")),
    "correction.sign": (WRITTEN, Words("簽核並送出更正申請")),
    "correction.hand_back": (WRITTEN, Words("退回更正申請給填寫人")),
    "correction.withdraw": (WRITTEN, Words("撤回更正申請")),
    _P.CORRECTION_REGISTER: (WRITTEN, Words("登記紙本更正申請")),
    "correction.claim": (WRITTEN, Words("承辦更正申請")),
    "correction.release": (WRITTEN, Words("更正申請放回待審")),
    "correction.ask": (WRITTEN, Words("就更正申請詢問機構")),
    "correction.answer": (WRITTEN, Words("就更正申請回覆窗口")),
    _P.CORRECTION_DECIDE: (WRITTEN, Words("審核更正申請")),
    "correction.confirm": (WRITTEN, Words("複審更正申請")),
    "correction.refer_back": (WRITTEN, Words("複審退回更正申請")),
    "evidence.attach": (WRITTEN, Words("附上證明文件")),
    "evidence.remove": (WRITTEN, Words("移除證明文件")),
    "evidence.read": (SEEN, Words("開啟證明文件")),
    "case.sheet": (SEEN, Words("列印個案紀錄表")),
    "correction.form": (SEEN, Words("列印更正申請單")),
    _P.VISIT_COMPARE: (SEEN, Words("對照院內名單")),
    "comparison.read": (SEEN, Words("查看對照結果")),
    "comparison.remove": (WRITTEN, Words("刪除對照結果")),
    "batch.upload": (WRITTEN, Words("上傳批次檔案")),
    "batch.ask_columns": (OTHER, Words("批次檔案的欄位待指定")),
    "batch.choose_columns": (WRITTEN, Words("指定批次檔案的欄位")),
    "batch.refuse": (OTHER, Words("批次檔案讀不出來")),
    "batch.check": (OTHER, Words("檢查批次檔案")),
    "batch.read": (SEEN, Words("查看批次")),
    "batch.download": (SEEN, Words("下載批次")),
    "batch.amend": (WRITTEN, Words("修改批次的列")),
    "batch.ask_recording": (WRITTEN, Words("確認登錄批次")),
    "batch.record": (WRITTEN, Words("批次登錄")),
    "batch.give_up": (WRITTEN, Words("放棄批次")),
    _P.BATCH_CLEAR: (OTHER, Words("清除過期的批次與對照")),
    _P.SELFCHECK_READ: (SEEN, Words("查看每月自行清查")),
    _P.SELFCHECK_SIGN: (WRITTEN, Words("簽核每月自行清查")),
    _P.SELFCHECK_REVIEW: (OTHER, Words("查看各機構的自行清查")),
    _P.STATISTICS_PUBLISH: (OTHER, Words("公布年度統計")),
    _P.SELFCHECK_REMIND: (OTHER, Words("寄出清查提醒信")),
    "selfcheck.remind_failed": (OTHER, Words("清查提醒信沒有寄成")),
    "selfcheck.address": (ACCOUNTS, Words("設定提醒信的收信地址")),
    "draft.keep": (WRITTEN, Words("保存草稿")),
    "draft.discard": (WRITTEN, Words("捨棄草稿")),
    "draft.hand_over": (WRITTEN, Words("移交草稿")),
    _P.ACCOUNT_ADD: (ACCOUNTS, Words("新增帳號")),
    _P.ACCOUNT_READ: (ACCOUNTS, Words("查看人員與帳號")),
    _P.ACCOUNT_INVITE: (ACCOUNTS, Words("邀請人員")),
    _P.ACCOUNT_CHANGE: (ACCOUNTS, Words("修改人員")),
    _P.ACCOUNT_RESET: (ACCOUNTS, Words("重設密碼或第二步驗證")),
    _P.ACCOUNT_UNLOCK: (ACCOUNTS, Words("解除登入限制")),
    _P.ACCOUNT_CONFIRM: (ACCOUNTS, Words("確認帳號仍在使用")),
    _P.ACCOUNT_END: (ACCOUNTS, Words("結束帳號的使用")),
    "membership.add": (ACCOUNTS, Words("給予機構的角色")),
    "account.code": (ACCOUNTS, Words("發一次性代碼")),
    "account.accept": (ACCOUNTS, Words("以一次性代碼設定密碼")),
    "account.end_sessions": (ACCOUNTS, Words("結束登入中的裝置")),
    "account.notice": (ACCOUNTS, Words("看過帳號通知")),
    "account.sign_in": (ACCOUNTS, Words("登入")),
    "account.sign_out": (ACCOUNTS, Words("登出")),
    "account.sign_in_refused": (ACCOUNTS, Words("登入失敗")),
    "account.password_change": (ACCOUNTS, Words("變更密碼")),
    "account.second_factor_add": (ACCOUNTS, Words("加入第二步驗證")),
    "account.second_factor_remove": (ACCOUNTS, Words("移除第二步驗證")),
    _P.REGISTER_READ: (OTHER, Words("查看名冊")),
    _P.REGISTER_RECORD: (OTHER, Words("登錄名冊")),
    _P.WINDOW_EXTEND: (OTHER, Words("延長登錄期限")),
    _P.COURSE_RECOMPUTE: (OTHER, Words("重新計算療程次")),
    "medicine.record": (OTHER, Words("登錄補助藥品")),
    "database.maintain": (OTHER, Words("資料庫維護")),
    "clock.set": (OTHER, Words("調整示範資料庫的日期")),
    "database.restore": (OTHER, Words("由備份還原資料庫")),
    "database.promote": (OTHER, Words("由複本接替資料庫")),
    _P.KEY_ROTATE: (OTHER, Words("換金鑰")),
    _P.RETENTION_PLAN: (OTHER, Words("擬定保存期滿清除的計畫")),
    _P.RETENTION_RUN: (WRITTEN, Words("清除保存期滿的個人資料")),
    "keys.export": (OTHER, Words("匯出金鑰")),
    "demo.load": (OTHER, Words("載入示範資料")),
}
MOST_NAMED = 3  # records of an entry that are named; of more, how many they are


@dataclass(frozen=True)
class TrailQuery:
    """What is asked: the days (inclusive), whose records (`uids`; None: any), who did it, what kind."""

    first: date
    last: date
    uids: tuple[UUID, ...] | None = None
    account_uid: UUID | None = None
    institution_code: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Named:
    """A record of an entry as it is called, and by which page it is shown."""

    uid: UUID
    words: str
    page: str  # case_show, visit_show, or "" for none


@dataclass
class TrailEntry:
    """One entry of the journal."""

    number: int
    at: datetime
    action: str
    uids: tuple[UUID, ...]
    version: int | None
    fields: tuple[str, ...]
    who: str
    institution: str
    named: list[Named] = field(default_factory=list)

    @property
    def what(self) -> str:
        """The action in words."""
        return ACTIONS[self.action][1] if self.action in ACTIONS else self.action

    @property
    def more(self) -> int:
        """How many records are not named."""
        return len(self.uids) - len(self.named)

    @property
    def field_words(self) -> tuple[str, ...]:
        """The fields as pages call them."""
        return tuple(dict.fromkeys(FIELD_WORDS.get(name, name) for name in self.fields))


def uids_of(case: Case, *, by: Actor) -> tuple[UUID, ...]:
    """All that belongs to a person, and to who was merged into him, as far as the actor may see it: cases, intakes,
    visits, merges and the person."""
    by.require(Permission.AUDIT_READ)
    with connection.cursor() as cursor:
        cursor.execute(_OF_PERSON, {"person": case.person_id})
        return tuple(uid for (uid,) in cursor.fetchall())


def uids_of_month(month: date, institution_code: str = "", *, by: Actor) -> tuple[UUID, ...]:
    """The visits of a service month (its first day), as far as the actor may see them; at the desk of one institution.

    Raises PermissionDenied.
    """
    by.require(Permission.AUDIT_READ)
    visits = Visit.objects.filter(visit_on__gte=month, visit_on__lt=month_of(month + timedelta(days=31)))
    if institution_code:
        coded = InstitutionDetails.objects.filter(code=institution_code)
        visits = visits.filter(institution_id__in=coded.values("institution_id"))
    return tuple(visits.values_list("uid", flat=True))


# Row-level security leaves an institution its own cases, intakes and visits.
_OF_PERSON = """
WITH same AS (SELECT id, uid FROM cases_person WHERE id = %(person)s OR merged_into_id = %(person)s)
SELECT uid FROM same UNION SELECT uid FROM cases_case WHERE person_id IN (SELECT id FROM same)
UNION SELECT uid FROM cases_baseline WHERE person_id IN (SELECT id FROM same)
UNION SELECT uid FROM visits_visit WHERE person_id IN (SELECT id FROM same)
UNION SELECT uid FROM cases_merge WHERE kept_id = %(person)s OR merged_id = %(person)s
"""


def count_trail(query: TrailQuery, *, by: Actor) -> int:
    """How many entries are asked for. Raises PermissionDenied."""
    by.require(Permission.AUDIT_READ)
    where, values = _where(query)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM audit_journal j WHERE {where}", values)  # noqa: S608 - our words
        return int(cursor.fetchone()[0])


def trail(query: TrailQuery, *, limit: int, offset: int = 0, by: Actor) -> list[TrailEntry]:
    """The entries asked for, the newest first, within the actor's scope. Raises PermissionDenied. Journal the read."""
    by.require(Permission.AUDIT_READ)
    where, values = _where(query)
    with connection.cursor() as cursor:
        cursor.execute(
            f"{_ENTRIES} WHERE {where} ORDER BY j.at DESC, j.id DESC LIMIT %(limit)s OFFSET %(offset)s",
            values | {"limit": limit, "offset": offset},
        )
        entries = [
            TrailEntry(number, at, action, tuple(uids), version, tuple(fields), who or "", institution or "")
            for number, at, action, uids, version, fields, who, institution in cursor.fetchall()
        ]
    asked = set(query.uids or ())
    names = _names({uid for entry in entries for uid in (asked & {*entry.uids} if asked else entry.uids[:MOST_NAMED])})
    for entry in entries:
        # Who asked for one person is told no other's name.
        shown = [uid for uid in entry.uids if uid in asked] if asked else entry.uids[:MOST_NAMED]
        entry.named = [names[uid] for uid in dict.fromkeys(shown) if uid in names][:MOST_NAMED]
    return entries


_ENTRIES = """
SELECT j.id, j.at, j.action, j.record_uids, j.record_version, j.fields, u.display_name, d.name
FROM audit_journal j LEFT JOIN accounts_user u ON u.id = j.account_id
  LEFT JOIN institutions_institutiondetails d ON d.institution_id = j.institution_id
    AND daterange(d.starts_on, d.ends_on, '[]') @> (j.at AT TIME ZONE 'Asia/Taipei')::date
"""


def _where(query: TrailQuery) -> tuple[str, dict[str, Any]]:
    values: dict[str, Any] = {
        "first": datetime.combine(query.first, time.min, TAIPEI),
        "end": datetime.combine(query.last + timedelta(days=1), time.min, TAIPEI),
    }
    parts = ["j.at >= %(first)s", "j.at < %(end)s"]
    if query.uids is not None:
        parts.append("j.record_uids && %(uids)s::uuid[]")
        values["uids"] = [str(uid) for uid in query.uids]
    if query.account_uid:
        parts.append("j.account_id = (SELECT id FROM accounts_user WHERE uid = %(account)s)")
        values["account"] = query.account_uid
    if query.institution_code:
        parts.append(
            "j.institution_id IN (SELECT institution_id FROM institutions_institutiondetails WHERE code = %(code)s)"
        )
        values["code"] = query.institution_code
    if query.kind:
        parts.append("j.action = ANY(%(actions)s)")
        values["actions"] = [str(action) for action, (kind, _words) in ACTIONS.items() if kind == query.kind]
    return " AND ".join(parts), values


def _names(wanted: set[UUID]) -> dict[UUID, Named]:
    """How records are called, of those that the actor may see."""
    found: dict[UUID, Named] = {}
    for case in Case.objects.filter(uid__in=wanted):
        found[case.uid] = Named(case.uid, case.called, "case_show")
    for visit in Visit.objects.filter(uid__in=wanted).select_related("case"):
        words = Sentence("{name} {day} 就醫", name=visit.case.called, day=visit.visit_on)
        found[visit.uid] = Named(visit.uid, words, "visit_show")
    for user in User.objects.filter(uid__in=wanted - found.keys()):
        found[user.uid] = Named(user.uid, user.display_name, "")
    for details in InstitutionDetails.objects.filter(institution__uid__in=wanted - found.keys()).select_related(
        "institution"
    ):
        found[details.institution.uid] = Named(details.institution.uid, details.name, "")
    return found


FIELD_WORDS: dict[str, str] = {
    "identity_number": Words("證號"), "birth_on": Words("出生日期"), "sex": Words("性別"), "name": Words("姓名"),
    "chart_no": Words("病歷號"), "phone": Words("電話"), "visit_on": Words("就醫日期"), "visit_time": Words("就醫時間"),
    "medication": Words("用藥"), "counselling": Words("衛教"), "pregnant": Words("懷孕"),
    "cigarettes_per_day": Words("平均每日支數"), "co_ppm": Words("一氧化碳"), "note": Words("備註"), "in_force": Words("狀態"),
    "courses": Words("療程次"), "taken_on": Words("評估日期"), "ftnd": Words("尼古丁成癮度"), "ftnd_score": Words("尼古丁成癮度"),
    "weight_kg": Words("體重"), "insured": Words("健保在保"), "password": Words("密碼"), "code": Words("代碼"),
    "second_factor": Words("第二步驗證"), "totp": Words("驗證器 App"), "webauthn": Words("密碼金鑰"),
    "recovery_codes": Words("復原代碼"), "display_name": Words("姓名"), "username": Words("帳號"),
    "agency_role": Words("主管機關或窗口角色"), "role": Words("角色"), "staff": Words("醫事人員"), "ends_on": Words("迄日"),
    "starts_on": Words("起日"), "confirmed_at": Words("確認時間"), "closed_at": Words("結束時間"), "tier": Words("層級別"),
    "county": Words("縣市"), "address": Words("地址"), "parent": Words("上級機構"), "change": Words("變更事由"),
    "month": Words("就醫月份"), "reach": Words("對象"), "closes_at": Words("截止時間"), "reason": Words("原因"),
    "download": Words("下載"), "kind": Words("種類"), "year": Words("年度"), "visits": Words("人次上限"), "number": Words("字號"),
    "profession": Words("職類"), "clock_offset": Words("日期"), "months": Words("月份"), "partitions": Words("稽核分割區"),
    "identity_hash": Words("證號"), "identity_token": Words("證號"), "identity_key_id": Words("證號"),
    "identity_country": Words("核發國家"), "identity_kind": Words("證號種類"), "person": Words("戒菸者"), "change_reason": Words("原因"), "kept_until": Words("保存到"),
    "may_medicate": Words("可提供用藥"), "may_counsel": Words("可提供衛教"), "end_reason": Words("終止原因"), "contract": Words("合約"),
    "file": Words("檔案"),
}  # fmt: skip
