"""The calendar of the Republic of China (民國): year 1 is 1912, the year before is 民國前 1 年; there is no year 0.

Pages show 114/02/15 and accept what people type; records hold dates, never these texts. Whatever text comes in, the
only exception that goes out is DateError.
"""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from quitledger.policy.roc_formats import ROC_EPOCH, TAIPEI
from quitledger.policy.sentences import Sentence, Value, Words

# Every day of this range can be shown in ROC form and read back (three-digit years); day arithmetic cannot overflow.
_FIRST_YEAR, _LAST_YEAR = 1800, 999 + ROC_EPOCH
_LONGEST = 40

_FULL_WIDTH = {0xFF01 + offset: 0x21 + offset for offset in range(94)} | {0x3000: 0x20, 0x00A0: 0x20}

_YEAR = r"(?P<era>(?:中華)?民國前|民前|(?:中華)?民國|西元|-)?\s*(?P<year>[0-9]{1,4}|元)"
_DATES = [
    re.compile(pattern)
    for pattern in (
        _YEAR + r"(?P<mark>[/.-])(?P<month>[0-9]{1,2})(?P=mark)(?P<day>[0-9]{1,2})",
        _YEAR + r"\s*年\s*(?P<month>[0-9]{1,2})\s*月\s*(?P<day>[0-9]{1,2})\s*日",
        r"(?P<era>-)?(?P<year>[0-9]{2,3})(?P<month>[0-9]{2})(?P<day>[0-9]{2})",
        r"(?P<era>)(?P<year>[0-9]{4})(?P<month>[0-9]{2})(?P<day>[0-9]{2})",
    )
]
_MONTHS = [
    re.compile(pattern)
    for pattern in (
        _YEAR + r"[/.-](?P<month>[0-9]{1,2})",
        _YEAR + r"\s*年\s*(?P<month>[0-9]{1,2})\s*月",
        r"(?P<era>)(?P<year>[0-9]{3,4})(?P<month>[0-9]{2})",
    )
]
_CLOCKS = [
    re.compile(pattern)
    for pattern in (
        r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9}))?)?",
        r"(?P<hour>[0-9]{2})(?P<minute>[0-9]{2})(?P<second>[0-9]{2})?(?P<fraction>)",
    )
]
_MOMENT = re.compile(r"(?P<day>.+?)(?:\s*T\s*|\s+)(?P<clock>[0-9:.,]+)\s*(?P<offset>Z|[+-][0-9]{2}:?[0-9]{2})?")


class DateError(ValueError):
    """The text is no date, month, time or moment; `sentence`, which is also the message, says why."""

    def __init__(self, sentence: Sentence) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def parse_date(text: str) -> date:
    """Return the day that `text` names.

    One to three digits of year are ROC years (114/2/15, 1140215, 690203, 民國114年2月15日), four are Western ones
    (2025-02-15, 20250215); 民國前1年2月3日 and -1/2/3 lie in 1911. Full-width characters are read like plain ones.
    Raises DateError, also outside 1800–2910.
    """
    found = _match(_DATES, text, Words("日期"), Words("114/2/15、1140215 或 2025-02-15"))
    shown, year = _year(found)
    month, day = int(found["month"]), int(found["day"])
    typed = Sentence("{year}/{month}/{day}", year=shown, month=month, day=day)
    days = _days_in_month(year, month, typed)
    if not day:
        raise DateError(Sentence("{typed} 不存在：日從 1 起算。", typed=typed))
    if day > days:
        raise DateError(
            Sentence(
                "{typed} 不存在：{year} 年 {month} 月只有 {days} 日。", typed=typed, year=shown, month=month, days=days
            )
        )
    return date(year, month, day)


def parse_month(text: str) -> date:
    """Return the first day of the month that `text` names (114/2, 11402, 114 年 2 月, 2025-02). Raises DateError."""
    found = _match(_MONTHS, text, Words("月份"), Words("114/2、11402 或 2025-02"))
    shown, year = _year(found)
    month = int(found["month"])
    _days_in_month(year, month, Sentence("{year}/{month}", year=shown, month=month))
    return date(year, month, 1)


def parse_time(text: str) -> time:
    """Return the time of day that `text` names (09:20, 9:20, 0920; seconds may follow). Raises DateError."""
    return _clock(_match(_CLOCKS, text, Words("時間"), Words("09:20 或 0920")))


def parse_moment(text: str) -> datetime:
    """Return the moment that `text` names, in Taipei time.

    A date of any form that `parse_date` reads, then `T` or a space, a time and perhaps an offset (Z, +08:00); without
    an offset the time is Taipei's, without a time it is 00:00. 24:00 is 00:00 of the next day. Raises DateError.
    """
    plain = _plain(text, Words("時間"), Words("114/3/20 23:59 或 2025-03-20T23:59:59+08:00"))
    parts = _MOMENT.fullmatch(plain)
    if parts is None:
        return datetime.combine(parse_date(plain), time(), TAIPEI)
    day = parse_date(parts["day"])
    if parts["clock"] in ("24:00", "24:00:00"):
        day, clock = day + timedelta(days=1), time()
    else:
        clock = parse_time(parts["clock"])
    return datetime.combine(day, clock, _zone(parts["offset"])).astimezone(TAIPEI)


def _plain(text: str, thing: Words, examples: Words) -> str:
    """Return `text` trimmed, full-width characters made plain. The text itself is never repeated in a message: what
    somebody typed into the wrong field may be personal."""
    plain = text.translate(_FULL_WIDTH).strip() if len(text) <= _LONGEST else ""
    if not plain:
        if text.strip():
            raise _unreadable(thing, examples)
        raise DateError(Sentence("請填{thing}，寫成 {examples}。", thing=thing, examples=examples))
    return plain


def _match(patterns: list[re.Pattern[str]], text: str, thing: Words, examples: Words) -> re.Match[str]:
    plain = _plain(text, thing, examples)
    for pattern in patterns:
        if found := pattern.fullmatch(plain):
            return found
    raise _unreadable(thing, examples)


def _unreadable(thing: Words, examples: Words) -> DateError:
    return DateError(Sentence("看不懂這個{thing}，請寫成 {examples}。", thing=thing, examples=examples))


def _year(found: re.Match[str]) -> tuple[Value, int]:
    """Return the year as its writer would read it back (114, 2025, 民國前 1) and as a Western year."""
    shown: Value
    era, digits = found["era"] or "", found["year"]
    number = 1 if digits == "元" else int(digits)
    if era == "西元" or (not era and len(digits) == 4):
        shown, year = digits, number
    elif number == 0:
        raise DateError(Sentence("沒有民國 0 年：民國 1 年的前一年是民國前 1 年。"))
    elif era == "-" or era.endswith("前"):
        shown, year = Sentence("民國前 {number}", number=number), ROC_EPOCH + 1 - number
    else:
        shown, year = str(number), number + ROC_EPOCH
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        raise DateError(
            Sentence(
                "年份要在西元 {first} 到 {last} 年（民國 {last_roc} 年）之間。",
                first=_FIRST_YEAR, last=_LAST_YEAR, last_roc=_LAST_YEAR - ROC_EPOCH,
            )
        )  # fmt: skip
    return shown, year


def _days_in_month(year: int, month: int, typed: Sentence) -> int:
    if not 1 <= month <= 12:
        raise DateError(Sentence("{typed} 不存在：月份是 1 到 12。", typed=typed))
    return monthrange(year, month)[1]


def _clock(found: re.Match[str]) -> time:
    hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"] or 0)
    if hour > 23 or minute > 59 or second > 59:
        raise DateError(Sentence("{typed} 不存在：時是 0 到 23，分與秒是 0 到 59。", typed=found[0]))
    return time(hour, minute, second, int((found["fraction"] or "")[:6].ljust(6, "0")))


def _zone(offset: str | None) -> ZoneInfo | timezone:
    if offset is None:
        return TAIPEI
    if offset == "Z":
        return UTC
    hours, minutes = int(offset[1:3]), int(offset[-2:])
    if hours > 23 or minutes > 59:
        raise DateError(Sentence("時差 {offset} 不存在：時是 0 到 23，分是 0 到 59。", offset=offset))
    distance = timedelta(hours=hours, minutes=minutes)
    return timezone(-distance if offset[0] == "-" else distance)
