"""公布版本: the annual tables frozen, looked at before and after, and taken away as files; figures of now as files, too."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from quitledger.accounts.permissions import Permission
from quitledger.interop.annual_file import FORMATS, AnnualFile, dictionary_file
from quitledger.policy.problem import Refused
from quitledger.policy.roc_formats import ROC_EPOCH
from quitledger.policy.sentences import Words
from quitledger.statistics.measures import Basis
from quitledger.statistics.models import Publication
from quitledger.statistics.reports import BASES, Comparison, Report, compare
from quitledger.statistics.rules import NOTE_LENGTH
from quitledger.statistics.services import Prepared, Stale, prepare_publication, publications, publish, report_of

from .downloads import MADE_UP
from .figures import BasisForm, years
from .forms import Form, PlainTextField, RocDateField, add_problems, shown
from .languages import moment_said
from .permissions import needs
from .transactions import Request, one_snapshot

NOT_INTACT = Words("內容與公布時記下的指紋不符：資料庫裡的這一版被改過，請勿引用，並通知系統管理者。")


# --- Publications --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Version:
    """A publication as pages show it."""

    publication: Publication

    @property
    def basis_label(self) -> Words:
        """Whose contract counts."""
        return BASES[Basis(self.publication.basis)]

    @cached_property
    def comparison(self) -> Comparison | None:
        """With the version before."""
        before = self.publication.previous
        return compare(before.report, self.publication.report) if before else None


@needs(Permission.STATISTICS_READ)
@require_safe
def publication_list(request: Request) -> HttpResponse:
    """What has been published of all years, and what may be next."""
    versions = [Version(one) for one in publications(by=request.desk.actor)]
    return render(
        request,
        "statistics/publications.html",
        {"versions": versions, "years": [(one, one + ROC_EPOCH) for one in years(request.desk.today)[:6]]},
    )


@needs(Permission.STATISTICS_READ)
@require_safe
@one_snapshot
def publication_show(request: Request, publication: UUID) -> HttpResponse:
    """One publication, as it was frozen, and whether the records say something else by now."""
    one = _publication_or_404(request, publication)
    report, by = one.report, request.desk.actor
    now = report_of(report.period, basis=report.basis, by=by)
    others = publications(by=by).filter(year=one.year, basis=one.basis)
    context = {
        "version": Version(one), "one": one, "report": report, "since": compare(report, now), "not_intact": NOT_INTACT,
        "later": others.filter(number__gt=one.number).first(), "formats": [(ending, ending.upper()) for ending in FORMATS],
    }  # fmt: skip
    return render(request, "statistics/publication.html", context)


@needs(Permission.STATISTICS_READ)
@require_safe
def publication_download(request: Request, publication: UUID, file_format: str) -> HttpResponse:
    """A publication as a file; as JSON, the very text whose SHA-256 is its fingerprint."""
    return _answer(_file_of(request, _publication_or_404(request, publication)), file_format)


@needs(Permission.STATISTICS_READ)
@require_safe
def publication_dictionary(request: Request, publication: UUID) -> HttpResponse:
    """欄位說明 of the CSV."""
    return _dictionary(_file_of(request, _publication_or_404(request, publication)))


def _publication_or_404(request: Request, uid: UUID) -> Publication:
    found = publications(by=request.desk.actor).filter(uid=uid).first()
    if found is None:
        raise Http404
    return found


def _file_of(request: Request, one: Publication) -> AnnualFile:
    return AnnualFile(
        one.report, (*_made_up(request), *([] if one.is_intact else [str(NOT_INTACT)])), one.called, one.content,
        one.fingerprint, one.published_at, one.note, Version(one).comparison, one.previous.report if one.previous else None,
    )  # fmt: skip


def _made_up(request: Request) -> tuple[str, ...]:
    return (MADE_UP[request.desk.purpose],) if request.desk.purpose in MADE_UP else ()


# --- Publishing ----------------------------------------------------------------------------------------------------------


class AskedForm(BasisForm):
    """What is to be published of a year; up to which day is for the rules to say."""

    until = shown(
        RocDateField(label=Words("統計到"), required=False, help_text=Words("不填就是全年；還沒過完的年度到今天")),
        width="m",
    )


class PublishForm(Form):
    """The form's own number, what was looked at, and why there is a new version."""

    uid = forms.UUIDField(widget=forms.HiddenInput)
    seen = forms.CharField(widget=forms.HiddenInput, max_length=64)
    note = shown(
        PlainTextField(
            label=Words("公布說明"), help_text=Words("為什麼公布新版本。會和版本一起公開，請勿寫姓名、證號。"), max_length=NOTE_LENGTH,
            lines=True, required=False,
        ),
        grow=True, asked=True,
    )  # fmt: skip


@needs(Permission.STATISTICS_PUBLISH)
@require_http_methods(["GET", "HEAD", "POST"])
@one_snapshot
def statistics_publish(request: Request, year: int) -> HttpResponse:
    """Look at what would be frozen and at what differs from the version before; then freeze it."""
    if year not in years(request.desk.today):
        raise Http404
    asked = AskedForm((request.POST if request.method == "POST" else request.GET) or {"basis": Basis.ANY_DAY})
    if not asked.is_valid():
        return _review(request, year, asked, status=422)
    what: dict[str, Any] = {
        "year": year, "basis": asked.basis_asked, "until": asked.cleaned_data["until"]
    }  # fmt: skip
    form = PublishForm(request.POST) if request.method == "POST" else None
    if form is not None and form.is_valid():
        try:
            done = publish(**what, **form.cleaned_data, by=request.desk.actor)
        except Stale:
            message = _("還沒公布：您看過之後，數字、定義或前一版有變動。下面是現在的內容，請看過再公布。")
            messages.error(request, message)
            return _review(request, year, asked, what, note=form.cleaned_data["note"], status=409)
        except Refused as refused:
            add_problems(form, refused.problems)
        else:
            return _published(request, done.publication, repeated=done.repeated)
    return _review(request, year, asked, what, form, status=422 if form is not None else 200)


def _published(request: Request, one: Publication, *, repeated: bool) -> HttpResponse:
    if repeated:
        said = {"called": one.called, "at": moment_said(one.published_at)}
        messages.info(request, _("%(called)s 已於 %(at)s 公布，沒有重複公布。") % said)
    else:
        messages.success(
            request, _("已公布 %(called)s。它不會再改變；之後的更正請公布新版本。") % {"called": one.called}
        )
    return redirect("publication_show", one.uid)


def _review(
    request: Request, year: int, asked: AskedForm, what: dict[str, Any] | None = None, form: PublishForm | None = None,
    *, note: str = "", status: int = 200,
) -> HttpResponse:  # fmt: skip
    prepared: Prepared | None = None
    if what is not None:
        try:
            prepared = prepare_publication(**what, by=request.desk.actor)
        except Refused as refused:
            add_problems(asked, refused.problems)
            form, status = None, 422
    if prepared and form is None:
        form = PublishForm(initial={"uid": uuid4(), "seen": prepared.report.looked_at, "note": note})
    context = {
        "asked": asked, "form": form, "prepared": prepared, "year": year, "ad_year": year + ROC_EPOCH,
        "before": Version(prepared.previous) if prepared and prepared.previous else None,
    }  # fmt: skip
    return render(request, "statistics/publish.html", context, status=status)


# --- Figures of now ------------------------------------------------------------------------------------------------------


@needs(Permission.STATISTICS_READ)
@require_safe
@one_snapshot
def annual_download(request: Request, year: int, file_format: str) -> HttpResponse:
    """The figures of a year as they are now, in the same files as a publication's."""
    return _answer(_file_of_now(request, year), file_format)


@needs(Permission.STATISTICS_READ)
@require_safe
@one_snapshot
def annual_dictionary(request: Request, year: int) -> HttpResponse:
    """欄位說明 of the CSV."""
    return _dictionary(_file_of_now(request, year))


def _file_of_now(request: Request, year: int) -> AnnualFile:
    return AnnualFile(_report_of_now(request, year), _made_up(request))


def _report_of_now(request: Request, year: int) -> Report:
    form = BasisForm(request.GET or {"basis": Basis.ANY_DAY})
    period = form.period(year, request.desk.today) if year in years(request.desk.today) and form.is_valid() else None
    if period is None:
        raise Http404
    return report_of(period, basis=form.basis_asked, by=request.desk.actor)


# --- Files ---------------------------------------------------------------------------------------------------------------


def _answer(file: AnnualFile, file_format: str) -> HttpResponse:
    kind, made = FORMATS[file_format]
    return _to_take_away(made(file), kind, f"{file.name}.{file_format}")


def _dictionary(file: AnnualFile) -> HttpResponse:
    return _to_take_away(dictionary_file(file), FORMATS["csv"][0], f"{file.name}-dictionary.csv")


def _to_take_away(content: bytes, kind: str, name: str) -> HttpResponse:
    return HttpResponse(content, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
