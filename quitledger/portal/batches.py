"""批次登錄: send a file, see what would come of every row, put rows right, then record all that can be, or none."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.batches.columns import COLUMNS, ONE_OF, Kind, column_of, day, is_serial
from quitledger.batches.models import Batch, Row
from quitledger.batches.services import (
    Head,
    HeldRow,
    amend_row,
    ask_recording,
    choose_columns,
    give_up_batch,
    open_row,
    upload_batch,
)
from quitledger.cases.models import Case
from quitledger.files.sheet_reading import LONGEST_CELL
from quitledger.institutions.imports import Column
from quitledger.interop.sheets import Cell
from quitledger.policy.identity import mask
from quitledger.policy.problem import Problem, Refused
from quitledger.policy.sentences import Sentence, Words

from .downloads import table_file
from .forms import Form, PlainTextField, add_problems, shown
from .headers import takes_files
from .languages import day_said, said
from .permissions import needs
from .transactions import Desk, Request

PAGE_ROWS = 50
LIST_ROWS = 25
_FORM_BYTES = 65_536  # of a request beside the file
MOST_REQUEST_BYTES = settings.BATCH_MOST_MEGABYTES * 1_048_576 + _FORM_BYTES
ACCEPT = ".csv,.xlsx,.ods,text/csv"  # a hint to the file chooser; the content decides
_TAGS = {"good": "ok", "same": "in", "conflict": "warn", "refused": "bad", "waiting": ""}
_PROBLEMS = ("conflict", "refused")
SHOWN: dict[str, tuple[Words, tuple[str, ...]]] = {
    "problems": (Words("要處理的"), _PROBLEMS),
    "good": (Words("可登錄"), ("good",)),
    "same": (Words("已登錄過"), ("same",)),
    "all": (Words("全部"), ("good", "same", *_PROBLEMS, "waiting")),
}


class UploadForm(Form):
    """A file, and what its rows are."""

    uid = forms.UUIDField(widget=forms.HiddenInput)
    kind = forms.ChoiceField(
        label=Words("檔案內容"), choices=[(kind.value, kind.label) for kind in Kind], widget=forms.RadioSelect
    )
    file = forms.FileField(
        label=Words("檔案"), allow_empty_file=True, widget=forms.FileInput(attrs={"accept": ACCEPT}),
        help_text=Sentence(
            "CSV（UTF-8 或 Big5）、XLSX 或 ODS，最大 {megabytes} MB、{rows} 列。",
            megabytes=settings.BATCH_MOST_MEGABYTES, rows=f"{settings.BATCH_MOST_ROWS:,}",
        ),
    )  # fmt: skip


class ColumnsForm(Form):
    """Which title of the file means which column."""

    def __init__(self, head: Head, kind: Kind, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        titles = [(str(place), title) for place, title in enumerate(head.titles) if title]
        needed = {name for names in ONE_OF[kind] for name in names}
        for column in COLUMNS[kind]:
            field = forms.ChoiceField(
                label=column.title, help_text=column.hint, required=False, choices=[("", _("檔案裡沒有")), *titles],
                initial=head.places.get(column.name),
            )  # fmt: skip
            self.fields[column.name] = shown(field, grow=True, asked=column.name in needed)

    @property
    def places(self) -> dict[str, int]:
        """Column → index of its title."""
        return {name: int(place) for name, place in self.cleaned_data.items() if place}


class RowForm(Form):
    """The cells of a row as they are."""

    all_optional = True  # what is missing is told by the rules

    def __init__(self, kind: Kind, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for column in COLUMNS[kind]:
            field = PlainTextField(
                label=column.title, help_text=column.hint, required=False, max_length=LONGEST_CELL,
                widget=forms.TextInput(attrs={"autocomplete": "off"}),
            )  # fmt: skip
            self.fields[column.name] = shown(field, grow=True, asked=not column.optional)


@dataclass(frozen=True)
class Reason:
    """One reason against a row: the column it belongs to, what stands there, and why not."""

    title: str
    value: str
    message: str


@dataclass(frozen=True)
class RowShown:
    """A row as pages show it."""

    line: int
    status: str
    label: str
    tag: str
    who: str
    cells: list[tuple[str, str]]
    reasons: list[Reason]


def _batch_or_404(request: Request, uid: UUID) -> Batch:
    batch = Batch.objects.filter(uid=uid, institution_id=request.desk.actor.at_institution()).first()
    if batch is None:
        raise Http404
    return batch


@needs(Permission.VISIT_RECORD)
@require_safe
def batch_list(request: Request) -> HttpResponse:
    """The institution's batches, the newest first."""
    batches = Batch.objects.filter(institution_id=request.desk.actor.at_institution()).select_related("uploaded_by")
    page = Paginator(batches.order_by("-uploaded_at", "-pk"), LIST_ROWS).get_page(request.GET.get("page"))
    return render(request, "batches/list.html", {"page": page})


@takes_files(MOST_REQUEST_BYTES)
@needs(Permission.VISIT_RECORD)
@require_http_methods(["GET", "HEAD", "POST"])
def batch_upload(request: Request) -> HttpResponse:
    """Send a file."""
    form = UploadForm(request.POST or None, request.FILES or None, initial={"uid": uuid4(), "kind": Kind.VISITS})
    if form.is_valid():
        data = form.cleaned_data
        try:
            batch = upload_batch(
                uid=data["uid"], kind=Kind(data["kind"]), content=data["file"].read(), by=request.desk.actor
            )
            return redirect("batch_show", batch.uid)
        except Refused as refused:
            add_problems(form, refused.problems)
    columns = [(kind, COLUMNS[kind]) for kind in Kind]
    context = {"form": form, "columns": columns}
    return render(request, "batches/upload.html", context, status=422 if form.errors else 200)


@needs(Permission.VISIT_RECORD)
@require_safe
def batch_sample(request: Request, kind: str, file_format: str) -> HttpResponse:
    """An empty file with the titles that are recognised."""
    which = Kind(kind)
    titles = [said(column.title) for column in COLUMNS[which]]
    return table_file(request, said(which.label), titles, [], f"{kind}-empty", file_format)


@needs(Permission.VISIT_RECORD)
@require_safe
def batch_show(request: Request, uid: UUID) -> HttpResponse:
    """Where a batch stands: how far the work is, what is asked, or what would come of every row. `show`: which rows."""
    batch = _batch_or_404(request, uid)
    if batch.state == Batch.State.ASKING:
        return _asking(request, batch, None)
    if batch.state == Batch.State.CHECKED:
        return _review(request, batch)
    return render(request, "batches/show.html", {"batch": batch, "problems": Head.of(batch).problems})


def _asking(request: Request, batch: Batch, form: ColumnsForm | None, status: int = 200) -> HttpResponse:
    head = Head.of(batch)
    form = form or ColumnsForm(head, Kind(batch.kind))
    samples = [[_masked(cell) for cell in line] for line in head.samples]
    journal.record("batch.read", record_type="batch", uids=[batch.uid])
    context = {"batch": batch, "form": form, "titles": head.titles, "samples": samples}
    return render(request, "batches/columns.html", context, status=status)


def _masked(cell: str) -> str:
    """A cell of which nobody has said yet what it is: a number that tells who somebody is is not shown whole."""
    return mask(cell) if len(cell) > 7 and cell.isascii() and cell.isalnum() else cell[:40]


@needs(Permission.VISIT_RECORD)
@require_POST
def batch_columns(request: Request, uid: UUID) -> HttpResponse:
    """Say which title means which column."""
    batch = _batch_or_404(request, uid)
    form = ColumnsForm(Head.of(batch), Kind(batch.kind), request.POST)
    if form.is_valid():
        try:
            choose_columns(batch=batch, places=form.places, by=request.desk.actor)
            return redirect("batch_show", batch.uid)
        except Refused as refused:
            add_problems(form, refused.problems)
    if batch.state != Batch.State.ASKING:
        return redirect("batch_show", batch.uid)
    return _asking(request, batch, form, status=422)


def _review(request: Request, batch: Batch, problems: Sequence[Problem] = (), status: int = 200) -> HttpResponse:
    rows = Row.objects.filter(batch=batch)
    counts = dict(rows.values_list("status").annotate(Count("pk")).order_by())
    asked = request.GET.get("show", "")
    wrong = sum(counts.get(one, 0) for one in _PROBLEMS)
    chosen = asked if asked in SHOWN else "problems" if wrong else "all"
    found = rows.filter(status__in=SHOWN[chosen][1]).order_by("line")
    page = Paginator(found, PAGE_ROWS).get_page(request.GET.get("page"))
    head = Head.of(batch)
    held = [open_row(row, batch) for row in page]
    cases = _cases(batch, [row.row for row in held])
    journal.record("batch.read", record_type="batch", uids=[batch.uid, *(case.uid for case in cases.values())])
    context = {
        "batch": batch, "page": page, "rows": [_shown(row, head, batch, cases) for row in held], "show": chosen,
        "filters": [(name, label, sum(counts.get(one, 0) for one in those)) for name, (label, those) in SHOWN.items()],
        "good": counts.get("good", 0), "same": counts.get("same", 0), "conflict": counts.get("conflict", 0),
        "refused": counts.get("refused", 0), "wrong": wrong, "problems": [*problems, *head.problems],
        "file_format": batch.file_format or "csv",
    }  # fmt: skip
    return render(request, "batches/review.html", context, status=status)


def _cases(batch: Batch, rows: Sequence[Row]) -> dict[int, Case]:
    """The cases of the persons that rows name, by person."""
    persons = {row.person_id for row in rows if row.person_id}
    cases = Case.objects.filter(institution_id=batch.institution_id, person_id__in=persons)
    return {case.person_id: case for case in cases}


def _shown(held: HeldRow, head: Head, batch: Batch, cases: dict[int, Case]) -> RowShown:
    cells = _texts(held, head)
    columns = {column.name: column for column in COLUMNS[Kind(batch.kind)]}
    seen = {name: _seen(column, text) for name, column in columns.items() if (text := cells.get(name))}
    case = cases.get(held.row.person_id or 0)
    reasons = []
    for problem in held.problems:
        column = columns.get(column_of(problem.field))
        title = column.title if column and not problem.message.startswith(f"「{column.title}」") else ""
        reasons.append(Reason(title, seen.get(column.name, "") if column else "", problem.message))
    return RowShown(
        held.row.line, held.row.status, Row.Status(held.row.status).label, _TAGS[held.row.status],
        case.called if case else "", [(columns[name].title, text) for name, text in seen.items()], reasons,
    )  # fmt: skip


def _seen(column: Column, text: str) -> str:
    """A cell as it is shown: a number that tells who somebody is masked, a day that is a mere number as it was read."""
    if column.secret:
        return mask(text)
    if column.read is day and is_serial(text):
        return f"{text} = {day_said(day(text))}"
    return _short(text)


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}…"


def _texts(held: HeldRow, head: Head) -> dict[str, str]:
    return {name: held.line[place] for name, place in head.places.items() if place < len(held.line)}


@needs(Permission.VISIT_RECORD)
@require_http_methods(["GET", "HEAD", "POST"])
def batch_row(request: Request, uid: UUID, line: int) -> HttpResponse:
    """Put a row right."""
    batch = _batch_or_404(request, uid)
    row = Row.objects.filter(batch=batch, line=line).first()
    if row is None:
        raise Http404
    head, kind = Head.of(batch), Kind(batch.kind)
    held = open_row(row, batch)
    if request.method != "POST":
        form = RowForm(kind, _texts(held, head))
        form.full_clean()
        form.errors.clear()
        add_problems(form, _at_columns(held.problems))
        return _row_page(request, batch, held, form)
    form = RowForm(kind, request.POST)
    if form.is_valid():
        try:
            held = amend_row(batch=batch, line=line, cells=form.cleaned_data, by=request.desk.actor)
        except Refused as refused:
            add_problems(form, refused.problems)
            return _row_page(request, batch, held, form, status=422)
        if not held.problems:
            words = {"n": line, "label": said(Row.Status(held.row.status).label)}
            messages.success(request, _("第 %(n)s 列已修改：%(label)s。") % words)
            return redirect("batch_show", batch.uid)
        messages.info(request, _("第 %(n)s 列已修改，還有下面的問題。") % {"n": line})
        add_problems(form, _at_columns(held.problems))
        return _row_page(request, batch, held, form)
    return _row_page(request, batch, held, form, status=422)


def _at_columns(problems: Sequence[Problem]) -> Iterator[Problem]:
    """The problems at the columns of the form."""
    for problem in problems:
        yield Problem(problem.code, problem.message, column_of(problem.field) or None, problem.policy)


def _row_page(request: Request, batch: Batch, held: HeldRow, form: RowForm, status: int = 200) -> HttpResponse:
    case = _cases(batch, [held.row]).get(held.row.person_id or 0)
    uids = [batch.uid, *([case.uid] if case else [])]
    journal.record("batch.read", record_type="batch", uids=uids, fields=["identity_number"])
    context = {"batch": batch, "form": form, "line": held.row.line, "case": case}
    return render(request, "batches/row.html", context, status=status)


@needs(Permission.VISIT_RECORD)
@require_POST
def batch_record(request: Request, uid: UUID) -> HttpResponse:
    """Record the rows that can be."""
    batch = _batch_or_404(request, uid)
    try:
        ask_recording(batch=batch, all_or_none="all_or_none" in request.POST, by=request.desk.actor)
    except Refused as refused:
        return _refused(request, batch, refused)
    return redirect("batch_show", batch.uid)


@needs(Permission.VISIT_RECORD)
@require_POST
def batch_give_up(request: Request, uid: UUID) -> HttpResponse:
    """Throw away what a batch holds."""
    batch = _batch_or_404(request, uid)
    try:
        give_up_batch(batch=batch, by=request.desk.actor)
    except Refused as refused:
        return _refused(request, batch, refused)
    messages.success(request, _("已放棄這個批次，檔案內容已清除。"))
    return redirect("batch_list")


def _refused(request: Request, batch: Batch, refused: Refused) -> HttpResponse:
    """The batch as it is, with why something was not done."""
    batch.refresh_from_db()
    if batch.state == Batch.State.CHECKED:
        return _review(request, batch, refused.problems, status=422)
    return render(request, "batches/show.html", {"batch": batch, "problems": refused.problems}, status=422)


@needs(Permission.VISIT_RECORD)
@require_safe
def batch_download(request: Request, uid: UUID, file_format: str) -> HttpResponse:
    """The rows that are not recorded, as they were sent, with what would come of each and why."""
    batch = _batch_or_404(request, uid)
    if batch.state != Batch.State.CHECKED:
        raise Http404
    head = Head.of(batch)
    columns = {column.name: column.title for column in COLUMNS[Kind(batch.kind)]}
    journal.record("batch.download", record_type="batch", uids=[batch.uid], fields=["identity_number", "download"])
    titles = [*head.titles, _("結果"), _("原因")]
    rows = Row.objects.filter(batch=batch).order_by("line").iterator()
    table = (_line(open_row(row, batch), head, columns) for row in rows)
    return table_file(request, said(batch.kind_label), titles, table, f"batch-{request.desk.today:%Y%m%d}", file_format)


def _line(held: HeldRow, head: Head, columns: dict[str, str]) -> list[Cell]:
    """A row of the file that is taken back."""
    reasons = []
    for problem in held.problems:
        name = column_of(problem.field)
        title = f"「{said(columns[name])}」" if name in columns else ""
        reasons.append(f"{title}{said(problem.message)}")
    padding = [""] * (len(head.titles) - len(held.line))
    return [*held.line, *padding, said(Row.Status(held.row.status).label), " ".join(reasons)]


def batches_waiting(desk: Desk) -> list[Batch]:
    """The institution's batches that wait for somebody's decision, for the first page."""
    actor = desk.actor
    if not actor.institution_id or not actor.may(Permission.VISIT_RECORD):
        return []
    waiting = Batch.objects.filter(institution_id=actor.institution_id, state__in=["asking", "checked"])
    return list(waiting.filter(kept_until__gt=desk.moment).order_by("kept_until")[:5])
