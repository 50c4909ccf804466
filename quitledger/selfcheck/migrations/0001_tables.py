from pathlib import Path

from django.contrib.postgres.functions import RandomUUID
from django.db import migrations, models
from django.db.models import PROTECT, Q

from quitledger.audit.database import ProgrammeNow
from quitledger.audit.tables import CreateModels

SQL = Path(__file__).with_name("sign_offs.sql").read_text(encoding="utf-8")
TABLES = [
    migrations.CreateModel(
        "ReminderAddress",
        fields=[
            ("account", models.OneToOneField(
                "accounts.user", PROTECT, primary_key=True, related_name="+", serialize=False,
            )),
            ("address", models.EmailField("電子郵件", max_length=254, blank=True)),
            ("changed_at", models.DateTimeField(db_default=ProgrammeNow())),
        ],
    ),
    migrations.CreateModel(
        "Reminder",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("sent_on", models.DateField()),
            ("failed", models.BooleanField(default=False)),
            ("account", models.ForeignKey("accounts.user", PROTECT, db_index=False, related_name="+")),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(name="selfcheck_reminder_once", fields=("account", "sent_on")),
            ],
        },
    ),
    migrations.CreateModel(
        "SignOff",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("uid", models.UUIDField(unique=True, db_default=RandomUUID(), editable=False)),
            ("month", models.DateField("就醫月份")),
            ("number", models.PositiveSmallIntegerField()),
            ("signed_at", models.DateTimeField(db_default=ProgrammeNow())),
            ("incomplete", models.PositiveIntegerField("未完整")),
            ("reason", models.CharField("原因", max_length=500, blank=True)),
            ("visits", models.PositiveIntegerField()),
            ("versions", models.PositiveIntegerField()),
            ("seen", models.JSONField()),
            ("institution", models.ForeignKey("institutions.institution", PROTECT, db_index=False, related_name="+")),
            ("signed_by", models.ForeignKey("accounts.user", PROTECT, db_index=False, related_name="+")),
            ("grounds", models.JSONField(null=True)),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(name="selfcheck_signoff_once", fields=("institution", "month", "number")),
                models.CheckConstraint(name="selfcheck_signoff_number", condition=Q(number__gte=1)),
                models.CheckConstraint(name="selfcheck_signoff_reason", condition=Q(incomplete=0) | ~Q(reason="")),
            ],
        },
    ),
]


class Migration(migrations.Migration):
    initial = True
    # What led here step by step, in versions that were never released.
    replaces = [("selfcheck", name) for name in ("0001_sign_off", "0002_grounds")]
    dependencies = [("visits", "0001_tables")]
    operations = [CreateModels(*TABLES), migrations.RunSQL(SQL)]
