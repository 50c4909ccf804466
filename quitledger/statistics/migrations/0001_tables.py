from pathlib import Path

from django.contrib.postgres.functions import RandomUUID
from django.db import migrations, models
from django.db.models import PROTECT, Q

from quitledger.audit.database import ProgrammeNow
from quitledger.audit.tables import CreateModels

TOPICS = ("publications", "changes")
SQL = [Path(__file__).with_name(f"{topic}.sql").read_text(encoding="utf-8") for topic in TOPICS]
TABLES = [
    migrations.CreateModel(
        "Publication",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("uid", models.UUIDField(unique=True, db_default=RandomUUID(), editable=False)),
            ("year", models.PositiveSmallIntegerField("年度")),
            ("basis", models.CharField(max_length=20)),
            ("number", models.PositiveSmallIntegerField("版本")),
            ("last_on", models.DateField("期間末日")),
            ("data_at", models.DateTimeField("資料時點")),
            ("content", models.TextField()),
            ("fingerprint", models.CharField("內容指紋", max_length=64)),
            ("note", models.CharField("說明", max_length=500, blank=True)),
            ("published_at", models.DateTimeField(db_default=ProgrammeNow())),
            ("previous", models.OneToOneField("statistics.publication", PROTECT, null=True, related_name="next")),
            ("published_by", models.ForeignKey("accounts.user", PROTECT, related_name="+")),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(name="statistics_publication_once", fields=("year", "basis", "number")),
                models.CheckConstraint(
                    name="statistics_publication_basis", condition=Q(basis__in=["any_day", "last_day"]),
                ),
                models.CheckConstraint(
                    name="statistics_publication_in_order",
                    condition=Q(number=1, previous=None) | Q(number__gt=1, previous__isnull=False) & ~Q(note=""),
                ),
            ],
        },
    ),
]


class Migration(migrations.Migration):
    initial = True
    # What led here step by step, in versions that were never released.
    replaces = [("statistics", name) for name in ("0001_publication", "0002_unchanged", "0003_changes")]
    dependencies = [("visits", "0001_tables")]
    operations = [CreateModels(*TABLES), *map(migrations.RunSQL, SQL)]
