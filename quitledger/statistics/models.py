"""Publications: the annual tables of a year as they were frozen. Written once; never changed, never deleted."""

from functools import cached_property
from hashlib import sha256

from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import Q

from quitledger.accounts.models import User
from quitledger.audit.database import ProgrammeNow

from .measures import Basis
from .reports import Report
from .rules import NOTE_LENGTH


class Publication(models.Model):
    """公布版本: the `number`-th of a ROC year and a basis, and what it says (reports.Report), word for word.

    `content` is what was hashed, so that its SHA-256 (`fingerprint`) can be asked of it at any time by anybody; year, basis,
    number, last_on and data_at stand in it, too, and the database holds that they agree. `data_at`: everything committed
    before this moment was counted, in one snapshot. Who and when is the database's word (migrations/publications.sql).
    """

    uid = models.UUIDField(
        unique=True, db_default=RandomUUID(), editable=False
    )  # the form's: sent again, it is known by it
    year = models.PositiveSmallIntegerField("年度")
    basis = models.CharField(max_length=20)
    number = models.PositiveSmallIntegerField("版本")
    last_on = models.DateField("期間末日")
    data_at = models.DateTimeField("資料時點")
    content = models.TextField()
    fingerprint = models.CharField("內容指紋", max_length=64)
    previous = models.OneToOneField("self", models.PROTECT, null=True, related_name="next")
    note = models.CharField("說明", max_length=NOTE_LENGTH, blank=True)
    published_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    published_at = models.DateTimeField(db_default=ProgrammeNow())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="statistics_publication_once", fields=["year", "basis", "number"]),
            models.CheckConstraint(
                name="statistics_publication_basis", condition=Q(basis__in=[one.value for one in Basis])
            ),
            models.CheckConstraint(
                name="statistics_publication_in_order",
                condition=Q(number=1, previous=None) | Q(number__gt=1, previous__isnull=False) & ~Q(note=""),
            ),
        ]

    @property
    def called(self) -> str:
        """113-2: the year and the how manieth."""
        return f"{self.year}-{self.number}"

    @cached_property
    def report(self) -> Report:
        """What was published."""
        return Report.read(self.content)

    @cached_property
    def is_intact(self) -> bool:
        """Whether the content is what was published: its SHA-256, computed anew, is the one that was written down."""
        return sha256(self.content.encode()).hexdigest() == self.fingerprint
