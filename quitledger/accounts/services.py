"""The only writer of accounts. Run as the owner role: the application role has no right to make one."""

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from quitledger.audit import journal
from quitledger.policy.problem import Problem, Refused

from .actors import Actor
from .models import User
from .permissions import Permission


def add_account(*, username: str, display_name: str, password: str, agency_role: str = "", by: Actor) -> User:
    """Make an account; its places at institutions are given by institutions.services.add_membership.

    Raises PermissionDenied, and Refused where the name is taken, empty or too long, or the password too weak.
    """
    by.require(Permission.ACCOUNT_ADD)
    user = User(username=username.strip(), display_name=display_name.strip(), agency_role=agency_role)
    user.set_password(password)
    problems = []
    try:
        user.full_clean(exclude=["password", "uid"])
    except ValidationError as error:
        problems = [
            Problem("account-invalid", text, name) for name, texts in error.message_dict.items() for text in texts
        ]
    try:
        validate_password(password, user)
    except ValidationError as error:
        problems += [Problem("password-weak", text, "password") for text in error.messages]
    if problems:
        raise Refused(problems)
    with transaction.atomic():
        user.save()
        user.refresh_from_db(fields=["uid"])
        journal.record(
            Permission.ACCOUNT_ADD,
            record_type="account",
            uids=[user.uid],
            fields=["username", "display_name", *(["agency_role"] if agency_role else [])],
        )
    return user
