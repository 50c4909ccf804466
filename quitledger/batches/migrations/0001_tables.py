from pathlib import Path

from django.db import migrations, models
from django.db.models import PROTECT, Q

from quitledger.audit.database import ProgrammeNow
from quitledger.audit.tables import CreateModels

SQL = Path(__file__).with_name("held.sql").read_text(encoding="utf-8")
TABLES = [
    migrations.CreateModel(
        "Batch",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("uid", models.UUIDField(unique=True)),
            ("kind", models.CharField(max_length=10, choices=[("visits", "就醫資料"), ("persons", "戒菸者名單")])),
            ("file_format", models.CharField(max_length=4, blank=True)),
            ("state", models.CharField(
                max_length=10,
                choices=[
                    ("reading", "檢查中"), ("asking", "待指定欄位"), ("checked", "待確認"), ("recording", "登錄中"),
                    ("recorded", "已登錄"), ("refused", "讀不出來"), ("given_up", "已放棄"),
                ],
                default="reading",
            )),
            ("rows", models.PositiveIntegerField(null=True)),
            ("done", models.PositiveIntegerField(default=0)),
            ("recorded", models.PositiveIntegerField(default=0)),
            ("all_or_none", models.BooleanField(default=False)),
            ("head", models.BinaryField(null=True)),
            ("key_id", models.CharField(max_length=20, blank=True)),
            ("uploaded_at", models.DateTimeField(db_default=ProgrammeNow())),
            ("kept_until", models.DateTimeField()),
            ("institution", models.ForeignKey("institutions.institution", PROTECT, db_index=False, related_name="+")),
            ("uploaded_by", models.ForeignKey("accounts.user", PROTECT, db_index=False, related_name="+")),
        ],
        options={
            "indexes": [
                models.Index(name="batches_batch_list", fields=["institution", "-uploaded_at"]),
            ],
            "constraints": [
                models.UniqueConstraint(name="batches_batch_key", fields=("id", "institution")),
                models.CheckConstraint(name="batches_batch_kind", condition=Q(kind__in=["visits", "persons"])),
            ],
        },
    ),
    migrations.CreateModel(
        "ColumnChoice",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("kind", models.CharField(max_length=10, choices=[("visits", "就醫資料"), ("persons", "戒菸者名單")])),
            ("title", models.CharField(max_length=60)),
            ("column", models.CharField(max_length=30)),
            ("institution", models.ForeignKey("institutions.institution", PROTECT, db_index=False, related_name="+")),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(name="batches_columnchoice_once", fields=("institution", "kind", "title")),
            ],
        },
    ),
    migrations.CreateModel(
        "Comparison",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("uid", models.UUIDField(unique=True)),
            ("month", models.DateField()),
            ("token", models.BinaryField()),
            ("key_id", models.CharField(max_length=20)),
            ("compared_at", models.DateTimeField(db_default=ProgrammeNow())),
            ("kept_until", models.DateTimeField()),
            ("compared_by", models.ForeignKey("accounts.user", PROTECT, db_index=False, related_name="+")),
            ("institution", models.ForeignKey("institutions.institution", PROTECT, db_index=False, related_name="+")),
        ],
        options={
            "indexes": [
                models.Index(name="batches_comparison_list", fields=["institution", "-compared_at"]),
            ],
        },
    ),
    migrations.CreateModel(
        "Row",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("line", models.PositiveIntegerField()),
            ("status", models.CharField(
                max_length=8,
                choices=[
                    ("waiting", "未檢查"), ("good", "可登錄"), ("same", "已登錄過"), ("conflict", "與已登錄的衝突"),
                    ("refused", "不能登錄"),
                ],
                default="waiting",
            )),
            ("token", models.BinaryField()),
            ("key_id", models.CharField(max_length=20)),
            ("batch", models.ForeignKey(
                "batches.batch", PROTECT, db_constraint=False, db_index=False, related_name="held",
            )),
            ("institution", models.ForeignKey(
                "institutions.institution", PROTECT, db_constraint=False, db_index=False, related_name="+",
            )),
            ("person", models.ForeignKey("cases.person", PROTECT, null=True, db_constraint=False, related_name="+")),
        ],
        options={
            "indexes": [
                models.Index(name="batches_row_status", fields=["batch", "status", "line"]),
                models.Index(name="batches_row_person", fields=["batch", "person", "line"]),
            ],
            "constraints": [
                models.UniqueConstraint(name="batches_row_once", fields=("batch", "line")),
            ],
        },
    ),
    migrations.CreateModel(
        "BatchFile",
        fields=[
            ("batch", models.OneToOneField(
                "batches.batch", PROTECT, primary_key=True, db_constraint=False, related_name="file", serialize=False,
            )),
            ("token", models.BinaryField()),
            ("key_id", models.CharField(max_length=20)),
            ("institution", models.ForeignKey("institutions.institution", PROTECT, db_index=False, related_name="+")),
        ],
    ),
]


class Migration(migrations.Migration):
    initial = True
    # What led here step by step, in versions that were never released.
    replaces = [("batches", name) for name in ("0001_held",)]
    dependencies = [("cases", "0001_tables")]
    operations = [CreateModels(*TABLES), migrations.RunSQL(SQL)]
