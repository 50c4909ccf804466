"""Recording windows: the months and their closing moments, extensions, and the desk supervisor's page to extend."""

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from quitledger.accounts.permissions import Permission
from quitledger.cases.rules import REASON_LENGTH
from quitledger.institutions.models import InstitutionDetails
from quitledger.policy import TAIPEI
from quitledger.policy.problem import Refused
from quitledger.policy.sentences import Words
from quitledger.visits.models import Month, WindowExtension
from quitledger.visits.queries import closes_at as closes_at_of
from quitledger.visits.services import extend_window

from .forms import ClockField, Form, PlainTextField, RocDateField, RocMonthField, add_problems, shown
from .languages import moment_said, month_said
from .permissions import needs, signed_in
from .transactions import Request

MONTHS_SHOWN = 4
FIELDS: dict[str | None, str] = {"closes_at": "last_day"}  # a rule's word → the field of this form


class ExtendForm(Form):
    """An extension as typed; the time left empty means until the end of the day."""

    month = shown(RocMonthField(label=Words("就醫月份"), help_text=Words("例：114/3")), width="m")
    reach = forms.ChoiceField(
        label=Words("適用對象"), choices=WindowExtension.Reach.choices, widget=forms.RadioSelect, initial="all"
    )
    county = shown(
        forms.ChoiceField(label=Words("縣市"), help_text=Words("適用縣市時才選"), required=False), asked=True
    )
    institution = shown(
        PlainTextField(label=Words("機構代碼"), help_text=Words("適用單一機構時才填"), max_length=10, required=False),
        width="m",
        asked=True,
    )
    last_day = shown(RocDateField(label=Words("延長至"), help_text=Words("例：114/4/25")), width="m")
    last_time = shown(ClockField(label=Words("時間"), help_text=Words("不填就是當日 24:00"), required=False), width="m")
    reason = shown(
        PlainTextField(label=Words("事由"), max_length=REASON_LENGTH, help_text=Words("例：系統中斷、颱風停班")),
        grow=True,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        counties = InstitutionDetails.objects.order_by("county").values_list("county", flat=True).distinct()
        cast(forms.ChoiceField, self.fields["county"]).choices = [
            ("", "－"),
            *((county, county) for county in counties),
        ]

    def clean_institution(self) -> int | None:
        """The institution's key: found by any code it has or had."""
        code = self.cleaned_data["institution"]
        if not code:
            return None
        details = InstitutionDetails.objects.filter(code=code).first()
        if details is None:
            raise forms.ValidationError(_("找不到這個代碼的機構，請確認 10 位數代碼。"))
        return details.institution_id

    def closes_at(self) -> datetime:
        """The first moment refused."""
        day: date = self.cleaned_data["last_day"]
        clock: time | None = self.cleaned_data["last_time"]
        if clock:
            return datetime.combine(day, clock, TAIPEI)
        return datetime.combine(day + timedelta(days=1), time(), TAIPEI)


@signed_in
@require_safe
def window_list(request: Request) -> HttpResponse:
    """Closing moments of the last months as they hold for the viewer, and all extensions."""
    scope, today = request.desk.actor.institution_id, request.desk.today
    months = list(Month.objects.filter(month__lte=today).order_by("-month")[:MONTHS_SHOWN])
    nowhere = 0  # an institution that is none: what holds for all
    rows = [(month, closes_at_of(scope or nowhere, month.month) or month.closes_at) for month in months]
    extensions = WindowExtension.objects.select_related("decided_by").order_by("-decided_at")[:50]
    names = _names([extension.institution_id for extension in extensions if extension.institution_id])
    listed = [(extension, names.get(extension.institution_id or 0, "")) for extension in extensions]
    return render(request, "windows/list.html", {"rows": rows, "extensions": listed})


def _names(institutions: list[int]) -> dict[int, str]:
    details = InstitutionDetails.objects.filter(institution__in=institutions).order_by("starts_on")
    return {row.institution_id: f"{row.name} {row.code}" for row in details}


@needs(Permission.WINDOW_EXTEND)
@require_http_methods(["GET", "HEAD", "POST"])
def window_extend(request: Request) -> HttpResponse:
    """Extend a window for all, a county or one institution."""
    form = ExtendForm(request.POST or None)
    if form.is_valid():
        data, reach = form.cleaned_data, form.cleaned_data["reach"]
        try:
            extension = extend_window(
                month=data["month"], reach=reach, county=data["county"] if reach == "county" else "",
                institution_id=data["institution"] if reach == "institution" else None, closes_at=form.closes_at(),
                reason=data["reason"], moment=request.desk.moment, by=request.desk.actor,
            )  # fmt: skip
        except Refused as refused:
            add_problems(
                form, [replace(problem, field=FIELDS.get(problem.field, problem.field)) for problem in refused.problems]
            )
        else:
            extended = {"month": month_said(extension.month), "until": moment_said(extension.closes_at)}
            messages.success(request, _("%(month)s的登錄期限已延長至 %(until)s。") % extended)
            return redirect("window_list")
    return render(request, "windows/extend.html", {"form": form}, status=422 if form.errors else 200)
