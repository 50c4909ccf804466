"""更正申請 of the demo clinic, on their way: written, signed and decided by the demo accounts, as people would.

Made as the application role: who signed, when, and each case number are the database's word, which it keeps from an owner.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

from django.db import transaction

from quitledger.accounts.actors import AGENCY, SYSTEM, Actor
from quitledger.accounts.models import User
from quitledger.accounts.permissions import Role
from quitledger.accounts.scope import scoped
from quitledger.corrections import services
from quitledger.corrections.models import Application
from quitledger.corrections.rules import ItemKind
from quitledger.corrections.services import Decision, ItemEntry
from quitledger.institutions.models import InstitutionDetails
from quitledger.visits.models import Visit
from quitledger.visits.services import as_entry

from .demo_story import ACCOUNTS, CLINIC, missing_day, uid


def apply(today: date) -> int:
    """Write the applications, all or none; returns how many there are now. Where there are some, nothing is written.

    One waits for its supervisor, one for somebody of the desk to take it, one for the clinic's answer; one is approved.
    """
    with transaction.atomic():
        recorder, supervisor, desk = (_actor(name) for name in ("demo-recorder", "demo-supervisor", "demo-desk"))
        with scoped(desk):
            if known := Application.objects.count():
                return known
        with scoped(recorder):
            visits = _closed_visits(today, recorder)
            written = [_submitted(number, *one, today, recorder) for number, one in enumerate(visits)]
        with scoped(supervisor):
            sent = [_step(services.sign_application, one, supervisor) for one in written[1:]]
        with scoped(desk):
            claimed = [_step(services.claim_application, one, desk) for one in sent[1:]]
            for one in claimed[:1]:
                _step(services.ask_institution, one, desk, text="請補個案紀錄表第 2 頁（含就醫日期）。")
            for one in claimed[1:]:
                approved = {item.uid: Decision("approved") for item in one.items.all()}
                _step(services.decide_application, one, desk, decisions=approved, text="")
    return len(written)


def _step(take: Callable[..., Application], application: Application, by: Actor, **said: Any) -> Application:
    return take(application=application, version=application.version, by=by, **said)


_KINDS = (ItemKind.CHANGE, ItemKind.CHANGE, ItemKind.VOID, ItemKind.CHANGE)
_REASONS = {
    ItemKind.CHANGE: "核對病歷時發現每日支數登錄錯誤（示範）。",
    ItemKind.VOID: "同一次就醫登錄到另一位戒菸者（示範）。",
}


def _closed_visits(today: date, by: Actor) -> list[tuple[Visit, ItemKind]]:
    """A visit each of four people of the clinic, of months that are closed."""
    visits = Visit.objects.filter(visit_on__lt=missing_day(today).replace(day=1), in_force=True)
    visits = (
        visits.filter(institution_id=by.at_institution()).select_related("case__person").order_by("-visit_on", "pk")
    )
    found = {one.person_id: one for one in visits}
    return list(zip(found.values(), _KINDS, strict=False))


def _submitted(number: int, visit: Visit, kind: ItemKind, today: date, by: Actor) -> Application:
    said = as_entry(visit)
    entry = replace(said, cigarettes_per_day=(said.cigarettes_per_day or 0) + 1) if kind is ItemKind.CHANGE else None
    item = ItemEntry(uid(f"item {number}"), kind, visit, visit.version, entry)
    application = services.write_application(
        uid=uid(f"application {number}"),
        case=visit.case,
        reason=_REASONS[kind],
        discovered_on=today,
        items=[item],
        by=by,
    )
    return _step(services.submit_application, application, by)


def _actor(username: str) -> Actor:
    name, agency_role, places = ACCOUNTS[username]
    with scoped(SYSTEM):
        account = User.objects.get(username=username)
        if CLINIC not in places:
            return Actor(account.pk, AGENCY, Role(agency_role), name)
        clinic = InstitutionDetails.objects.filter(code=CLINIC).values_list("institution_id", flat=True).get()
        return Actor(account.pk, clinic, places[CLINIC], name)
