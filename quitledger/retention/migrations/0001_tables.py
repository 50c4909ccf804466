from pathlib import Path

from django.contrib.postgres.functions import RandomUUID
from django.db import migrations, models
from django.db.models import PROTECT, F, Q

from quitledger.audit.database import ProgrammeNow
from quitledger.audit.tables import CreateModels

SQL = Path(__file__).with_name("runs.sql").read_text(encoding="utf-8")
TABLES = [
    migrations.CreateModel(
        "Run",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("uid", models.UUIDField(unique=True, db_default=RandomUUID(), editable=False)),
            ("code", models.CharField(max_length=64, unique=True)),
            ("as_of", models.DateField()),
            ("people", models.PositiveIntegerField()),
            ("planned_at", models.DateTimeField(db_default=ProgrammeNow())),
            ("confirmed_at", models.DateTimeField(null=True)),
            ("finished_at", models.DateTimeField(null=True)),
            ("confirmed_by", models.ForeignKey("accounts.user", PROTECT, null=True, related_name="+")),
            ("planned_by", models.ForeignKey("accounts.user", PROTECT, related_name="+")),
        ],
        options={
            "constraints": [
                models.CheckConstraint(
                    name="retention_run_two_persons", condition=Q(confirmed_by=None) | ~Q(confirmed_by=F("planned_by")),
                ),
                models.CheckConstraint(
                    name="retention_run_in_order",
                    condition=Q(confirmed_at=None, confirmed_by=None, finished_at=None)
                    | Q(confirmed_at__isnull=False, confirmed_by__isnull=False),
                ),
                models.CheckConstraint(name="retention_run_people", condition=Q(people__gte=1)),
            ],
        },
    ),
    migrations.CreateModel(
        "PlannedPerson",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("kept_until", models.DateField()),
            ("outcome", models.CharField(
                max_length=10, blank=True, choices=[("emptied", "Emptied"), ("kept", "Kept")],
            )),
            ("person", models.ForeignKey("cases.person", PROTECT, related_name="+")),
            ("run", models.ForeignKey("retention.run", PROTECT, db_index=False, related_name="persons")),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(name="retention_person_once", fields=("run", "person")),
                models.CheckConstraint(
                    name="retention_person_outcome", condition=Q(outcome__in=["", "emptied", "kept"]),
                ),
            ],
        },
    ),
]


class Migration(migrations.Migration):
    initial = True
    # What led here step by step, in versions that were never released.
    replaces = [("retention", name) for name in ("0001_runs", "0002_fewer_indexes")]
    dependencies = [("visits", "0001_tables")]
    operations = [CreateModels(*TABLES), migrations.RunSQL(SQL)]
