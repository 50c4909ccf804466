"""The form of a visit, as recording and changing it share it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from django import forms
from django.utils.translation import gettext as _

from quitledger.cases.models import Case
from quitledger.institutions.models import StaffContract
from quitledger.policy.problem import Problem
from quitledger.policy.sentences import Words
from quitledger.visits import rules
from quitledger.visits.models import Medicine
from quitledger.visits.rules import COUNSELLING, COUNSELLING_MODES, LABELS, MEDICATION

from .forms import ClockField, Form, PlainTextField, RocDateField, WholeNumberField, shown
from .languages import day_said, said

MOST_LINES = 6  # rows of medicines on the form


class ChosenUidField(forms.UUIDField):
    """A choice from a list that is only read when the page is shown: the rules say whether the choice is valid."""

    widget = forms.Select


class ChosenCodeField(PlainTextField):
    """As ChosenUidField, for a medicine's code."""

    widget = forms.Select


class VisitForm(Form):
    """A visit as typed; shape only, the rules are visits.rules."""

    uid = forms.UUIDField(widget=forms.HiddenInput)
    visit_on = shown(RocDateField(label=Words("就醫日期"), help_text=Words("例：114/4/1 或 1140401")), width="m")
    visit_time = shown(
        ClockField(label=Words("就醫時間"), help_text=Words("填寫後，24 小時由此起算"), required=False), width="m"
    )
    services = forms.MultipleChoiceField(
        label=Words("本次服務"),
        help_text=Words("可同時選取"),
        choices=list(LABELS.items()),
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    medication_staff = shown(ChosenUidField(label=Words("用藥人員"), required=False), grow=True, asked=True)
    counselling_staff = shown(ChosenUidField(label=Words("衛教人員"), required=False), grow=True, asked=True)
    counselling_mode = forms.ChoiceField(
        label=Words("衛教方式"), choices=list(COUNSELLING_MODES.items()), widget=forms.RadioSelect, required=False
    )
    pregnant = forms.BooleanField(label=Words("目前懷孕"), required=False)
    cigarettes_per_day = shown(
        WholeNumberField(label=Words("平均每日支數"), required=False), unit=Words("支"), width="s", asked=True
    )
    co_ppm = shown(WholeNumberField(label=Words("一氧化碳"), required=False), unit="ppm", width="s")
    note = shown(PlainTextField(label=Words("備註"), max_length=rules.NOTE_LENGTH, required=False), grow=True)

    def __init__(self, *args: Any, sex: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if sex == "male":
            del self.fields["pregnant"]


class LineForm(Form):
    """One medicine; a row left empty is no line."""

    medicine = shown(ChosenCodeField(label=Words("藥品"), max_length=20, required=False), grow=True, asked=True)
    supply_weeks = shown(WholeNumberField(label=Words("週數"), required=False), unit=Words("週"), width="s", asked=True)
    supply_days = shown(WholeNumberField(label=Words("天數"), required=False), unit=Words("天"), width="s")

    def line(self) -> rules.Line | None:
        """The line typed, if any; weeks left empty count as 0, which the rules refuse."""
        data = self.cleaned_data  # empty for a row left empty
        medicine, weeks, days = data.get("medicine", ""), data.get("supply_weeks"), data.get("supply_days")
        return None if (medicine, weeks, days) == ("", None, None) else rules.Line(medicine, weeks or 0, days)


Lines = forms.formset_factory(LineForm, extra=0, min_num=1, max_num=MOST_LINES, absolute_max=MOST_LINES)


def in_their_rows(problems: Iterable[Problem], lines: Any) -> Iterator[Problem]:
    """The rules count the medicines typed; the page counts its rows, of which some may be empty."""
    rows = [number for number, row in enumerate(lines) if row.line()]
    for problem in problems:
        found = re.fullmatch(r"lines-(\d+)-(\w+)", problem.field or "")
        if found and int(found[1]) < len(rows):
            problem = replace(problem, field=f"lines-{rows[int(found[1])]}-{found[2]}")
        yield problem


def entry_typed(form: VisitForm, lines: Any) -> rules.Entry:
    """The forms' contents as the rules know them."""
    data = form.cleaned_data
    medication = counselling = None
    if MEDICATION in data["services"]:
        typed = tuple(line for line in (row.line() for row in lines) if line)
        medication = rules.Medication(data["medication_staff"], typed)
    if COUNSELLING in data["services"]:
        counselling = rules.Counselling(data["counselling_staff"], data["counselling_mode"])
    return rules.Entry(
        data["uid"], data["visit_on"], data["visit_time"], medication, counselling, data.get("pregnant", False),
        data["cigarettes_per_day"], data["co_ppm"], data["note"],
    )  # fmt: skip


def offer_choices(form: VisitForm, lines: Any, case: Case) -> None:
    """Fill the lists of staff and medicines: read only where the page is shown."""
    staff: dict[str, list[tuple[str, str]]] = {"may_medicate": [], "may_counsel": []}
    contracts = StaffContract.objects.filter(institution_id=case.institution_id).select_related("staff")
    for contract in contracts.order_by("staff__name", "-starts_on"):
        ended = _("（合約到 %(day)s）") % {"day": day_said(contract.ends_on)} if contract.ends_on else ""
        for permission, choices in staff.items():
            if getattr(contract, permission) and str(contract.staff.uid) not in dict(choices):
                choices.append((str(contract.staff.uid), f"{said(str(contract.staff))}{ended}"))
    for name, permission in (("medication_staff", "may_medicate"), ("counselling_staff", "may_counsel")):
        choices = staff[permission]
        form.fields[name].widget.choices = choices if len(choices) == 1 else [("", Words("請選擇")), *choices]
    medicines = [("", Words("請選擇")), *Medicine.objects.order_by("code").values_list("code", "name")]
    for row in lines:
        row.fields["medicine"].widget.choices = medicines


def rows_of(entry: rules.Entry) -> list[dict[str, Any]]:
    """The medicines of an entry, as the rows of the form begin."""
    lines = entry.medication.lines if entry.medication else ()
    return [{"medicine": x.medicine_code, "supply_weeks": x.supply_weeks, "supply_days": x.supply_days} for x in lines]


def typed_fields(form: type[Form], typed: Any) -> dict[str, Any]:
    """The fields of a form as typed, unchecked."""
    return {name: typed.get(name, "") for name in form.base_fields} | {"services": typed.getlist("services")}


def typed_lines(post: Any) -> list[dict[str, str]]:
    """The rows of medicines as typed, unchecked, and an empty one: to show them again while a row is added."""
    rows = [
        {name: post.get(f"lines-{number}-{name}", "") for name in LineForm.base_fields}
        for number in range(MOST_LINES)
        if f"lines-{number}-medicine" in post
    ]
    return [*rows, {}][:MOST_LINES]


def focus(form: Form, name: str) -> None:
    """Whoever pressed a button within the form goes on there, not at the top of the page."""
    form.fields[name].widget.attrs["autofocus"] = True
