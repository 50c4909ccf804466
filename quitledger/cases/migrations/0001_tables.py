from pathlib import Path

from django.contrib.postgres.functions import RandomUUID
from django.contrib.postgres.indexes import GinIndex
from django.db import migrations, models
from django.db.models import PROTECT, F, Q

from quitledger.audit.database import ProgrammeNow
from quitledger.audit.tables import CreateModels

TOPICS = ("records", "persons", "closed_books")
SQL = [Path(__file__).with_name(f"{topic}.sql").read_text(encoding="utf-8") for topic in TOPICS]
TABLES = [
    migrations.CreateModel(
        "Person",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("uid", models.UUIDField(unique=True, db_default=RandomUUID(), editable=False)),
            ("identity_kind", models.CharField(
                max_length=30,
                choices=[
                    ("national_id", "國民身分證"), ("resident_certificate", "居留證（新式）"),
                    ("resident_certificate_old", "居留證（舊式）"), ("passport", "護照"),
                ],
            )),
            ("identity_country", models.CharField(max_length=3, blank=True)),
            ("identity_hash", models.BinaryField(max_length=32, null=True)),
            ("identity_token", models.BinaryField(null=True)),
            ("identity_key_id", models.CharField(max_length=20, blank=True)),
            ("birth_on", models.DateField("出生日期")),
            ("sex", models.CharField("性別", max_length=6, choices=[("male", "男"), ("female", "女")])),
            ("created_at", models.DateTimeField(db_default=ProgrammeNow())),
            ("changed_at", models.DateTimeField(db_default=ProgrammeNow())),
            ("emptied_run", models.BigIntegerField(null=True, editable=False)),
            ("authority", models.UUIDField(null=True, blank=True)),
            ("change_reason", models.CharField(max_length=200, blank=True, db_default="")),
            ("changed_by", models.ForeignKey("accounts.user", PROTECT, null=True, db_index=False, related_name="+")),
            ("merged_into", models.ForeignKey("cases.person", PROTECT, null=True, related_name="merged")),
            ("version", models.PositiveIntegerField(db_default=1)),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(name="cases_person_once", fields=("identity_hash", "birth_on")),
                models.CheckConstraint(name="cases_person_sex", condition=Q(sex__in=["male", "female"])),
                models.CheckConstraint(
                    name="cases_person_emptied",
                    condition=Q(emptied_run=None, identity_hash__isnull=False, identity_token__isnull=False)
                    & ~Q(identity_key_id="")
                    | Q(
                        birth_on__day=1, birth_on__month=1, emptied_run__isnull=False, identity_country="",
                        identity_hash=None, identity_key_id="", identity_token=None,
                    ),
                ),
                models.CheckConstraint(
                    name="cases_person_merged", condition=Q(merged_into=None) | ~Q(merged_into=F("id")),
                ),
            ],
        },
    ),
    migrations.CreateModel(
        "Case",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("uid", models.UUIDField(unique=True)),
            ("name", models.CharField("姓名", max_length=60)),
            ("chart_no", models.CharField("病歷號", max_length=30, blank=True)),
            ("phone", models.CharField("電話", max_length=30, blank=True)),
            ("opened_on", models.DateField("收案日期")),
            ("version", models.PositiveIntegerField(default=1)),
            ("changed_at", models.DateTimeField(db_default=ProgrammeNow())),
            ("change_reason", models.CharField(max_length=200, blank=True)),
            ("changed_by", models.ForeignKey("accounts.user", PROTECT, null=True, db_index=False, related_name="+")),
            ("institution", models.ForeignKey(
                "institutions.institution", PROTECT, db_index=False, related_name="cases",
            )),
            ("person", models.ForeignKey("cases.person", PROTECT, related_name="cases")),
            ("emptied_run", models.BigIntegerField(null=True, editable=False)),
        ],
        options={
            "indexes": [
                GinIndex(name="cases_case_name_part", fields=["name"], opclasses=["gin_trgm_ops"]),
            ],
            "constraints": [
                models.UniqueConstraint(name="cases_case_once", fields=("institution", "person")),
                models.UniqueConstraint(
                    name="cases_case_chart_no_once", fields=("institution", "chart_no"), condition=~Q(chart_no=""),
                ),
                models.UniqueConstraint(name="cases_case_key", fields=("id", "person", "institution")),
                models.CheckConstraint(
                    name="cases_case_name",
                    condition=Q(emptied_run=None) & ~Q(name="")
                    | Q(change_reason="", chart_no="", emptied_run__isnull=False, name="", phone=""),
                ),
            ],
        },
    ),
    migrations.CreateModel(
        "Baseline",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("uid", models.UUIDField(unique=True)),
            ("taken_on", models.DateField("評估日期")),
            ("first_cigarette", models.CharField(max_length=20, blank=True)),
            ("hard_to_refrain", models.CharField(max_length=20, blank=True)),
            ("hardest_to_give_up", models.CharField(max_length=20, blank=True)),
            ("most_cigarettes", models.CharField(max_length=20, blank=True)),
            ("more_in_first_hours", models.CharField(max_length=20, blank=True)),
            ("smokes_when_ill", models.CharField(max_length=20, blank=True)),
            ("ftnd_score", models.PositiveSmallIntegerField("尼古丁成癮度", null=True)),
            ("cigarettes_per_day", models.PositiveSmallIntegerField("平均每日支數", null=True)),
            ("co_ppm", models.PositiveSmallIntegerField("一氧化碳", null=True)),
            ("weight_kg", models.DecimalField("體重", max_digits=4, decimal_places=1, null=True)),
            ("pregnant", models.BooleanField("懷孕", default=False)),
            ("insured", models.BooleanField("健保在保", null=True)),
            ("version", models.PositiveIntegerField(default=1)),
            ("recorded_at", models.DateTimeField(db_default=ProgrammeNow())),
            ("changed_at", models.DateTimeField(db_default=ProgrammeNow())),
            ("change_reason", models.CharField(max_length=200, blank=True)),
            ("changed_by", models.ForeignKey("accounts.user", PROTECT, null=True, db_index=False, related_name="+")),
            ("institution", models.ForeignKey(
                "institutions.institution", PROTECT, db_constraint=False, related_name="+",
            )),
            ("case", models.ForeignKey(
                "cases.case", PROTECT, db_constraint=False, db_index=False, related_name="baselines",
            )),
            ("person", models.ForeignKey(
                "cases.person", PROTECT, db_constraint=False, db_index=False, related_name="+",
            )),
        ],
        options={
            "indexes": [
                models.Index(name="cases_baseline_person", fields=["person", "taken_on"]),
            ],
            "constraints": [
                models.UniqueConstraint(name="cases_baseline_one_a_day", fields=("case", "taken_on")),
                models.CheckConstraint(
                    name="cases_baseline_ftnd", condition=Q(ftnd_score__isnull=True) | Q(ftnd_score__lte=10),
                ),
            ],
        },
    ),
    migrations.CreateModel(
        "Merge",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("uid", models.UUIDField(unique=True)),
            ("reason", models.CharField("合併原因", max_length=200)),
            ("decided_at", models.DateTimeField(db_default=ProgrammeNow())),
            ("undone_at", models.DateTimeField(null=True)),
            ("undo_reason", models.CharField("撤銷原因", max_length=200, blank=True, db_default="")),
            ("decided_by", models.ForeignKey("accounts.user", PROTECT, db_index=False, related_name="+")),
            ("kept", models.ForeignKey("cases.person", PROTECT, related_name="merges")),
            ("merged", models.ForeignKey("cases.person", PROTECT, related_name="+")),
            ("undone_by", models.ForeignKey("accounts.user", PROTECT, null=True, db_index=False, related_name="+")),
        ],
        options={
            "constraints": [
                models.CheckConstraint(name="cases_merge_of_two", condition=~Q(kept=F("merged"))),
                models.UniqueConstraint(name="cases_merge_once", fields=("merged",), condition=Q(undone_at=None)),
                models.CheckConstraint(
                    name="cases_merge_undone",
                    condition=Q(undo_reason="", undone_at=None, undone_by=None)
                    | Q(undone_at__isnull=False, undone_by__isnull=False),
                ),
            ],
        },
    ),
    migrations.CreateModel(
        "MergedRecord",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("kind", models.CharField(
                max_length=10,
                choices=[("case", "個案"), ("baseline", "收案評估"), ("visit", "就醫資料"), ("draft", "草稿")],
            )),
            ("record_id", models.BigIntegerField()),
            ("from_case", models.ForeignKey("cases.case", PROTECT, db_index=False, related_name="+")),
            ("merge", models.ForeignKey("cases.merge", PROTECT, db_index=False, related_name="records")),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(name="cases_mergedrecord_once", fields=("merge", "kind", "record_id")),
                models.CheckConstraint(
                    name="cases_mergedrecord_kind", condition=Q(kind__in=["case", "baseline", "visit", "draft"]),
                ),
            ],
        },
    ),
]


class Migration(migrations.Migration):
    initial = True
    # What led here step by step, in versions that were never released.
    replaces = [
        ("cases", name)
        for name in (
            "0001_initial", "0002_find_person", "0003_find_person_by_any_key", "0004_emptied", "0005_merge",
            "0006_many", "0007_closed_books", "0008_fewer_indexes",
        )
    ]
    dependencies = [("institutions", "0001_tables")]
    operations = [CreateModels(*TABLES), *map(migrations.RunSQL, SQL)]
