"""What a record of the desk's lists said before: who changed what, when. Read from what the database's triggers keep."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from django.db import connection

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Permission
from quitledger.policy.sentences import Sentence, Words

Labels = Mapping[str, str]  # a word of a closed set → its label


@dataclass(frozen=True)
class FieldChange:
    """One field before and after."""

    label: str
    before: str
    after: str


@dataclass(frozen=True)
class Edit:
    """One change of a record; the first one made it."""

    at: datetime
    by: str
    is_first: bool
    changes: tuple[FieldChange, ...]


def edits_of(table: str, pk: int, fields: Mapping[str, str], labels: Mapping[str, Labels], *, by: Actor) -> list[Edit]:
    """The changes of a row of `table`, the newest first. Raises PermissionDenied.

    `fields`: column → its label; `labels`: column → the labels of its words.
    """
    by.require(Permission.REGISTER_READ)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT h.history_at, u.display_name, {', '.join(f'h.{name}' for name in fields)}"  # noqa: S608 - our words
            f" FROM {table}_history h LEFT JOIN accounts_user u ON u.id = h.history_by WHERE h.id = %s ORDER BY h.history_id",
            [pk],
        )
        rows = cursor.fetchall()
    edits: list[Edit] = []
    before: dict[str, str] = {}
    for at, who, *values in rows:
        said = {name: _said(value, labels.get(name, {})) for name, value in zip(fields, values, strict=True)}
        changes = tuple(
            FieldChange(label, before.get(name, ""), said[name])
            for name, label in fields.items()
            if said[name] != before.get(name, "")
        )
        if changes or not edits:
            edits.append(Edit(at, who or "", not edits, changes))
        before = said
    return edits[::-1]


def _said(value: object, labels: Labels) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return Words("是") if value else Words("否")
    if isinstance(value, date):
        return Sentence("{day}", day=value)
    return labels.get(str(value), str(value))
