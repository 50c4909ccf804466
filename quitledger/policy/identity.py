"""Identity numbers: their kinds, their check digits, and how they are shown.

Source of the formats and of the check digit: domain.md §7. Nothing here knows a database; no message repeats a number,
because messages end up in logs, reports and address lines.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from quitledger.policy.problem import Problem
from quitledger.policy.sentences import Sentence, Several, Words
from quitledger.policy.yaml_files import read_yaml


class IdentityKind(StrEnum):
    """What a person identifies with. The words are stored; `label` is the name on the page."""

    NATIONAL_ID = "national_id"
    RESIDENT_CERTIFICATE = "resident_certificate"
    RESIDENT_CERTIFICATE_OLD = "resident_certificate_old"
    PASSPORT = "passport"

    @property
    def label(self) -> Words:
        """The kind in Chinese."""
        return _LABELS[self]


_LABELS = {
    IdentityKind.NATIONAL_ID: Words("國民身分證"),
    IdentityKind.RESIDENT_CERTIFICATE: Words("居留證（新式）"),
    IdentityKind.RESIDENT_CERTIFICATE_OLD: Words("居留證（舊式）"),
    IdentityKind.PASSPORT: Words("護照"),
}

# What each card has in its second place. 0 is issued to nobody: made-up people of demo and test databases have it.
_MADE_UP = "0"
_SECOND = {
    IdentityKind.NATIONAL_ID: ("12", Words("1 或 2")),
    IdentityKind.RESIDENT_CERTIFICATE: ("89", Words("8 或 9")),
    IdentityKind.RESIDENT_CERTIFICATE_OLD: ("ABCD", Words("A、B、C 或 D")),
}
_MALE_SECOND, _FEMALE_SECOND = "18AC", "29BD"

_CARD_LENGTH = 10
_CARD = re.compile(r"[A-Z][0-9A-D][0-9]{8}")
_CARD_LIKE = re.compile(r"[A-Z][A-Z0-9][0-9]{8}")
_LETTER_VALUES = {letter: value for value, letter in enumerate("ABCDEFGHJKLMNPQRSTUVXYWZIO", start=10)}
_WEIGHTS = (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)

# No public standard fixes the length of a passport number; these bounds only stop what cannot be one.
_PASSPORT_LENGTH = range(5, 20 + 1)
_PASSPORT_CHARACTERS = re.compile(r"[A-Z0-9]*")

_MAKE_UP_SERIALS = range(10_000_000)


def _read_countries() -> dict[str, str]:
    data: dict[str, dict[str, str]] = read_yaml(Path(__file__).parent / "countries.yaml")
    return {code: Words(name) for code, name in (data["iso_3166"] | data["icao_9303"]).items()}


COUNTRIES: Mapping[str, str] = MappingProxyType(_read_countries())
"""Code on the passport (ISO 3166-1 alpha-3, and the few that ICAO adds) → name in Chinese, in the order of codes."""

# Full-width forms (U+FF01–FF5E) stand 0xFEE0 above ASCII; letters become capitals in the same step.
_TO_HALF_WIDTH = {code + 0xFEE0: chr(code).upper() for code in range(0x21, 0x7F)}
_TO_CAPITALS = {code: chr(code).upper() for code in range(ord("a"), ord("z") + 1)}
_NORMAL_FORM = _TO_HALF_WIDTH | _TO_CAPITALS
_MINUS = "\N{MINUS SIGN}"


def normalise(text: str) -> str:
    """`text` as identity numbers are compared: half-width, capitals, without spaces, hyphens or invisible characters.

    Everything else stays, so that a check can name it. Doing it twice changes nothing.
    """
    if text.isascii() and text.isalnum():  # most are, and a page of visits has many
        return text.upper()
    return "".join(
        character
        for character in text.translate(_NORMAL_FORM)
        if not character.isspace() and character != _MINUS and unicodedata.category(character) not in ("Pd", "Cf")
    )


def recognise(text: str) -> IdentityKind | None:
    """The kind of card whose form `text` has, whatever its check digit; None where it has none of the three forms.

    A made-up number (second character 0) counts as a national ID. A passport has no form of its own: never returned.
    """
    number = normalise(text)
    if not _CARD.fullmatch(number):
        return None
    if number[1] == _MADE_UP:
        return IdentityKind.NATIONAL_ID
    return next((kind for kind, (allowed, _) in _SECOND.items() if number[1] in allowed), None)


def _weighted_sum(number: str) -> int:
    """Weighted sum of the eleven digits of a card: the letter's two, then the others; a second letter counts by the
    last digit of its value."""
    letter, second = _LETTER_VALUES[number[0]], number[1]
    middle = int(second) if second.isdigit() else _LETTER_VALUES[second] % 10
    digits = (letter // 10, letter % 10, middle, *map(int, number[2:]))
    return sum(weight * digit for weight, digit in zip(_WEIGHTS, digits, strict=True))


def checksum_ok(number: str) -> bool:
    """Whether `number` has the form of a card and its last digit fits the others."""
    card = normalise(number)
    return _CARD.fullmatch(card) is not None and _weighted_sum(card) % 10 == 0


def sex_of(kind: IdentityKind, number: str) -> Literal["male", "female"] | None:
    """The sex that a card's second character tells; None for a passport, a made-up number or another kind's form."""
    if recognise(number) != kind:
        return None
    second = normalise(number)[1]
    if second in _MALE_SECOND:
        return "male"
    return "female" if second in _FEMALE_SECOND else None


def mask(number: str) -> str:
    """`number` as it may be shown: A12****789 for a card; for others never more than half of the characters."""
    text = normalise(number)
    shown = 6 if _CARD_LIKE.fullmatch(text) else min(6, len(text) // 2)
    head, tail = (shown + 1) // 2, shown // 2
    return text[:head] + "*" * (len(text) - shown) + text[len(text) - tail :]


def make_up(serial: int, letter: str = "A") -> str:
    """A made-up card number for demo and test data: the form of a national ID, a right check digit, second character 0.

    The same `serial` (0 to 9,999,999) and `letter` always give the same number, no other pair gives it.
    Raises ValueError for another serial or letter.
    """
    if serial not in _MAKE_UP_SERIALS:
        raise ValueError(f"serial must be 0 to {_MAKE_UP_SERIALS[-1]}, not {serial}")
    if letter not in _LETTER_VALUES:
        raise ValueError(f"letter must be one capital letter, not {letter!r}")
    body = f"{letter}{_MADE_UP}{serial:07d}"
    return f"{body}{-_weighted_sum(body + '0') % 10}"


def check_identity(
    kind: IdentityKind, number: str, country: str | None = None, *, made_up_allowed: bool
) -> list[Problem]:
    """Every problem of an identity number; none = it may be registered.

    `number` may be written in any of the ways `normalise` undoes; `country` (a key of COUNTRIES) belongs to passports
    only. `made_up_allowed`: whether this database takes made-up people (created as demo or test).
    Fields: identity_number, identity_country.
    """
    kind, text = IdentityKind(kind), normalise(number)
    if not text:
        found = [_number("identity-missing", Sentence("還沒填{kind}號碼。", kind=kind.label))]
    elif kind is IdentityKind.PASSPORT:
        found = list(_passport_problems(text))
    else:
        found = list(_card_problems(kind, text, made_up_allowed=made_up_allowed))
    return found + list(_country_problems(kind, normalise(country or "")))


def _number(code: str, message: str) -> Problem:
    return Problem(code, message, "identity_number")


def _card_problems(kind: IdentityKind, text: str, *, made_up_allowed: bool) -> Iterator[Problem]:
    recognised = recognise(text)
    if recognised and text[1] == _MADE_UP and not made_up_allowed:
        yield _number("identity-made-up", Words("第 2 碼 0 是虛構字號，只用於示範或測試資料庫。請輸入證件上的號碼。"))
    elif recognised and recognised is not kind:
        yield _number(
            "identity-other-kind",
            Sentence(
                "這個號碼是{recognised}的格式，不是{kind}。請改選證件種類，或對照證件再輸入一次。",
                recognised=recognised.label,
                kind=kind.label,
            ),
        )
    elif not recognised:
        yield from _form_problems(kind, text)
    # A digit in a wrong form says nothing about the last one, so the check digit is looked at in a right form only.
    if recognised and not checksum_ok(text):
        # Two neighbouring digits swapped are often the cause. The number they would make may be somebody else's:
        # it is never offered.
        yield _number(
            "identity-checksum",
            Words(
                "檢查碼不符：最後 1 碼與前面各碼對不起來。可能有 1 碼打錯，或相鄰 2 碼前後顛倒。請對照證件再輸入一次。"
            ),
        )


def _form_problems(kind: IdentityKind, text: str) -> Iterator[Problem]:
    allowed, allowed_in_words = _SECOND[kind]
    if len(text) != _CARD_LENGTH:
        message = Sentence(
            "{kind}號碼是 {length} 碼，您填了 {typed} 碼。", kind=kind.label, length=_CARD_LENGTH, typed=len(text)
        )
        yield _number("identity-length", message)
    if text[0] not in _LETTER_VALUES:
        yield _number("identity-letter", Words("第 1 碼應為英文字母（A 到 Z）。"))
    if len(text) > 1 and text[1] not in allowed:
        message = Sentence("{kind}的第 2 碼應為 {allowed}。請對照證件。", kind=kind.label, allowed=allowed_in_words)
        yield _number("identity-second", message)
    wrong = [place for place, character in enumerate(text, start=1) if place > 2 and character not in "0123456789"]
    if wrong:
        listed = Several(wrong[:3])
        places = (
            Sentence("第 {places} 碼等", places=listed) if len(wrong) > 3 else Sentence("第 {places} 碼", places=listed)
        )
        message = Sentence(
            "第 3 碼以後應為數字，{places}不是。英文字母 O 與數字 0、英文字母 I 與數字 1 容易看錯。", places=places
        )
        yield _number("identity-digits", message)


def _passport_problems(text: str) -> Iterator[Problem]:
    if len(text) not in _PASSPORT_LENGTH:
        shortest, longest = _PASSPORT_LENGTH[0], _PASSPORT_LENGTH[-1]
        message = Sentence(
            "護照號碼應為 {shortest} 到 {longest} 碼，您填了 {typed} 碼。",
            shortest=shortest, longest=longest, typed=len(text),
        )  # fmt: skip
        yield _number("identity-length", message)
    if not _PASSPORT_CHARACTERS.fullmatch(text):
        yield _number("identity-characters", Words("護照號碼只有英文字母與數字。請對照護照再輸入一次。"))


def _country_problems(kind: IdentityKind, country: str) -> Iterator[Problem]:
    # A country beside a card would make a second person of the same card: it is refused, not ignored.
    if kind is not IdentityKind.PASSPORT:
        if country:
            message = Sentence("{kind}不填發照國家。請清除。", kind=kind.label)
            yield Problem("identity-country-not-expected", message, "identity_country")
    elif not country:
        yield Problem("identity-country-missing", "請選擇護照的發照國家。", "identity_country")
    elif country not in COUNTRIES:
        yield Problem(
            "identity-country-unknown", "沒有這個國家代碼。請從清單選擇（ISO 3166-1 三碼）。", "identity_country"
        )
