"""People who sign in. What an account may do at an institution is its membership there (institutions.models)."""

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.functions import RandomUUID
from django.db import models

from .permissions import AGENCY_ROLES


class UserManager(BaseUserManager["User"]):
    """Finds accounts by user name."""


class User(AbstractBaseUser):
    """An account: a person who signs in. Not a staff member who gives services: that is another record."""

    uid = models.UUIDField(unique=True, db_default=RandomUUID(), editable=False)
    username = models.CharField(
        "帳號", max_length=60, unique=True, error_messages={"unique": "已經有這個帳號，請改用別的名稱。"}
    )
    display_name = models.CharField("姓名", max_length=60)
    agency_role = models.CharField(
        "主管機關或窗口角色", max_length=20, blank=True, choices=[(role, role.label) for role in AGENCY_ROLES]
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["display_name"]
    objects = UserManager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="accounts_user_agency_role",
                condition=models.Q(agency_role__in=["", *AGENCY_ROLES]),
            )
        ]

    def __str__(self) -> str:
        return self.display_name
