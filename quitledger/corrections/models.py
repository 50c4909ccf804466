"""更正申請: an application, its items (what is to be put right), and the steps it took from one to whom.

What an item would make of a visit is kept in the words of visits.rules.Entry; what the desk's approval made of it is a
version of the visit. What holds whatever is written by whom (states, signatures, case numbers) is held by the database
(migrations/applications.sql, items.sql).
"""

from django.db import models
from django.db.models import F, Q

from quitledger.accounts.models import User
from quitledger.audit.database import ProgrammeNow
from quitledger.audit.keeping import Keeping
from quitledger.cases.models import Case, Person
from quitledger.institutions.models import Institution
from quitledger.policy.sentences import Sentence, Words
from quitledger.visits.models import Visit

from .evidence import EvidenceKind, Origin
from .rules import ITEM_KINDS, STATES, ItemKind, Rejection, State, Step

_STATES = [(state.value, STATES[state].label) for state in State]


class Application(models.Model):
    """一件更正申請, about one person at one institution. FHIR Task.

    `state` is changed by services.take_step alone, along rules.TRANSITIONS. `case_no` (民國年-月-序號) and `sent_at`
    are given when the desk receives it. `single_person`: the institution had one account, so that one signature stands
    alone and two of the desk decide; counted by the database at that moment.
    """

    uid = models.UUIDField(unique=True)
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="+", db_index=False)
    case = models.ForeignKey(Case, models.PROTECT, related_name="+")
    person = models.ForeignKey(Person, models.PROTECT, related_name="+")
    state = models.CharField(max_length=12, choices=_STATES)
    case_no = models.CharField("案件編號", max_length=12, null=True, unique=True)  # noqa: DJ001 - null: none yet, and unique
    on_paper = models.BooleanField(default=False)
    received_on = models.DateField("收件日", null=True, blank=True)  # of one on paper: when fax or letter arrived
    reason = models.CharField("原因", max_length=1000)
    discovered_on = models.DateField("發現日")
    written_by = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    written_at = models.DateTimeField(db_default=ProgrammeNow())
    signed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", db_index=False)
    signed_at = models.DateTimeField(null=True)
    single_person = models.BooleanField(default=False)
    sent_at = models.DateTimeField(null=True)
    claimed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", db_index=False)
    decided_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", db_index=False)
    confirmed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", db_index=False)
    decided_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)  # when the institution first looked at the decision
    version = models.PositiveIntegerField(default=1)
    changed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", db_index=False)
    changed_at = models.DateTimeField(db_default=ProgrammeNow())

    keeping = Keeping(
        person="person_id",
        emptied={"reason": "''"},
        kept=(
            "id", "uid", "institution_id", "case_id", "person_id", "state", "case_no", "on_paper", "received_on",
            "discovered_on", "written_by_id", "written_at", "signed_by_id", "signed_at", "single_person", "sent_at",
            "claimed_by_id", "decided_by_id", "confirmed_by_id", "decided_at", "seen_at", "version", "changed_by_id",
            "changed_at",
        ),
        days=("written_at", "changed_at"),
    )  # fmt: skip

    class Meta:
        constraints = [
            models.CheckConstraint(name="corrections_application_state", condition=Q(state__in=list(State))),
            models.CheckConstraint(
                name="corrections_application_two_persons",
                condition=Q(signed_by=None) | Q(single_person=True) | ~Q(signed_by=F("written_by")),
            ),
            models.CheckConstraint(
                name="corrections_application_signed",
                condition=Q(state__in=[State.DRAFT, State.TO_SIGN, State.WITHDRAWN]) | Q(on_paper=True)
                | Q(signed_by__isnull=False, signed_at__isnull=False),
            ),
            models.CheckConstraint(
                name="corrections_application_sent",
                condition=Q(state__in=[State.DRAFT, State.TO_SIGN, State.WITHDRAWN])
                | Q(case_no__isnull=False, sent_at__isnull=False),
            ),
            # Whoever applied decides nothing, and of two who decide none is the other.
            *(
                models.CheckConstraint(
                    name=f"corrections_application_{one}_by_another",
                    condition=Q(**{f"{one}_by": None})
                    | ~Q(**{f"{one}_by": F("written_by")}) & (Q(signed_by=None) | ~Q(**{f"{one}_by": F("signed_by")})),
                )
                for one in ("decided", "confirmed")
            ),
            models.CheckConstraint(
                name="corrections_application_two_deciders",
                condition=Q(confirmed_by=None) | Q(decided_by__isnull=False) & ~Q(confirmed_by=F("decided_by")),
            ),
            models.CheckConstraint(
                name="corrections_application_single_person",
                condition=Q(single_person=False) | ~Q(state__in=[State.APPROVED, State.IN_PART])
                | Q(confirmed_by__isnull=False),
            ),
            models.CheckConstraint(
                name="corrections_application_decided",
                condition=~Q(state__in=[State.APPROVED, State.IN_PART, State.REJECTED])
                | Q(decided_by__isnull=False, decided_at__isnull=False),
            ),
            models.CheckConstraint(
                name="corrections_application_paper", condition=Q(on_paper=False) | Q(received_on__isnull=False)
            ),
        ]  # fmt: skip
        indexes = [
            models.Index(name="corrections_application_queue", fields=["state", "sent_at"]),
            models.Index(name="corrections_application_own", fields=["institution", "-changed_at"]),
        ]


class ItemManager(models.Manager["Item"]):
    """Items that stand: one taken out of a draft is none."""

    def get_queryset(self) -> models.QuerySet["Item"]:
        return super().get_queryset().filter(taken_out=False)


class Item(models.Model):
    """One thing to be put right: what kind, of which visit (in which version), on which true day, and what it shall say.

    `linked` items of an application are decided as one: a record that was written over is restored and its contents
    entered late, or neither.
    """

    uid = models.UUIDField(unique=True)  # of a late entry: the visit's, for ever
    application = models.ForeignKey(Application, models.PROTECT, related_name="items")
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="+", db_index=False)
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=12, choices=[(kind.value, ITEM_KINDS[kind].label) for kind in ItemKind])
    visit = models.ForeignKey(Visit, models.PROTECT, null=True, related_name="+")
    visit_version = models.PositiveIntegerField(null=True)  # the version that was seen
    visit_on = models.DateField("就醫日期", null=True)  # the true one; null: no visit is put right, but the person
    contents = models.JSONField(
        null=True
    )  # entries.contents_of; null: as the visit stands, or the person (AskedIdentity)
    linked = models.BooleanField(default=False)
    taken_out = models.BooleanField(default=False)  # while it was a draft
    decision = models.CharField(
        max_length=10, blank=True, choices=[("approved", Words("核可")), ("rejected", Words("退回"))]
    )
    rejected_for = models.CharField(max_length=20, blank=True, choices=[(one.value, one.label) for one in Rejection])
    made_version = models.PositiveIntegerField(null=True)  # of the visit or the person, by the approval

    keeping = Keeping(
        person="(SELECT a.person_id FROM corrections_application a WHERE a.id = application_id)",
        emptied={"contents": "contents - 'note'"},
        kept=(
            "id", "uid", "application_id", "institution_id", "position", "kind", "visit_id", "visit_version", "visit_on",
            "linked", "taken_out", "decision", "rejected_for", "made_version",
        ),
        days=("visit_on",),
    )  # fmt: skip

    objects = ItemManager()
    with_taken_out = models.Manager()  # noqa: DJ012 - the second manager, no field

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="corrections_item_place", fields=["application", "position"], condition=Q(taken_out=False)
            ),
            models.UniqueConstraint(
                name="corrections_item_visit_once",
                fields=["application", "visit"],
                condition=Q(visit__isnull=False, taken_out=False),
            ),
            models.UniqueConstraint(
                name="corrections_item_person_once", fields=["application"], condition=Q(kind="person", taken_out=False)
            ),
            models.CheckConstraint(name="corrections_item_kind", condition=Q(kind__in=list(ItemKind))),
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
                condition=Q(kind__in=["void", "restore", "person"], contents=None)
                | ~Q(kind__in=["void", "restore", "person"]) & Q(contents__isnull=False),
            ),
            models.CheckConstraint(
                name="corrections_item_decision",
                condition=Q(decision__in=["", "approved"], rejected_for="")
                | Q(decision="rejected", rejected_for__in=list(Rejection)),
            ),
        ]


class AskedIdentity(models.Model):
    """Who a person shall be, of an item of kind person: sealed with a key outside the database (identities.sealed).

    Apart from Item, so that no version repeats it, and emptying removes it altogether. What the approval makes of it is a
    version of the person.
    """

    item = models.OneToOneField(Item, models.PROTECT, primary_key=True, related_name="identity")
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="+", db_index=False)
    person_version = models.PositiveIntegerField()  # the version that was seen
    token = models.BinaryField()
    key_id = models.CharField(max_length=20)

    keeping = Keeping(
        person="(SELECT a.person_id FROM corrections_item i JOIN corrections_application a ON a.id = i.application_id"
        " WHERE i.id = item_id)",
        removed=True,
    )


class StepTaken(models.Model):
    """往來: one step of an application: who did what when, between which states, and what he wrote. Never changed."""

    application = models.ForeignKey(Application, models.PROTECT, related_name="steps")
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="+", db_index=False)
    step = models.CharField(max_length=12, choices=[(step.value, step.label) for step in Step])
    from_state = models.CharField(max_length=12, blank=True, choices=_STATES)
    to_state = models.CharField(max_length=12, choices=_STATES)
    by = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    from_desk = models.BooleanField()
    at = models.DateTimeField(db_default=ProgrammeNow())
    text = models.CharField(max_length=1000, blank=True)

    keeping = Keeping(
        person="(SELECT a.person_id FROM corrections_application a WHERE a.id = application_id)",
        emptied={"text": "''"},
        kept=("id", "application_id", "institution_id", "step", "from_state", "to_state", "by_id", "from_desk", "at"),
        days=("at",),
    )

    class Meta:
        constraints = [
            models.CheckConstraint(name="corrections_steptaken_step", condition=Q(step__in=list(Step))),
            models.CheckConstraint(name="corrections_steptaken_state", condition=Q(to_state__in=list(State))),
        ]
        ordering = ["pk"]


class Evidence(models.Model):
    """證明文件: one file attached to an application. Its row says what it is and stays; the file itself lies apart.

    `number` counts from 1 within the application and is part of how it is called: the name that a file had on somebody's
    computer is never kept. `sha256` of the bytes as they were sent: the same file twice is one. What was taken out of a
    draft is marked so (`removed_at`), and its file is gone.
    """

    uid = models.UUIDField(unique=True)
    application = models.ForeignKey(Application, models.PROTECT, related_name="evidence", db_index=False)
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="+", db_index=False)
    number = models.PositiveSmallIntegerField()
    origin = models.CharField(max_length=12, choices=[(origin.value, origin.label) for origin in Origin])
    kind = models.CharField(max_length=4, choices=[(kind.value, kind.label) for kind in EvidenceKind])
    size = models.PositiveIntegerField()  # bytes of the file as it is kept
    pages = models.PositiveIntegerField(null=True)  # of a PDF
    width = models.PositiveIntegerField(null=True)  # of a picture, pixels
    height = models.PositiveIntegerField(null=True)
    sha256 = models.BinaryField(max_length=32, null=True)
    uploaded_by = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    uploaded_at = models.DateTimeField(db_default=ProgrammeNow())
    removed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", db_index=False)
    removed_at = models.DateTimeField(null=True)

    keeping = Keeping(
        person="(SELECT a.person_id FROM corrections_application a WHERE a.id = application_id)",
        emptied={"sha256": "NULL"},  # whoever has the file could show whose it was
        kept=(
            "id", "uid", "application_id", "institution_id", "number", "origin", "kind", "size", "pages", "width",
            "height", "uploaded_by_id", "uploaded_at", "removed_by_id", "removed_at",
        ),
        days=("uploaded_at",),
    )  # fmt: skip

    class Meta:
        constraints = [
            models.UniqueConstraint(name="corrections_evidence_number", fields=["application", "number"]),
            models.UniqueConstraint(
                name="corrections_evidence_once", fields=["application", "sha256"], condition=Q(removed_at=None)
            ),
            models.CheckConstraint(name="corrections_evidence_origin", condition=Q(origin__in=list(Origin))),
            models.CheckConstraint(
                name="corrections_evidence_kind",
                condition=Q(kind="pdf", pages__gte=1, width=None, height=None)
                | Q(kind__in=["jpeg", "png"], pages=None, width__gte=1, height__gte=1),
            ),
            models.CheckConstraint(name="corrections_evidence_size", condition=Q(size__gte=1, number__gte=1)),
            models.CheckConstraint(
                name="corrections_evidence_removed",
                condition=Q(removed_at=None, removed_by=None) | Q(removed_at__isnull=False, removed_by__isnull=False),
            ),
        ]  # fmt: skip
        ordering = ["number"]

    @property
    def called(self) -> str:
        """How pages and files name it: 證明文件 2."""
        return Sentence("{what} {number}", what=Origin(self.origin).label, number=self.number)

    @property
    def file_name(self) -> str:
        """The name under which it is downloaded: nothing of a person."""
        return f"evidence-{self.number}.{self.kind}"


class EvidenceFile(models.Model):
    """The file of a piece of evidence, encrypted with a key outside the database and bound to its uid.

    Apart from Evidence, so that no list carries it, no version repeats it, and emptying removes it altogether.
    """

    evidence = models.OneToOneField(Evidence, models.PROTECT, primary_key=True, related_name="file")
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="+", db_index=False)
    token = models.BinaryField()
    key_id = models.CharField(max_length=20)

    keeping = Keeping(
        person="(SELECT a.person_id FROM corrections_evidence e JOIN corrections_application a"
        " ON a.id = e.application_id WHERE e.id = evidence_id)",
        removed=True,
    )  # fmt: skip
