from pathlib import Path

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField
from django.contrib.postgres.functions import RandomUUID
from django.db import migrations, models
from django.db.models import PROTECT, ExpressionWrapper, F, Func, Q
from django.db.models.functions import Cast

from quitledger.audit.database import ProgrammeNow
from quitledger.audit.tables import CreateModels

TOPICS = ("keys", "records", "months", "permits", "window", "courses", "recording", "drafts", "merges")
SQL = [Path(__file__).with_name(f"{topic}.sql").read_text(encoding="utf-8") for topic in TOPICS]
TABLES = [
    migrations.CreateModel(
        "Medicine",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("code", models.CharField("藥品代碼", max_length=20, unique=True)),
            ("name", models.CharField("藥品名稱", max_length=100)),
            ("kind", models.CharField("品項", max_length=30)),
            ("prescription_only", models.BooleanField("處方藥")),
            ("starts_on", models.DateField()),
            ("ends_on", models.DateField(null=True, blank=True)),
        ],
    ),
    migrations.CreateModel(
        "Month",
        fields=[
            ("month", models.DateField(primary_key=True, serialize=False)),
            ("closes_at", models.DateTimeField()),
            ("prompt_hours", models.PositiveSmallIntegerField()),
        ],
    ),
    migrations.CreateModel(
        "Visit",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("uid", models.UUIDField(unique=True)),
            ("visit_on", models.DateField("就醫日期")),
            ("visit_time", models.TimeField("就醫時間", null=True, blank=True)),
            ("pregnant", models.BooleanField("懷孕", default=False)),
            ("cigarettes_per_day", models.PositiveSmallIntegerField("平均每日支數", null=True, blank=True)),
            ("co_ppm", models.PositiveSmallIntegerField("一氧化碳", null=True, blank=True)),
            ("note", models.CharField("備註", max_length=500, blank=True)),
            ("in_force", models.BooleanField(default=True)),
            ("version", models.PositiveIntegerField(default=1)),
            ("recorded_at", models.DateTimeField("登錄時間", db_default=ProgrammeNow())),
            ("changed_at", models.DateTimeField(db_default=ProgrammeNow())),
            ("change_reason", models.CharField(max_length=200, blank=True)),
            ("authority", models.UUIDField(null=True, blank=True)),
            ("case", models.ForeignKey("cases.case", PROTECT, db_constraint=False, related_name="visits")),
            ("changed_by", models.ForeignKey(
                "accounts.user", PROTECT, null=True, db_constraint=False, db_index=False, related_name="+",
            )),
            ("institution", models.ForeignKey(
                "institutions.institution", PROTECT, db_constraint=False, db_index=False, related_name="+",
            )),
            ("person", models.ForeignKey(
                "cases.person", PROTECT, db_constraint=False, db_index=False, related_name="+",
            )),
            ("recorded_by", models.ForeignKey(
                "accounts.user", PROTECT, null=True, db_constraint=False, db_index=False, related_name="+",
            )),
            ("late_entry", models.UUIDField(null=True, blank=True)),
            ("permit", models.UUIDField(null=True, blank=True)),
            ("taken_over", models.BooleanField("移轉", default=False, db_default=False)),
        ],
        options={
            "indexes": [
                models.Index(name="visits_visit_month", fields=["institution", "visit_on"]),
                models.Index(name="visits_visit_person", fields=["person", "visit_on"]),
            ],
            "constraints": [
                models.UniqueConstraint(
                    name="visits_visit_one_a_day", fields=("person", "institution", "visit_on"),
                    condition=Q(in_force=True, taken_over=False),
                ),
                models.UniqueConstraint(
                    name="visits_visit_key",
                    fields=("id", "person", "institution", "visit_on", "in_force", "taken_over"),
                ),
            ],
        },
    ),
    migrations.CreateModel(
        "Service",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("visit_on", models.DateField()),
            ("in_force", models.BooleanField(default=True)),
            ("kind", models.CharField(max_length=12, choices=[("medication", "用藥"), ("counselling", "衛教")])),
            ("counselling_mode", models.CharField(
                "衛教方式", max_length=10, blank=True, choices=[("in_person", "面對面"), ("telephone", "電話")],
            )),
            ("spacing_days", models.PositiveSmallIntegerField()),
            ("entry_uid", models.UUIDField()),
            ("version", models.PositiveIntegerField(default=1)),
            ("institution", models.ForeignKey(
                "institutions.institution", PROTECT, db_constraint=False, db_index=False, related_name="+",
            )),
            ("person", models.ForeignKey(
                "cases.person", PROTECT, db_constraint=False, db_index=False, related_name="+",
            )),
            ("staff", models.ForeignKey(
                "institutions.staffmember", PROTECT, db_constraint=False, db_index=False, related_name="+",
            )),
            ("visit", models.ForeignKey(
                "visits.visit", PROTECT, db_constraint=False, db_index=False, related_name="services",
            )),
            ("taken_over", models.BooleanField(default=False, db_default=False)),
        ],
        options={
            "indexes": [
                models.Index(
                    name="visits_service_day", fields=["visit_on"], include=("institution", "person", "staff", "kind"),
                    condition=Q(in_force=True),
                ),
            ],
            "constraints": [
                models.UniqueConstraint(name="visits_service_once", fields=("visit", "kind")),
                models.CheckConstraint(name="visits_service_kind", condition=Q(kind__in=["medication", "counselling"])),
                models.CheckConstraint(name="visits_service_spacing_days", condition=Q(spacing_days__gte=1)),
                models.CheckConstraint(
                    name="visits_service_mode",
                    condition=Q(counselling_mode="", kind="medication")
                    | Q(counselling_mode__in=["in_person", "telephone"], kind="counselling"),
                ),
                ExclusionConstraint(
                    name="visits_service_spacing",
                    expressions=[
                        ("person", "="), ("institution", "="),
                        (
                            Cast(
                                ExpressionWrapper(Q(kind="medication"), output_field=models.BooleanField()),
                                models.IntegerField(),
                            ),
                            "=",
                        ),
                        (
                            Func(
                                F("visit_on"), F("visit_on") + F("spacing_days"), function="daterange",
                                output_field=DateRangeField(),
                            ),
                            "&&",
                        ),
                    ],
                    condition=Q(in_force=True, taken_over=False), deferrable=models.Deferrable.IMMEDIATE,
                ),
            ],
        },
    ),
    migrations.CreateModel(
        "MedicationLine",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("supply_weeks", models.PositiveSmallIntegerField("週數")),
            ("supply_days", models.PositiveSmallIntegerField("天數")),
            ("version", models.PositiveIntegerField(default=1)),
            ("institution", models.ForeignKey(
                "institutions.institution", PROTECT, db_constraint=False, db_index=False, related_name="+",
            )),
            ("medicine", models.ForeignKey(
                "visits.medicine", PROTECT, db_column="medicine_code", db_constraint=False, db_index=False,
                related_name="+", to_field="code",
            )),
            ("service", models.ForeignKey(
                "visits.service", PROTECT, db_constraint=False, db_index=False, related_name="lines",
            )),
            ("visit", models.ForeignKey(
                "visits.visit", PROTECT, db_constraint=False, db_index=False, related_name="+",
            )),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(name="visits_medication_line_once", fields=("service", "medicine")),
                models.CheckConstraint(
                    name="visits_medication_line_supply", condition=Q(supply_days__gte=1, supply_weeks__gte=1),
                ),
            ],
        },
    ),
    migrations.CreateModel(
        "WindowExtension",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("uid", models.UUIDField(unique=True, db_default=RandomUUID())),
            ("month", models.DateField("就醫月份")),
            ("reach", models.CharField(
                "適用對象", max_length=12, choices=[("all", "全國"), ("county", "縣市"), ("institution", "單一機構")],
            )),
            ("county", models.CharField("縣市", max_length=10, blank=True)),
            ("closes_at", models.DateTimeField("延長至")),
            ("reason", models.CharField("事由", max_length=200)),
            ("decided_at", models.DateTimeField(db_default=ProgrammeNow())),
            ("decided_by", models.ForeignKey("accounts.user", PROTECT, related_name="+")),
            ("institution", models.ForeignKey(
                "institutions.institution", PROTECT, null=True, blank=True, related_name="+",
            )),
        ],
        options={
            "indexes": [
                models.Index(name="visits_wind_month_674cd9_idx", fields=["month"]),
            ],
            "constraints": [
                models.CheckConstraint(name="visits_window_extension_first_day", condition=Q(month__day=1)),
                models.CheckConstraint(name="visits_window_extension_reason", condition=~Q(reason="")),
                models.CheckConstraint(
                    name="visits_window_extension_reach",
                    condition=Q(county="", institution__isnull=True, reach="all")
                    | Q(institution__isnull=True, reach="county") & ~Q(county="")
                    | Q(county="", institution__isnull=False, reach="institution"),
                ),
            ],
        },
    ),
    migrations.CreateModel(
        "ServiceMonth",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("month", models.DateField()),
            ("closes_at", models.DateTimeField()),
            ("prompt_hours", models.PositiveSmallIntegerField()),
            ("institution", models.ForeignKey(
                "institutions.institution", PROTECT, db_index=False, related_name="service_months",
            )),
            ("settled_at", models.DateTimeField(null=True, blank=True)),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(name="visits_service_month_once", fields=("institution", "month")),
                models.CheckConstraint(name="visits_service_month_first_day", condition=Q(month__day=1)),
            ],
        },
    ),
    migrations.CreateModel(
        "Course",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("kind", models.CharField(max_length=12, choices=[("medication", "用藥"), ("counselling", "衛教")])),
            ("course_year", models.PositiveSmallIntegerField("年度")),
            ("course_no", models.PositiveSmallIntegerField("療程次")),
            ("first_on", models.DateField("療程首日")),
            ("institution", models.ForeignKey("institutions.institution", PROTECT, db_index=False, related_name="+")),
            ("person", models.ForeignKey("cases.person", PROTECT, db_index=False, related_name="+")),
        ],
        options={
            "indexes": [
                models.Index(name="visits_course_year", fields=["course_year", "institution"]),
            ],
            "constraints": [
                models.UniqueConstraint(
                    name="visits_course_once", fields=("person", "kind", "course_year", "course_no"),
                ),
                models.CheckConstraint(name="visits_course_kind", condition=Q(kind__in=["medication", "counselling"])),
                models.CheckConstraint(
                    name="visits_course_number", condition=Q(course_no__gte=1, first_on__year=F("course_year")),
                ),
            ],
        },
    ),
    migrations.CreateModel(
        "CourseFinding",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("kind", models.CharField(max_length=12, choices=[("medication", "用藥"), ("counselling", "衛教")])),
            ("before_year", models.PositiveSmallIntegerField()),
            ("before_no", models.PositiveSmallIntegerField()),
            ("after_year", models.PositiveSmallIntegerField()),
            ("after_no", models.PositiveSmallIntegerField()),
            ("is_allowed", models.BooleanField()),
            ("caused_by", models.UUIDField(null=True)),
            ("found_at", models.DateTimeField(db_default=ProgrammeNow())),
            ("institution", models.ForeignKey("institutions.institution", PROTECT, related_name="+")),
            ("visit", models.ForeignKey("visits.visit", PROTECT, related_name="+")),
        ],
        options={
            "indexes": [
                models.Index(name="visits_coursefinding_newest", fields=["-found_at", "-id"]),
            ],
        },
    ),
    migrations.CreateModel(
        "Draft",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("contents", models.JSONField()),
            ("changed_at", models.DateTimeField(db_default=ProgrammeNow())),
            ("account", models.ForeignKey("accounts.user", PROTECT, db_index=False, related_name="+")),
            ("case", models.ForeignKey("cases.case", PROTECT, related_name="+")),
            ("institution", models.ForeignKey("institutions.institution", PROTECT, db_index=False, related_name="+")),
            ("visit", models.ForeignKey("visits.visit", PROTECT, null=True, blank=True, related_name="+")),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(
                    name="visits_draft_once", fields=("account", "case", "visit"), nulls_distinct=False,
                ),
            ],
        },
    ),
    migrations.CreateModel(
        "Permit",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("uid", models.UUIDField(unique=True)),
            ("application", models.UUIDField()),
            ("visit", models.UUIDField()),
            ("kind", models.CharField(
                max_length=10, choices=[("record", "補登"), ("change", "更正"), ("void", "刪除"), ("restore", "恢復")],
            )),
            ("expected_version", models.PositiveIntegerField()),
            ("from_on", models.DateField(null=True, blank=True)),
            ("visit_on", models.DateField()),
            ("is_late", models.BooleanField()),
            ("decided_at", models.DateTimeField(db_default=ProgrammeNow())),
            ("used_at", models.DateTimeField(null=True, blank=True)),
            ("used_xid", models.BigIntegerField(null=True, blank=True)),
            ("applied_by", models.ForeignKey("accounts.user", PROTECT, db_index=False, related_name="+")),
            ("decided_by", models.ForeignKey("accounts.user", PROTECT, db_index=False, related_name="+")),
            ("institution", models.ForeignKey("institutions.institution", PROTECT, db_index=False, related_name="+")),
            ("person", models.ForeignKey("cases.person", PROTECT, related_name="+")),
            ("signed_by", models.ForeignKey("accounts.user", PROTECT, null=True, db_index=False, related_name="+")),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(name="visits_permit_once", fields=("visit", "expected_version", "application")),
                models.CheckConstraint(
                    name="visits_permit_kind", condition=Q(kind__in=["record", "change", "void", "restore"]),
                ),
                models.CheckConstraint(
                    name="visits_permit_before",
                    condition=Q(expected_version=0, from_on=None, kind="record")
                    | ~Q(kind="record") & Q(expected_version__gte=1, from_on__isnull=False),
                ),
                models.CheckConstraint(
                    name="visits_permit_of_another",
                    condition=~Q(decided_by=F("applied_by")) & (Q(signed_by=None) | ~Q(decided_by=F("signed_by"))),
                ),
                models.CheckConstraint(
                    name="visits_permit_used",
                    condition=Q(used_at=None, used_xid=None) | Q(used_at__isnull=False, used_xid__isnull=False),
                ),
            ],
        },
    ),
]


class Migration(migrations.Migration):
    initial = True
    # What led here step by step, in versions that were never released.
    replaces = [
        ("visits", name)
        for name in (
            "0001_initial", "0002_window", "0003_courses", "0004_maintain", "0005_drafts", "0006_hand_over",
            "0008_recording_facts", "0009_emptied", "0010_permits", "0011_merge", "0012_many", "0013_taken_over",
            "0014_service_day", "0015_at_once", "0016_closed_books", "0017_spacing_by_number", "0018_fewer_indexes",
        )
    ]
    dependencies = [("cases", "0001_tables")]
    operations = [CreateModels(*TABLES), *map(migrations.RunSQL, SQL)]
