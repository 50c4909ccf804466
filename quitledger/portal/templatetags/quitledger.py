"""Filters and tags of the pages; built in, so that no template has to load them."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms, template
from django.core.paginator import Page
from django.template.context import RequestContext
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from quitledger.policy import TAIPEI, format_roc_month, format_roc_weekday
from quitledger.visits.rules import Timeliness

from ..kept_forms import FIELD, whose
from ..languages import day_said, is_english, moment_said, month_said, said, weekday_said, year_said

register = template.Library()

SOON = timedelta(days=3)  # from here on a closing moment is marked ▲ (mockups/README.md)
_TIMELINESS_KIND = {Timeliness.PROMPT: "ok", Timeliness.IN_WINDOW: "in", Timeliness.LATE: "late"}


# --- days and moments ----------------------------------------------------------------------------------------------


@register.filter
def thousands(number: int | None) -> str:
    """12345 as 12,345; "—" for none."""
    return "—" if number is None else f"{number:,}"


@register.filter
def roc(day: date | None) -> str:
    """114/04/01; nothing for no day."""
    return day_said(day) if day else ""


@register.filter
def roc_weekday(day: date | None) -> str:
    """114/04/01（二）."""
    return weekday_said(day) if day else ""


@register.filter
def roc_year(year: int) -> str:
    """114, of 2025."""
    return year_said(year)


@register.filter
def roc_month(day: date | None) -> str:
    """114 年 4 月."""
    return month_said(day) if day else ""


@register.filter
def roc_long(day: date) -> str:
    """114 年 4 月 1 日，星期二."""
    if is_english():
        return f"{day:%A} {day}"
    weekday = format_roc_weekday(day)[-2]
    words = {"month": format_roc_month(day), "day": day.day, "weekday": weekday}
    return _("%(month)s %(day)s 日，星期%(weekday)s") % words


@register.filter
def month_only(day: date) -> str:
    """4 月: where the year is plain from what stands around it."""
    return month_said(day) if is_english() else f"{day.month} 月"


@register.filter
def moment(at: datetime | None) -> str:
    """114/03/31 16:42 in Taipei; midnight belongs to the day that ends: 114/03/20 24:00."""
    return moment_said(at) if at else ""


@register.filter
def cell(value: object) -> str:
    """A cell of a list: days and moments as they are shown, — for nothing."""
    if value is None or value == "":
        return "—"
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, date):
        return roc(value)
    return value if isinstance(value, str) else str(value)


@register.filter
def clock(at: datetime | None) -> str:
    """09:30 in Taipei."""
    return f"{at.astimezone(TAIPEI):%H:%M}" if at else ""


@register.filter
def left_until(closes_at: datetime, now: datetime) -> str:
    """What is left at `now` until `closes_at`: 剩 19 天 14 小時, 剩 14 小時 30 分, 剩 45 分; 已截止 from then on."""
    left = closes_at - now
    if left <= timedelta():
        return _("已截止")
    hours, minutes = left.seconds // 3600, left.seconds % 3600 // 60
    if left.days:
        return (
            _("剩 %(d)s 天 %(h)s 小時") % {"d": left.days, "h": hours} if hours else _("剩 %(d)s 天") % {"d": left.days}
        )
    if hours:
        parts = {"h": hours, "m": minutes}
        return _("剩 %(h)s 小時 %(m)s 分") % parts if minutes else _("剩 %(h)s 小時") % parts
    return _("剩 %(m)s 分") % {"m": minutes} if minutes else _("剩不到 1 分")


@register.simple_tag
def time_left(closes_at: datetime, now: datetime, soon: timedelta = SOON) -> SafeString:
    """The words of left_until, marked ▲ when less than `soon` is left."""
    mark = " left--soon" if timedelta() < closes_at - now < soon else ""
    return format_html('<span class="left{}">{}</span>', mark, left_until(closes_at, now))


@register.inclusion_tag("components/window_bar.html")
def window_bar(opens_on: date, closes_at: datetime, now: datetime, label: str) -> dict[str, Any]:
    """A closing moment: date and time, words left, a thin bar of the days gone since `opens_on`.

    `label` names it: 「3 月登錄期間」.
    """
    opens_at = datetime.combine(opens_on, time(), TAIPEI)
    days = max((closes_at - opens_at).days, 1)
    gone = min(max((now - opens_at).days, 0), days)
    return {"closes_at": closes_at, "now": now, "label": label, "days": days, "gone": gone}


# --- tags of state -------------------------------------------------------------------------------------------------


@register.simple_tag
def tag(kind: str, words: str) -> SafeString:
    """The state of a record: `kind` ok, in, warn, bad, late, or empty for a plain one; the words carry the meaning."""
    return format_html('<span class="tag{}">{}</span>', f" tag--{kind}" if kind else "", words)


@register.simple_tag
def timeliness_tag(timeliness: Timeliness | str) -> SafeString:
    """登錄情形 of a visit: 24 小時內, 期限內, 補登."""
    timeliness = Timeliness(timeliness)
    return tag(_TIMELINESS_KIND[timeliness], timeliness.label)


# --- lists ---------------------------------------------------------------------------------------------------------


@register.inclusion_tag("components/pager.html", takes_context=True)
def pager(context: RequestContext, page: Page[Any]) -> dict[str, Any]:
    """Links to the pages of a list, keeping the other parameters of the address (`page` is the one it sets)."""
    return {"page": page, "request": context["request"], "numbers": page.paginator.get_elided_page_range(page.number)}


@register.inclusion_tag("components/sort_heading.html", takes_context=True)
def sort_heading(context: RequestContext, label: str, name: str, default: str = "", kind: str = "") -> dict[str, Any]:
    """A `<th>` that sorts by `name`: `?sort=name`, a second time `?sort=-name`. `default` is the order without a word.

    `kind`: "num" for a column of figures.
    """
    order = context["request"].GET.get("sort", default)
    direction = {name: "ascending", f"-{name}": "descending"}.get(order, "")
    other = f"-{name}" if direction == "ascending" else name
    return {"label": label, "request": context["request"], "direction": direction, "sort": other, "kind": kind}


# --- forms ---------------------------------------------------------------------------------------------------------


@register.simple_tag(takes_context=True)
def keepable(context: RequestContext) -> SafeString:
    """The field that lets a form outlive its sign-in (portal.kept_forms)."""
    account = context["desk"].actor.account_id
    return format_html('<input type="hidden" name="{}" value="{}">', FIELD, whose(account))


@register.inclusion_tag("components/error_summary.html")
def error_summary(*forms_and_sets: Any, verb: str = "") -> dict[str, Any]:
    """All errors of one or more forms and formsets, linked to their fields; nothing while there are none.

    `verb` says what did not happen: 「登錄」 gives 「還沒登錄：有 3 項需要修正」.
    """
    lines = [line for one in forms_and_sets for line in _error_lines(one)]
    count = ngettext("有 %(n)s 項需要修正", "有 %(n)s 項需要修正", len(lines)) % {"n": len(lines)}
    return {"lines": lines, "title": _("還沒%(verb)s：%(count)s") % {"verb": verb, "count": count} if verb else count}


def _error_lines(one: Any) -> Iterator[dict[str, Any]]:
    if isinstance(one, forms.BaseFormSet):
        yield from ({"text": text} for text in (one.non_form_errors() if one.is_bound else []))
        for form in one.forms:
            yield from _error_lines(form)
    elif getattr(one, "is_bound", False):  # a page without a form has nothing here
        yield from ({"text": text} for text in one.non_field_errors())
        for field in one:
            target = "" if field.is_hidden else _first_control(field)
            # The whole message stands beside the field; here its first sentence is enough.
            yield from (
                {"target": target, "text": text if field.is_hidden else _summary_line(field, str(text))}
                for text in field.errors
            )


def _summary_line(field: forms.BoundField, text: str) -> str:
    """The field and the first sentence of what is wrong with it."""
    first = text.split(". ")[0].rstrip(".") if is_english() else text.split("。")[0]
    return _("%(label)s：%(text)s") % {"label": said(field.label), "text": first}


def _first_control(field: forms.BoundField) -> str:
    return field.subwidgets[0].id_for_label or "" if field.use_fieldset and len(field) else field.id_for_label
