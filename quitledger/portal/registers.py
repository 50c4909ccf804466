"""名冊: the desk's lists. Search, download, history, one record at a time or a whole file with a look at it before.

What the lists are and hold: register_lists. What is wrong with a row, in a form or a file, is said by the same services.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Sequence
from datetime import date
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from quitledger.accounts.keys import KeyMissing, Tampered, keys
from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.institutions import imports
from quitledger.institutions.history import edits_of
from quitledger.institutions.imports import CHANGED, NEW, SAME, Column, ImportReport, Unreadable, attempt
from quitledger.institutions.models import InstitutionDetails
from quitledger.interop.sheets import Cell
from quitledger.policy import DateError
from quitledger.policy.identity import mask
from quitledger.policy.problem import Refused
from quitledger.policy.sentences import Sentence, Words
from quitledger.visits.findings import findings
from quitledger.visits.rules import LABELS

from .batches import ACCEPT
from .downloads import table_file
from .forms import Form, PlainTextField, add_problems, shown
from .languages import day_said, is_english, said
from .permissions import needs
from .register_lists import CERTIFICATES, REGISTERS, Around, Register, around, expiring
from .transactions import Request

PAGE_ROWS = 50
MOST_ROWS = 5000  # of a file given to a page; longer ones to the command or in parts
MOST_BYTES = 4_000_000  # of a file
MOST_KEPT_BYTES = 1_800_000  # of a file kept in the page between the look at it and the recording
MOST_ROWS_SHOWN = 300


class ColumnField(PlainTextField):
    """A field of a form that is read as the column of a file is."""

    def __init__(self, column: Column, **kwargs: Any) -> None:
        self.column = column
        if column.choices is not None:
            labels = [(label, label) for label in column.choices.values()]
            kwargs["widget"] = forms.Select(choices=[("", _("請選擇")), *labels])
        super().__init__(label=column.title, help_text=column.hint, required=not column.optional, **kwargs)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return self.column.empty
        try:
            return self.column.read(text)
        except (Unreadable, DateError) as fault:
            gap = " " if is_english() else ""
            raise forms.ValidationError(f"{said(self.label)}{gap}{said(fault.sentence)}", code="invalid") from None


class RecordForm(Form):
    """One record of a register, as typed."""

    def __init__(self, columns: Sequence[Column], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for column in columns:
            self.fields[column.name] = shown(ColumnField(column), width=column.width, grow=column.grow)


class FileForm(Form):
    """A file to be imported."""

    file = forms.FileField(
        label=gettext_lazy("檔案"), allow_empty_file=True, widget=forms.FileInput(attrs={"accept": ACCEPT}),
        help_text=gettext_lazy("CSV（UTF-8 或 Big5）、XLSX 或 ODS，第一列是欄位名稱"),
    )  # fmt: skip

    def clean_file(self) -> bytes:
        """Its content."""
        if self.cleaned_data["file"].size > MOST_BYTES:
            raise forms.ValidationError(_("檔案太大，請分成幾份，或用指令匯入。"))
        content: bytes = self.cleaned_data["file"].read()
        return content


def _register_or_404(name: str) -> Register:
    if name not in REGISTERS:
        raise Http404
    return REGISTERS[name]


def _may_record(request: Request, register: Register) -> bool:
    return request.desk.actor.may(register.permission)


def _require_record(request: Request, register: Register) -> None:
    if not _may_record(request, register):
        raise PermissionDenied(register.permission)


def _record_or_404(register: Register, pk: int) -> Any:
    record = register.rows().filter(pk=pk).first()
    if record is None:
        raise Http404
    return record


# --- Lists -----------------------------------------------------------------------------------------------------------


@needs(Permission.REGISTER_READ)
@require_safe
def register_index(request: Request) -> HttpResponse:
    """All lists, and what the desk should look at."""
    lists = [(register, register.rows().count()) for register in REGISTERS.values()]
    soon = expiring(CERTIFICATES.rows(), request.desk.today).count()
    return render(request, "registers/index.html", {"lists": lists, "expiring": soon})


def _asked(request: Request, register: Register) -> tuple[str, str, Any]:
    """The words and the filter asked for, and the records found."""
    words = request.GET.get("q", "").replace("\x00", "").strip()
    chosen = request.GET.get("show", "")
    chosen = chosen if chosen in register.filters else next(iter(register.filters))
    rows = register.filters[chosen][1](register.rows(), request.desk.today)
    return words, chosen, rows.filter(register.search(words)) if words else rows


def _cells(register: Register, record: Any, about: Around) -> list[Cell]:
    values = register.values(record, about)
    tag = register.tag(record, about)
    return [
        *(values.get(column.name) for column in register.columns if not column.secret),
        *(say(record, about) for say in register.more.values()),
        tag[1] if tag else "",
    ]


def _titles(register: Register) -> list[str]:
    titles = [column.title for column in register.columns if not column.secret]
    return [*titles, *register.more, Words("狀態")]


@needs(Permission.REGISTER_READ)
@require_safe
def register_list(request: Request, register: str) -> HttpResponse:
    """One list. `q`: words, `show`: a filter."""
    which = _register_or_404(register)
    words, chosen, found = _asked(request, which)
    page = Paginator(found, PAGE_ROWS).get_page(request.GET.get("page"))
    about = around(list(page), request.desk.today)
    columns = which.form_columns
    rows = [
        {
            "record": record, "heading": which.heading(record, about), "tag": which.tag(record, about),
            "cells": [(columns[name].title, which.values(record, about)[name]) for name in which.listed],
            "more": [(title, which.more[title](record, about)) for title in which.more_listed],
        }
        for record in page
    ]  # fmt: skip
    journal.record(Permission.REGISTER_READ, record_type=which.name)
    context = {
        "register": which, "page": page, "rows": rows, "q": words, "show": chosen,
        "titles": [columns[name].title for name in which.listed], "may_record": _may_record(request, which),
        "filters": [(name, label) for name, (label, _narrow) in which.filters.items()],
    }  # fmt: skip
    return render(request, "registers/list.html", context)


@needs(Permission.REGISTER_READ)
@require_safe
def register_download(request: Request, register: str, file_format: str) -> HttpResponse:
    """What was found, as CSV or ODS, with the titles that an import reads."""
    which = _register_or_404(register)
    _words, _chosen, found = _asked(request, which)
    records = list(found)
    about = around(records, request.desk.today)
    journal.record(Permission.REGISTER_READ, record_type=which.name, fields=["download"])
    rows = [_cells(which, record, about) for record in records]
    return table_file(
        request, which.title, _titles(which), rows, f"{which.name}-{request.desk.today:%Y%m%d}", file_format
    )


@needs(Permission.REGISTER_READ)
@require_safe
def finding_list(request: Request) -> HttpResponse:
    """無合約的服務: what was recorded on days that a contract, as it now is, does not cover."""
    words = request.GET.get("q", "").replace("\x00", "").strip()
    page = Paginator(findings(words=words, by=request.desk.actor), PAGE_ROWS).get_page(request.GET.get("page"))
    journal.record(Permission.REGISTER_READ, record_type="visit", uids=[one.visit_uid for one in page])
    return render(request, "registers/findings.html", {"page": page, "q": words})


@needs(Permission.REGISTER_READ)
@require_safe
def finding_download(request: Request, file_format: str) -> HttpResponse:
    """The findings as CSV or ODS."""
    words = request.GET.get("q", "").replace("\x00", "").strip()
    found = findings(words=words, by=request.desk.actor)
    journal.record(Permission.REGISTER_READ, record_type="visit", uids=[one.visit_uid for one in found])
    rows: list[list[Cell]] = [
        [one.visit_on, LABELS[one.kind], one.institution_code, one.institution_name, one.staff, one.words,
         str(one.visit_uid)]
        for one in found
    ]  # fmt: skip
    titles = ["就醫日期", "服務", "醫事機構代碼", "機構名稱", "人員", "原因", "編號"]
    return table_file(
        request, Words("無合約的服務"), titles, rows, f"findings-{request.desk.today:%Y%m%d}", file_format
    )


# --- One record ------------------------------------------------------------------------------------------------------


@needs(Permission.REGISTER_READ)
@require_safe
def register_show(request: Request, register: str, pk: int) -> HttpResponse:
    """One record: what it says, what belongs to it, and its history."""
    which = _register_or_404(register)
    record = _record_or_404(which, pk)
    by = request.desk.actor
    about = around([record], request.desk.today)
    values = which.values(record, about)
    facts = [
        (column.title, values[column.name]) for column in which.columns if values.get(column.name) not in (None, "")
    ]
    facts += [(title, value) for title, say in which.more.items() if (value := say(record, about)) not in (None, "")]
    edits = edits_of(which.table, record.pk, which.history, which.history_labels, by=by) if which.history else []
    institution = getattr(record, "institution", None)
    dated: list[InstitutionDetails] = []
    branches: list[InstitutionDetails] = []
    if which.dated and institution is not None:
        dated = list(institution.details.order_by("-starts_on"))
        branches = list(
            InstitutionDetails.objects.in_force_on(request.desk.today)
            .filter(institution__parent=institution)
            .order_by("code")
        )
    journal.record(Permission.REGISTER_READ, record_type=which.name)
    context = {
        "register": which, "record": record, "heading": which.heading(record, about), "facts": facts,
        "tag": which.tag(record, about), "edits": edits, "may_record": _may_record(request, which),
        "code": about.code(institution.pk) if institution else "", "dated": dated, "branches": branches,
    }  # fmt: skip
    return render(request, "registers/show.html", context)


@needs(Permission.REGISTER_READ)
@require_http_methods(["GET", "HEAD", "POST"])
def register_record(request: Request, register: str) -> HttpResponse:
    """A new record. `from`: the record of an institution whose new contents begin on another day."""
    which = _register_or_404(register)
    _require_record(request, which)
    initial: dict[str, Any] = {}
    if which.dated and request.GET.get("from", "").isdigit():
        record = _record_or_404(which, int(request.GET["from"]))
        initial = _typed(which, record, around([record], request.desk.today)) | {"starts_on": "", "change": ""}
    elif code := request.GET.get("code", ""):
        initial = {"institution_code": code}
    return _recorded(request, which, which.columns, initial, None)


@needs(Permission.REGISTER_READ)
@require_http_methods(["GET", "HEAD", "POST"])
def register_change(request: Request, register: str, pk: int) -> HttpResponse:
    """Correct a record as it stands; its history keeps what it said."""
    which = _register_or_404(register)
    _require_record(request, which)
    if not which.can_change:
        raise Http404
    record = _record_or_404(which, pk)
    about = around([record], request.desk.today)
    values = which.values(record, about)
    columns = [
        column
        for column in which.columns
        if column.name in values and column.name not in ("institution_code", "new_code")
    ]
    return _recorded(request, which, columns, _typed(which, record, about), record)


def _typed(register: Register, record: Any, about: Around) -> dict[str, Any]:
    """What a record says, as it would be typed."""
    typed = {}
    for name, value in register.values(record, about).items():
        if isinstance(value, date):
            typed[name] = day_said(value)
        else:  # a year is typed as it is said; a choice by its Chinese label
            typed[name] = said(value) if isinstance(value, Sentence) else str("" if value is None else value)
    return typed


def _recorded(
    request: Request, register: Register, columns: Sequence[Column], initial: dict[str, Any], record: Any
) -> HttpResponse:
    form = RecordForm(columns, request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid():
        untyped = {column.name: column.empty for column in register.columns}
        row = register.make(**{**untyped, **form.cleaned_data})
        done, problems = attempt(register.record, row, by=request.desk.actor, of=record)
        if done is not None:
            words = {NEW: _("已新增。"), CHANGED: _("已修改。"), SAME: _("與已登錄的相同，沒有變更。")}
            (messages.info if done.did == SAME else messages.success)(request, words[done.did])
            return redirect("register_show", register.name, done.record.pk)
        add_problems(form, problems)
    context = {"register": register, "form": form, "record": record}
    return render(request, "registers/form.html", context, status=422 if form.errors else 200)


# --- Files -----------------------------------------------------------------------------------------------------------


@needs(Permission.REGISTER_READ)
@require_safe
def register_sample(request: Request, register: str) -> HttpResponse:
    """An empty file with the titles that an import reads."""
    which = _register_or_404(register)
    return table_file(
        request, which.title, [column.title for column in which.columns], [], f"{which.name}-empty", "csv"
    )


@needs(Permission.REGISTER_READ)
@require_http_methods(["GET", "HEAD", "POST"])
def register_import(request: Request, register: str) -> HttpResponse:
    """A file: first what it would do, row by row; then, as chosen, all of it, the good rows, or nothing."""
    which = _register_or_404(register)
    _require_record(request, which)
    if "kept" in request.POST:
        return _import_kept(request, which)
    form = FileForm(request.POST or None, request.FILES or None)
    if form.is_valid():
        content = form.cleaned_data["file"]
        try:
            report = _import(request, which, content, good_rows_only=False, trial=True)
            return _review(request, which, content, report)
        except Refused as refused:
            add_problems(form, refused.problems)
    context = {"register": which, "form": form}
    return render(request, "registers/import.html", context, status=422 if form.errors else 200)


def _import(request: Request, register: Register, content: bytes, *, good_rows_only: bool, trial: bool) -> ImportReport:
    rows = imports.read_table(content, register.columns, most_rows=MOST_ROWS)
    return imports.import_rows(
        rows, register.columns, register.make, register.record, good_rows_only=good_rows_only, trial=trial,
        by=request.desk.actor,
    )  # fmt: skip


def _import_kept(request: Request, register: Register) -> HttpResponse:
    """Record the file that was looked at."""
    form = FileForm(request.POST)
    content = _taken(request, register)
    if content is None:
        form.full_clean()
        form.errors.clear()
        form.add_error(None, _("檔案的內容已過期或不完整，請重新選擇檔案。"))
        return render(request, "registers/import.html", {"register": register, "form": form}, status=422)
    report = _import(request, register, content, good_rows_only="good" in request.POST, trial=False)
    if not report.kept:  # somebody else recorded something meanwhile
        return _review(request, register, content, report, status=422)
    counts = {"new": report.count(NEW), "changed": report.count(CHANGED), "same": report.count(SAME)}
    said = _("新增 %(new)s 列，修改 %(changed)s 列，相同 %(same)s 列。") % counts
    if report.refused:
        said += _("有錯的 %(n)s 列沒有登錄。") % {"n": len(report.refused)}
    messages.success(request, said)
    return redirect("register_list", register.name)


def _review(
    request: Request, register: Register, content: bytes, report: ImportReport, status: int = 200
) -> HttpResponse:
    secret = {column.title for column in register.columns if column.secret}
    named = [column.title for column in register.columns if not column.optional]
    order = {"": 0, CHANGED: 1, NEW: 2, SAME: 3}
    rows = sorted(report.rows, key=lambda row: (order[row.did], row.line))
    shown_rows = [
        (
            row,
            [(title, mask(text) if title in secret else text) for title in named if (text := row.cells.get(title, ""))],
        )
        for row in rows[:MOST_ROWS_SHOWN]
    ]
    kept = _kept(request, register, content)
    context = {
        "register": register, "report": report, "rows": shown_rows, "kept": kept, "left_out": len(rows) - len(shown_rows),
        "good": len(report.rows) - len(report.refused), "bad": len(report.refused),
        "new": report.count(NEW), "changed": report.count(CHANGED), "same": report.count(SAME),
    }  # fmt: skip
    return render(request, "registers/review.html", context, status=status)


def _kept(request: Request, register: Register, content: bytes) -> str:
    """The file in the page itself, encrypted, for this account and register alone: nothing is left on the server."""
    packed = base64.b64encode(zlib.compress(content, 9)).decode()
    what = {"account": request.desk.actor.account_id, "register": register.name, "file": packed}
    token, key_id = keys().encrypt(json.dumps(what), about=b"import")
    kept = f"{key_id}:{base64.b64encode(token).decode()}"
    if len(kept) > MOST_KEPT_BYTES:
        raise Refused([imports.Problem("file-too-long", _("檔案太大，請分成幾份，或用指令匯入。"))])
    return kept


def _taken(request: Request, register: Register) -> bytes | None:
    key_id, _colon, token = request.POST["kept"].partition(":")
    try:
        what = json.loads(keys().decrypt(base64.b64decode(token, validate=True), key_id, about=b"import"))
    except (KeyMissing, Tampered, binascii.Error, ValueError):
        return None
    if (what["account"], what["register"]) != (request.desk.actor.account_id, register.name):
        return None
    return zlib.decompress(base64.b64decode(what["file"]))
