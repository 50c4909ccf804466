"""What an item of an application would change: field by field, as pages and paper say it."""

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Permission
from quitledger.visits.history import FIELDS, Said, entry_at, said_of_entry

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
        return {}, said_of_entry(before) if before else {}
    return said_of_entry(before) if before else {}, said_of_entry(after) if after else {}


def changed_fields(before: Said, after: Said) -> list[tuple[str, str, str, str]]:
    """The fields that differ: name, label, before, after. 懷孕 is told of where it is yes on either side."""
    found: list[tuple[str, str, str, str]] = []
    for name, label in FIELDS.items():
        old, new = before.get(name, ""), after.get(name, "")
        if old != new and not (name == "pregnant" and {old, new} <= {"", "否"}):
            found.append((name, label, old, new))
    return found
