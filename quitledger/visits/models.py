"""就醫資料: visits and their services, service months and their closing moments.

visits_visit holds what is in force, one row a visit; every version is kept in visits_visit_history by a trigger.
The window, the stamp of recorded_at and the closing moments are held by the database (migrations/window.sql, months.sql).
"""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField, RangeOperators
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import ExpressionWrapper, F, Func, Q
from django.db.models.functions import Cast

from quitledger.accounts.models import User
from quitledger.audit.database import ProgrammeNow
from quitledger.audit.keeping import Keeping
from quitledger.cases.models import Case, Person
from quitledger.institutions.models import Institution, StaffMember
from quitledger.policy.sentences import Words


class ServiceKind(models.TextChoices):
    """The two services of the programme."""

    MEDICATION = "medication", Words("用藥")
    COUNSELLING = "counselling", Words("衛教")


class CounsellingMode(models.TextChoices):
    """衛教方式."""

    IN_PERSON = "in_person", Words("面對面")
    TELEPHONE = "telephone", Words("電話")


class Medicine(models.Model):
    """藥品, as the agency lists it, with the days on which it is subsidised."""

    code = models.CharField("藥品代碼", max_length=20, unique=True)
    name = models.CharField("藥品名稱", max_length=100)
    kind = models.CharField("品項", max_length=30)
    prescription_only = models.BooleanField("處方藥")
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class Month(models.Model):
    """The nation's calendar of service months, filled by the owner from policy: closing moment before any extension."""

    month = models.DateField(primary_key=True)
    closes_at = models.DateTimeField()
    prompt_hours = models.PositiveSmallIntegerField()


class ServiceMonth(models.Model):
    """就醫月份 of one institution: the one record that window, self-check and settlement read.

    closes_at (first moment refused) and prompt_hours are stamped by the database from Month and the extensions.
    """

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="service_months", db_index=False)
    month = models.DateField()
    closes_at = models.DateTimeField()
    prompt_hours = models.PositiveSmallIntegerField()
    settled_at = models.DateTimeField(
        null=True, blank=True
    )  # its fees were settled: from then on a desk supervisor decides

    class Meta:
        constraints = [
            models.UniqueConstraint(name="visits_service_month_once", fields=["institution", "month"]),
            models.CheckConstraint(name="visits_service_month_first_day", condition=Q(month__day=1)),
        ]


class WindowExtension(models.Model):
    """A desk supervisor's extension of a month's window: for all, a county or one institution. Never a shortening."""

    class Reach(models.TextChoices):
        """Whom it is for."""

        ALL = "all", Words("全國")
        COUNTY = "county", Words("縣市")
        INSTITUTION = "institution", Words("單一機構")

    uid = models.UUIDField(unique=True, db_default=RandomUUID())
    month = models.DateField("就醫月份")
    reach = models.CharField("適用對象", max_length=12, choices=Reach.choices)
    county = models.CharField("縣市", max_length=10, blank=True)
    institution = models.ForeignKey(Institution, models.PROTECT, null=True, blank=True, related_name="+")
    closes_at = models.DateTimeField("延長至")
    reason = models.CharField("事由", max_length=200)
    decided_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(db_default=ProgrammeNow())

    class Meta:
        constraints = [
            models.CheckConstraint(name="visits_window_extension_first_day", condition=Q(month__day=1)),
            models.CheckConstraint(name="visits_window_extension_reason", condition=~Q(reason="")),
            models.CheckConstraint(
                name="visits_window_extension_reach",
                condition=Q(reach="all", county="", institution__isnull=True)
                | (Q(reach="county", institution__isnull=True) & ~Q(county=""))
                | Q(reach="institution", county="", institution__isnull=False),
            ),
        ]
        indexes = [models.Index(fields=["month"])]


class Visit(models.Model):
    """一筆就醫資料: a person at an institution on a day, with one or two services. FHIR Encounter."""

    uid = models.UUIDField(unique=True)
    # One composite foreign key to the case holds all three; a check each would cost each write. It and those of the accounts
    # are in migrations/keys.sql, as all keys are that begin at a visit, a service or a line.
    case = models.ForeignKey(Case, models.PROTECT, related_name="visits", db_constraint=False)
    person = models.ForeignKey(Person, models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    visit_on = models.DateField("就醫日期")
    visit_time = models.TimeField("就醫時間", null=True, blank=True)
    pregnant = models.BooleanField("懷孕", default=False)
    cigarettes_per_day = models.PositiveSmallIntegerField("平均每日支數", null=True, blank=True)
    co_ppm = models.PositiveSmallIntegerField("一氧化碳", null=True, blank=True)
    note = models.CharField("備註", max_length=500, blank=True)
    in_force = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1)
    recorded_at = models.DateTimeField("登錄時間", db_default=ProgrammeNow())
    recorded_by = models.ForeignKey(
        User, models.PROTECT, null=True, related_name="+", db_index=False, db_constraint=False
    )
    changed_at = models.DateTimeField(db_default=ProgrammeNow())
    changed_by = models.ForeignKey(
        User, models.PROTECT, null=True, related_name="+", db_index=False, db_constraint=False
    )
    change_reason = models.CharField(max_length=200, blank=True)
    # What only a permit of the desk brings, stamped by the database (migrations/permits.sql): the permit this
    # version was written with, the application it came of, and for ever the application that entered the visit late.
    permit = models.UUIDField(null=True, blank=True)
    authority = models.UUIDField(null=True, blank=True)
    late_entry = models.UUIDField(null=True, blank=True)
    # Of the system before this one, against a rule (take_over_visits): kept as it is for ever, outside the spacing.
    taken_over = models.BooleanField("移轉", default=False, db_default=False)

    keeping = Keeping(
        person="person_id",
        emptied={"note": "''", "change_reason": "''"},
        kept=(
            "id", "uid", "case_id", "person_id", "institution_id", "visit_on", "visit_time", "pregnant",
            "cigarettes_per_day", "co_ppm", "in_force", "version", "recorded_at", "recorded_by_id", "changed_at",
            "changed_by_id", "permit", "authority", "late_entry", "taken_over",
        ),
        days=("visit_on", "recorded_at", "changed_at"),
    )  # fmt: skip

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="visits_visit_one_a_day",
                fields=["person", "institution", "visit_on"],
                condition=Q(in_force=True, taken_over=False),
            ),
            models.UniqueConstraint(
                name="visits_visit_key", fields=["id", "person", "institution", "visit_on", "in_force", "taken_over"]
            ),
        ]
        indexes = [
            models.Index(name="visits_visit_month", fields=["institution", "visit_on"]),
            models.Index(name="visits_visit_person", fields=["person", "visit_on"]),
        ]


class PermitKind(models.TextChoices):
    """What a permit lets be done to a visit."""

    RECORD = "record", Words("補登")
    CHANGE = "change", Words("更正")
    VOID = "void", Words("刪除")
    RESTORE = "restore", Words("恢復")


class Permit(models.Model):
    """許可: one version of one visit that may be written though the month is closed. The desk gives it, it is used once.

    Written by the room corrections when an application is approved. Who decides, and that he is of the desk and none of
    the applicants, is the database's word, as is that it is used once, by the version it names.
    """

    uid = models.UUIDField(unique=True)
    application = models.UUIDField()
    person = models.ForeignKey(Person, models.PROTECT, related_name="+")
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="+", db_index=False)
    visit = models.UUIDField()  # its uid: the visit of a late entry is not there yet
    kind = models.CharField(max_length=10, choices=PermitKind.choices)
    expected_version = models.PositiveIntegerField()  # 0: none yet
    from_on = models.DateField(null=True, blank=True)  # the visit day before, null for a late entry
    visit_on = models.DateField()
    is_late = models.BooleanField()  # the visit is one that was not recorded in time
    applied_by = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    signed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", db_index=False)
    decided_by = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    decided_at = models.DateTimeField(db_default=ProgrammeNow())
    used_at = models.DateTimeField(null=True, blank=True)
    used_xid = models.BigIntegerField(null=True, blank=True)  # the transaction that used it

    keeping = Keeping(
        person="person_id",
        kept=(
            "id", "uid", "application", "person_id", "institution_id", "visit", "kind", "expected_version", "from_on",
            "visit_on", "is_late", "applied_by_id", "signed_by_id", "decided_by_id", "decided_at", "used_at", "used_xid",
        ),
        days=("decided_at",),
    )  # fmt: skip

    class Meta:
        constraints = [
            models.UniqueConstraint(name="visits_permit_once", fields=["visit", "expected_version", "application"]),
            models.CheckConstraint(name="visits_permit_kind", condition=Q(kind__in=PermitKind.values)),
            models.CheckConstraint(
                name="visits_permit_before",
                condition=Q(kind="record", expected_version=0, from_on=None)
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
        ]  # fmt: skip


class Service(models.Model):
    """One service of a visit: medication or counselling, and who gave it.

    Repeats the visit's person, institution, day, in_force and taken_over (composite foreign key, ON UPDATE CASCADE), so that the
    database itself refuses two services of a stream (person, institution, kind) that are too close.
    """

    visit = models.ForeignKey(Visit, models.PROTECT, related_name="services", db_index=False, db_constraint=False)
    person = models.ForeignKey(Person, models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    visit_on = models.DateField()
    in_force = models.BooleanField(default=True)
    taken_over = models.BooleanField(default=False, db_default=False)
    kind = models.CharField(max_length=12, choices=ServiceKind.choices)
    staff = models.ForeignKey(StaffMember, models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    counselling_mode = models.CharField("衛教方式", max_length=10, choices=CounsellingMode.choices, blank=True)
    spacing_days = models.PositiveSmallIntegerField()
    entry_uid = models.UUIDField()  # the form (or line of a file) that recorded it: sent again, it is known by this
    version = models.PositiveIntegerField(default=1)

    keeping = Keeping(
        kept=(
            "id", "visit_id", "person_id", "institution_id", "visit_on", "in_force", "taken_over", "kind", "staff_id",
            "counselling_mode", "spacing_days", "entry_uid", "version",
        ),
    )  # fmt: skip

    class Meta:
        constraints = [
            models.UniqueConstraint(name="visits_service_once", fields=["visit", "kind"]),
            models.CheckConstraint(name="visits_service_kind", condition=Q(kind__in=ServiceKind.values)),
            models.CheckConstraint(name="visits_service_spacing_days", condition=Q(spacing_days__gte=1)),
            models.CheckConstraint(
                name="visits_service_mode",
                condition=Q(kind="medication", counselling_mode="")
                | Q(kind="counselling", counselling_mode__in=CounsellingMode.values),
            ),
            ExclusionConstraint(
                name="visits_service_spacing",
                expressions=[
                    ("person", RangeOperators.EQUAL),
                    ("institution", RangeOperators.EQUAL),
                    # As a number: keys of text made half the time of a service's indexes. There are two kinds.
                    (
                        Cast(
                            ExpressionWrapper(Q(kind="medication"), output_field=models.BooleanField()),
                            models.IntegerField(),
                        ),
                        RangeOperators.EQUAL,
                    ),
                    (
                        Func(
                            F("visit_on"),
                            F("visit_on") + F("spacing_days"),
                            function="daterange",
                            output_field=DateRangeField(),
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                ],
                condition=Q(in_force=True, taken_over=False),
                deferrable=models.Deferrable.IMMEDIATE,
            ),
        ]
        # What the statistics of a period count, so that they need not touch the table among years of others.
        indexes = [
            models.Index(
                name="visits_service_day",
                fields=["visit_on"],
                include=["institution", "person", "staff", "kind"],
                condition=Q(in_force=True),
            )
        ]


class MedicationLine(models.Model):
    """One medicine given at a visit: how many weeks, how many days. FHIR MedicationDispense.

    Its service, visit and institution are held together by a composite foreign key.
    """

    service = models.ForeignKey(Service, models.PROTECT, related_name="lines", db_index=False, db_constraint=False)
    visit = models.ForeignKey(Visit, models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    medicine = models.ForeignKey(
        Medicine,
        models.PROTECT,
        to_field="code",
        db_column="medicine_code",
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    supply_weeks = models.PositiveSmallIntegerField("週數")
    supply_days = models.PositiveSmallIntegerField("天數")
    version = models.PositiveIntegerField(default=1)

    keeping = Keeping(
        kept=(
            "id", "service_id", "visit_id", "institution_id", "medicine_code", "supply_weeks", "supply_days", "version",
        ),
    )  # fmt: skip

    class Meta:
        constraints = [
            models.UniqueConstraint(name="visits_medication_line_once", fields=["service", "medicine"]),
            models.CheckConstraint(
                name="visits_medication_line_supply", condition=Q(supply_weeks__gte=1, supply_days__gte=1)
            ),
        ]


class Course(models.Model):
    """療程: a person's course of a kind, as courses.courses_of computes it over all institutions.

    Written by the database function visits_write_courses alone, in the transaction of the write that changed it. A
    service belongs to the last course of its kind, begun by its day, at its institution or a branch of the same.
    """

    person = models.ForeignKey(Person, models.PROTECT, related_name="+", db_index=False)
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(max_length=12, choices=ServiceKind.choices)
    course_year = models.PositiveSmallIntegerField("年度")
    course_no = models.PositiveSmallIntegerField("療程次")
    first_on = models.DateField("療程首日")

    keeping = Keeping(kept=("id", "person_id", "institution_id", "kind", "course_year", "course_no", "first_on"))

    class Meta:
        constraints = [
            models.UniqueConstraint(name="visits_course_once", fields=["person", "kind", "course_year", "course_no"]),
            models.CheckConstraint(name="visits_course_kind", condition=Q(kind__in=ServiceKind.values)),
            models.CheckConstraint(
                name="visits_course_number", condition=Q(course_no__gte=1, first_on__year=F("course_year"))
            ),
        ]
        indexes = [models.Index(name="visits_course_year", fields=["course_year", "institution"])]


class CourseFinding(models.Model):
    """A recorded service whose course got another number through a later write; listed to the desk, invalid nowhere."""

    visit = models.ForeignKey(Visit, models.PROTECT, related_name="+")
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12, choices=ServiceKind.choices)
    before_year = models.PositiveSmallIntegerField()
    before_no = models.PositiveSmallIntegerField()
    after_year = models.PositiveSmallIntegerField()
    after_no = models.PositiveSmallIntegerField()
    is_allowed = models.BooleanField()
    caused_by = models.UUIDField(null=True)  # the visit whose write did it; null: the command that computes all anew
    found_at = models.DateTimeField(db_default=ProgrammeNow())

    keeping = Keeping(
        kept=(
            "id", "visit_id", "institution_id", "kind", "before_year", "before_no", "after_year", "after_no", "is_allowed",
            "caused_by", "found_at",
        ),
    )  # fmt: skip

    class Meta:
        indexes = [models.Index(name="visits_coursefinding_newest", fields=["-found_at", "-id"])]


class Draft(models.Model):
    """草稿: a form of a visit as it was being typed, unchecked. No record: it counts nowhere, and only its account sees it.

    One of each account for a person's next visit (`visit` null), and one for the change of a visit.
    """

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="+", db_index=False)
    account = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    case = models.ForeignKey(Case, models.PROTECT, related_name="+")
    visit = models.ForeignKey(Visit, models.PROTECT, null=True, blank=True, related_name="+")
    contents = models.JSONField()  # field → the texts typed
    changed_at = models.DateTimeField(db_default=ProgrammeNow())

    # Somebody who types means to record: the day of a draft counts like that of a record.
    keeping = Keeping(
        person="(SELECT c.person_id FROM cases_case c WHERE c.id = case_id)", days=("changed_at",), removed=True
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(name="visits_draft_once", fields=["account", "case", "visit"], nulls_distinct=False)
        ]
