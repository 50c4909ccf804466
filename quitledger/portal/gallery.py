"""元件一覽: every component of the pages in every state, from the templates that the pages use. For whoever builds them;
in demo and test databases only."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django import forms
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from quitledger.policy.sentences import Words
from quitledger.visits.rules import Timeliness

from .forms import ClockField, Form, PlainTextField, RocDateField, WholeNumberField, shown
from .permissions import signed_in
from .transactions import Request

_CHOICES = [("first", Words("用藥")), ("second", Words("衛教"))]
_TAGS = ("ok", "in", "warn", "bad", "late", "")


class GalleryForm(Form):
    """A field of every kind."""

    name = shown(PlainTextField(label=Words("姓名"), max_length=60), width="l")
    day = shown(RocDateField(label=Words("就醫日期"), help_text=Words("例：114/4/1 或 1140401")), width="m")
    time = shown(ClockField(label=Words("就醫時間"), required=False), width="m")
    number = shown(
        WholeNumberField(label=Words("平均每日支數"), required=False), unit=Words("支"), width="s", asked=True
    )
    note = shown(PlainTextField(label=Words("備註"), lines=True, required=False), grow=True)
    choice = shown(forms.ChoiceField(label=Words("服務"), choices=[("", Words("請選擇")), *_CHOICES]), grow=True)
    radio = forms.ChoiceField(label=Words("衛教方式"), choices=_CHOICES, widget=forms.RadioSelect)
    several = forms.MultipleChoiceField(
        label=Words("本次服務"), help_text=Words("可同時選取"), choices=_CHOICES, widget=forms.CheckboxSelectMultiple
    )
    check = forms.BooleanField(label=Words("目前懷孕"), required=False)
    secret = forms.CharField(label=Words("密碼"), widget=forms.PasswordInput)
    file = forms.FileField(label=Words("檔案"))


@dataclass(frozen=True)
class _Message:
    level_tag: str
    words: Words

    def __str__(self) -> str:
        return self.words


@signed_in
@require_safe
def component_gallery(request: Request) -> HttpResponse:
    """Every component in every state; the ends of a list by its pager (`page`)."""
    if request.desk.purpose == "production":
        raise Http404
    now = request.desk.moment
    wrong = GalleryForm({"name": "\x07", "day": "114/2/30", "time": "25:00", "number": "-1", "radio": "x", "choice": "x"},
                        auto_id="wrong_%s")  # fmt: skip
    filled: dict[str, Any] = {
        "name": "示範甲", "day": request.desk.today, "number": 20, "choice": "first", "radio": "second", "several": ["first"],
        "check": True,
    }  # fmt: skip
    levels = {
        "success": Words("已新增。"),
        "info": Words("沒有變更。"),
        "warning": Words("已到期"),
        "error": Words("密碼不正確。"),
    }
    context = {
        "empty": GalleryForm(auto_id="empty_%s"), "filled": GalleryForm(initial=filled, auto_id="filled_%s"), "wrong": wrong,
        "tags": _TAGS, "timeliness": list(Timeliness), "now": now, "opens_on": request.desk.today - timedelta(days=20),
        "moments": [now + timedelta(days=19), now + timedelta(hours=30), now + timedelta(minutes=5), now - timedelta(days=1)],
        "page": Paginator(range(200), 10).get_page(request.GET.get("page", "10")),
        "facts": [(Words("姓名"), "示範甲"), (Words("地址"), "")],
        "said": [_Message(level, words) for level, words in levels.items()],
    }  # fmt: skip
    return render(request, "gallery.html", context)
