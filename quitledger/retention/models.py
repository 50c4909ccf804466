"""清除: a run that empties the personal data of people whose keeping time has ended; planned by one, confirmed by another."""

from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import F, Q

from quitledger.accounts.models import User
from quitledger.audit.database import ProgrammeNow
from quitledger.audit.keeping import Keeping
from quitledger.cases.models import Person


class Run(models.Model):
    """A plan, and from its confirmation on the run under its number.

    `code` follows from who planned it, the columns that are emptied, and every person with the day until which the
    records are kept: whoever confirms it confirms these. What was planned never changes, who confirmed neither
    (migrations/runs.sql).
    """

    uid = models.UUIDField(unique=True, db_default=RandomUUID(), editable=False)
    code = models.CharField(max_length=64, unique=True)
    as_of = models.DateField()  # the day by which the keeping times had ended
    people = models.PositiveIntegerField()
    planned_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    planned_at = models.DateTimeField(db_default=ProgrammeNow())
    confirmed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    confirmed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="retention_run_two_persons", condition=Q(confirmed_by=None) | ~Q(confirmed_by=F("planned_by"))
            ),
            models.CheckConstraint(
                name="retention_run_in_order",
                condition=Q(confirmed_by=None, confirmed_at=None, finished_at=None)
                | Q(confirmed_by__isnull=False, confirmed_at__isnull=False),
            ),
            models.CheckConstraint(name="retention_run_people", condition=Q(people__gte=1)),
        ]


class PlannedPerson(models.Model):
    """A person of a plan: until when the records are kept, and what the run did."""

    class Outcome(models.TextChoices):
        """What became of it."""

        EMPTIED = "emptied"
        KEPT = "kept"  # something was recorded since the plan

    run = models.ForeignKey(Run, models.PROTECT, related_name="persons", db_index=False)
    person = models.ForeignKey(Person, models.PROTECT, related_name="+")
    kept_until = models.DateField()
    outcome = models.CharField(max_length=10, choices=Outcome.choices, blank=True)

    keeping = Keeping(kept=("id", "run_id", "person_id", "kept_until", "outcome"))

    class Meta:
        constraints = [
            models.UniqueConstraint(name="retention_person_once", fields=["run", "person"]),
            models.CheckConstraint(name="retention_person_outcome", condition=Q(outcome__in=["", "emptied", "kept"])),
        ]
