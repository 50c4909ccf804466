"""The only writer of accounts, their one-time codes and what is done to their means to sign in.

Who may do it to whom is a matter of places at institutions: institutions.membership_services asks that first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from allauth.mfa.models import Authenticator
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import connection, transaction

from quitledger.audit import journal
from quitledger.audit.database import ProgrammeNow
from quitledger.policy import TAIPEI, policy_on
from quitledger.policy.problem import Problem, Refused

from .actors import Actor
from .keys import keys
from .models import Notice, NoticeKind, OneTimeCode, Session, User
from .permissions import Permission
from .sign_in import SecondFactorAdapter, counters_of

_SIGNS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # of a code: none that is taken for another on paper
_LENGTH, _GROUP = 12, 4


@dataclass(frozen=True)
class IssuedCode:
    """A one-time code as it stands on the slip, in groups of four, and the first moment at which it is refused."""

    code: str
    expires_at: datetime


def add_account(
    *,
    username: str,
    display_name: str,
    password: str | None,
    hashed: str | None = None,
    agency_role: str = "",
    uid: UUID | None = None,
    by: Actor,
) -> User:
    """Make an account; its places at institutions are given by institutions.membership_services.

    `password` None: it cannot sign in until it has set one with a one-time code. `hashed`: what make_password() made of
    the password, where it is made already. Raises PermissionDenied, and Refused where the name is taken, empty or too
    long, or the password too weak.
    """
    by.require(Permission.ACCOUNT_ADD if agency_role else Permission.ACCOUNT_INVITE)
    user = User(
        uid=uid or uuid4(), username=username.strip(), display_name=display_name.strip(), agency_role=agency_role
    )
    problems = []
    try:
        user.full_clean(exclude=["password", "uid", "is_active", "created_at"])
    except ValidationError as error:
        problems = [
            Problem("account-invalid", text, name if name in ("username", "display_name") else "username")
            for name, texts in error.message_dict.items()
            for text in texts
        ]
    if password is not None:
        problems += _check_password(password, user)
    if problems:
        raise Refused(problems)
    user.password = hashed or make_password(password)
    columns = ["uid", "username", "display_name", "password", *(["agency_role"] if agency_role else [])]
    with transaction.atomic():
        with connection.cursor() as cursor:  # these columns alone: the application role may name no other
            cursor.execute(
                f"INSERT INTO accounts_user ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})"  # noqa: S608 - our own words
                " RETURNING id",
                [getattr(user, column) for column in columns],
            )
            user = User.objects.get(pk=cursor.fetchone()[0])
        journal.record(
            Permission.ACCOUNT_ADD,
            record_type="account",
            uids=[user.uid],
            fields=["username", "display_name", *(["agency_role"] if agency_role else [])],
        )
    return user


def rename_account(user: User, display_name: str, *, by: Actor) -> None:
    """Correct the name of whoever has the account. Raises PermissionDenied, and Refused where it is empty or too long."""
    by.require(Permission.ACCOUNT_CHANGE)
    user.display_name = display_name.strip()
    try:
        user.clean_fields(exclude=[field.name for field in User._meta.fields if field.name != "display_name"])
    except ValidationError as error:
        raise Refused([Problem("account-invalid", text, "display_name") for text in error.messages]) from None
    with transaction.atomic():
        user.save(update_fields=["display_name"])
        journal.record(Permission.ACCOUNT_CHANGE, record_type="account", uids=[user.uid], fields=["display_name"])


# --- One-time codes --------------------------------------------------------------------------------------------------


def issue_code(user: User, *, form_uid: UUID, moment: datetime, by: Actor) -> IssuedCode:
    """Give an account a new one-time code; one given before is worth nothing from now on.

    The code follows from `form_uid`: the same form sent twice gives the same slip, not a second code. Raises Refused
    where the form's code was used already, PermissionDenied.
    """
    by.require(Permission.ACCOUNT_INVITE)
    code = _code_of(user, form_uid)
    hashed, *older = _hashes(user, code)
    with transaction.atomic():
        newest = OneTimeCode.objects.select_for_update().filter(user=user).first()
        if newest is not None and bytes(newest.code_hash) in (hashed, *older):
            if newest.used_at is not None:
                raise Refused([Problem("code-used", "這張單子的代碼已經用過了。需要時請再發一次。")])
            return IssuedCode(_grouped(code), newest.expires_at)
        days = policy_on(moment.astimezone(TAIPEI).date(), "one_time_code_days")
        expires_at = moment + timedelta(days=days)
        values = {
            "code_hash": hashed, "issued_at": moment, "expires_at": expires_at,
            "issued_by_id": by.account_id, "used_at": None,
        }  # fmt: skip
        OneTimeCode.objects.update_or_create(user=user, defaults=values)
        journal.record("account.code", record_type="account", uids=[user.uid])
    return IssuedCode(_grouped(code), expires_at)


def accept_code(*, username: str, code: str, password: str, moment: datetime) -> User:
    """Set the password of an account with its one-time code, which is used up by that.

    Whoever holds the code acts on nobody's behalf. Raises Refused: one sentence for an unknown name, a wrong, used or
    expired code, and others for a weak password (the code stays good).
    """
    wrong = Problem(
        "code-wrong", "帳號或一次性代碼不正確，或代碼已經用過、過期。請核對單子，或請發單子的人重發。", "code"
    )
    user = User.objects.filter(username__iexact=username.strip(), is_active=True).first()
    if user is None:
        raise Refused([wrong])
    with transaction.atomic():
        given = OneTimeCode.objects.select_for_update().filter(user=user, used_at=None, expires_at__gt=moment).first()
        if given is None or bytes(given.code_hash) not in _hashes(user, _plain(code)):
            raise Refused([wrong])
        problems = _check_password(password, user)
        if problems:
            raise Refused(problems)
        user.set_password(password)
        user.save(update_fields=["password"])
        given.used_at = moment
        given.save(update_fields=["used_at"])
        journal.record("account.accept", record_type="account", uids=[user.uid], fields=["password"])
    return user


def _code_of(user: User, form_uid: UUID) -> str:
    number = int.from_bytes(keys().keyed_hash(f"one-time-code:{user.uid}:{form_uid}"))
    signs = []
    for _ in range(_LENGTH):
        number, place = divmod(number, len(_SIGNS))
        signs.append(_SIGNS[place])
    return "".join(signs)


def _grouped(code: str) -> str:
    return "-".join(code[first : first + _GROUP] for first in range(0, _LENGTH, _GROUP))


def _plain(typed: str) -> str:
    return "".join(sign for sign in typed.upper() if sign.isalnum())


def _hashes(user: User, code: str) -> list[bytes]:
    return keys().keyed_hashes(f"code:{user.uid}:{code}")


def _check_password(password: str, user: User) -> list[Problem]:
    try:
        validate_password(password, user)
    except ValidationError as error:
        return [Problem("password-weak", text, "password") for text in error.messages]
    return []


# --- Resets ----------------------------------------------------------------------------------------------------------


def reset_password(user: User, *, form_uid: UUID, moment: datetime, by: Actor) -> IssuedCode:
    """Take an account's password away, end its sessions and give it a one-time code instead; tell the person.

    The same form sent twice resets once. Raises Refused where its code was used already, PermissionDenied.
    """
    by.require(Permission.ACCOUNT_RESET)
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=user.pk)  # sent twice at once, the second waits for the first
        newest = OneTimeCode.objects.filter(user=user).first()
        repeated = newest is not None and bytes(newest.code_hash) in _hashes(user, _code_of(user, form_uid))
        issued = issue_code(user, form_uid=form_uid, moment=moment, by=by)
        if not repeated:
            if user.has_usable_password():  # who never had one has nothing to be told
                Notice.objects.create(user=user, kind=NoticeKind.PASSWORD_RESET, at=moment, by_id=by.account_id)
            user.set_unusable_password()
            user.save(update_fields=["password"])
            end_sessions(user, by=by)
            journal.record(Permission.ACCOUNT_RESET, record_type="account", uids=[user.uid], fields=["password"])
    return issued


def reset_second_factor(user: User, *, moment: datetime, by: Actor) -> int:
    """Remove an account's authenticator app, passkeys and recovery codes, end its sessions; tell the person.

    Returns how many were removed; with none there, nothing is done. Raises PermissionDenied.
    """
    by.require(Permission.ACCOUNT_RESET)
    with transaction.atomic():
        removed = 0
        for factor in Authenticator.objects.select_for_update().filter(user=user):
            factor.delete()  # one by one: each tells the journal
            removed += 1
        if removed:
            end_sessions(user, by=by)
            Notice.objects.create(user=user, kind=NoticeKind.SECOND_FACTOR_RESET, at=moment, by_id=by.account_id)
            journal.record(Permission.ACCOUNT_RESET, record_type="account", uids=[user.uid], fields=["second_factor"])
    return removed


def end_sessions(user: User, *, by: Actor, but: str | None = None) -> int:
    """Sign an account out everywhere, at once; returns how many sessions ended. `but`: the key of one that goes on.

    One's own sessions are one's own to end. Raises PermissionDenied.
    """
    if by.account_id is None or by.account_id != user.pk:
        by.require(Permission.ACCOUNT_RESET)
    with transaction.atomic():
        ended, _by_table = Session.objects.filter(account=user).exclude(session_key=but or "").delete()
        journal.record("account.end_sessions", record_type="account", uids=[user.uid])
    return ended


def lift_lockout(user: User, *, by: Actor) -> None:
    """Forget an account's failed sign-ins, of password and code, so that it can be tried again at once.

    Raises PermissionDenied.
    """
    by.require(Permission.ACCOUNT_UNLOCK)
    with transaction.atomic():
        cache.delete_many(counters_of(user))
        journal.record(Permission.ACCOUNT_UNLOCK, record_type="account", uids=[user.uid])


def note_sign_in(user: User) -> bool:
    """Keep the moment of an account's last sign-in, by the programme clock: which accounts are unused follows from it.

    From here on the transaction runs on the account's behalf. Returns whether there are notices that it has not seen.
    """
    User.objects.filter(pk=user.pk).update(last_login=ProgrammeNow())
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('quitledger.account', %s, true)", [str(user.pk)])
    return user.notices.filter(seen_at=None).exists()


def see_notices(user: User, *, moment: datetime, by: Actor) -> None:
    """The person has seen what was done to his account. Raises nothing: only his own are his to see."""
    if by.account_id == user.pk:
        Notice.objects.filter(user=user, seen_at=None).update(seen_at=moment)
        journal.record("account.notice", record_type="account", uids=[user.uid])


# --- Under another key -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EncryptedNumber:
    """A table whose rows hold an encrypted number: identity_token, identity_key_id, identity_hash.

    `about` is what the tokens are bound to; `text` makes of the number and of `columns` what is hashed.
    """

    table: str
    about: bytes
    columns: tuple[str, ...]
    text: Callable[..., str]


def renew_numbers(numbers: EncryptedNumber, *, history: bool, after: int, limit: int, by: Actor) -> tuple[int, int]:
    """Encrypt and hash anew under the current key what lies under another one: rows, or (`history`) their versions.

    Rows numbered above `after`, at most `limit`. Returns the number of the last one (`after`: none is left) and how many.
    As the owner; for versions inside audit.rewriting.rewriting(). Raises PermissionDenied, KeyMissing, Tampered.
    """
    by.require(Permission.KEY_ROTATE)
    known = keys()
    table, number = (f"{numbers.table}_history", "history_id") if history else (numbers.table, "id")
    columns = "".join(f", {column}" for column in numbers.columns)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {number}, identity_token, identity_key_id{columns} FROM {table} WHERE {number} > %s"  # noqa: S608 - our own words
            f" AND identity_key_id <> %s AND identity_token IS NOT NULL ORDER BY {number} LIMIT %s FOR UPDATE",
            [after, known.current, limit],
        )
        rows = cursor.fetchall()
        if not rows:
            return after, 0
        renewed = []
        for row, token, key_id, *rest in rows:
            plain = known.decrypt(token, key_id, about=numbers.about)
            anew, _key_id = known.encrypt(plain, about=numbers.about)
            renewed.append((row, anew, known.keyed_hash(numbers.text(plain, *rest))))
        cursor.execute(
            f"UPDATE {table} t SET identity_token = n.token, identity_hash = n.hash, identity_key_id = %s"  # noqa: S608 - our own words
            " FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[]) AS n (number, token, hash)"
            f" WHERE t.{number} = n.number",
            [known.current, *map(list, zip(*renewed, strict=True))],
        )
        journal.record(Permission.KEY_ROTATE, record_type=table, fields=["identity_number"])
    return rows[-1][0], len(rows)


def renew_second_factors(*, by: Actor) -> int:
    """Encrypt the secrets of authenticator apps and recovery codes anew under the current key; returns how many."""
    by.require(Permission.KEY_ROTATE)
    adapter, current, renewed = SecondFactorAdapter(), keys().current, 0
    with transaction.atomic():
        for factor in Authenticator.objects.select_for_update().filter(type__in=["totp", "recovery_codes"]):
            old = {name: text for name, text in factor.data.items() if name in ("secret", "seed")}
            if all(text.startswith(f"{current}:") for text in old.values()):
                continue
            factor.data |= {name: adapter.encrypt(adapter.decrypt(text)) for name, text in old.items()}
            factor.save(update_fields=["data"])
            renewed += 1
        if renewed:
            journal.record(Permission.KEY_ROTATE, record_type="second_factor", fields=["second_factor"])
    return renewed
