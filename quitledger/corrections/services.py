"""The only writers of applications. Each is one transaction with its step and its audit entry, and takes `by=`.

Approving an application writes the visits in the same transaction, through visits.services, each with a permit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from uuid import UUID, uuid4

from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.db.models import F

from quitledger.accounts.actors import Actor
from quitledger.accounts.keys import keys
from quitledger.accounts.permissions import Permission, Role
from quitledger.accounts.scope import within
from quitledger.audit import journal
from quitledger.audit.database import programme_now, purpose
from quitledger.cases.models import Case
from quitledger.cases.rules import person_changed_meanwhile, person_emptied
from quitledger.cases.services import Stale as PersonStale
from quitledger.cases.services import change_person, check_person_application, recorded_otherwise
from quitledger.institutions.models import Membership
from quitledger.policy import TAIPEI
from quitledger.policy.problem import Problem, Refused, refuse_where
from quitledger.policy.sentences import Sentence, Words
from quitledger.visits import services as visits
from quitledger.visits.models import Permit, ServiceMonth, Visit
from quitledger.visits.queries import closes_at
from quitledger.visits.rules import Entry, month_of
from quitledger.visits.services import Stale as VisitStale

from . import rules
from .entries import contents_of, entry_from
from .identities import IdentityEntry, identity_asked, resealed, sealed
from .models import Application, AskedIdentity, Item, StepTaken
from .rules import ITEM_KINDS, TRANSITIONS, ItemKind, State, Step


@dataclass(frozen=True)
class ItemEntry:
    """An item as it was typed. `visit` and `visit_version` of what is recorded; `entry`: what it shall say, if anything;
    `identity`: who the person shall be, where that is the item.

    `uid` is the item's for ever, and a late entry's visit's.
    """

    uid: UUID
    kind: ItemKind
    visit: Visit | None = None
    visit_version: int | None = None
    entry: Entry | None = None
    linked: bool = False
    identity: IdentityEntry | None = None

    @property
    def visit_on(self) -> date | None:
        """The true day; None where no visit is put right."""
        if self.entry is not None:
            return self.entry.visit_on
        return self.visit.visit_on if self.visit is not None else None


class Stale(Exception):
    """The application has another version than the one that was looked at: somebody else took a step."""


# --- Writing -----------------------------------------------------------------------------------------------------------


def write_application(
    *, uid: UUID, case: Case, reason: str, discovered_on: date | None, items: Sequence[ItemEntry], by: Actor
) -> Application:
    """Begin an application with its items, as a draft. The same uid sent twice is the same application.

    Raises PermissionDenied, Refused.
    """
    by.require(Permission.CORRECTION_APPLY)
    if case.institution_id != by.at_institution():
        raise PermissionDenied("a case of another institution")
    known = Application.objects.filter(uid=uid, institution_id=case.institution_id).first()
    if known is not None:
        return _as_written(known, reason, discovered_on, items)
    refuse_where(_problems(case, reason, discovered_on, items, by))
    assert discovered_on is not None  # the rules asked for it
    with transaction.atomic():
        application = Application.objects.create(
            uid=uid, institution_id=case.institution_id, case=case, person_id=case.person_id, state=State.DRAFT,
            reason=reason.strip(), discovered_on=discovered_on, written_by_id=_account(by),
        )  # fmt: skip
        _write_items(application, items)
        _note(application, Step.WRITE, "", by)
    return application


def register_on_paper(
    *, uid: UUID, case: Case, reason: str, discovered_on: date | None, received_on: date, items: Sequence[ItemEntry],
    by: Actor,
) -> Application:  # fmt: skip
    """Register an application that came by fax or letter: it gets its number at once. The same uid twice is one.

    Seal and signature are on the paper; whoever registers it does not decide it.
    Raises PermissionDenied, Refused.
    """
    by.require(Permission.CORRECTION_REGISTER)
    known = Application.objects.filter(uid=uid).first()
    if known is not None:
        return _as_written(known, reason, discovered_on, items)
    problems = _problems(case, reason, discovered_on, items, by)
    if received_on > _today():
        problems.append(
            Problem("received-in-future", Sentence("收件日 {day} 還沒到。", day=received_on), "received_on")
        )
    refuse_where(problems)
    assert discovered_on is not None  # the rules asked for it
    with transaction.atomic():
        application = Application.objects.create(
            uid=uid, institution_id=case.institution_id, case=case, person_id=case.person_id, state=State.NEW,
            on_paper=True, received_on=received_on, reason=reason.strip(), discovered_on=discovered_on,
            written_by_id=_account(by),
        )  # fmt: skip
        _write_items(application, items)
        application.refresh_from_db()
        _note(application, Step.REGISTER, "", by)
    return application


def rewrite_application(
    *, application: Application, version: int, reason: str, discovered_on: date | None, items: Sequence[ItemEntry],
    by: Actor,
) -> Application:  # fmt: skip
    """Make a draft say something else: its reason, its discovery date, its items. Raises PermissionDenied, Stale, Refused."""
    by.require(Permission.CORRECTION_APPLY)
    with transaction.atomic():
        found = _locked(application, version, Step.REWRITE, by)
        if _says(found, reason, discovered_on, items):
            return found  # the form sent once more
        refuse_where(_problems(found.case, reason, discovered_on, items, by))
        kept = {item.uid for item in items}
        for item in found.items.exclude(uid__in=kept):
            item.taken_out = True
            item.save(update_fields=["taken_out"])
        found.reason, found.discovered_on = reason.strip(), discovered_on  # type: ignore[assignment]
        _write_items(found, items)
        _take(found, Step.REWRITE, State.DRAFT, "", by)
    return found


def _says(application: Application, reason: str, discovered_on: date | None, items: Sequence[ItemEntry]) -> bool:
    said = (application.reason, application.discovered_on, items_of(application))
    return (reason.strip(), discovered_on, list(items)) == said


def _as_written(known: Application, reason: str, discovered_on: date | None, items: Sequence[ItemEntry]) -> Application:
    """The application that the same form made before. Raises Refused where the form says something else now."""
    if not _says(known, reason, discovered_on, items):
        what = Sentence("更正申請 {number}", number=known.case_no or rules.STATES[State(known.state)].label)
        raise Refused([recorded_otherwise("application-written-otherwise", what)])
    return known


def items_of(application: Application) -> list[ItemEntry]:
    """The items as they were typed, in order."""
    return [
        ItemEntry(
            item.uid, ItemKind(item.kind), item.visit, item.visit_version,
            entry_from(item.visit.uid if item.visit else item.uid, item.contents) if item.contents else None, item.linked,
            identity_asked(item),
        )
        for item in application.items.select_related("visit__case__person", "identity").order_by("position")
    ]  # fmt: skip


def _problems(
    case: Case, reason: str, discovered_on: date | None, items: Sequence[ItemEntry], by: Actor
) -> list[Problem]:
    if case.person.is_emptied:
        return [person_emptied()]
    now = programme_now()
    today = now.astimezone(TAIPEI).date()
    problems = rules.check_application(
        reason=reason, discovered_on=discovered_on, today=today, items=len(items),
        visit_days=[item.visit_on for item in items if item.visit_on],
    )  # fmt: skip
    days: set[date] = set()
    for item in items:
        if item.identity is not None:
            problems += _identity_problems(case, item.identity, today, by)
        if item.visit_on is not None:
            recorded_on = item.visit.visit_on if item.visit else None
            problems += rules.check_true_day(item.kind, item.visit_on, recorded_on)
            days |= {item.visit_on, recorded_on or item.visit_on}
    months = sorted({month_of(day) for day in days})
    closing = [(month, closes_at(case.institution_id, month)) for month in months]
    problems += rules.check_needed(closing, now)
    return problems


def _identity_problems(case: Case, said: IdentityEntry, today: date, by: Actor) -> list[Problem]:
    return check_person_application(
        case=case, version=said.person_version, identity=said.asked, today=today, by=by,
        made_up_allowed=purpose() != "production",
    )  # fmt: skip


def _write_items(application: Application, items: Sequence[ItemEntry]) -> None:
    """Write the items that are new or say something else, in their places."""
    stood = {item.uid: (position, item) for position, item in enumerate(items_of(application))}
    if any(uid in stood and stood[uid][0] != position for position, uid in enumerate(item.uid for item in items)):
        application.items.update(position=F("position") + _ASIDE)
        stood = {}
    for position, item in enumerate(items):
        if stood.get(item.uid) == (position, item):
            continue
        written, _new = Item.with_taken_out.update_or_create(
            uid=item.uid,
            application=application,
            defaults={
                "institution_id": application.institution_id, "position": position, "kind": item.kind,
                "visit": item.visit, "visit_version": item.visit_version, "visit_on": item.visit_on,
                "contents": contents_of(item.entry) if item.entry else None, "linked": item.linked, "taken_out": False,
            },
        )  # fmt: skip
        if item.identity is not None:
            token, key_id = sealed(item.identity, item.uid)
            AskedIdentity.objects.update_or_create(
                item=written,
                defaults={
                    "institution_id": application.institution_id, "person_version": item.identity.person_version,
                    "token": token, "key_id": key_id,
                },
            )  # fmt: skip


_ASIDE = 1_000  # while they are numbered anew


# --- Steps -------------------------------------------------------------------------------------------------------------


def submit_application(*, application: Application, version: int, by: Actor) -> Application:
    """Hand a draft over to be signed. Raises PermissionDenied, Stale, Refused."""
    return _simply(application, version, Step.SUBMIT, State.TO_SIGN, "", by)


def sign_application(*, application: Application, version: int, by: Actor) -> Application:
    """Sign an application and send it to the desk: its case number and its moment of receipt are given now.

    Whoever calls has made sure that the signer has just signed in again. In an institution of one account the writer
    signs. Raises PermissionDenied, Stale, Refused.
    """
    by.require(Permission.CORRECTION_SIGN)
    with transaction.atomic():
        found = _locked(application, version, Step.SIGN, by)
        signer, writer = _account(by), found.written_by_id
        roles = Membership.objects.filter(institution_id=found.institution_id, user_id__in=[signer, writer])
        refuse_where(
            rules.check_signature(
                signer=signer, writer=writer, roles=[Role(role) for role in roles.in_force_on(_today()).values_list("role", flat=True)],
                accounts=accounts_of(found.institution_id), submitted=found.state == State.TO_SIGN,
            )
        )  # fmt: skip
        _take(found, Step.SIGN, State.NEW, "", by)
    return found


def accounts_of(institution_id: int) -> int:
    """How many accounts of an institution can sign in today: counted, never ticked."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT corrections_count_accounts(%s)", [institution_id])
        return int(cursor.fetchone()[0])


def hand_back_application(*, application: Application, version: int, text: str, by: Actor) -> Application:
    """Give an application back to its writer instead of signing it. Raises PermissionDenied, Stale, Refused."""
    return _simply(application, version, Step.HAND_BACK, State.DRAFT, text, by)


def withdraw_application(*, application: Application, version: int, text: str, by: Actor) -> Application:
    """Withdraw an application that is not decided. Raises PermissionDenied, Stale, Refused."""
    return _simply(application, version, Step.WITHDRAW, State.WITHDRAWN, text, by)


def answer_application(*, application: Application, version: int, text: str, by: Actor) -> Application:
    """Answer the desk's question: it goes back to whoever asked. Raises PermissionDenied, Stale, Refused."""
    return _simply(application, version, Step.ANSWER, State.IN_REVIEW, text, by)


def claim_application(*, application: Application, version: int, by: Actor) -> Application:
    """Take an application from the queue. Raises PermissionDenied, Stale, Refused (the applicant's own)."""
    by.require(Permission.CORRECTION_DECIDE)
    with transaction.atomic():
        found = _locked(application, version, Step.CLAIM, by)
        refuse_where(_may_decide(found, by, first=None))
        found.claimed_by_id = _account(by)
        _take(found, Step.CLAIM, State.IN_REVIEW, "", by)
    return found


def release_application(*, application: Application, version: int, by: Actor) -> Application:
    """Put an application back into the queue: whoever claimed it, or a desk supervisor.

    Raises PermissionDenied, Stale, Refused.
    """
    by.require(Permission.CORRECTION_DECIDE)
    with transaction.atomic():
        found = _locked(application, version, Step.RELEASE, by)
        if found.claimed_by_id != _account(by) and by.role is not Role.DESK_SUPERVISOR:
            raise Refused([_claimed_by_another()])
        found.claimed_by_id = None
        _take(found, Step.RELEASE, State.NEW, "", by)
    return found


def ask_institution(*, application: Application, version: int, text: str, by: Actor) -> Application:
    """Ask the institution something; it is its turn then. Raises PermissionDenied, Stale, Refused."""
    by.require(Permission.CORRECTION_DECIDE)
    with transaction.atomic():
        found = _locked(application, version, Step.ASK, by)
        refuse_where(_claimed(found, by) + _text_problems(Step.ASK, text))
        _take(found, Step.ASK, State.WAITING, text, by)
    return found


def see_decision(*, application: Application, by: Actor) -> None:
    """The institution has looked at the decision: it is no news any more. Raises PermissionDenied."""
    by.require(Permission.CORRECTION_READ)
    if by.institution_id != application.institution_id or application.seen_at or application.state not in rules.DECIDED:
        return
    with transaction.atomic():
        found = Application.objects.select_for_update().get(pk=application.pk)
        if found.seen_at is None:
            found.seen_at, found.version = programme_now(), found.version + 1
            found.save(update_fields=["seen_at", "version"])
            journal.record("correction.see", record_type="correction", uids=[found.uid], version=found.version)
            application.version, application.seen_at = found.version, found.seen_at


def _simply(application: Application, version: int, step: Step, to: State, text: str, by: Actor) -> Application:
    by.require(TRANSITIONS[step].permission)
    with transaction.atomic():
        found = _locked(application, version, step, by)
        refuse_where(_text_problems(step, text))
        _take(found, step, to, text, by)
    return found


def _text_problems(step: Step, text: str) -> list[Problem]:
    return rules.check_text(text, "text", rules.WHAT_TO_WRITE.get(step))


def _locked(application: Application, version: int, step: Step, by: Actor) -> Application:
    """The application, locked, where the step can be taken from its state. Raises Stale, Refused, PermissionDenied."""
    if by.institution_id not in (None, application.institution_id):
        raise PermissionDenied("an application of another institution")
    found = Application.objects.select_for_update(of=("self",)).select_related("case__person").get(pk=application.pk)
    if found.version != version:
        raise Stale
    if State(found.state) not in TRANSITIONS[step].from_states:
        message = Sentence(
            "這件申請現在是「{state}」，不能{step}。", state=rules.STATES[State(found.state)].label, step=step.label
        )
        raise Refused([Problem("wrong-state", message, None)])
    return found


def _take(application: Application, step: Step, to: State, text: str, by: Actor) -> None:
    """The one writer of states: the application's next version, the step, the journal."""
    before, application.state, application.version = application.state, to, application.version + 1
    application.save()
    application.refresh_from_db()
    _note(application, step, text, by, before)


def _note(application: Application, step: Step, text: str, by: Actor, before: str = "") -> None:
    StepTaken.objects.create(
        application=application, institution_id=application.institution_id, step=step, from_state=before,
        to_state=application.state, by_id=_account(by), from_desk=by.institution_id is None, text=text.strip(),
    )  # fmt: skip
    journal.record(
        f"correction.{step}", record_type="correction", uids=[application.uid, application.case.uid],
        version=application.version, fields=["text"] if text.strip() else [],
    )  # fmt: skip


# --- Deciding ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Decision:
    """What the desk says of one item."""

    decision: str  # approved, rejected
    rejected_for: str = ""


def decide_application(
    *, application: Application, version: int, decisions: Mapping[UUID, Decision], text: str, by: Actor
) -> Application:
    """Decide all items of a claimed application, and put right at once what is approved: all of it or nothing.

    Of an institution with one account an approval waits for a second decision (confirm_application).
    Raises PermissionDenied, Stale, Refused: with the problems of the items whose visits could not be written now
    (somebody recorded a neighbour meanwhile), fields item-N.
    """
    by.require(Permission.CORRECTION_DECIDE)
    with transaction.atomic():
        found = _locked(application, version, Step.DECIDE, by)
        items = list(found.items.select_related("visit__case__person").order_by("position"))
        given = [decisions.get(item.uid, Decision("")) for item in items]
        refuse_where(
            _claimed(found, by)
            + _may_decide(found, by, first=None)
            + rules.check_decisions(
                [(one.decision, one.rejected_for, item.linked) for one, item in zip(given, items, strict=True)], text
            )
        )
        for one, item in zip(given, items, strict=True):
            item.decision, item.rejected_for = one.decision, one.rejected_for if one.decision == "rejected" else ""
        to = rules.outcome([one.decision for one in given])
        if found.single_person and to is not State.REJECTED:
            refuse_where(trial(found, items, by=by))
            to = State.SECOND
        else:
            _put_right(found, items, by)
        for item in items:
            item.save(update_fields=["decision", "rejected_for", "made_version"])
        _take(found, Step.DECIDE, to, text, by)
    return found


def confirm_application(*, application: Application, version: int, text: str, by: Actor) -> Application:
    """The second decision about a single-person institution's application: what the first one said is done now.

    Raises PermissionDenied, Stale, Refused.
    """
    by.require(Permission.CORRECTION_DECIDE)
    with transaction.atomic():
        found = _locked(application, version, Step.CONFIRM, by)
        refuse_where(_may_decide(found, by, first=found.decided_by_id) + rules.check_text(text, "text", None))
        items = list(found.items.select_related("visit__case__person").order_by("position"))
        _put_right(found, items, by)
        for item in items:
            item.save(update_fields=["made_version"])
        _take(found, Step.CONFIRM, rules.outcome([item.decision for item in items]), text, by)
    return found


def refer_back(*, application: Application, version: int, text: str, by: Actor) -> Application:
    """The second one does not agree: it goes back to the first, who decides anew. Raises PermissionDenied, Stale, Refused."""
    by.require(Permission.CORRECTION_DECIDE)
    with transaction.atomic():
        found = _locked(application, version, Step.REFER_BACK, by)
        refuse_where(_may_decide(found, by, first=found.decided_by_id) + _text_problems(Step.REFER_BACK, text))
        for item in found.items.all():
            item.decision = item.rejected_for = ""
            item.save(update_fields=["decision", "rejected_for"])
        _take(found, Step.REFER_BACK, State.IN_REVIEW, text, by)
    return found


def _claimed(application: Application, by: Actor) -> list[Problem]:
    return [] if application.claimed_by_id == _account(by) else [_claimed_by_another()]


def _claimed_by_another() -> Problem:
    return Problem("claimed-by-another", "這件申請由另一位承辦人審核中。", None)


def _may_decide(application: Application, by: Actor, *, first: int | None) -> list[Problem]:
    return rules.check_decider(
        decider=_account(by), applicants=[application.written_by_id, application.signed_by_id], first=first,
        settled=touches_settled(application), role=by.role,
    )  # fmt: skip


def touches_settled(application: Application) -> bool:
    """True when an item concerns a month whose fees were settled."""
    days = {
        day
        for item in application.items.select_related("visit")
        for day in (item.visit_on, item.visit and item.visit.visit_on)
        if day
    }
    months = ServiceMonth.objects.filter(institution_id=application.institution_id, month__in=map(month_of, days))
    return months.exclude(settled_at=None).exists()


def _put_right(application: Application, items: Sequence[Item], by: Actor) -> None:
    """Write what was approved, with a permit for each visit. Raises Refused, with nothing written."""
    given: dict[int, Permit | UUID | None] = {}
    for item in items:
        if item.decision == "approved" and item.kind == ItemKind.PERSON:
            given[item.pk] = application.uid
        elif item.decision == "approved":
            given[item.pk] = permit = _permit(application, item, by)
            permit.save(force_insert=True)
    refuse_where(_apply(application, items, given, by))


def trial(application: Application, items: Sequence[Item], *, by: Actor) -> list[Problem]:
    """What would stand in the way if the items not rejected were approved now: written, and taken back again.

    Fields: item-N, N the place of the item. Journals the read. Raises PermissionDenied.
    """
    by.require(Permission.CORRECTION_READ)
    journal.record(
        Permission.CORRECTION_READ,
        record_type="correction",
        uids=[application.uid, application.case.uid],
        fields=["courses"],
    )
    tried = {
        item.pk: None if item.kind == ItemKind.PERSON else Permit() for item in items if item.decision != "rejected"
    }
    with transaction.atomic():
        problems = _apply(application, items, tried, by)
        transaction.set_rollback(True)
    return problems


def _permit(application: Application, item: Item, by: Actor) -> Permit:
    recorded = item.visit
    assert item.visit_on is not None  # a permit is for a visit
    until = closes_at(application.institution_id, item.visit_on)
    return Permit(
        uid=uuid4(), application=application.uid, person_id=application.person_id,
        institution_id=application.institution_id, visit=recorded.uid if recorded else item.uid,
        kind=ITEM_KINDS[ItemKind(item.kind)].permit, expected_version=item.visit_version or 0,
        from_on=recorded.visit_on if recorded else None, visit_on=item.visit_on,
        is_late=rules.is_late(ItemKind(item.kind), recorded.recorded_at if recorded else None, until),
        applied_by_id=application.written_by_id, signed_by_id=application.signed_by_id, decided_by_id=_account(by),
    )  # fmt: skip


# Who it is comes first; then a place is freed before it is taken: voids, what moves away or back, then what comes in.
_ORDER = (
    ItemKind.PERSON, ItemKind.VOID, ItemKind.OVERWRITTEN, ItemKind.PARKED, ItemKind.CHANGE, ItemKind.RESTORE,
    ItemKind.LATE_ENTRY,
)  # fmt: skip


def _apply(
    application: Application, items: Sequence[Item], given: Mapping[int, Permit | UUID | None], by: Actor
) -> list[Problem]:
    """Write the items that are given: visits with their permit, the person with the application behind it (None where
    it is only tried). Every problem, by the item's place."""
    problems = []
    for place, item in sorted(enumerate(items), key=lambda one: _ORDER.index(ItemKind(one[1].kind))):
        if item.pk not in given:
            continue
        try:
            with transaction.atomic():
                item.made_version = _written(application, items, item, given[item.pk], by)
        except Refused as refused:
            problems += [Problem(one.code, one.message, f"item-{place}", one.policy) for one in refused.problems]
        except VisitStale:
            message = Words("這筆就醫資料在申請之後又有新的版本，請退回或請機構依現在的內容重新申請。")
            problems.append(Problem("visit-changed-meanwhile", message, f"item-{place}"))
        except PersonStale:
            problems.append(replace(person_changed_meanwhile(), field=f"item-{place}"))
    return problems


def _written(
    application: Application, items: Sequence[Item], item: Item, given: Permit | UUID | None, by: Actor
) -> int | None:
    """Write one item; the version it made."""
    if not isinstance(given, Permit):
        return _correct_person(application, items, item, given, by)
    with within(by, application.institution_id) as there:
        return _write(application, item, given, there).version


def _correct_person(
    application: Application, items: Sequence[Item], item: Item, authority: UUID | None, by: Actor
) -> int | None:
    """Correct the person by the desk's decision; an institution that looks at its application asks the rules alone."""
    said = identity_asked(item)
    if said is None:
        raise Refused([person_emptied()])
    case = application.case
    if by.institution_id is not None:
        refuse_where(_identity_problems(case, said, _today(), by))
        return None
    person = change_person(
        case=case, version=said.person_version, identity=said.asked, reason=_because(application), today=_today(),
        authority=authority, made_up_allowed=purpose() != "production", by=by,
    )  # fmt: skip
    for one in (case, *(other.visit.case for other in items if other.visit)):
        one.person = person
    return person.version


def _because(application: Application) -> str:
    return str(Sentence("更正申請 {number}", number=application.case_no or ""))


def _write(application: Application, item: Item, permit: Permit, there: Actor) -> Visit:
    if item.visit is None:
        assert item.contents is not None
        return visits.record_visit(
            case=application.case, entry=entry_from(item.uid, item.contents), by=there, permit=permit
        )
    given: dict[str, Any] = {
        "visit": item.visit,
        "version": item.visit_version,
        "reason": _because(application),
        "by": there,
        "permit": permit,
    }
    if item.kind == ItemKind.VOID:
        return visits.void_visit(**given)
    if item.kind == ItemKind.RESTORE:
        return visits.restore_visit(**given)
    assert item.contents is not None
    return visits.change_visit(entry=entry_from(item.visit.uid, item.contents), **given)


def renew_identities(*, after: int, limit: int, by: Actor) -> tuple[int, int]:
    """Seal anew under the current key who persons shall be, of items numbered above `after`, at most `limit`.

    Returns the number of the last one and how many. As the owner. Raises PermissionDenied, KeyMissing, Tampered.
    """
    by.require(Permission.KEY_ROTATE)
    with transaction.atomic():
        found = AskedIdentity.objects.select_for_update(of=("self",)).select_related("item").order_by("pk")
        renewed = list(found.filter(pk__gt=after).exclude(key_id=keys().current)[:limit])
        for asked in renewed:
            asked.token, asked.key_id = resealed(asked)
            asked.save(update_fields=["token", "key_id"])
        if renewed:
            journal.record(Permission.KEY_ROTATE, record_type="corrections_askedidentity", fields=["identity_number"])
    return (renewed[-1].pk, len(renewed)) if renewed else (after, 0)


def _account(by: Actor) -> int:
    if by.account_id is None:
        raise PermissionDenied("an account")
    return by.account_id


def _today() -> date:
    return programme_now().astimezone(TAIPEI).date()
