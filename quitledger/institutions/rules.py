"""What the desk's lists must hold, and what may be done to accounts and their places. Pure: values in, every problem out."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from quitledger.accounts.permissions import INSTITUTION_ROLES, Role
from quitledger.policy.problem import Problem
from quitledger.policy.sentences import Sentence, Several, Words


@dataclass(frozen=True)
class Place:
    """An account's place at an institution, as those rules need to know it.

    `supervisors_left`: the other supervisors in office there; `is_elsewhere`: the account has a place at another
    institution, now or later.
    """

    role: str
    starts_on: date
    is_own: bool
    is_elsewhere: bool
    supervisors_left: int


@dataclass(frozen=True)
class Known:
    """What is known of the user name in an invitation: whose it is, where it is somebody's."""

    display_name: str
    is_agency: bool
    has_place_here: bool


def check_role(role: str) -> list[Problem]:
    """A role that exists at an institution. Field: role."""
    if role in INSTITUTION_ROLES:
        return []
    roles = Several(Words(known.label) for known in INSTITUTION_ROLES)
    return [Problem("role-unknown", Sentence("請選擇角色：{roles}。", roles=roles), "role")]


def check_invitation(*, role: str, display_name: str, is_known: bool, known: Known | None) -> list[Problem]:
    """An invitation, of a new account or (`is_known`) of one that exists. Fields: role, username, display_name, known.

    An account that exists is invited by user name and name together: neither alone tells whether it exists.
    """
    problems = check_role(role)
    if is_known:
        if known is None or known.is_agency or known.display_name != display_name.strip():
            words = Words("找不到這個帳號與姓名的人。請向本人確認兩者，須完全相同。")
            problems.append(Problem("account-unknown", words, "username"))
        elif known.has_place_here:
            problems.append(Problem("place-taken", "這個人今天在本機構已有帳號，請到人員清單修改。", "username"))
    elif known is not None:
        words = Words(
            "這個帳號名稱已經有人使用，請改用別的。如果是同一個人（例如也在別的機構任職），請勾選「這個人已有帳號」。"
        )
        problems.append(Problem("username-taken", words, "username"))
    return problems


def check_reset(place: Place, *, by_desk: bool) -> list[Problem]:
    """Whether password or second factor may be reset: a recorder's by the supervisor, a supervisor's by the desk.

    Whoever also works elsewhere is reset by the desk: one institution must not open the door to another.
    """
    if by_desk:
        return []
    if place.is_own:
        return [Problem("reset-own", "自己的密碼請在「帳號安全」變更；無法登入時請洽管理窗口重設。")]
    if place.role == Role.SUPERVISOR:
        return [Problem("reset-supervisor", "業務主管的密碼與登入方式由管理窗口重設，請洽管理窗口。")]
    if place.is_elsewhere:
        return [Problem("reset-elsewhere", "這個帳號也在別的機構任職，由管理窗口重設，請洽管理窗口。")]
    return []


def check_change(place: Place, *, role: str, renamed: bool, by_desk: bool) -> list[Problem]:
    """A change of role or name. Fields: role, display_name."""
    problems = check_role(role)
    if not by_desk:
        if place.is_own and role != place.role:
            problems.append(Problem("role-own", "不能變更自己的角色，請由其他業務主管或管理窗口辦理。", "role"))
        elif place.role == Role.SUPERVISOR and role != Role.SUPERVISOR and not place.supervisors_left:
            problems.append(_last_supervisor("role"))
        if renamed and place.is_elsewhere:
            words = Words("這個帳號也在別的機構任職，姓名由管理窗口更正，請洽管理窗口。")
            problems.append(Problem("rename-elsewhere", words, "display_name"))
    return problems


def check_end(place: Place, *, ends_on: date | None, by_desk: bool) -> list[Problem]:
    """The last day at the institution; None takes it back. Field: ends_on."""
    if ends_on is None:
        return []
    problems = []
    if ends_on < place.starts_on:
        words = Sentence("最後一天不能早於開始的 {day}。", day=place.starts_on)
        problems.append(Problem("end-before-start", words, "ends_on"))
    if not by_desk and place.role == Role.SUPERVISOR and not place.supervisors_left:
        problems.append(_last_supervisor("ends_on"))
    return problems


def _last_supervisor(field: str) -> Problem:
    words = Words("這是本機構唯一的業務主管。請先邀請或指定另一位業務主管，或洽管理窗口。")
    return Problem("last-supervisor", words, field)


# --- Periods ---------------------------------------------------------------------------------------------------------

Period = tuple[date, date | None]  # first and last day, both included; None: until further notice


def check_period(
    starts_on: date,
    ends_on: date | None,
    others: Iterable[Period],
    *,
    field: str = "starts_on",
    what: str = Words("期間"),
) -> list[Problem]:
    """A period that ends after it starts and overlaps none of `others`. Fields: `field`, ends_on."""
    if ends_on is not None and ends_on < starts_on:
        return [Problem("period-reversed", "迄日早於起日。", "ends_on")]
    return [
        Problem(
            "period-overlaps",
            Sentence("與 {period}的{what}重疊。請先登錄那一段的迄日。", period=_period_said(other), what=what),
            field,
        )
        for other in others
        if (ends_on is None or other[0] <= ends_on) and (other[1] is None or other[1] >= starts_on)
    ]


def _period_said(period: Period) -> Sentence:
    first, last = period
    return Sentence("{first} 至 {last} ", first=first, last=last) if last else Sentence("{first} 起", first=first)


def check_certificate(kind: str, starts_on: date | None, ends_on: date | None) -> list[Problem]:
    """A certificate has a kind and a last day, which does not lie before the first. Fields: certificate, ends_on."""
    if bool(kind) != bool(ends_on):
        field, missing = ("certificate_ends_on", "證明到期日") if kind else ("certificate", "資格證明")
        return [
            Problem(
                "certificate-incomplete",
                Sentence("「{column}」沒有填，無法登錄資格證明。", column=Words(missing)),
                field,
            )
        ]
    if starts_on and ends_on and ends_on < starts_on:
        return [Problem("period-reversed", "到期日早於發證日。", "ends_on")]
    return []


def check_parent(*, is_itself: bool, parent_is_branch: bool, has_branches: bool) -> list[Problem]:
    """A branch's parent is another institution, and neither is both. Field: parent_code. (The database holds it, too.)"""
    if is_itself:
        return [Problem("parent-itself", "上級機構不能是自己。", "parent_code")]
    if parent_is_branch:
        return [Problem("parent-is-branch", "上級機構本身是分院；請填總院的代碼。", "parent_code")]
    if has_branches:
        return [Problem("parent-of-parent", "這個機構已有分院，不能再成為別的機構的分院。", "parent_code")]
    return []
