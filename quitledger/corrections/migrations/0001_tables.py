from pathlib import Path

from django.db import migrations, models
from django.db.models import PROTECT, F, Q

from quitledger.audit.database import ProgrammeNow
from quitledger.audit.tables import CreateModels

TOPICS = ("applications", "items", "authority", "evidence")
SQL = [Path(__file__).with_name(f"{topic}.sql").read_text(encoding="utf-8") for topic in TOPICS]
TABLES = [
    migrations.CreateModel(
        "Application",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("uid", models.UUIDField(unique=True)),
            ("state", models.CharField(
                max_length=12,
                choices=[
                    ("draft", "草稿"), ("to_sign", "待簽核"), ("new", "待審"), ("in_review", "審核中"),
                    ("waiting", "等機構回覆"), ("second", "待複審"), ("approved", "已核可"), ("in_part", "部分核可"),
                    ("rejected", "已退回"), ("withdrawn", "已撤回"),
                ],
            )),
            ("case_no", models.CharField("案件編號", max_length=12, null=True, unique=True)),
            ("on_paper", models.BooleanField(default=False)),
            ("received_on", models.DateField("收件日", null=True, blank=True)),
            ("reason", models.CharField("原因", max_length=1000)),
            ("discovered_on", models.DateField("發現日")),
            ("written_at", models.DateTimeField(db_default=ProgrammeNow())),
            ("signed_at", models.DateTimeField(null=True)),
            ("single_person", models.BooleanField(default=False)),
            ("sent_at", models.DateTimeField(null=True)),
            ("decided_at", models.DateTimeField(null=True)),
            ("seen_at", models.DateTimeField(null=True)),
            ("version", models.PositiveIntegerField(default=1)),
            ("changed_at", models.DateTimeField(db_default=ProgrammeNow())),
            ("case", models.ForeignKey("cases.case", PROTECT, related_name="+")),
            ("changed_by", models.ForeignKey("accounts.user", PROTECT, null=True, db_index=False, related_name="+")),
            ("claimed_by", models.ForeignKey("accounts.user", PROTECT, null=True, db_index=False, related_name="+")),
            ("confirmed_by", models.ForeignKey("accounts.user", PROTECT, null=True, db_index=False, related_name="+")),
            ("decided_by", models.ForeignKey("accounts.user", PROTECT, null=True, db_index=False, related_name="+")),
            ("institution", models.ForeignKey("institutions.institution", PROTECT, db_index=False, related_name="+")),
            ("person", models.ForeignKey("cases.person", PROTECT, related_name="+")),
            ("signed_by", models.ForeignKey("accounts.user", PROTECT, null=True, db_index=False, related_name="+")),
            ("written_by", models.ForeignKey("accounts.user", PROTECT, db_index=False, related_name="+")),
        ],
        options={
            "indexes": [
                models.Index(name="corrections_application_queue", fields=["state", "sent_at"]),
                models.Index(name="corrections_application_own", fields=["institution", "-changed_at"]),
            ],
            "constraints": [
                models.CheckConstraint(
                    name="corrections_application_state",
                    condition=Q(
                        state__in=[
                            "draft", "to_sign", "new", "in_review", "waiting", "second", "approved", "in_part",
                            "rejected", "withdrawn",
                        ],
                    ),
                ),
                models.CheckConstraint(
                    name="corrections_application_two_persons",
                    condition=Q(signed_by=None) | Q(single_person=True) | ~Q(signed_by=F("written_by")),
                ),
                models.CheckConstraint(
                    name="corrections_application_signed",
                    condition=Q(state__in=["draft", "to_sign", "withdrawn"]) | Q(on_paper=True)
                    | Q(signed_at__isnull=False, signed_by__isnull=False),
                ),
                models.CheckConstraint(
                    name="corrections_application_sent",
                    condition=Q(state__in=["draft", "to_sign", "withdrawn"])
                    | Q(case_no__isnull=False, sent_at__isnull=False),
                ),
                models.CheckConstraint(
                    name="corrections_application_decided_by_another",
                    condition=Q(decided_by=None)
                    | ~Q(decided_by=F("written_by")) & (Q(signed_by=None) | ~Q(decided_by=F("signed_by"))),
                ),
                models.CheckConstraint(
                    name="corrections_application_confirmed_by_another",
                    condition=Q(confirmed_by=None)
                    | ~Q(confirmed_by=F("written_by")) & (Q(signed_by=None) | ~Q(confirmed_by=F("signed_by"))),
                ),
                models.CheckConstraint(
                    name="corrections_application_two_deciders",
                    condition=Q(confirmed_by=None) | Q(decided_by__isnull=False) & ~Q(confirmed_by=F("decided_by")),
                ),
                models.CheckConstraint(
                    name="corrections_application_single_person",
                    condition=Q(single_person=False) | ~Q(state__in=["approved", "in_part"])
                    | Q(confirmed_by__isnull=False),
                ),
                models.CheckConstraint(
                    name="corrections_application_decided",
                    condition=~Q(state__in=["approved", "in_part", "rejected"])
                    | Q(decided_at__isnull=False, decided_by__isnull=False),
                ),
                models.CheckConstraint(
                    name="corrections_application_paper", condition=Q(on_paper=False) | Q(received_on__isnull=False),
                ),
            ],
        },
    ),
    migrations.CreateModel(
        "Item",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("uid", models.UUIDField(unique=True)),
            ("position", models.PositiveSmallIntegerField()),
            ("kind", models.CharField(
                max_length=12,
                choices=[
                    ("late_entry", "補登"), ("change", "更正內容"), ("void", "刪除"), ("restore", "恢復"),
                    ("person", "證號、出生日期、性別"), ("parked", "移到真正的就醫日期"),
                    ("overwritten", "還原被覆蓋的紀錄"),
                ],
            )),
            ("visit_version", models.PositiveIntegerField(null=True)),
            ("visit_on", models.DateField("就醫日期", null=True)),
            ("contents", models.JSONField(null=True)),
            ("linked", models.BooleanField(default=False)),
            ("taken_out", models.BooleanField(default=False)),
            ("decision", models.CharField(
                max_length=10, blank=True, choices=[("approved", "核可"), ("rejected", "退回")],
            )),
            ("rejected_for", models.CharField(
                max_length=20, blank=True,
                choices=[
                    ("evidence", "證明文件不足"), ("date", "就醫日期與病歷不符"), ("repeated", "重複申請"),
                    ("rule", "不符合規定"), ("other", "其他"),
                ],
            )),
            ("made_version", models.PositiveIntegerField(null=True)),
            ("application", models.ForeignKey("corrections.application", PROTECT, related_name="items")),
            ("institution", models.ForeignKey("institutions.institution", PROTECT, db_index=False, related_name="+")),
            ("visit", models.ForeignKey("visits.visit", PROTECT, null=True, related_name="+")),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(
                    name="corrections_item_place", fields=("application", "position"), condition=Q(taken_out=False),
                ),
                models.UniqueConstraint(
                    name="corrections_item_visit_once", fields=("application", "visit"),
                    condition=Q(taken_out=False, visit__isnull=False),
                ),
                models.CheckConstraint(
                    name="corrections_item_decision",
                    condition=Q(decision__in=["", "approved"], rejected_for="")
                    | Q(decision="rejected", rejected_for__in=["evidence", "date", "repeated", "rule", "other"]),
                ),
                models.UniqueConstraint(
                    name="corrections_item_person_once", fields=("application",),
                    condition=Q(kind="person", taken_out=False),
                ),
                models.CheckConstraint(
                    name="corrections_item_kind",
                    condition=Q(
                        kind__in=["late_entry", "change", "void", "restore", "person", "parked", "overwritten"],
                    ),
                ),
                models.CheckConstraint(
                    name="corrections_item_day",
                    condition=Q(kind="person", visit_on=None) | ~Q(kind="person") & Q(visit_on__isnull=False),
                ),
                models.CheckConstraint(
                    name="corrections_item_visit",
                    condition=Q(kind__in=["late_entry", "person"], visit=None, visit_version=None)
                    | ~Q(kind__in=["late_entry", "person"]) & Q(visit__isnull=False, visit_version__gte=1),
                ),
                models.CheckConstraint(
                    name="corrections_item_contents",
                    condition=Q(contents=None, kind__in=["void", "restore", "person"])
                    | ~Q(kind__in=["void", "restore", "person"]) & Q(contents__isnull=False),
                ),
            ],
        },
    ),
    migrations.CreateModel(
        "StepTaken",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("step", models.CharField(
                max_length=12,
                choices=[
                    ("write", "開始填寫"), ("rewrite", "修改"), ("submit", "送業務主管簽核"), ("sign", "簽核並送出"),
                    ("hand_back", "退回填寫人"), ("withdraw", "撤回"), ("register", "登記紙本申請"), ("claim", "承辦"),
                    ("release", "放回待審"), ("ask", "詢問機構"), ("answer", "回覆管理窗口"), ("decide", "審核"),
                    ("confirm", "複審同意"), ("refer_back", "複審退回承辦人"),
                ],
            )),
            ("from_state", models.CharField(
                max_length=12, blank=True,
                choices=[
                    ("draft", "草稿"), ("to_sign", "待簽核"), ("new", "待審"), ("in_review", "審核中"),
                    ("waiting", "等機構回覆"), ("second", "待複審"), ("approved", "已核可"), ("in_part", "部分核可"),
                    ("rejected", "已退回"), ("withdrawn", "已撤回"),
                ],
            )),
            ("to_state", models.CharField(
                max_length=12,
                choices=[
                    ("draft", "草稿"), ("to_sign", "待簽核"), ("new", "待審"), ("in_review", "審核中"),
                    ("waiting", "等機構回覆"), ("second", "待複審"), ("approved", "已核可"), ("in_part", "部分核可"),
                    ("rejected", "已退回"), ("withdrawn", "已撤回"),
                ],
            )),
            ("from_desk", models.BooleanField()),
            ("at", models.DateTimeField(db_default=ProgrammeNow())),
            ("text", models.CharField(max_length=1000, blank=True)),
            ("application", models.ForeignKey("corrections.application", PROTECT, related_name="steps")),
            ("by", models.ForeignKey("accounts.user", PROTECT, db_index=False, related_name="+")),
            ("institution", models.ForeignKey("institutions.institution", PROTECT, db_index=False, related_name="+")),
        ],
        options={
            "ordering": ["pk"],
            "constraints": [
                models.CheckConstraint(
                    name="corrections_steptaken_step",
                    condition=Q(
                        step__in=[
                            "write", "rewrite", "submit", "sign", "hand_back", "withdraw", "register", "claim",
                            "release", "ask", "answer", "decide", "confirm", "refer_back",
                        ],
                    ),
                ),
                models.CheckConstraint(
                    name="corrections_steptaken_state",
                    condition=Q(
                        to_state__in=[
                            "draft", "to_sign", "new", "in_review", "waiting", "second", "approved", "in_part",
                            "rejected", "withdrawn",
                        ],
                    ),
                ),
            ],
        },
    ),
    migrations.CreateModel(
        "Evidence",
        fields=[
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID")),
            ("uid", models.UUIDField(unique=True)),
            ("number", models.PositiveSmallIntegerField()),
            ("origin", models.CharField(max_length=12, choices=[("sent", "證明文件"), ("case_sheet", "個案紀錄表")])),
            ("kind", models.CharField(max_length=4, choices=[("pdf", "PDF"), ("jpeg", "JPEG"), ("png", "PNG")])),
            ("size", models.PositiveIntegerField()),
            ("pages", models.PositiveIntegerField(null=True)),
            ("width", models.PositiveIntegerField(null=True)),
            ("height", models.PositiveIntegerField(null=True)),
            ("sha256", models.BinaryField(max_length=32, null=True)),
            ("uploaded_at", models.DateTimeField(db_default=ProgrammeNow())),
            ("removed_at", models.DateTimeField(null=True)),
            ("application", models.ForeignKey(
                "corrections.application", PROTECT, db_index=False, related_name="evidence",
            )),
            ("institution", models.ForeignKey("institutions.institution", PROTECT, db_index=False, related_name="+")),
            ("removed_by", models.ForeignKey("accounts.user", PROTECT, null=True, db_index=False, related_name="+")),
            ("uploaded_by", models.ForeignKey("accounts.user", PROTECT, db_index=False, related_name="+")),
        ],
        options={
            "ordering": ["number"],
            "constraints": [
                models.UniqueConstraint(name="corrections_evidence_number", fields=("application", "number")),
                models.UniqueConstraint(
                    name="corrections_evidence_once", fields=("application", "sha256"), condition=Q(removed_at=None),
                ),
                models.CheckConstraint(
                    name="corrections_evidence_origin", condition=Q(origin__in=["sent", "case_sheet"]),
                ),
                models.CheckConstraint(
                    name="corrections_evidence_kind",
                    condition=Q(height=None, kind="pdf", pages__gte=1, width=None)
                    | Q(height__gte=1, kind__in=["jpeg", "png"], pages=None, width__gte=1),
                ),
                models.CheckConstraint(name="corrections_evidence_size", condition=Q(number__gte=1, size__gte=1)),
                models.CheckConstraint(
                    name="corrections_evidence_removed",
                    condition=Q(removed_at=None, removed_by=None)
                    | Q(removed_at__isnull=False, removed_by__isnull=False),
                ),
            ],
        },
    ),
    migrations.CreateModel(
        "EvidenceFile",
        fields=[
            ("evidence", models.OneToOneField(
                "corrections.evidence", PROTECT, primary_key=True, related_name="file", serialize=False,
            )),
            ("token", models.BinaryField()),
            ("key_id", models.CharField(max_length=20)),
            ("institution", models.ForeignKey("institutions.institution", PROTECT, db_index=False, related_name="+")),
        ],
    ),
    migrations.CreateModel(
        "AskedIdentity",
        fields=[
            ("item", models.OneToOneField(
                "corrections.item", PROTECT, primary_key=True, related_name="identity", serialize=False,
            )),
            ("person_version", models.PositiveIntegerField()),
            ("token", models.BinaryField()),
            ("key_id", models.CharField(max_length=20)),
            ("institution", models.ForeignKey("institutions.institution", PROTECT, db_index=False, related_name="+")),
        ],
    ),
]


class Migration(migrations.Migration):
    initial = True
    # What led here step by step, in versions that were never released.
    replaces = [
        ("corrections", name)
        for name in ("0001_desk", "0002_evidence", "0003_identity", "0004_fewer_indexes")
    ]
    dependencies = [("visits", "0001_tables")]
    operations = [CreateModels(*TABLES), *map(migrations.RunSQL, SQL)]
