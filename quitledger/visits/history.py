"""版本紀錄: every version of a visit as it stood, and what each changed. Read from what the database's triggers keep."""

from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from uuid import UUID

from django.db import connection

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Permission
from quitledger.institutions.models import Profession, StaffMember
from quitledger.policy.sentences import Sentence, Several, Words

from .models import Medicine, Visit
from .rules import COUNSELLING, COUNSELLING_MODES, LABELS, MEDICATION, Counselling, Entry, Line, Medication

FIELDS = {
    "visit_on": Words("就醫日期"),
    "visit_time": Words("就醫時間"),
    MEDICATION: LABELS[MEDICATION],
    COUNSELLING: LABELS[COUNSELLING],
    "pregnant": Words("懷孕"),
    "cigarettes_per_day": Words("平均每日支數"),
    "co_ppm": Words("一氧化碳"),
    "note": Words("備註"),
}
Said = dict[str, str]  # field → what it says; "" for nothing


@dataclass(frozen=True)
class Change:
    """One field of two versions."""

    label: str
    before: str
    after: str


@dataclass(frozen=True)
class Version:
    """A version: who made it when and why, what it did, what it changed, and all that it says."""

    number: int
    at: datetime
    by: str
    reason: str
    in_force: bool
    action: str  # record, change, void, restore
    said: Said
    changes: tuple[Change, ...]
    authority: UUID | None = None  # the application that the desk decided, where it was one


def versions_of(visit: Visit, *, by: Actor) -> list[Version]:
    """All versions of a visit that the actor may see, the newest first. Raises PermissionDenied. Journal the read."""
    by.require(Permission.VISIT_READ)
    if by.institution_id not in (None, visit.institution_id):
        return []
    rows, services, lines = (_asked(sql, visit.pk) for sql in (_VISITS, _SERVICES, _LINES))
    found: list[Version] = []
    for number, at, name, reason, in_force, authority, *values in rows:
        said = _said(values, _standing(services, number), _standing(lines, number))
        before = found[-1] if found else None
        action = "record" if before is None else "change"
        if before and before.in_force != in_force:
            action = "restore" if in_force else "void"
        changes = () if before is None else differences(before.said, said)
        found.append(Version(number, at, name or "", reason, in_force, action, said, changes, authority))
    return found[::-1]


def entry_at(visit: Visit, number: int, *, by: Actor) -> Entry | None:
    """What version `number` of a visit said, as it would be typed; None where there is none. Raises PermissionDenied.

    Journal the read.
    """
    by.require(Permission.VISIT_READ)
    with connection.cursor() as cursor:
        cursor.execute(_VISIT_AT, [visit.pk, number])
        row = cursor.fetchone()
    if row is None or by.institution_id not in (None, visit.institution_id):
        return None
    medication = counselling = None
    lines = _standing(_asked(_LINES_AT, visit.pk), number)
    for kind, staff_uid, mode in _standing(_asked(_SERVICES_AT, visit.pk), number):
        if kind == MEDICATION:
            medication = Medication(staff_uid, tuple(Line(*line) for line in lines))
        else:
            counselling = Counselling(staff_uid, mode)
    visit_on, visit_time, *values = row
    return Entry(visit.uid, visit_on, visit_time, medication, counselling, *values)


def differences(before: Said, after: Said) -> tuple[Change, ...]:
    """The fields that say something else."""
    return tuple(
        Change(label, before.get(name, ""), after.get(name, ""))
        for name, label in FIELDS.items()
        if before.get(name, "") != after.get(name, "")
    )


_VISITS = """
SELECT h.version, h.changed_at, u.display_name, h.change_reason, h.in_force, h.authority, h.visit_on, h.visit_time, h.pregnant,
  h.cigarettes_per_day, h.co_ppm, h.note
FROM visits_visit_history h LEFT JOIN accounts_user u ON u.id = h.changed_by_id WHERE h.id = %s ORDER BY h.history_id
"""
_SERVICES = """
SELECT h.version, h.history_change, h.id, h.kind, t.profession, t.name, h.counselling_mode
FROM visits_service_history h LEFT JOIN institutions_staffmember t ON t.id = h.staff_id
WHERE h.visit_id = %s ORDER BY h.history_id
"""
_LINES = """
SELECT h.version, h.history_change, h.id, d.name, h.supply_weeks, h.supply_days
FROM visits_medicationline_history h LEFT JOIN visits_medicine d ON d.code = h.medicine_code
WHERE h.visit_id = %s ORDER BY h.history_id
"""

_VISIT_AT = """
SELECT visit_on, visit_time, pregnant, cigarettes_per_day, co_ppm, note FROM visits_visit_history
WHERE id = %s AND version = %s ORDER BY history_id DESC LIMIT 1
"""
_SERVICES_AT = """
SELECT h.version, h.history_change, h.id, h.kind, t.uid, h.counselling_mode
FROM visits_service_history h LEFT JOIN institutions_staffmember t ON t.id = h.staff_id
WHERE h.visit_id = %s ORDER BY h.history_id
"""
_LINES_AT = """
SELECT version, history_change, id, medicine_code, supply_weeks, supply_days FROM visits_medicationline_history
WHERE visit_id = %s ORDER BY history_id
"""


def _asked(sql: str, visit_id: int) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, [visit_id])
        return list(cursor.fetchall())


def _standing(rows: list[tuple[Any, ...]], number: int) -> list[tuple[Any, ...]]:
    """The services or lines as they stood in a version of the visit: each of their rows names the one that wrote it."""
    stood: dict[int, tuple[Any, ...]] = {}
    for version, change, key, *values in rows:
        if version <= number:
            stood.pop(key, None)
            if change != "delete":
                stood[key] = tuple(values)
    return [stood[key] for key in sorted(stood)]


def _said(values: list[Any], services: list[tuple[Any, ...]], lines: list[tuple[Any, ...]]) -> Said:
    visit_on, visit_time, pregnant, cigarettes, co_ppm, note = values
    said = said_of(visit_on, visit_time, pregnant=pregnant, cigarettes_per_day=cigarettes, co_ppm=co_ppm, note=note)
    return said | _services_said(services, lines)


def _services_said(services: list[tuple[Any, ...]], lines: list[tuple[Any, ...]]) -> Said:
    said: Said = {}
    for kind, profession, name, mode in services:
        staff = (
            Sentence("{profession} {name}", profession=Words(Profession(profession).label), name=name)
            if name
            else Words("（未填）")
        )
        if kind == MEDICATION:
            given = Several(line_said(medicine, weeks, days) for medicine, weeks, days in lines)
            said[kind] = Sentence("{staff}：{given}", staff=staff, given=given)
        else:
            said[kind] = Sentence("{staff}（{mode}）", staff=staff, mode=COUNSELLING_MODES.get(mode, mode))
    return said


def said_of_entry(entry: Entry) -> Said:
    """What an entry says, in the words of the versions."""
    said = said_of(
        entry.visit_on, entry.visit_time, pregnant=entry.pregnant, cigarettes_per_day=entry.cigarettes_per_day,
        co_ppm=entry.co_ppm, note=entry.note,
    )  # fmt: skip
    staff = {one.uid: one for one in StaffMember.objects.filter(uid__in=[uid for uid in entry.kinds.values() if uid])}
    named = {kind: staff.get(uid) if uid else None for kind, uid in entry.kinds.items()}
    services = [
        (kind, one and one.profession, one and one.name, entry.counselling.mode if entry.counselling else "")
        for kind, one in named.items()
    ]
    lines: list[tuple[Any, ...]] = []
    if entry.medication:
        names = dict(
            Medicine.objects.filter(code__in=[line.medicine_code for line in entry.medication.lines]).values_list(
                "code", "name"
            )
        )
        lines = [(names.get(x.medicine_code, x.medicine_code), x.supply_weeks, x.days) for x in entry.medication.lines]
    return said | _services_said(services, lines)


def line_said(medicine: str, weeks: int, days: int) -> str:
    """One medicine of a version."""
    return Sentence("{medicine} {weeks} 週（{days} 天）", medicine=medicine, weeks=weeks, days=days)


def said_of(
    visit_on: date, visit_time: time | None, *, pregnant: bool, cigarettes_per_day: int | None, co_ppm: int | None,
    note: str,
) -> Said:  # fmt: skip
    """What the visit itself says, besides its services."""
    return {
        "visit_on": Sentence("{day}", day=visit_on),
        "visit_time": f"{visit_time:%H:%M}" if visit_time else "",
        "pregnant": Words("是") if pregnant else Words("否"),
        "cigarettes_per_day": "" if cigarettes_per_day is None else Sentence("{number} 支", number=cigarettes_per_day),
        "co_ppm": "" if co_ppm is None else f"{co_ppm} ppm",
        "note": note,
    }
