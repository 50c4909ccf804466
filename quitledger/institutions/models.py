"""Contracted institutions, their contracts, staff and accounts: dated facts that never overlap.

An institution is one row for ever; what changes about it (code, name, tier, address) is dated in InstitutionDetails.
`ends_on` is the last day, inclusive; null means until further notice.
"""

from datetime import date
from typing import Any

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField, RangeOperators
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import F, Func, Q, Value

from quitledger.accounts.models import User
from quitledger.accounts.permissions import INSTITUTION_ROLES
from quitledger.policy.sentences import Sentence, Words


class Tier(models.TextChoices):
    """層級別, in the order of the printed tables."""

    MEDICAL_CENTER = "medical_center", Words("醫學中心")
    REGIONAL_HOSPITAL = "regional_hospital", Words("區域醫院")
    DISTRICT_HOSPITAL = "district_hospital", Words("地區醫院")
    CLINIC = "clinic", Words("西醫診所")
    HEALTH_CENTER = "health_center", Words("衛生所")
    DENTAL_CLINIC = "dental_clinic", Words("牙科診所")
    PHARMACY = "pharmacy", Words("藥局")


class Profession(models.TextChoices):
    """職類."""

    PHYSICIAN = "physician", Words("醫師")
    DENTIST = "dentist", Words("牙醫師")
    PHARMACIST = "pharmacist", Words("藥師")
    COUNSELLOR = "counsellor", Words("衛教師")


class Change(models.TextChoices):
    """變更事由: why an institution is called otherwise, or stands elsewhere, from a day on."""

    CODE = "code", Words("換發代碼")
    TAKE_OVER = "take_over", Words("承接")
    NAME = "name", Words("更名")
    MOVE = "move", Words("遷址")
    TIER = "tier", Words("改制")
    OTHER = "other", Words("其他")


class QuotaKind(models.TextChoices):
    """The services that a quota counts (visits.models.ServiceKind)."""

    MEDICATION = "medication", Words("用藥")
    COUNSELLING = "counselling", Words("衛教")


def period() -> Func:
    """The days from starts_on to ends_on, both included, as a PostgreSQL range."""
    return Func(F("starts_on"), F("ends_on"), Value("[]"), function="daterange", output_field=DateRangeField())


def no_overlap(name: str, *fields: str) -> ExclusionConstraint:
    """Rows equal in `fields` never overlap in time."""
    same = [(field, RangeOperators.EQUAL) for field in fields]
    return ExclusionConstraint(name=name, expressions=[*same, (period(), RangeOperators.OVERLAPS)])


def ends_after_start(name: str) -> models.CheckConstraint:
    """A period does not end before it starts."""
    return models.CheckConstraint(name=name, condition=Q(ends_on__isnull=True) | Q(ends_on__gte=F("starts_on")))


class DatedQuerySet(models.QuerySet[Any]):
    """Rows with starts_on and ends_on."""

    def in_force_on(self, day: date) -> "DatedQuerySet":
        """Those whose period contains `day`."""
        return self.filter(Q(ends_on__isnull=True) | Q(ends_on__gte=day), starts_on__lte=day)


class Institution(models.Model):
    """A medical institution (醫事機構): FHIR Organization. A branch (分院) has a parent, which is no branch itself."""

    uid = models.UUIDField(unique=True, db_default=RandomUUID(), editable=False)
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="branches")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.CheckConstraint(name="institutions_parent_other", condition=~Q(parent=F("id")))]


class InstitutionDetails(models.Model):
    """What an institution is called and where it stands, from a day on."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="details")
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, blank=True)
    code = models.CharField("醫事機構代碼", max_length=10)
    name = models.CharField("機構名稱", max_length=100)
    tier = models.CharField("層級別", max_length=20, choices=Tier.choices)
    county = models.CharField("縣市", max_length=10)
    address = models.CharField("地址", max_length=200, blank=True)
    change = models.CharField("變更事由", max_length=20, choices=Change.choices, blank=True, db_default="")

    objects = DatedQuerySet.as_manager()

    class Meta:
        constraints = [
            no_overlap("institutions_details_one_a_day", "institution"),
            no_overlap("institutions_details_code_once", "code"),
            ends_after_start("institutions_details_period"),
            models.CheckConstraint(name="institutions_details_code", condition=Q(code__regex=r"^[0-9]{10}$")),
            models.CheckConstraint(name="institutions_details_tier", condition=Q(tier__in=Tier.values)),
            models.CheckConstraint(name="institutions_details_change", condition=Q(change__in=["", *Change.values])),
        ]
        indexes = [models.Index(fields=["county"])]


class Contract(models.Model):
    """特約: from when to when the institution gives services of the programme."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="contracts")
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, blank=True)
    end_reason = models.CharField(max_length=200, blank=True)

    objects = DatedQuerySet.as_manager()

    class Meta:
        constraints = [
            no_overlap("institutions_contract_one_a_day", "institution"),
            ends_after_start("institutions_contract_period"),
        ]


class StaffMember(models.Model):
    """醫事人員: one person who gives services, in however many institutions. FHIR Practitioner."""

    uid = models.UUIDField(unique=True, db_default=RandomUUID(), editable=False)
    name = models.CharField("姓名", max_length=60)
    profession = models.CharField("職類", max_length=20, choices=Profession.choices)
    identity_hash = models.BinaryField(max_length=32, unique=True)
    identity_token = models.BinaryField()
    identity_key_id = models.CharField(max_length=20)

    class Meta:
        constraints = [
            models.CheckConstraint(name="institutions_staff_profession", condition=Q(profession__in=Profession.values))
        ]

    def __str__(self) -> str:
        return Sentence("{profession} {name}", profession=Words(self.get_profession_display()), name=self.name)


class StaffContract(models.Model):
    """人員合約: from when to when a staff member works in the programme at an institution, and as what. PractitionerRole."""

    staff = models.ForeignKey(StaffMember, models.PROTECT, related_name="contracts")
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="staff_contracts")
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, blank=True)
    may_medicate = models.BooleanField("用藥")
    may_counsel = models.BooleanField("衛教")

    objects = DatedQuerySet.as_manager()

    class Meta:
        constraints = [
            no_overlap("institutions_staff_contract_one_a_day", "institution", "staff"),
            ends_after_start("institutions_staff_contract_period"),
        ]


class Certificate(models.Model):
    """資格證明: a qualification with its end date, which is stored and never recomputed."""

    staff = models.ForeignKey(StaffMember, models.PROTECT, related_name="certificates", db_index=False)
    kind = models.CharField("證明種類", max_length=60)
    number = models.CharField("字號", max_length=60, blank=True)
    starts_on = models.DateField(null=True, blank=True)
    ends_on = models.DateField("到期日")

    class Meta:
        constraints = [
            models.UniqueConstraint(name="institutions_certificate_once", fields=["staff", "kind", "ends_on"])
        ]


class Quota(models.Model):
    """人次上限: how many visits with a service an institution may have in a calendar year. Exceeding it is a warning."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="quotas", db_index=False)
    year = models.PositiveSmallIntegerField("年度")
    kind = models.CharField("服務", max_length=12, choices=QuotaKind.choices)
    visits = models.PositiveIntegerField("人次上限", null=True, blank=True)  # null: no limit

    class Meta:
        constraints = [
            models.UniqueConstraint(name="institutions_quota_once", fields=["institution", "year", "kind"]),
            models.CheckConstraint(name="institutions_quota_kind", condition=Q(kind__in=QuotaKind.values)),
        ]


class MembershipQuerySet(DatedQuerySet):
    """Memberships: one that was closed is in force no longer, whatever its last day."""

    def in_force_on(self, day: date) -> "DatedQuerySet":
        """Those whose period contains `day` and that were not closed."""
        return super().in_force_on(day).filter(closed_at=None)


class Membership(models.Model):
    """An account's place at an institution: recorder or supervisor, from when to when.

    `closed_at` ends it at once, within its last day. `staff` is the staff member that the account is, where he gives
    services himself: two records, linked or not.
    """

    uid = models.UUIDField(unique=True, db_default=RandomUUID(), editable=False)
    user = models.ForeignKey(User, models.PROTECT, related_name="memberships")
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=20, choices=[(role, role.label) for role in INSTITUTION_ROLES])
    staff = models.ForeignKey(StaffMember, models.PROTECT, null=True, blank=True, related_name="memberships")
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)  # 「仍需要」, when last said of an unused account

    objects = MembershipQuerySet.as_manager()

    class Meta:
        constraints = [
            no_overlap("institutions_membership_one_a_day", "user", "institution"),
            ends_after_start("institutions_membership_period"),
            models.CheckConstraint(name="institutions_membership_role", condition=Q(role__in=INSTITUTION_ROLES)),
            models.CheckConstraint(
                name="institutions_membership_closed", condition=Q(closed_at=None) | Q(ends_on__isnull=False)
            ),
        ]
