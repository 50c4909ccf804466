"""What an item of an application would change: field by field, as pages and paper say it."""

from collections.abc import Iterable

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Permission
from quitledger.institutions.models import Profession, StaffMember
from quitledger.policy.sentences import Sentence, Several, Words
from quitledger.visits.history import FIELDS, Said, entry_at, line_said, said_of
from quitledger.visits.models import Medicine
from quitledger.visits.rules import COUNSELLING, COUNSELLING_MODES, MEDICATION, Entry

from .entries import entry_from
from .models import Item
from .rules import ItemKind


def before_and_after(item: Item, *, by: Actor) -> tuple[Said, Said]:
    """What the visit said in the version that was seen, and what it shall say; {} for a visit that is not there.

    Raises PermissionDenied. Journal the read.
    """
    by.require(Permission.CORRECTION_READ)
    before = entry_at(item.visit, item.visit_version, by=by) if item.visit and item.visit_version else None
    after = entry_from(item.uid, item.contents) if item.contents else None
    if item.kind == ItemKind.RESTORE:  # it stands as it was, but counts for nothing now
        return {}, said(before) if before else {}
    return said(before) if before else {}, said(after) if after else {}


def changed_fields(before: Said, after: Said) -> list[tuple[str, str, str, str]]:
    """The fields that differ: name, label, before, after. 懷孕 is told of where it is yes on either side."""
    found: list[tuple[str, str, str, str]] = []
    for name, label in FIELDS.items():
        old, new = before.get(name, ""), after.get(name, "")
        if old != new and not (name == "pregnant" and {old, new} <= {"", "否"}):
            found.append((name, label, old, new))
    return found


def said(entry: Entry) -> Said:
    """A visit as typed, in words."""
    found = said_of(
        entry.visit_on, entry.visit_time, pregnant=entry.pregnant, cigarettes_per_day=entry.cigarettes_per_day,
        co_ppm=entry.co_ppm, note=entry.note,
    )  # fmt: skip
    staff = {one.uid: one for one in StaffMember.objects.filter(uid__in=[uid for uid in entry.kinds.values() if uid])}
    if entry.medication:
        codes = [line.medicine_code for line in entry.medication.lines]
        names = dict(Medicine.objects.filter(code__in=codes).values_list("code", "name"))
        lines: Iterable[str] = (
            line_said(names.get(line.medicine_code, line.medicine_code), line.supply_weeks, line.days)
            for line in entry.medication.lines
        )
        who = _called(staff.get(entry.medication.staff_uid))  # type: ignore[arg-type]
        found[MEDICATION] = Sentence("{staff}：{given}", staff=who, given=Several(lines))
    if entry.counselling:
        who = _called(staff.get(entry.counselling.staff_uid))  # type: ignore[arg-type]
        mode = COUNSELLING_MODES.get(entry.counselling.mode, entry.counselling.mode)
        found[COUNSELLING] = Sentence("{staff}（{mode}）", staff=who, mode=mode)
    return found


def _called(member: StaffMember | None) -> str:
    if member is None:
        return Words("（未填）")
    return Sentence("{profession} {name}", profession=Words(Profession(member.profession).label), name=member.name)
