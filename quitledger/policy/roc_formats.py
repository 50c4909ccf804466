"""Days, months and moments as Chinese pages show them, in the calendar of the Republic of China: 114/02/15."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

TAIPEI = ZoneInfo("Asia/Taipei")
ROC_EPOCH = 1911  # the year before 民國 1

_WEEKDAYS = "一二三四五六日"


def format_roc(day: date) -> str:
    """Return `day` as pages show it: 114/02/15, 69/02/03, 民國前 1/02/03."""
    return f"{_roc_year(day)}/{day:%m/%d}"


def format_roc_weekday(day: date) -> str:
    """Return `day` with its weekday: 114/02/15（六）."""
    return f"{format_roc(day)}（{_WEEKDAYS[day.weekday()]}）"


def format_roc_month(day: date) -> str:
    """Return the month of `day`: 114 年 2 月."""
    return f"{_roc_year(day)} 年 {day.month} 月"


def format_roc_year(year: int) -> str:
    """Return a year of the common era as pages show it: 114, 民國前 1."""
    return _roc_year(date(year, 1, 1))


def said_clock(at: datetime) -> tuple[date, str]:
    """A moment in Taipei as people say it, day and time: midnight belongs to the day that ends, "24:00"."""
    local = at.astimezone(TAIPEI)
    if local.time() == time():
        return local.date() - timedelta(days=1), "24:00"
    return local.date(), f"{local:%H:%M}"


def format_closing(closes_at: datetime) -> str:
    """A closing moment as people say it: midnight belongs to the day that ends, "114/03/20 24:00"."""
    day, clock = said_clock(closes_at)
    return f"{format_roc(day)} {clock}"


def _roc_year(day: date) -> str:
    year = day.year - ROC_EPOCH
    return str(year) if year > 0 else f"民國前 {1 - year}"
