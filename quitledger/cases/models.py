"""People being helped (戒菸者): a person is national, a case is an institution's, a baseline is its intake (收案評估)."""

from django.contrib.postgres.functions import RandomUUID
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q

from quitledger.accounts.keys import keys
from quitledger.accounts.models import User
from quitledger.audit.database import ProgrammeNow
from quitledger.audit.keeping import Keeping
from quitledger.institutions.models import Institution
from quitledger.policy.identity import IdentityKind, mask
from quitledger.policy.sentences import Words

from .rules import SEXES

# What stands for a name and a number that were emptied when their keeping time had ended.
EMPTIED_NAME, EMPTIED_NUMBER = Words("（保存期限已過，已清除）"), Words("（已清除）")


class Person(models.Model):
    """A person, once in the nation: identity, birth date, sex, and nothing else. FHIR Patient.

    Rows are made by the database function cases_find_persons alone, changed by cases_change_person alone; identity numbers
    are encrypted with a key outside the database, found by keyed hash, shown masked. Two rows of one human being are merged
    (Merge): the one that says `merged_into` is a closed book, its number finds the other. When the keeping time has ended the identity is emptied under a run
    (retention): the row stays, so that visits keep their person, and is found by no number any more.
    """

    uid = models.UUIDField(unique=True, db_default=RandomUUID(), editable=False)
    identity_kind = models.CharField(max_length=30, choices=[(kind.value, kind.label) for kind in IdentityKind])
    identity_country = models.CharField(max_length=3, blank=True)
    identity_hash = models.BinaryField(max_length=32, null=True)
    identity_token = models.BinaryField(null=True)
    identity_key_id = models.CharField(max_length=20, blank=True)
    birth_on = models.DateField("出生日期")
    sex = models.CharField("性別", max_length=6, choices=list(SEXES.items()))
    created_at = models.DateTimeField(db_default=ProgrammeNow())
    version = models.PositiveIntegerField(db_default=1)
    changed_at = models.DateTimeField(db_default=ProgrammeNow())
    changed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", db_index=False)
    change_reason = models.CharField(max_length=200, blank=True, db_default="")
    authority = models.UUIDField(null=True, blank=True)  # the decided application, where one stands behind the version
    merged_into = models.ForeignKey("self", models.PROTECT, null=True, related_name="merged")
    emptied_run = models.BigIntegerField(null=True, editable=False)

    keeping = Keeping(
        person="id",
        emptied={
            "identity_hash": "NULL", "identity_token": "NULL", "identity_key_id": "''", "identity_country": "''",
            "birth_on": "date_trunc('year', birth_on)::date",  # statistics count by age
            "change_reason": "''",
        },
        kept=(
            "id", "uid", "identity_kind", "sex", "created_at", "version", "changed_at", "changed_by_id", "authority",
            "merged_into_id",
        ),
        days=("created_at",), run="emptied_run",
    )  # fmt: skip

    class Meta:
        constraints = [
            # A birth date typed differently elsewhere makes a second person, which the desk merges later: refusing
            # would tell an institution that the number is known.
            models.UniqueConstraint(name="cases_person_once", fields=["identity_hash", "birth_on"]),
            models.CheckConstraint(name="cases_person_sex", condition=Q(sex__in=list(SEXES))),
            models.CheckConstraint(name="cases_person_merged", condition=Q(merged_into=None) | ~Q(merged_into=F("id"))),
            models.CheckConstraint(
                name="cases_person_emptied",
                condition=Q(emptied_run=None, identity_hash__isnull=False, identity_token__isnull=False)
                & ~Q(identity_key_id="")
                | Q(
                    emptied_run__isnull=False, identity_hash=None, identity_token=None, identity_key_id="",
                    identity_country="", birth_on__month=1, birth_on__day=1,
                ),
            ),
        ]  # fmt: skip

    @property
    def is_emptied(self) -> bool:
        """True when the keeping time has ended and what told who it was is gone."""
        return self.emptied_run is not None

    @property
    def is_merged(self) -> bool:
        """True when the desk found that this is another person, who is kept in its place."""
        return self.merged_into_id is not None

    @property
    def identity_number(self) -> str:
        """The whole number, decrypted; words instead where it was emptied. Journal the read where it is shown."""
        if self.identity_token is None:
            return EMPTIED_NUMBER
        return keys().decrypt(bytes(self.identity_token), self.identity_key_id, about=b"identity")

    @property
    def masked_identity(self) -> str:
        """A12****789; words instead where it was emptied."""
        return self.identity_number if self.is_emptied else mask(self.identity_number)


class Case(models.Model):
    """個案: a person as one institution knows him.

    `found_as`: the case that was looked for, where that one was merged into this (cases.queries.find_cases).
    """

    found_as: "Case | None" = None

    uid = models.UUIDField(unique=True)
    person = models.ForeignKey(Person, models.PROTECT, related_name="cases")
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="cases", db_index=False)
    name = models.CharField("姓名", max_length=60)
    chart_no = models.CharField("病歷號", max_length=30, blank=True)
    phone = models.CharField("電話", max_length=30, blank=True)
    opened_on = models.DateField("收案日期")
    version = models.PositiveIntegerField(default=1)
    changed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", db_index=False)
    changed_at = models.DateTimeField(db_default=ProgrammeNow())
    change_reason = models.CharField(max_length=200, blank=True)
    emptied_run = models.BigIntegerField(null=True, editable=False)

    keeping = Keeping(
        person="person_id",
        emptied={"name": "''", "chart_no": "''", "phone": "''", "change_reason": "''"},
        kept=("id", "uid", "person_id", "institution_id", "opened_on", "version", "changed_by_id", "changed_at"),
        days=("opened_on", "changed_at"), run="emptied_run",
    )  # fmt: skip

    class Meta:
        constraints = [
            models.UniqueConstraint(name="cases_case_once", fields=["institution", "person"]),
            models.UniqueConstraint(
                name="cases_case_chart_no_once", fields=["institution", "chart_no"], condition=~Q(chart_no="")
            ),
            models.UniqueConstraint(name="cases_case_key", fields=["id", "person", "institution"]),
            models.CheckConstraint(
                name="cases_case_name",
                condition=Q(emptied_run=None) & ~Q(name="")
                | Q(emptied_run__isnull=False, name="", chart_no="", phone="", change_reason=""),
            ),
        ]
        indexes = [GinIndex(name="cases_case_name_part", fields=["name"], opclasses=["gin_trgm_ops"])]

    def __str__(self) -> str:
        return self.called

    @property
    def called(self) -> str:
        """The name as pages show it; words instead where it was emptied."""
        return self.name or EMPTIED_NAME


class Merge(models.Model):
    """合併戒菸者: two persons of the registry are one human being; the desk decided which one is kept.

    Written by the database functions visits_merge_persons and visits_undo_merge alone. What was re-pointed is in
    MergedRecord, so that undoing puts back exactly that.
    """

    uid = models.UUIDField(unique=True)
    kept = models.ForeignKey(Person, models.PROTECT, related_name="merges")
    merged = models.ForeignKey(Person, models.PROTECT, related_name="+")
    reason = models.CharField("合併原因", max_length=200)
    decided_by = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    decided_at = models.DateTimeField(db_default=ProgrammeNow())
    undone_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", db_index=False)
    undone_at = models.DateTimeField(null=True)
    undo_reason = models.CharField("撤銷原因", max_length=200, blank=True, db_default="")

    keeping = Keeping(
        person="kept_id",
        emptied={"reason": "''", "undo_reason": "''"},
        kept=("id", "uid", "kept_id", "merged_id", "decided_by_id", "decided_at", "undone_by_id", "undone_at"),
        days=("decided_at",),
    )  # fmt: skip

    class Meta:
        constraints = [
            models.CheckConstraint(name="cases_merge_of_two", condition=~Q(kept=F("merged"))),
            models.UniqueConstraint(name="cases_merge_once", fields=["merged"], condition=Q(undone_at=None)),
            models.CheckConstraint(
                name="cases_merge_undone",
                condition=Q(undone_at=None, undone_by=None, undo_reason="")
                | Q(undone_at__isnull=False, undone_by__isnull=False),
            ),
        ]

    @property
    def is_in_force(self) -> bool:
        """False once it was undone."""
        return self.undone_at is None


class MergedRecord(models.Model):
    """One record that a merge re-pointed: which, and the case under which it stood before."""

    class Kind(models.TextChoices):
        """The table of the record."""

        CASE = "case", Words("個案")
        BASELINE = "baseline", Words("收案評估")
        VISIT = "visit", Words("就醫資料")
        DRAFT = "draft", Words("草稿")

    merge = models.ForeignKey(Merge, models.PROTECT, related_name="records", db_index=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    record_id = models.BigIntegerField()
    from_case = models.ForeignKey(Case, models.PROTECT, related_name="+", db_index=False)

    keeping = Keeping(kept=("id", "merge_id", "kind", "record_id", "from_case_id"))

    class Meta:
        constraints = [
            models.UniqueConstraint(name="cases_mergedrecord_once", fields=["merge", "kind", "record_id"]),
            models.CheckConstraint(
                name="cases_mergedrecord_kind", condition=Q(kind__in=["case", "baseline", "visit", "draft"])
            ),
        ]


class Baseline(models.Model):
    """收案評估: what a person smoked when the case was opened. FHIR QuestionnaireResponse."""

    uid = models.UUIDField(unique=True)
    # One composite foreign key to the case (migrations/records.sql) holds all three, as of visits.
    case = models.ForeignKey(Case, models.PROTECT, related_name="baselines", db_index=False, db_constraint=False)
    person = models.ForeignKey(Person, models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="+", db_constraint=False)
    taken_on = models.DateField("評估日期")
    # The answers of the Fagerström test, as words (cases.rules.FTND_ITEMS); all six or none.
    first_cigarette = models.CharField(max_length=20, blank=True)
    hard_to_refrain = models.CharField(max_length=20, blank=True)
    hardest_to_give_up = models.CharField(max_length=20, blank=True)
    most_cigarettes = models.CharField(max_length=20, blank=True)
    more_in_first_hours = models.CharField(max_length=20, blank=True)
    smokes_when_ill = models.CharField(max_length=20, blank=True)
    ftnd_score = models.PositiveSmallIntegerField("尼古丁成癮度", null=True)
    cigarettes_per_day = models.PositiveSmallIntegerField("平均每日支數", null=True)
    co_ppm = models.PositiveSmallIntegerField("一氧化碳", null=True)
    weight_kg = models.DecimalField("體重", max_digits=4, decimal_places=1, null=True)
    pregnant = models.BooleanField("懷孕", default=False)
    insured = models.BooleanField("健保在保", null=True)
    version = models.PositiveIntegerField(default=1)
    recorded_at = models.DateTimeField(db_default=ProgrammeNow())
    changed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", db_index=False)
    changed_at = models.DateTimeField(db_default=ProgrammeNow())
    change_reason = models.CharField(max_length=200, blank=True)

    keeping = Keeping(
        person="person_id",
        emptied={"change_reason": "''"},
        kept=(
            "id", "uid", "case_id", "person_id", "institution_id", "taken_on", "first_cigarette", "hard_to_refrain",
            "hardest_to_give_up", "most_cigarettes", "more_in_first_hours", "smokes_when_ill", "ftnd_score",
            "cigarettes_per_day", "co_ppm", "weight_kg", "pregnant", "insured", "version", "recorded_at", "changed_by_id",
            "changed_at",
        ),
        days=("taken_on", "recorded_at", "changed_at"),
    )  # fmt: skip

    class Meta:
        constraints = [
            models.UniqueConstraint(name="cases_baseline_one_a_day", fields=["case", "taken_on"]),
            models.CheckConstraint(
                name="cases_baseline_ftnd", condition=Q(ftnd_score__isnull=True) | Q(ftnd_score__lte=10)
            ),
        ]
        indexes = [models.Index(name="cases_baseline_person", fields=["person", "taken_on"])]
