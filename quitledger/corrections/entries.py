"""What an item would make a visit say, as it is kept: visits.rules.Entry as JSON, and back."""

from datetime import date, time
from typing import Any
from uuid import UUID

from quitledger.visits.rules import Counselling, Entry, Line, Medication


def contents_of(entry: Entry) -> dict[str, Any]:
    """An entry without its uid, as JSON."""
    medication = counselling = None
    if entry.medication:
        lines = [[line.medicine_code, line.supply_weeks, line.supply_days] for line in entry.medication.lines]
        medication = {"staff": _text(entry.medication.staff_uid), "lines": lines}
    if entry.counselling:
        counselling = {"staff": _text(entry.counselling.staff_uid), "mode": entry.counselling.mode}
    return {
        "visit_on": entry.visit_on.isoformat(),
        "visit_time": entry.visit_time and entry.visit_time.isoformat("minutes"),
        "medication": medication,
        "counselling": counselling,
        "pregnant": entry.pregnant,
        "cigarettes_per_day": entry.cigarettes_per_day,
        "co_ppm": entry.co_ppm,
        "note": entry.note,
    }


def entry_from(uid: UUID, contents: dict[str, Any]) -> Entry:
    """The entry of a visit with this uid; a note that was emptied (retention) is none."""
    medication, counselling = contents["medication"], contents["counselling"]
    return Entry(
        uid,
        date.fromisoformat(contents["visit_on"]),
        contents["visit_time"] and time.fromisoformat(contents["visit_time"]),
        medication and Medication(_uid(medication["staff"]), tuple(Line(*line) for line in medication["lines"])),
        counselling and Counselling(_uid(counselling["staff"]), counselling["mode"]),
        contents["pregnant"],
        contents["cigarettes_per_day"],
        contents["co_ppm"],
        contents.get("note", ""),
    )


def _text(uid: UUID | None) -> str | None:
    return str(uid) if uid else None


def _uid(text: str | None) -> UUID | None:
    return UUID(text) if text else None
