"""Sign-offs of months, and reminders: to which address, and on which days one was sent.

How a month stands is derived from the visits; only that somebody signed, and what he saw, is a fact that is kept.
"""

from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import Q

from quitledger.accounts.models import User
from quitledger.audit.database import ProgrammeNow
from quitledger.institutions.models import Institution

from .rules import REASON_LENGTH


class SignOff(models.Model):
    """簽核: a supervisor looked a month through; `seen` is what the page said at that moment (queries.snapshot).

    The `number`-th of the month: a change of what the page rests on opens the month again, and it may be signed once more.
    `visits`, `versions` and `grounds` are those of rules.Books (null: signed before grounds were kept). Written once: who and when is the database's word, as is that he is a supervisor.
    """

    uid = models.UUIDField(unique=True, db_default=RandomUUID(), editable=False)
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="+", db_index=False)
    month = models.DateField("就醫月份")
    number = models.PositiveSmallIntegerField()
    signed_by = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    signed_at = models.DateTimeField(db_default=ProgrammeNow())
    incomplete = models.PositiveIntegerField("未完整")
    reason = models.CharField("原因", max_length=REASON_LENGTH, blank=True)
    visits = models.PositiveIntegerField()
    versions = models.PositiveIntegerField()
    grounds = models.JSONField(null=True)
    seen = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="selfcheck_signoff_once", fields=["institution", "month", "number"]),
            models.CheckConstraint(name="selfcheck_signoff_number", condition=Q(number__gte=1)),
            models.CheckConstraint(name="selfcheck_signoff_reason", condition=Q(incomplete=0) | ~Q(reason="")),
        ]


class ReminderAddress(models.Model):
    """收信地址: where an account wants to be reminded; "": nowhere. Seen and changed by the account alone."""

    account = models.OneToOneField(User, models.PROTECT, primary_key=True, related_name="+")
    address = models.EmailField("電子郵件", max_length=254, blank=True)
    changed_at = models.DateTimeField(db_default=ProgrammeNow())


class Reminder(models.Model):
    """提醒信: an account was, or is just being, reminded on a day. One a day, however often the job runs.

    `failed`: it could not be sent, and the next run of the day tries once more.
    """

    account = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    sent_on = models.DateField()
    failed = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(name="selfcheck_reminder_once", fields=["account", "sent_on"])]
