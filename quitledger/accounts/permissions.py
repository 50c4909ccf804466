"""Who may: one list of permissions, one table from role to permissions. (May this be done now: <room>/rules.py.)"""

from enum import StrEnum

from quitledger.policy.sentences import Words


class Permission(StrEnum):
    """What an account may do. The word is also the audit action and, with a slash, the URL."""

    CASE_READ = "case.read"
    CASE_REGISTER = "case.register"
    CASE_CHANGE = "case.change"
    PERSON_CORRECT = "person.correct"
    PERSON_CHANGE = "person.change"
    PERSON_MERGE = "person.merge"
    MERGE_UNDO = "merge.undo"
    IDENTITY_SHOW = "identity.show"
    BASELINE_RECORD = "baseline.record"
    VISIT_READ = "visit.read"
    VISIT_RECORD = "visit.record"
    VISIT_CHANGE = "visit.change"
    VISIT_VOID = "visit.void"
    VISIT_RESTORE = "visit.restore"
    VISIT_DOWNLOAD = "visit.download"
    VISIT_COMPARE = "visit.compare"
    BATCH_CLEAR = "batch.clear"
    CORRECTION_READ = "correction.read"
    CORRECTION_APPLY = "correction.apply"
    CORRECTION_SIGN = "correction.sign"
    CORRECTION_REGISTER = "correction.register"
    CORRECTION_DECIDE = "correction.decide"
    SELFCHECK_READ = "selfcheck.read"
    SELFCHECK_SIGN = "selfcheck.sign"
    SELFCHECK_REVIEW = "selfcheck.review"
    SELFCHECK_REMIND = "selfcheck.remind"
    WINDOW_EXTEND = "window.extend"
    COURSE_REVIEW = "course.review"
    COURSE_RECOMPUTE = "course.recompute"
    ACCOUNT_ADD = "account.add"
    ACCOUNT_READ = "account.read"
    ACCOUNT_INVITE = "account.invite"
    ACCOUNT_CHANGE = "account.change"
    ACCOUNT_RESET = "account.reset"
    ACCOUNT_UNLOCK = "account.unlock"
    ACCOUNT_CONFIRM = "account.confirm"
    ACCOUNT_END = "account.end"
    REGISTER_READ = "register.read"
    REGISTER_RECORD = "register.record"
    MEDICINE_IMPORT = "medicine.import"
    AUDIT_READ = "audit.read"
    STATISTICS_READ = "statistics.read"
    STATISTICS_PUBLISH = "statistics.publish"
    KEY_ROTATE = "key.rotate"
    RETENTION_PLAN = "retention.plan"
    RETENTION_RUN = "retention.run"
    TRANSFER = "transfer.load"  # the programme itself: the owner's command


class Role(StrEnum):
    """In an institution: recorder, supervisor. At the agency and its desk: the others."""

    RECORDER = "recorder"
    SUPERVISOR = "supervisor"
    DESK_OFFICER = "desk_officer"
    DESK_SUPERVISOR = "desk_supervisor"
    ANALYST = "analyst"
    ADMINISTRATOR = "administrator"

    @property
    def label(self) -> str:
        """The role in Chinese."""
        return LABELS[self]


LABELS = {
    Role.RECORDER: Words("登錄人員"),
    Role.SUPERVISOR: Words("業務主管"),
    Role.DESK_OFFICER: Words("窗口人員"),
    Role.DESK_SUPERVISOR: Words("窗口主管"),
    Role.ANALYST: Words("分析人員"),
    Role.ADMINISTRATOR: Words("系統管理者"),
}
INSTITUTION_ROLES = (Role.RECORDER, Role.SUPERVISOR)
AGENCY_ROLES = (Role.DESK_OFFICER, Role.DESK_SUPERVISOR, Role.ANALYST, Role.ADMINISTRATOR)

_P = Permission
_RECORDS = {
    _P.CASE_READ,
    _P.CASE_REGISTER,
    _P.CASE_CHANGE,
    _P.PERSON_CORRECT,
    _P.IDENTITY_SHOW,
    _P.BASELINE_RECORD,
    _P.VISIT_READ,
    _P.VISIT_RECORD,
    _P.VISIT_CHANGE,
    _P.VISIT_VOID,
    _P.VISIT_RESTORE,
    _P.VISIT_DOWNLOAD,
    _P.VISIT_COMPARE,
    _P.CORRECTION_READ,
    _P.CORRECTION_APPLY,
    _P.CORRECTION_SIGN,  # the second signature; which of the two must be a supervisor: corrections.rules
    _P.SELFCHECK_READ,
}
_PEOPLE = {
    _P.ACCOUNT_READ,
    _P.ACCOUNT_INVITE,
    _P.ACCOUNT_CHANGE,
    _P.ACCOUNT_RESET,
    _P.ACCOUNT_UNLOCK,
    _P.ACCOUNT_CONFIRM,
    _P.ACCOUNT_END,
}
_RETENTION = {_P.RETENTION_PLAN, _P.RETENTION_RUN}  # one plans, another confirms: whoever may the one may the other
_DESK = _PEOPLE | {
    _P.CASE_READ,
    _P.PERSON_CHANGE,
    _P.PERSON_MERGE,
    _P.MERGE_UNDO,
    _P.IDENTITY_SHOW,
    _P.VISIT_READ,
    _P.VISIT_DOWNLOAD,
    _P.CORRECTION_READ,
    _P.CORRECTION_REGISTER,
    _P.STATISTICS_READ,
    _P.CORRECTION_DECIDE,
    _P.SELFCHECK_REVIEW,
    _P.COURSE_REVIEW,
    _P.REGISTER_READ,
    _P.REGISTER_RECORD,
    _P.AUDIT_READ,
}

PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.RECORDER: frozenset(_RECORDS),
    Role.SUPERVISOR: frozenset(_RECORDS | _PEOPLE | {_P.AUDIT_READ, _P.SELFCHECK_SIGN}),
    Role.DESK_OFFICER: frozenset(_DESK),
    Role.DESK_SUPERVISOR: frozenset(_DESK | {_P.WINDOW_EXTEND, _P.STATISTICS_PUBLISH} | _RETENTION),
    Role.ANALYST: frozenset({_P.STATISTICS_READ, _P.STATISTICS_PUBLISH}),
    Role.ADMINISTRATOR: frozenset({_P.ACCOUNT_ADD, _P.MEDICINE_IMPORT, _P.COURSE_RECOMPUTE} | _RETENTION),
}
