"""What an item of an application would change: field by field, and in which group of the form (附錄九), as pages, register
and paper say it."""

from collections.abc import Iterable

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Permission
from quitledger.policy.sentences import Words
from quitledger.visits.history import FIELDS, Said, entry_at, said_of_entry
from quitledger.visits.rules import COUNSELLING, MEDICATION, Entry

from .entries import entry_from
from .identities import LABELS as IDENTITY_LABELS
from .identities import identity_asked, said_of
from .models import Item
from .rules import ItemKind

# 資料組別. Of the basic data, name, contact and chart number are the institution's own, without any application.
BASIC, VISIT, COUNSEL, OTHER = Words("基本資料"), Words("就醫"), Words("衛教"), Words("其他")
GROUPS = (BASIC, VISIT, COUNSEL, OTHER)
GROUP_OF = {
    "visit_on": VISIT, "visit_time": VISIT, MEDICATION: VISIT, COUNSELLING: COUNSEL, "pregnant": OTHER,
    "cigarettes_per_day": OTHER, "co_ppm": OTHER, "note": OTHER,
} | dict.fromkeys(IDENTITY_LABELS, BASIC)  # fmt: skip
LABELS = FIELDS | IDENTITY_LABELS


def groups_of(fields: Iterable[str]) -> list[Words]:
    """The groups to which the fields belong, in the order of the form; what is derived belongs to none."""
    found = {GROUP_OF[field] for field in fields if field in GROUP_OF}
    return [group for group in GROUPS if group in found]


def entries_of(item: Item, *, by: Actor) -> tuple[Entry | None, Entry | None]:
    """What stood in force when the item was written, and what it asks for; None for nothing in force.

    Raises PermissionDenied. Journal the read.
    """
    by.require(Permission.CORRECTION_READ)
    stood = None
    if item.visit is not None and item.visit_version is not None:
        stood = entry_at(item.visit, item.visit_version, by=by)
    if item.kind == ItemKind.RESTORE:  # it stands as it was, but counts for nothing now
        return None, stood
    return stood, entry_from(item.uid, item.contents) if item.contents is not None else None


def in_words(item: Item, entries: tuple[Entry | None, Entry | None], *, whole: bool = False) -> tuple[Said, Said]:
    """Before and after in the words of versions; {} for nothing. Of a person's item who he was and who he shall be.

    `whole`: identity numbers are not masked; the caller journals that.
    """
    if item.kind == ItemKind.PERSON:
        return said_of(identity_asked(item), whole=whole)
    before, after = (said_of_entry(entry) if entry else {} for entry in entries)
    return before, after


def changed_fields(before: Said, after: Said) -> list[tuple[str, str, str, str]]:
    """The fields that differ: name, label, before, after. 懷孕 is told of where it is yes on either side."""
    found: list[tuple[str, str, str, str]] = []
    for name, label in LABELS.items():
        old, new = before.get(name, ""), after.get(name, "")
        if old != new and not (name == "pregnant" and {old, new} <= {"", "否"}):
            found.append((name, label, old, new))
    return found
