"""People who sign in, and their sessions. What an account may do at an institution is its membership there.

(institutions.models.Membership)
"""

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.functions import RandomUUID
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from quitledger.audit.database import ProgrammeNow
from quitledger.policy.sentences import Words

from .permissions import AGENCY_ROLES


class UserManager(BaseUserManager["User"]):
    """Finds accounts by user name."""


class User(AbstractBaseUser):
    """An account: a person who signs in. Not a staff member who gives services: that is another record."""

    uid = models.UUIDField(unique=True, db_default=RandomUUID(), editable=False)
    username = models.CharField(
        "帳號", max_length=60, unique=True, error_messages={"unique": Words("已經有這個帳號，請改用別的名稱。")}
    )
    display_name = models.CharField("姓名", max_length=60)
    agency_role = models.CharField(
        "主管機關或窗口角色",
        max_length=20,
        blank=True,
        choices=[(role, role.label) for role in AGENCY_ROLES],
        db_default="",
    )
    is_active = models.BooleanField(db_default=True)
    created_at = models.DateTimeField(db_default=ProgrammeNow())

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["display_name"]
    objects = UserManager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="accounts_user_agency_role",
                condition=models.Q(agency_role__in=["", *AGENCY_ROLES]),
            ),
            # A name is signed in with in whatever case it is typed.
            models.UniqueConstraint(Lower("username"), name="accounts_user_username_once"),
        ]

    def __str__(self) -> str:
        return self.display_name


class Session(AbstractBaseSession):
    """A sign-in on one device, with its account in a column: ending an account's sessions is one statement."""

    account = models.ForeignKey(User, models.PROTECT, null=True, related_name="sessions")


class OneTimeCode(models.Model):
    """The newest code with which an account sets its password: of an invitation or a reset. Only its hash is kept."""

    user = models.OneToOneField(User, models.PROTECT, primary_key=True, related_name="one_time_code")
    code_hash = models.BinaryField(max_length=32)
    issued_at = models.DateTimeField(db_default=ProgrammeNow())
    expires_at = models.DateTimeField()
    issued_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="accounts_onetimecode_period", condition=Q(expires_at__gt=F("issued_at")))
        ]


class NoticeKind(models.TextChoices):
    """What was done."""

    PASSWORD_RESET = "password_reset", Words("密碼已重設")
    SECOND_FACTOR_RESET = "second_factor_reset", Words("驗證器 App、密碼金鑰與復原代碼已移除")


class Notice(models.Model):
    """What somebody else did to an account's means to sign in: shown to the person until he has seen it."""

    user = models.ForeignKey(User, models.PROTECT, related_name="notices")
    kind = models.CharField(max_length=20, choices=NoticeKind.choices)
    at = models.DateTimeField(db_default=ProgrammeNow())
    by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    seen_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(name="accounts_notice_kind", condition=Q(kind__in=NoticeKind.values))]
