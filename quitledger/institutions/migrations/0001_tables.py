from pathlib import Path

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField
from django.contrib.postgres.functions import RandomUUID
from django.db import migrations, models
from django.db.models import PROTECT, F, Func, Q, Value

from quitledger.audit.tables import CreateModels

TOPICS = ("enter", "lists", "memberships")
SQL = [Path(__file__).with_name(f"{topic}.sql").read_text(encoding="utf-8") for topic in TOPICS]
TABLES = [
    migrations.CreateModel(
        "Institution",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("uid", models.UUIDField(unique=True, db_default=RandomUUID(), editable=False)),
            ("created_at", models.DateTimeField(auto_now_add=True)),
            ("parent", models.ForeignKey(
                "institutions.institution", PROTECT, null=True, blank=True, related_name="branches",
            )),
        ],
        options={
            "constraints": [
                models.CheckConstraint(name="institutions_parent_other", condition=~Q(parent=F("id"))),
            ],
        },
    ),
    migrations.CreateModel(
        "StaffMember",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("uid", models.UUIDField(unique=True, db_default=RandomUUID(), editable=False)),
            ("name", models.CharField("姓名", max_length=60)),
            ("profession", models.CharField(
                "職類", max_length=20,
                choices=[
                    ("physician", "醫師"), ("dentist", "牙醫師"), ("pharmacist", "藥師"), ("counsellor", "衛教師"),
                ],
            )),
            ("identity_hash", models.BinaryField(max_length=32, unique=True)),
            ("identity_token", models.BinaryField()),
            ("identity_key_id", models.CharField(max_length=20)),
        ],
        options={
            "constraints": [
                models.CheckConstraint(
                    name="institutions_staff_profession",
                    condition=Q(profession__in=["physician", "dentist", "pharmacist", "counsellor"]),
                ),
            ],
        },
    ),
    migrations.CreateModel(
        "Contract",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("starts_on", models.DateField()),
            ("ends_on", models.DateField(null=True, blank=True)),
            ("end_reason", models.CharField(max_length=200, blank=True)),
            ("institution", models.ForeignKey("institutions.institution", PROTECT, related_name="contracts")),
        ],
        options={
            "constraints": [
                ExclusionConstraint(
                    name="institutions_contract_one_a_day",
                    expressions=[
                        ("institution", "="),
                        (
                            Func(
                                F("starts_on"), F("ends_on"), Value("[]"), function="daterange",
                                output_field=DateRangeField(),
                            ),
                            "&&",
                        ),
                    ],
                ),
                models.CheckConstraint(
                    name="institutions_contract_period",
                    condition=Q(ends_on__isnull=True) | Q(ends_on__gte=F("starts_on")),
                ),
            ],
        },
    ),
    migrations.CreateModel(
        "InstitutionDetails",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("starts_on", models.DateField()),
            ("ends_on", models.DateField(null=True, blank=True)),
            ("code", models.CharField("醫事機構代碼", max_length=10)),
            ("name", models.CharField("機構名稱", max_length=100)),
            ("tier", models.CharField(
                "層級別", max_length=20,
                choices=[
                    ("medical_center", "醫學中心"), ("regional_hospital", "區域醫院"),
                    ("district_hospital", "地區醫院"), ("clinic", "西醫診所"), ("health_center", "衛生所"),
                    ("dental_clinic", "牙科診所"), ("pharmacy", "藥局"),
                ],
            )),
            ("county", models.CharField("縣市", max_length=10)),
            ("address", models.CharField("地址", max_length=200, blank=True)),
            ("institution", models.ForeignKey("institutions.institution", PROTECT, related_name="details")),
            ("change", models.CharField(
                "變更事由", max_length=20, blank=True,
                choices=[
                    ("code", "換發代碼"), ("take_over", "承接"), ("name", "更名"), ("move", "遷址"), ("tier", "改制"),
                    ("other", "其他"),
                ],
                db_default="",
            )),
        ],
        options={
            "indexes": [
                models.Index(name="institution_county_810978_idx", fields=["county"]),
            ],
            "constraints": [
                ExclusionConstraint(
                    name="institutions_details_one_a_day",
                    expressions=[
                        ("institution", "="),
                        (
                            Func(
                                F("starts_on"), F("ends_on"), Value("[]"), function="daterange",
                                output_field=DateRangeField(),
                            ),
                            "&&",
                        ),
                    ],
                ),
                ExclusionConstraint(
                    name="institutions_details_code_once",
                    expressions=[
                        ("code", "="),
                        (
                            Func(
                                F("starts_on"), F("ends_on"), Value("[]"), function="daterange",
                                output_field=DateRangeField(),
                            ),
                            "&&",
                        ),
                    ],
                ),
                models.CheckConstraint(
                    name="institutions_details_period",
                    condition=Q(ends_on__isnull=True) | Q(ends_on__gte=F("starts_on")),
                ),
                models.CheckConstraint(name="institutions_details_code", condition=Q(code__regex="^[0-9]{10}$")),
                models.CheckConstraint(
                    name="institutions_details_tier",
                    condition=Q(
                        tier__in=[
                            "medical_center", "regional_hospital", "district_hospital", "clinic", "health_center",
                            "dental_clinic", "pharmacy",
                        ],
                    ),
                ),
                models.CheckConstraint(
                    name="institutions_details_change",
                    condition=Q(change__in=["", "code", "take_over", "name", "move", "tier", "other"]),
                ),
            ],
        },
    ),
    migrations.CreateModel(
        "Membership",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("role", models.CharField(max_length=20, choices=[("recorder", "登錄人員"), ("supervisor", "業務主管")])),
            ("starts_on", models.DateField()),
            ("ends_on", models.DateField(null=True, blank=True)),
            ("institution", models.ForeignKey("institutions.institution", PROTECT, related_name="memberships")),
            ("user", models.ForeignKey("accounts.user", PROTECT, related_name="memberships")),
            ("closed_at", models.DateTimeField(null=True, blank=True)),
            ("confirmed_at", models.DateTimeField(null=True, blank=True)),
            ("staff", models.ForeignKey(
                "institutions.staffmember", PROTECT, null=True, blank=True, related_name="memberships",
            )),
            ("uid", models.UUIDField(unique=True, db_default=RandomUUID(), editable=False)),
        ],
        options={
            "constraints": [
                ExclusionConstraint(
                    name="institutions_membership_one_a_day",
                    expressions=[
                        ("user", "="), ("institution", "="),
                        (
                            Func(
                                F("starts_on"), F("ends_on"), Value("[]"), function="daterange",
                                output_field=DateRangeField(),
                            ),
                            "&&",
                        ),
                    ],
                ),
                models.CheckConstraint(
                    name="institutions_membership_period",
                    condition=Q(ends_on__isnull=True) | Q(ends_on__gte=F("starts_on")),
                ),
                models.CheckConstraint(
                    name="institutions_membership_role", condition=Q(role__in=("recorder", "supervisor")),
                ),
                models.CheckConstraint(
                    name="institutions_membership_closed", condition=Q(closed_at=None) | Q(ends_on__isnull=False),
                ),
            ],
        },
    ),
    migrations.CreateModel(
        "StaffContract",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("starts_on", models.DateField()),
            ("ends_on", models.DateField(null=True, blank=True)),
            ("may_medicate", models.BooleanField("用藥")),
            ("may_counsel", models.BooleanField("衛教")),
            ("institution", models.ForeignKey("institutions.institution", PROTECT, related_name="staff_contracts")),
            ("staff", models.ForeignKey("institutions.staffmember", PROTECT, related_name="contracts")),
        ],
        options={
            "constraints": [
                ExclusionConstraint(
                    name="institutions_staff_contract_one_a_day",
                    expressions=[
                        ("institution", "="), ("staff", "="),
                        (
                            Func(
                                F("starts_on"), F("ends_on"), Value("[]"), function="daterange",
                                output_field=DateRangeField(),
                            ),
                            "&&",
                        ),
                    ],
                ),
                models.CheckConstraint(
                    name="institutions_staff_contract_period",
                    condition=Q(ends_on__isnull=True) | Q(ends_on__gte=F("starts_on")),
                ),
            ],
        },
    ),
    migrations.CreateModel(
        "Certificate",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("kind", models.CharField("證明種類", max_length=60)),
            ("number", models.CharField("字號", max_length=60, blank=True)),
            ("starts_on", models.DateField(null=True, blank=True)),
            ("ends_on", models.DateField("到期日")),
            ("staff", models.ForeignKey(
                "institutions.staffmember", PROTECT, db_index=False, related_name="certificates",
            )),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(name="institutions_certificate_once", fields=("staff", "kind", "ends_on")),
            ],
        },
    ),
    migrations.CreateModel(
        "Quota",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("year", models.PositiveSmallIntegerField("年度")),
            ("kind", models.CharField(
                "服務", max_length=12, choices=[("medication", "用藥"), ("counselling", "衛教")],
            )),
            ("visits", models.PositiveIntegerField("人次上限", null=True, blank=True)),
            ("institution", models.ForeignKey(
                "institutions.institution", PROTECT, db_index=False, related_name="quotas",
            )),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(name="institutions_quota_once", fields=("institution", "year", "kind")),
                models.CheckConstraint(
                    name="institutions_quota_kind", condition=Q(kind__in=["medication", "counselling"]),
                ),
            ],
        },
    ),
]


class Migration(migrations.Migration):
    initial = True
    # What led here step by step, in versions that were never released.
    replaces = [
        ("institutions", name)
        for name in ("0001_initial", "0002_enter", "0003_parent", "0004_people", "0005_lists", "0006_fewer_indexes")
    ]
    # What mfa changes leads to the accounts; later, with each change, Django would draw anew all that leads there.
    dependencies = [("accounts", "0001_tables"), ("mfa", "0003_authenticator_type_uniq")]
    operations = [CreateModels(*TABLES), *map(migrations.RunSQL, SQL)]
