"""What must be so after a storm, compared row by row with what the clerks were told."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import psycopg

from .clerks import Told, Write

VERSIONS = (
    "SELECT uid, version, change_reason, in_force, history_xid::text, history_change FROM visits_visit_history"
    " ORDER BY history_id"
)
ENTRIES = (
    "SELECT unnest(record_uids), record_version, action, xid::text FROM audit_journal"
    " WHERE action IN ('visit.record', 'visit.change', 'visit.void', 'visit.restore')"
)
IN_FORCE = (
    "SELECT v.uid, v.version, v.in_force, v.change_reason, v.note,"
    " array(SELECT kind::text FROM visits_service s WHERE s.visit_id = v.id AND s.in_force = v.in_force ORDER BY kind DESC),"
    " (SELECT count(*) FROM visits_medicationline l WHERE l.visit_id = v.id) FROM visits_visit v"
)
# What one transaction writes of a visit: its version; a version of a service or a medicine never stands alone.
ALONE = (
    "SELECT count(*) FROM visits_{part}_history p JOIN visits_visit v ON v.id = p.visit_id WHERE NOT EXISTS"
    " (SELECT FROM visits_visit_history h WHERE h.id = p.visit_id AND h.history_xid = p.history_xid)"
)
ORPHANS = (
    "SELECT count(*) FROM visits_{part} p WHERE NOT EXISTS (SELECT FROM visits_visit v WHERE v.id = p.visit_id)",
    "SELECT count(*) FROM visits_{part}_history p WHERE NOT EXISTS (SELECT FROM visits_visit v WHERE v.id = p.visit_id)",
)


def kept(told: Told, versions: int) -> list[Write]:
    """The writes that the database must hold of a visit, when it holds so many versions."""
    given_up = [told.given_up] if told.given_up and versions > len(told.answered) else []
    return [*told.answered, *given_up]


def found_wrong(owner: psycopg.Connection, visits: Iterable[Told]) -> list[str]:
    """Everything that is lost, half there, twice there or unknown; nothing when all is well."""
    wrong: list[str] = []
    versions: dict[UUID, list[Any]] = defaultdict(list)
    for uid, *version in owner.execute(VERSIONS):
        versions[uid].append(version)
    entries = Counter(owner.execute(ENTRIES).fetchall())
    now = {uid: row for uid, *row in owner.execute(IN_FORCE)}
    by_uid = {told.uid: told for told in visits}

    if unknown := (now.keys() | versions.keys() | {uid for uid, *_ in entries}) - by_uid.keys():
        wrong.append(f"nobody sent {unknown}")
    for told in by_uid.values():
        found = versions.get(told.uid, [])
        expected = kept(told, len(found))
        if [number for number, *_ in found] != list(range(1, len(expected) + 1)):
            wrong.append(f"{told}: versions {[number for number, *_ in found]}")
            continue
        marks = ["" if write.action == "record" else write.mark for write in expected]
        if [reason for _, reason, *_ in found] != marks:
            wrong.append(f"{told}: {found}")
        in_force = [write.action != "void" for write in expected]
        if [row[2] for row in found] != in_force:
            wrong.append(f"{told}: in force {found}")
        for (number, _, _, xid, _), write in zip(found, expected, strict=True):
            if entries.pop((told.uid, number, f"visit.{write.action}", xid), 0) != 1:
                wrong.append(f"{told}: version {number} has not one entry")
        wrong += _now_wrong(told, expected, now.get(told.uid))
    wrong += [f"an entry without its version: {entry}" for entry in entries]
    for part in ("service", "medicationline"):
        for statement in (ALONE, *ORPHANS):
            row = owner.execute(statement.format(part=part)).fetchone()
            if row != (0,):
                wrong.append(f"{statement.format(part=part)}: {row}")
    return wrong


def _now_wrong(told: Told, expected: list[Write], row: Any) -> list[str]:
    if not expected:
        return [] if row is None else [f"{told}: is there without a version"]
    last = expected[-1]
    said = next(write.mark for write in reversed(expected) if write.action in ("record", "change"))
    reason = "" if last.action == "record" else last.mark
    right = [len(expected), last.action != "void", reason, said, list(last.kinds), int("medication" in last.kinds)]
    return [] if row == right else [f"{told}: {row} instead of {right}"]
