"""What applications are about: visits recorded at their own moments, and applications on their way."""

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, time
from typing import Any
from uuid import UUID, uuid4

from quitledger.accounts.actors import Actor
from quitledger.accounts.scope import scoped
from quitledger.cases.models import Case
from quitledger.cases.services import identity_of
from quitledger.corrections.evidence_services import attach_evidence
from quitledger.corrections.identities import IdentityEntry
from quitledger.corrections.models import Application
from quitledger.corrections.rules import ItemKind
from quitledger.corrections.services import (
    Decision,
    ItemEntry,
    claim_application,
    decide_application,
    sign_application,
    submit_application,
    write_application,
)
from quitledger.policy import TAIPEI
from quitledger.policy.identity import make_up
from quitledger.visits.models import Visit
from quitledger.visits.rules import Counselling, Entry
from quitledger.visits.services import as_entry, record_visits

from .. import world
from .files import a_pdf

FEBRUARY_15, MARCH_31, APRIL_1 = date(2025, 2, 15), date(2025, 3, 31), date(2025, 4, 1)
APPROVED = Decision("approved")


def evening(day: date) -> datetime:
    """A moment at which a visit of the day was recorded in time."""
    return datetime.combine(day, time(16, 42), TAIPEI)


def counselled(day: date, uid: UUID | None = None, **said: Any) -> Entry:
    """A visit with counselling."""
    return Entry(uid or uuid4(), day, counselling=Counselling(world.staff("示範子").uid), **said)


def recorded(database: Any, day: date, at: datetime | None = None, name: str = "示範甲", **said: Any) -> UUID:
    """A visit that was recorded at its time by the recorder (written as the owner, who may say when)."""
    recorder = world.actor("recorder")
    with database.as_owner(), scoped(recorder):
        entry = counselled(day, **said)
        (outcome,) = record_visits([(world.case(name), entry)], by=recorder, recorded_at=[at or evening(day)])
        assert outcome.visit is not None, outcome.problems
        return outcome.visit.uid


def visit(uid: UUID) -> Visit:
    return Visit.objects.select_related("case__person").get(uid=uid)


def late(day: date = FEBRUARY_15, **said: Any) -> ItemEntry:
    """A visit that was never recorded."""
    uid = uuid4()
    return ItemEntry(uid, ItemKind.LATE_ENTRY, entry=counselled(day, uid, **said))


def changing(uid: UUID, kind: ItemKind = ItemKind.CHANGE, **said: Any) -> ItemEntry:
    """A recorded visit that shall say something else."""
    found = visit(uid)
    return ItemEntry(uuid4(), kind, found, found.version, replace(as_entry(found), **said))


def without(uid: UUID, kind: ItemKind = ItemKind.VOID) -> ItemEntry:
    """A recorded visit that shall be voided, or restored."""
    found = visit(uid)
    return ItemEntry(uuid4(), kind, found, found.version)


def asking(case: Case, **said: Any) -> ItemEntry:
    """The person shall be somebody else; another number where nothing is said."""
    recorded_ = identity_of(case.person)
    asked = replace(recorded_, **(said or {"number": make_up(941)}))
    return ItemEntry(uuid4(), ItemKind.PERSON, identity=IdentityEntry(case.person.version, recorded_, asked))


def case_of(name: str) -> Case:
    """The clinic's case of that name."""
    return Case.objects.select_related("person").get(name=name, institution_id=world.institution_id())


def written(
    items: Sequence[ItemEntry], by: Actor | None = None, name: str = "示範甲", uid: UUID | None = None
) -> Application:
    by = by or world.actor("recorder")
    return write_application(
        uid=uid or uuid4(), case=case_of(name), reason="看診後系統無法連線，漏未登錄。", discovered_on=world.TODAY,
        items=items, by=by,
    )  # fmt: skip


@contextmanager
def step(username: str) -> Any:
    """A request of somebody."""
    by = world.actor(username)
    with scoped(by):
        yield by


def submitted(items: Any, name: str = "示範甲") -> Application:
    """Written by the recorder and handed over. `items`: a function, asked within the recorder's request."""
    with step("recorder") as by:
        application = written(items(), by, name)
        return submit_application(application=application, version=1, by=by)


def sent(items: Any, name: str = "示範甲") -> Application:
    """Signed by the supervisor as well."""
    application = submitted(items, name)
    with step("supervisor") as by:
        return sign_application(application=application, version=application.version, by=by)


def claimed(items: Any, username: str = "desk_officer", name: str = "示範甲") -> Application:
    """In the hands of somebody of the desk."""
    application = sent(items, name)
    with step(username) as by:
        return claim_application(application=application, version=application.version, by=by)


def decided(
    application: Application, *decisions: Decision, username: str = "desk_officer", text: str = ""
) -> Application:
    """Decided item by item; without decisions everything is approved."""
    with step(username) as by:
        items = list(Application.objects.get(pk=application.pk).items.order_by("position"))
        given = decisions or [APPROVED] * len(items)
        return decide_application(
            application=application, version=application.version, text=text, by=by,
            decisions={item.uid: one for item, one in zip(items, given, strict=True)},
        )  # fmt: skip


def on_its_way(uid: UUID, code: str, writer: str, signer: str, evidence: UUID) -> None:
    """An application of 示範甲's case at an institution, sent to the desk with a file: a visit never recorded."""
    staff = "示範子" if code == world.CLINIC else "示範卯"
    with step(writer) as by:
        new = uuid4()
        entry = Entry(new, FEBRUARY_15, counselling=Counselling(world.staff(staff).uid))
        application = write_application(
            uid=uid, case=world.case(institution_code=code), reason="漏未登錄。", discovered_on=world.TODAY,
            items=[ItemEntry(new, ItemKind.LATE_ENTRY, entry=entry)], by=by,
        )  # fmt: skip
        attach_evidence(uid=evidence, application=application, content=a_pdf(), today=world.TODAY, by=by)
        application = submit_application(application=application, version=1, by=by)
    with step(signer) as by:
        sign_application(application=application, version=application.version, by=by)
