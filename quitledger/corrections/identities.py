"""證號、出生日期或性別 as an application asks to have them: what it said, what it shall say; encrypted, as persons' numbers are."""

import json
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from quitledger.accounts.keys import keys
from quitledger.cases.models import EMPTIED_NUMBER
from quitledger.cases.rules import SEXES, Identity
from quitledger.policy.identity import IdentityKind, mask
from quitledger.policy.sentences import Sentence, Words

from .models import AskedIdentity, Item


@dataclass(frozen=True)
class IdentityEntry:
    """Who the person shall be, who he was when it was written, and the version of him that was seen then."""

    person_version: int
    recorded: Identity = field(repr=False)
    asked: Identity = field(repr=False)


LABELS = {
    "identity_kind": Words("證號種類"),
    "identity_number": Words("證號"),
    "birth_on": Words("出生日期"),
    "sex": Words("性別"),
}


def sealed(entry: IdentityEntry, item: UUID) -> tuple[bytes, str]:
    """The entry encrypted, and the id of the key; it can be read as this item's alone."""
    plain = {"recorded": _plain(entry.recorded), "asked": _plain(entry.asked)}
    return keys().encrypt(json.dumps(plain), about=_about(item))


def identity_asked(item: Item) -> IdentityEntry | None:
    """What was sealed of an item; None where that is not the item, or its keeping time has ended.

    Raises KeyMissing, Tampered. Journal the read where a whole number is shown.
    """
    asked: AskedIdentity | None = getattr(item, "identity", None)
    if asked is None:
        return None
    plain = json.loads(keys().decrypt(asked.token, asked.key_id, about=_about(item.uid)))
    return IdentityEntry(asked.person_version, _identity(plain["recorded"]), _identity(plain["asked"]))


def resealed(asked: AskedIdentity) -> tuple[bytes, str]:
    """The same under the current key. Raises KeyMissing, Tampered."""
    bound = _about(asked.item.uid)
    return keys().encrypt(keys().decrypt(asked.token, asked.key_id, about=bound), about=bound)


def _about(item: UUID) -> bytes:
    """What a token is bound to: it fits no other item."""
    return b"identity-asked:" + item.bytes


def _plain(identity: Identity) -> dict[str, str]:
    said = identity.compared
    return {
        "kind": said.kind, "number": said.number, "country": said.country, "birth_on": said.birth_on.isoformat(),
        "sex": said.sex,
    }  # fmt: skip


def _identity(plain: dict[str, Any]) -> Identity:
    return Identity(**plain | {"kind": IdentityKind(plain["kind"]), "birth_on": date.fromisoformat(plain["birth_on"])})


def said_of(entry: IdentityEntry | None, *, whole: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Before and after in words, by field. Numbers are masked unless `whole`; two that look alike then are told apart.

    Without an entry its keeping time has ended.
    """
    if entry is None:
        return {}, {"identity_number": EMPTIED_NUMBER}
    before, after = (_said(one, whole=whole) for one in (entry.recorded, entry.asked))
    if entry.recorded.number != entry.asked.number and before["identity_number"] == after["identity_number"]:
        after["identity_number"] = Sentence("{number}（遮住的數字不同）", number=after["identity_number"])
    return before, after


def _said(identity: Identity, *, whole: bool) -> dict[str, str]:
    kind: str = identity.kind.label
    if identity.country:
        kind = Sentence("{kind} {country}", kind=kind, country=identity.country)
    return {
        "identity_kind": kind, "identity_number": identity.number if whole else mask(identity.number),
        "birth_on": Sentence("{day}", day=identity.birth_on), "sex": SEXES[identity.sex],
    }  # fmt: skip
