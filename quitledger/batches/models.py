"""批次: a file of many rows, held until it is recorded or given up, or its time is over; and lists that were compared.

None of it is a record: what a row says becomes one when it is recorded. What tells who somebody is lies encrypted with a key
outside the database, bound to its batch and line.
"""

from django.db import models
from django.db.models import Q

from quitledger.accounts.models import User
from quitledger.audit.database import ProgrammeNow
from quitledger.audit.keeping import Keeping
from quitledger.cases.models import Person
from quitledger.institutions.models import Institution
from quitledger.policy.sentences import Words

from .columns import Kind

_KINDS = [(kind.value, kind.label) for kind in Kind]


class Batch(models.Model):
    """批次: one file that was sent, and where it stands.

    `rows`: how many there are, null while they are being read; `done`: of them, so far, in the state. `head`: the titles,
    where columns were recognised and why the file was refused, encrypted. `recorded`: rows that became records.
    """

    class State(models.TextChoices):
        """Where it stands."""

        READING = "reading", Words("檢查中")
        ASKING = "asking", Words("待指定欄位")
        CHECKED = "checked", Words("待確認")
        RECORDING = "recording", Words("登錄中")
        RECORDED = "recorded", Words("已登錄")
        REFUSED = "refused", Words("讀不出來")
        GIVEN_UP = "given_up", Words("已放棄")

    uid = models.UUIDField(unique=True)
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(max_length=10, choices=_KINDS)
    file_format = models.CharField(max_length=4, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.READING)
    rows = models.PositiveIntegerField(null=True)
    done = models.PositiveIntegerField(default=0)
    recorded = models.PositiveIntegerField(default=0)
    all_or_none = models.BooleanField(default=False)
    head = models.BinaryField(null=True)
    key_id = models.CharField(max_length=20, blank=True)
    uploaded_by = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    uploaded_at = models.DateTimeField(db_default=ProgrammeNow())
    kept_until = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="batches_batch_key", fields=["id", "institution"]),
            models.CheckConstraint(name="batches_batch_kind", condition=Q(kind__in=list(Kind))),
        ]
        indexes = [models.Index(name="batches_batch_list", fields=["institution", "-uploaded_at"])]

    @property
    def is_at_work(self) -> bool:
        """True while the worker has it."""
        return self.state in (self.State.READING, self.State.RECORDING)

    @property
    def kind_label(self) -> Words:
        """What its rows are."""
        return Kind(self.kind).label


class BatchFile(models.Model):
    """The file as it was sent, encrypted; gone as soon as its rows were checked."""

    batch = models.OneToOneField(Batch, models.PROTECT, primary_key=True, related_name="file", db_constraint=False)
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="+", db_index=False)
    token = models.BinaryField()
    key_id = models.CharField(max_length=20)


class Row(models.Model):
    """One row of a batch that is not recorded yet: its cells and the reasons against it, encrypted together.

    `person`: whom its cells name, where the institution has a case of him. Rows of one person are checked together.
    """

    class Status(models.TextChoices):
        """What would become of it."""

        WAITING = "waiting", Words("未檢查")
        GOOD = "good", Words("可登錄")
        SAME = "same", Words("已登錄過")
        CONFLICT = "conflict", Words("與已登錄的衝突")
        REFUSED = "refused", Words("不能登錄")

    batch = models.ForeignKey(Batch, models.PROTECT, related_name="held", db_index=False, db_constraint=False)
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    person = models.ForeignKey(Person, models.PROTECT, null=True, related_name="+", db_constraint=False)
    line = models.PositiveIntegerField()
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.WAITING)
    token = models.BinaryField()
    key_id = models.CharField(max_length=20)

    keeping = Keeping(person="person_id", removed=True)

    class Meta:
        constraints = [models.UniqueConstraint(name="batches_row_once", fields=["batch", "line"])]
        indexes = [
            models.Index(name="batches_row_status", fields=["batch", "status", "line"]),
            models.Index(name="batches_row_person", fields=["batch", "person", "line"]),
        ]


class ColumnChoice(models.Model):
    """What an institution said a title of its files means; remembered for the next file. `title` as titles are compared."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(max_length=10, choices=_KINDS)
    title = models.CharField(max_length=60)
    column = models.CharField(max_length=30)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="batches_columnchoice_once", fields=["institution", "kind", "title"])
        ]


class Comparison(models.Model):
    """對照: what a list of the institution's own system said of a month beside what is recorded, encrypted as a whole.

    It names people who are not recorded: it is gone at `kept_until`, by a job, and is shown no more from then on.
    """

    uid = models.UUIDField(unique=True)
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="+", db_index=False)
    month = models.DateField()
    token = models.BinaryField()
    key_id = models.CharField(max_length=20)
    compared_by = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    compared_at = models.DateTimeField(db_default=ProgrammeNow())
    kept_until = models.DateTimeField()

    class Meta:
        indexes = [models.Index(name="batches_comparison_list", fields=["institution", "-compared_at"])]
