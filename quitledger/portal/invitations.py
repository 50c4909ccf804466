"""One's own account: setting the password with a one-time code, and seeing what somebody else did to it."""

from typing import Any, cast

from allauth.core import ratelimit
from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from quitledger.accounts.models import Notice, User
from quitledger.accounts.services import accept_code, see_notices
from quitledger.accounts.sign_in import CODE_TRIES, tries_key
from quitledger.policy.problem import Refused

from .forms import Form, PlainTextField, add_problems, shown
from .permissions import public, signed_in
from .refusals import longest_wait, minutes, note_refusal
from .sign_in import password_hint
from .signals import SESSION_NOTICES
from .transactions import Request


def _password_field(label: Any, hint: Any = "") -> forms.CharField:
    widget = forms.PasswordInput(attrs={"autocomplete": "new-password"})
    return forms.CharField(label=label, help_text=hint, widget=widget, strip=False)


class AcceptForm(Form):
    """A slip and the password chosen."""

    username = shown(PlainTextField(label=gettext_lazy("帳號"), max_length=60), grow=True)
    code = shown(
        PlainTextField(
            label=gettext_lazy("一次性代碼"), help_text=gettext_lazy("單子上的 12 碼，可不打連字號，不分大小寫"), max_length=40
        ),
        grow=True,
    )  # fmt: skip
    password = _password_field(gettext_lazy("新密碼"), password_hint)
    again = _password_field(gettext_lazy("再輸入一次新密碼"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].widget.attrs["autocomplete"] = "username"
        self.fields["code"].widget.attrs["autocomplete"] = "one-time-code"

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("password") and data.get("again") and data["password"] != data["again"]:
            self.add_error("again", _("兩次輸入的新密碼不同。"))
        return data


@never_cache
@sensitive_post_parameters("code", "password", "again")
@public
@require_http_methods(["GET", "HEAD", "POST"])
def account_accept(request: Request) -> HttpResponse:
    """Set the password of an invited account, or of one whose password was reset, then go on to signing in."""
    form = AcceptForm(request.POST if request.method == "POST" else None)
    status = 200
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        if not ratelimit.consume(request, action=CODE_TRIES, key=tries_key(data["username"])):
            words = _("嘗試的次數太多，請等 %(minutes)s 分鐘再試。帳號沒有被鎖定。") % {
                "minutes": minutes(longest_wait())
            }
            form.add_error(None, ValidationError(words))
            status = 429
            note_refusal(request, status)
        else:
            try:
                accept_code(
                    username=data["username"], code=data["code"], password=data["password"], moment=request.desk.moment
                )
            except Refused as refused:
                add_problems(form, refused.problems)
            else:
                messages.success(request, _("密碼已設定。請用帳號和新密碼登入。"))
                return redirect("account_login")
    if form.errors and status == 200:
        status = 422
    return render(request, "account/accept.html", {"form": form}, status=status)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def account_notices(request: Request) -> HttpResponse:
    """What somebody else did to one's means to sign in; POST: seen."""
    if request.method == "POST":
        see_notices(cast(User, request.user), moment=request.desk.moment, by=request.desk.actor)
        request.session.pop(SESSION_NOTICES, None)
        return redirect("home")
    notices = (
        Notice.objects.filter(user_id=request.desk.actor.account_id or 0).select_related("by").order_by("-at")[:20]
    )
    return render(request, "account/notices.html", {"notices": notices, "unseen": any(not n.seen_at for n in notices)})
