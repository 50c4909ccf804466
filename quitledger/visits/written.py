"""The rows of accepted entries, and the statements that write them: together, whatever their number."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection
from django.db.models import Model, QuerySet
from django.db.models.base import ModelState

from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.audit.staging import as_copied, copy_in
from quitledger.cases.models import Case
from quitledger.policy import policy_on

from .known import VALUES, Known
from .models import MedicationLine, Service, Visit
from .rules import MEDICATION, Entry

AnyModel = TypeVar("AnyModel", bound=Model)


class Written:
    """The rows of one accepted entry, with their keys. They join the visit of the day where there is one."""

    def __init__(self, case: Case, entry: Entry, known: Known, *, taken_over: bool = False) -> None:
        same_day = None if taken_over else known.same_day(case, entry.visit_on)
        self.joins = same_day is not None and not same_day._state.adding
        self.fields = ["visit_on", *entry.kinds]
        self.visit = same_day or _made(
            Visit, id=known.next_key(Visit), uid=entry.uid, case_id=case.pk, person_id=case.person_id,
            institution_id=case.institution_id, visit_on=entry.visit_on, taken_over=taken_over,
        )  # fmt: skip
        if self.joins:
            self.visit.version += 1
            self.visit.change_reason = "當日另一項服務"
        for name in VALUES:
            value = getattr(entry, name)
            if value is not None and value is not False and value != "":
                setattr(self.visit, name, value)
                self.fields.append(name)
        self.services = [
            service_of(self.visit, kind, entry, uid, known, known.next_key(Service), taken_over=taken_over)
            for kind, uid in entry.kinds.items() if uid
        ]  # fmt: skip
        self.lines = [
            _made(
                MedicationLine, id=known.next_key(MedicationLine), service_id=service.pk, visit_id=self.visit.pk,
                institution_id=case.institution_id, medicine_id=line.medicine_code, supply_weeks=line.supply_weeks,
                supply_days=line.days, version=self.visit.version,
            )
            for service in self.services if service.kind == MEDICATION and entry.medication
            for line in entry.medication.lines
        ]  # fmt: skip


def _made(model: type[AnyModel], **values: Any) -> AnyModel:
    """A new row of a model, as its class would make it of the values of its columns: at a tenth of the price."""
    row = model.__new__(model)
    vars(row).update(_template(model), _state=ModelState(), **values)
    return row


@cache
def _template(model: type[Model]) -> dict[str, Any]:
    """What every column of a new row says by itself."""
    return {name: value for name, value in vars(model()).items() if name != "_state"}


def service_of(
    visit: Visit,
    kind: str,
    entry: Entry,
    staff_uid: UUID,
    known: Known,
    key: int | None = None,
    *,
    taken_over: bool = False,
) -> Service:
    """A service of a visit that is not recorded yet; without `key` the database gives one.

    (Known reads no visit that was taken over: nothing joins one.)
    """
    return _made(
        Service, id=key, visit_id=visit.pk, person_id=visit.person_id, institution_id=visit.institution_id,
        visit_on=visit.visit_on, taken_over=taken_over, kind=kind, staff_id=known.staff_ids[staff_uid],
        counselling_mode=entry.counselling.mode if entry.counselling and kind != MEDICATION else "",
        spacing_days=policy_on(visit.visit_on, "visit_spacing_days"), entry_uid=entry.uid, version=visit.version,
    )  # fmt: skip


_CHANGED = ["visit_on", *VALUES, "in_force", "version", "change_reason", "changed_at", "permit"]


def rewrite(visit: Visit, services: Sequence[Service], entry: Entry, reason: str, known: Known) -> list[Service]:
    """Make the rows of a recorded visit say what `entry` says, as its next version; returns its services then.

    Services and lines no longer given are deleted (their history keeps them); others keep their rows and keys.
    `services` are those of the visit with their lines prefetched; the visit names its permit, if any.
    """
    visit.visit_on, visit.version, visit.change_reason, visit.in_force = entry.visit_on, visit.version + 1, reason, True
    for name in VALUES:
        setattr(visit, name, getattr(entry, name))
    visit.save(update_fields=_CHANGED)  # day and in_force reach the services by their foreign key
    kept: list[Service] = []
    for service in services:
        if service.kind in entry.kinds:
            kept.append(_changed(service, visit, entry, known))
            continue
        _delete(MedicationLine.objects.filter(service_id=service.pk), visit.version)
        _delete(Service.objects.filter(pk=service.pk), visit.version)
    there = {service.kind for service in kept}
    for kind, staff_uid in entry.kinds.items():
        if kind not in there and staff_uid:
            service = service_of(visit, kind, entry, staff_uid, known)
            service.save(force_insert=True)
            kept.append(service)
    for service in kept:
        _rewrite_lines(service, entry)
    return kept


def _delete(rows: QuerySet[Any], version: int) -> None:
    """Delete rows; the last thing their history keeps of them is the version without them."""
    rows.update(version=version)
    rows.delete()


def _changed(service: Service, visit: Visit, entry: Entry, known: Known) -> Service:
    staff_uid = entry.kinds[service.kind]
    assert staff_uid  # the rules asked for it
    service.visit_on, service.in_force, service.version = visit.visit_on, True, visit.version
    service.staff_id = known.staff_ids[staff_uid]
    service.spacing_days = policy_on(visit.visit_on, "visit_spacing_days")
    if entry.counselling and service.kind != MEDICATION:
        service.counselling_mode = entry.counselling.mode
    service.save(update_fields=["staff_id", "spacing_days", "counselling_mode", "version"])
    return service


def _rewrite_lines(service: Service, entry: Entry) -> None:
    wanted = {line.medicine_code: line for line in entry.medication.lines} if entry.medication else {}
    wanted = wanted if service.kind == MEDICATION else {}
    for row in MedicationLine.objects.filter(service_id=service.pk):
        line = wanted.pop(row.medicine_id, None)
        if line is None:
            _delete(MedicationLine.objects.filter(pk=row.pk), service.version)
        elif (row.supply_weeks, row.supply_days) != (line.supply_weeks, line.days):
            row.supply_weeks, row.supply_days, row.version = line.supply_weeks, line.days, service.version
            row.save(update_fields=["supply_weeks", "supply_days", "version"])
    for line in wanted.values():
        MedicationLine(
            service_id=service.pk, visit_id=service.visit_id, institution_id=service.institution_id,
            medicine_id=line.medicine_code, supply_weeks=line.supply_weeks, supply_days=line.days,
            version=service.version,
        ).save(force_insert=True)  # fmt: skip


_JOINED = (*VALUES, "version", "change_reason", "changed_at")
_MANY = 50  # entries that are copied in: sooner for them, later for one
# Each of the visits has a service by now: checked while the next are judged, the commit is left with the window alone.
_CHECK_SERVICES = "SET CONSTRAINTS has_services IMMEDIATE; SET CONSTRAINTS has_services DEFERRED"


Rows = Mapping[type[Model], Sequence[Model]]
Copied = Mapping[type[Model], bytes]


def copied(new: Sequence[Written]) -> Copied | None:
    """The rows as they are copied in, where they are many: what insert() takes. Asks no database."""
    if len(new) < _MANY:
        return None
    return {model: as_copied(map(_in_order(model), rows)) for model, rows in _rows(new).items()}


def _rows(new: Sequence[Written]) -> Rows:
    visits = {written.visit.pk: written.visit for written in new if written.visit._state.adding}
    return {
        Visit: list(visits.values()),
        Service: [service for written in new for service in written.services],
        MedicationLine: [line for written in new for line in written.lines],
    }


def _in_order(model: type[Model]) -> Callable[[Model], Sequence[Any]]:
    """What a row of a model says, in the order of _columns()."""
    said = itemgetter(*(field.attname for field in model._meta.concrete_fields))
    return lambda row: said(vars(row))


def insert(new: Sequence[Written], many: Copied | None = None) -> None:
    """Write the rows and their entry in the journal. `many`: copied(new), where it was made before.

    Raises what the database refuses.
    """
    if not new:
        return
    rows, many = _rows(new), many or copied(new)
    entry = journal.entry(
        Permission.VISIT_RECORD,
        record_type="visit",
        uids=[written.visit.uid for written in new],
        version=new[0].visit.version if len(new) == 1 else None,
        fields=sorted({name for written in new for name in written.fields}),
    )
    joined = [written.visit for written in new if written.joins]
    with connection.cursor() as cursor:
        if joined:
            cursor.execute(_JOIN, [_as_json(joined)])
        if many is None:
            cursor.execute(_INSERT, [*map(_as_json, rows.values()), *entry])
        else:
            for model, text in many.items():
                copy_in(model._meta.db_table, _columns(model), text)
            cursor.execute(journal.INSERT, entry)
            cursor.execute(_CHECK_SERVICES)
    for visit in rows[Visit]:
        visit._state.adding = False


def _columns(model: type[Model]) -> list[str]:
    return [str(field.column) for field in model._meta.concrete_fields]


def _insert_into(model: type[Model]) -> str:
    table, columns = model._meta.db_table, ", ".join(_columns(model))
    return (
        f"INSERT INTO {table} ({columns})"  # noqa: S608 - our own words; the rows are a parameter
        f" SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)"
    )


# One statement for any number of rows and their entry, the same each time, so that the server prepares it once. All
# keys are known.
_INSERT = f"""
WITH visit AS ({_insert_into(Visit)}), service AS ({_insert_into(Service)}), line AS ({_insert_into(MedicationLine)})
{journal.INSERT}
"""
_JOIN = f"""
UPDATE visits_visit v SET {", ".join(f"{name} = n.{name}" for name in _JOINED)}
FROM jsonb_populate_recordset(NULL::visits_visit, %s::jsonb) n WHERE v.id = n.id
"""  # noqa: S608 - our own words


def _as_json(rows: Sequence[Model]) -> str:
    return json.dumps([_values(row) for row in rows], default=str)


def _values(row: Model) -> dict[str, Any]:
    return {str(field.column): getattr(row, field.attname) for field in row._meta.concrete_fields}
