"""Forms as pages show them: fields of the programme, each with label, hint and error, and rule problems beside them.

A page writes `{{ form.field.as_field_group }}`; templates/components/field.html does the rest.
"""

import re
import unicodedata
from collections.abc import Iterable
from datetime import date, time
from typing import Any, TypeVar

from django import forms
from django.core.exceptions import ValidationError
from django.forms.forms import DeclarativeFieldsMetaclass
from django.forms.renderers import TemplatesSetting
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from quitledger.policy import DateError, format_roc, parameter, parse_date, parse_month, parse_time
from quitledger.policy.problem import Problem

from .languages import day_said, is_english, said

AnyField = TypeVar("AnyField", bound=forms.Field)

_FULL_WIDTH_DIGITS = {ord("０") + digit: ord("0") + digit for digit in range(10)}
_MOST_DIGITS = 9  # what an integer column holds; how much is plausible is a rule's question
_LINE_ENDS = re.compile(r"\r\n?|[\u2028\u2029]")


class Renderer(TemplatesSetting):
    """Renders every field group with our component."""

    field_template_name = "components/field.html"


class _Fields(dict[str, forms.Field]):
    """The fields of a form's class, of which every form made gets its own: what copy.deepcopy gives, at a fifth the cost.

    What a page sets on a field or its widget is set on a copy; error messages, validators and lists of choices are
    replaced by whoever wants others, never changed in place.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, forms.Field]:
        return {name: self._copied(field) for name, field in self.items()}

    @staticmethod
    def _copied(field: forms.Field) -> forms.Field:
        own, widget = object.__new__(type(field)), object.__new__(type(field.widget))
        vars(own).update(vars(field), widget=widget)
        vars(widget).update(vars(field.widget), attrs=field.widget.attrs.copy())
        return own


class _FormMetaclass(DeclarativeFieldsMetaclass):
    def __new__(mcs, *args: Any, **kwargs: Any) -> Any:
        made = super().__new__(mcs, *args, **kwargs)
        made.base_fields = _Fields(made.base_fields)  # type: ignore[attr-defined]
        return made


class Form(forms.Form, metaclass=_FormMetaclass):
    """A form that speaks: a missing answer is asked for by the name of its field.

    `all_optional`: nothing has to be filled in (a filter), so that no field says 「可不填」.
    """

    use_required_attribute = False  # the page's own words, not the browser's bubbles
    all_optional = False

    def add_error(self, field: str | None, error: Any) -> None:
        """Django's, in our words where it is Django that complains."""
        if field and isinstance(error, ValidationError):
            words = _asking(self.fields[field]).get(getattr(error, "code", None) or "")
            error = ValidationError(words, code=error.code) if words else error
        super().add_error(field, error)


def _asking(field: forms.Field) -> dict[str, str]:
    if isinstance(field, forms.ChoiceField | forms.ModelChoiceField):
        return {
            "required": _("請選擇%(label)s。") % {"label": said(field.label)},
            "invalid_choice": _("清單裡沒有這個選項，請從清單中選擇。"),
        }
    if isinstance(field.widget, forms.CheckboxInput):
        return {}
    return {"required": _("請填%(label)s。") % {"label": said(field.label)}}


def shown(field: AnyField, *, unit: str = "", width: str = "", grow: bool = False, asked: bool = False) -> AnyField:
    """The field with how it is shown: `unit` behind it, `width` s, m or l of its box, `grow`: takes the free width.

    `asked`: not required by the form, but by a rule in some cases, so that it does not say 「可不填」.
    """
    field.unit, field.grow, field.asked = unit, grow, asked  # type: ignore[attr-defined]
    if width:
        field.widget.attrs["class"] = f"w-{width}"
    return field


class _ReadField(forms.Field):
    """A text field read by one of the parsers of policy.roc_dates: its sentence is the error."""

    widget = forms.TextInput

    def parse(self, text: str) -> Any:
        raise NotImplementedError

    def to_python(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value or None
        if not value.strip():
            return None
        try:
            return self.parse(value)
        except DateError as fault:
            raise ValidationError(said(fault.sentence), code="invalid") from None

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {"inputmode": "numeric", "autocomplete": "off"}


class RocDateField(_ReadField):
    """A day, typed as 114/4/1, 1140401, 2025-04-01 or 民國 114 年 4 月 1 日, shown as 114/04/01."""

    def parse(self, text: str) -> date:
        return parse_date(text)

    def prepare_value(self, value: Any) -> Any:
        return day_said(value) if isinstance(value, date) else value


class RocMonthField(_ReadField):
    """A month, typed as 114/4, 11404 or 2025-04, shown as 114/04; its first day."""

    def parse(self, text: str) -> date:
        return parse_month(text)

    def prepare_value(self, value: Any) -> Any:
        return (
            (f"{value:%Y-%m}" if is_english() else format_roc(value).rpartition("/")[0])
            if isinstance(value, date)
            else value
        )


class ClockField(_ReadField):
    """A time of day, typed as 9:20 or 0920, shown as 09:20."""

    def parse(self, text: str) -> time:
        return parse_time(text)

    def prepare_value(self, value: Any) -> Any:
        return f"{value:%H:%M}" if isinstance(value, time) else value


class WholeNumberField(forms.Field):
    """A whole number, full-width digits welcome; `min_value` and `max_value` included."""

    widget = forms.TextInput

    def __init__(self, *, min_value: int = 0, max_value: int | None = None, **kwargs: Any) -> None:
        self.min_value, self.max_value = min_value, max_value
        super().__init__(**kwargs)

    def to_python(self, value: Any) -> int | None:
        if isinstance(value, int):
            return value
        text = (value or "").translate(_FULL_WIDTH_DIGITS).strip()
        if not text:
            return None
        if not re.fullmatch(r"[0-9]+", text):
            raise ValidationError(_("請只填數字，不含小數、正負號或單位。"), code="invalid")
        if len(text.lstrip("0")) > _MOST_DIGITS:
            raise ValidationError(_("這個數字太大，請確認。"), code="invalid")
        return int(text)

    def validate(self, value: int | None) -> None:
        super().validate(value)
        if value is None:
            return
        if self.max_value is not None and not self.min_value <= value <= self.max_value:
            bounds = {"least": self.min_value, "most": self.max_value}
            raise ValidationError(_("請填 %(least)s 到 %(most)s 之間的整數。"), code="bounds", params=bounds)
        if value < self.min_value:
            raise ValidationError(_("請填 %(least)s 以上的整數。"), code="bounds", params={"least": self.min_value})

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {"inputmode": "numeric", "autocomplete": "off"}


class PlainTextField(forms.CharField):
    """Text that can be stored, shown and printed: trimmed, without NUL and other control characters.

    `lines`: several lines may be typed (a textarea); line ends are kept as \\n.
    """

    default_error_messages = {"control": gettext_lazy("文字裡有看不見的控制字元，請刪除後重新輸入。")}

    def __init__(self, *, lines: bool = False, **kwargs: Any) -> None:
        self.lines = lines
        if lines:
            kwargs.setdefault("widget", forms.Textarea(attrs={"rows": 4}))
        super().__init__(**kwargs)

    def to_python(self, value: Any) -> Any:
        # NUL is looked for before trimming and before Django's own validator: one sentence for all control characters.
        text = super().to_python(_LINE_ENDS.sub("\n", value) if isinstance(value, str) else value)
        allowed = "\n\t" if self.lines else ""
        if any(unicodedata.category(sign) in ("Cc", "Cs") and sign not in allowed for sign in text or ""):
            raise ValidationError(self.error_messages["control"], code="control")
        return text


def add_problems(form: forms.BaseForm, problems: Iterable[Problem], *parts: forms.BaseForm) -> None:
    """Attach rule problems to the fields they name; what names no field of `form` or `parts` stands above the form.

    A problem of a dated rule is followed by the rule's title and source, linked to its page. `parts` are further forms
    of the same page, e.g. the rows of a formset: a problem's field "lines-0-medicine" is the field medicine of the form
    with prefix "lines-0".
    """
    places = {
        one.add_prefix(name): (one, name) for one in (form, *parts) for name in one.fields if one.errors is not None
    }
    for problem in problems:
        place, name = places.get(problem.field or "", (form, None))
        place.add_error(name, ValidationError(_with_source(problem), code=problem.code))


def _with_source(problem: Problem) -> str:
    if problem.policy is None:
        return said(problem.message)
    rule = parameter(problem.policy)
    latest = rule.values[-1]
    return format_html(
        '{} <span class="why">{}<a href="{}">{}</a> (<span lang="zh-Hant-TW">{}</span>)</span>' if is_english() else '{} <span class="why">{}<a href="{}">{}</a>（{}）</span>',
        said(problem.message), _("規定："), reverse("policy_show", args=[rule.name]), rule.title, latest.basis,
    )  # fmt: skip
