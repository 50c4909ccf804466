"""`quitledger accounts`: who can sign in. Runs as the owner role: the application cannot make accounts."""

import sys
from datetime import date, datetime
from typing import TYPE_CHECKING

import click

from quitledger.accounts.permissions import AGENCY_ROLES, INSTITUTION_ROLES, LABELS, Role
from quitledger.policy import TAIPEI, format_roc

from .environment import prepare
from .faults import Fault, told

if TYPE_CHECKING:
    from quitledger.accounts.models import User

institution_option = click.option(
    "--institution", "code", metavar="CODE", help="醫事機構代碼（10 碼）。 / Code of an institution."
)
role_option = click.option(
    "--role",
    type=click.Choice([role.value for role in INSTITUTION_ROLES]),
    help="在該機構的角色。 / The role there.",
)


@click.group()
def accounts() -> None:
    """\b
    登入帳號。
    Accounts that sign in.
    """


@accounts.command()
@click.argument("username")
@click.option("--name", required=True, help="姓名。 / The person's name.")
@click.option(
    "--agency-role",
    type=click.Choice([role.value for role in AGENCY_ROLES]),
    help="主管機關或窗口的角色。 / A role at the agency or its desk.",
)
@institution_option
@role_option
@click.option(
    "--password-stdin",
    is_flag=True,
    help="密碼由標準輸入的第一行讀取。 / Read the password's line from standard input.",
)
def add(
    username: str, name: str, agency_role: str | None, code: str | None, role: str | None, password_stdin: bool
) -> None:
    """\b
    新增帳號；密碼至少 12 字，詢問兩次。
    Add an account; its password, of at least 12 characters, is asked for twice.
    """
    if bool(code) != bool(role):
        raise Fault("--institution 和 --role 要一起用。", "--institution and --role go together.")
    if agency_role and code:
        raise Fault(
            "一個帳號不能同時屬於主管機關與醫事機構，請選其一。",
            "An account belongs to the agency or to institutions, not to both.",
        )
    with told():
        prepare("owner")
        password = _password(password_stdin)
        from quitledger.accounts.actors import SYSTEM
        from quitledger.accounts.scope import scoped
        from quitledger.accounts.services import add_account

        with scoped(SYSTEM):
            user = add_account(
                username=username, display_name=name, password=password, agency_role=agency_role or "", by=SYSTEM
            )
            if code and role:
                _place(user, code, role)
    click.echo(f"已新增帳號 {username}。 / Account {username} added.")


@accounts.command()
@click.argument("username")
@click.option("--factors", is_flag=True, help="也移除驗證器 App 與密碼金鑰。 / Remove second factors, too.")
def code(username: str, factors: bool) -> None:
    """\b
    重設密碼：發一組一次性代碼，原密碼立即失效。用於主管機關與窗口的帳號。
    Reset a password: issue a one-time code; the old password is void. For accounts of the agency and its desk.
    """
    with told():
        prepare("owner")
        from uuid import uuid4

        from quitledger.accounts.actors import SYSTEM
        from quitledger.accounts.models import User
        from quitledger.accounts.scope import scoped
        from quitledger.accounts.services import reset_password, reset_second_factor

        with scoped(SYSTEM):
            user = User.objects.filter(username__iexact=username).first()
            if user is None:
                raise Fault(f"沒有帳號 {username}。", f"There is no account {username}.")
            moment = _now()
            issued = reset_password(user, form_uid=uuid4(), moment=moment, by=SYSTEM)
            if factors:
                reset_second_factor(user, moment=moment, by=SYSTEM)
    click.echo(
        f"一次性代碼 {issued.code}，有效至 {format_roc(issued.expires_at.date())}；請本人到 /invitation 設定密碼。"
        f" / One-time code {issued.code}, valid until {issued.expires_at:%Y-%m-%d}; set the password at /invitation."
    )


@accounts.command()
@click.argument("username")
@click.option("--institution", "code", metavar="CODE", required=True, help="醫事機構代碼。 / Code of an institution.")
@click.option(
    "--role",
    type=click.Choice([role.value for role in INSTITUTION_ROLES]),
    required=True,
    help="在該機構的角色。 / The role there.",
)
def place(username: str, code: str, role: str) -> None:
    """\b
    讓已有的帳號從今天起在另一個機構工作。
    Give an account a place at one more institution from today on.
    """
    with told():
        prepare("owner")
        from quitledger.accounts.actors import SYSTEM
        from quitledger.accounts.models import User
        from quitledger.accounts.scope import scoped

        with scoped(SYSTEM):
            user = User.objects.filter(username=username).first()
            if user is None:
                raise Fault(f"沒有帳號 {username}。", f"There is no account {username}.")
            if user.agency_role:
                raise Fault(f"{username} 屬於主管機關或窗口。", f"{username} belongs to the agency or its desk.")
            _place(user, code, role)
    click.echo(f"{username} 已可在 {code} 工作。 / {username} now has a place at {code}.")


@accounts.command("list")
def list_accounts() -> None:
    """\b
    列出帳號、角色與所屬機構。
    List accounts with their roles and places.
    """
    with told():
        prepare("owner")
        from quitledger.accounts.actors import SYSTEM
        from quitledger.accounts.models import User
        from quitledger.accounts.scope import scoped
        from quitledger.institutions.models import InstitutionDetails, Membership

        with scoped(SYSTEM):
            today = _today()
            codes = dict(InstitutionDetails.objects.in_force_on(today).values_list("institution_id", "code"))
            places: dict[int, list[str]] = {}
            for membership in Membership.objects.in_force_on(today).order_by("starts_on", "id"):
                where = codes.get(membership.institution_id, "?")
                places.setdefault(membership.user_id, []).append(f"{where} {LABELS[Role(membership.role)]}")
            for user in User.objects.order_by("username"):
                shown = LABELS[Role(user.agency_role)] if user.agency_role else "、".join(places.get(user.pk, ["—"]))
                click.echo(
                    f"{user.username}\t{user.display_name}\t{shown}{'' if user.is_active else '（停用 inactive）'}"
                )


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("密碼 / Password", hide_input=True, confirmation_prompt="再輸入一次 / Once more"))


def _place(user: "User", code: str, role: str) -> None:
    from quitledger.accounts.actors import SYSTEM
    from quitledger.institutions.membership_services import add_membership
    from quitledger.institutions.models import InstitutionDetails, Membership

    today = _today()
    details = InstitutionDetails.objects.in_force_on(today).filter(code=code).select_related("institution").first()
    if details is None:
        raise Fault(f"找不到代碼 {code} 的機構。", f"There is no institution with the code {code}.")
    if Membership.objects.in_force_on(today).filter(user=user, institution=details.institution).exists():
        raise Fault(f"{user.username} 在 {code} 已有角色。", f"{user.username} has a place at {code} already.")
    add_membership(user=user, institution=details.institution, role=role, starts_on=today, by=SYSTEM)


def _now() -> datetime:
    """The programme's now."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT programme_now()")
        return cursor.fetchone()[0]


def _today() -> date:
    """The programme's today."""
    return _now().astimezone(TAIPEI).date()
