from pathlib import Path

from django.contrib.postgres.functions import RandomUUID
from django.db import migrations, models
from django.db.models import PROTECT, F, Q
from django.db.models.functions import Lower

from quitledger.audit.database import ProgrammeNow
from quitledger.audit.tables import CreateModels

SQL = Path(__file__).with_name("sign_in.sql").read_text(encoding="utf-8")
TABLES = [
    migrations.CreateModel(
        "User",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("password", models.CharField("password", max_length=128)),
            ("last_login", models.DateTimeField("last login", null=True, blank=True)),
            ("uid", models.UUIDField(unique=True, db_default=RandomUUID(), editable=False)),
            ("username", models.CharField(
                "帳號", max_length=60, unique=True, error_messages={"unique": "已經有這個帳號，請改用別的名稱。"},
            )),
            ("display_name", models.CharField("姓名", max_length=60)),
            ("agency_role", models.CharField(
                "主管機關或窗口角色", max_length=20, blank=True,
                choices=[
                    ("desk_officer", "窗口人員"), ("desk_supervisor", "窗口主管"), ("analyst", "分析人員"),
                    ("administrator", "系統管理者"),
                ],
                db_default="",
            )),
            ("is_active", models.BooleanField(db_default=True)),
            ("created_at", models.DateTimeField(db_default=ProgrammeNow())),
        ],
        options={
            "constraints": [
                models.CheckConstraint(
                    name="accounts_user_agency_role",
                    condition=Q(agency_role__in=["", "desk_officer", "desk_supervisor", "analyst", "administrator"]),
                ),
                models.UniqueConstraint(Lower("username"), name="accounts_user_username_once"),
            ],
        },
    ),
    migrations.CreateModel(
        "Notice",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("kind", models.CharField(
                max_length=20,
                choices=[
                    ("password_reset", "密碼已重設"), ("second_factor_reset", "驗證器 App、密碼金鑰與復原代碼已移除"),
                ],
            )),
            ("at", models.DateTimeField(db_default=ProgrammeNow())),
            ("seen_at", models.DateTimeField(null=True, blank=True)),
            ("by", models.ForeignKey("accounts.user", PROTECT, null=True, related_name="+")),
            ("user", models.ForeignKey("accounts.user", PROTECT, related_name="notices")),
        ],
        options={
            "constraints": [
                models.CheckConstraint(
                    name="accounts_notice_kind", condition=Q(kind__in=["password_reset", "second_factor_reset"]),
                ),
            ],
        },
    ),
    migrations.CreateModel(
        "OneTimeCode",
        fields=[
            ("user", models.OneToOneField(
                "accounts.user", PROTECT, primary_key=True, related_name="one_time_code", serialize=False,
            )),
            ("code_hash", models.BinaryField(max_length=32)),
            ("issued_at", models.DateTimeField(db_default=ProgrammeNow())),
            ("expires_at", models.DateTimeField()),
            ("used_at", models.DateTimeField(null=True, blank=True)),
            ("issued_by", models.ForeignKey("accounts.user", PROTECT, null=True, related_name="+")),
        ],
        options={
            "constraints": [
                models.CheckConstraint(name="accounts_onetimecode_period", condition=Q(expires_at__gt=F("issued_at"))),
            ],
        },
    ),
    migrations.CreateModel(
        "Session",
        fields=[
            ("session_key", models.CharField("session key", max_length=40, primary_key=True, serialize=False)),
            ("session_data", models.TextField("session data")),
            ("expire_date", models.DateTimeField("expire date", db_index=True)),
            ("account", models.ForeignKey("accounts.user", PROTECT, null=True, related_name="sessions")),
        ],
        options={
            "verbose_name": "session",
            "verbose_name_plural": "sessions",
            "abstract": False,
        },
    ),
]


class Migration(migrations.Migration):
    initial = True
    # What led here step by step, in versions that were never released.
    replaces = [("accounts", name) for name in ("0001_initial", "0002_attempt", "0003_people")]
    dependencies = [("audit", "0001_tables")]
    operations = [CreateModels(*TABLES), migrations.RunSQL(SQL)]
