"""django-allauth's sign-in in our words: its views and rules, our labels, messages and answers.

What a form refuses is answered with 422 like any form of ours; where too many tries were counted, with 429 and how long
to wait. Forms are given to the views in sign_in_urls.
"""

# mypy: allow-subclassing-any
# (allauth has no types)

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from http import HTTPStatus
from time import time
from typing import Any

from allauth.account import forms as account_forms
from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.flows.reauthentication import raise_if_reauthentication_required, suspend_request
from allauth.core import context
from allauth.core.exceptions import ReauthenticationRequired
from allauth.mfa.base import forms as code_forms
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes import forms as recovery_forms
from allauth.mfa.totp import forms as totp_forms
from allauth.mfa.webauthn import forms as passkey_forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.password_validation import get_default_password_validators
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe
from fido2.utils import websafe_decode
from fido2.webauthn import AuthenticatorData, CollectedClientData

from quitledger.accounts.models import User
from quitledger.accounts.services import end_sessions
from quitledger.accounts.sessions import sign_ins_of

from . import kept_forms
from .permissions import Access, View, signed_in, signed_in_so_far
from .refusals import longest_wait, minutes, note_refusal
from .transactions import Request

# allauth's error codes that we say in our own words
_WORDS: dict[str, Any] = {
    "username_password_mismatch": gettext_lazy("帳號或密碼不正確。"),
    "incorrect_password": gettext_lazy("密碼不正確。"),
    "enter_current_password": gettext_lazy("目前的密碼不正確。"),
    "incorrect_code": gettext_lazy("代碼不正確或已過期，請輸入最新的一組。"),
}
_ASKED = "signing"  # in the session: since when what waits for its signature
_TOO_MANY = ("too_many_login_attempts", "rate_limited")


def _our_words(error: ValidationError) -> ValidationError:
    if error.code in _TOO_MANY:
        words = _("嘗試的次數太多，請等 %(minutes)s 分鐘再試。帳號沒有被鎖定。")
        return ValidationError(words % {"minutes": minutes(longest_wait())}, code=error.code)
    return ValidationError(_WORDS[error.code], code=error.code) if error.code in _WORDS else error


class _OurWords:
    """A form of allauth whose fields are named by `labels` and `hints`, without placeholders, in our messages."""

    labels: dict[str, Any] = {}
    hints: dict[str, Any] = {}
    use_required_attribute = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():  # type: ignore[attr-defined]
            field.label = self.labels.get(name, field.label)
            field.help_text = self.hints.get(name, "")
            field.widget.attrs.pop("placeholder", None)
            field.error_messages = {**field.error_messages, "required": _("請填%(label)s。") % {"label": field.label}}

    def add_error(self, field: str | None, error: Any) -> None:
        if isinstance(error, ValidationError) and hasattr(error, "message"):
            error = _our_words(error)
        super().add_error(field, error)  # type: ignore[misc]


class SignInForm(_OurWords, account_forms.LoginForm):
    """帳號 and 密碼."""

    labels = {"login": gettext_lazy("帳號"), "password": gettext_lazy("密碼")}


class ReauthenticateForm(_OurWords, account_forms.ReauthenticateForm):
    """The password once more, before a change to the account."""

    labels = {"password": gettext_lazy("密碼")}


def _password_rules() -> str:
    shortest = max(getattr(rule, "min_length", 0) for rule in get_default_password_validators())
    return _("至少 %(n)s 個字元，不要用常見的密碼，也不要和帳號或姓名相近。") % {"n": shortest}


password_hint = lazy(_password_rules, str)()


class ChangePasswordForm(_OurWords, account_forms.ChangePasswordForm):
    """密碼變更."""

    labels = {
        "oldpassword": gettext_lazy("目前的密碼"),
        "password1": gettext_lazy("新密碼"),
        "password2": gettext_lazy("再輸入一次新密碼"),
    }
    hints = {"password1": password_hint}

    def clean_oldpassword(self) -> Any:
        # Read once more, locked: of two forms sent at once with the same old password, the second has the wrong one.
        self.user.password = User.objects.select_for_update().values_list("password", flat=True).get(pk=self.user.pk)
        return super().clean_oldpassword()

    def save(self) -> None:
        # Only this column: the application role may write no other of an account.
        self.user.set_password(self.cleaned_data["password1"])
        self.user.save(update_fields=["password"])


class _Code(_OurWords):
    labels = {"code": gettext_lazy("代碼")}
    hints = {"code": gettext_lazy("驗證器 App 顯示的 6 位數代碼，或一組復原代碼")}


class CodeForm(_Code, code_forms.AuthenticateForm):
    """The second step of a sign-in."""


class ReauthenticateCodeForm(_Code, code_forms.ReauthenticateForm):
    """A code, before a change to the account."""


class ActivateAppForm(_OurWords, totp_forms.ActivateTOTPForm):
    """The first code of an authenticator app."""

    labels = {"code": gettext_lazy("代碼")}
    hints = {"code": gettext_lazy("驗證器 App 顯示的 6 位數代碼")}


class DeactivateAppForm(_OurWords, totp_forms.DeactivateTOTPForm):
    """No field: whether the app may be given up."""


class RecoveryCodesForm(_OurWords, recovery_forms.GenerateRecoveryCodesForm):
    """No field: whether codes may be made."""


class _Passkey(_OurWords):
    """What a passkey sends is a browser's own doing: whatever is wrong with it is one sentence."""

    def clean(self) -> Any:
        try:
            return super().clean()  # type: ignore[misc]
        except ValidationError as error:
            raise self._unreadable() if error.code == "incorrect_code" else error from None
        except (TypeError, ValueError, KeyError, AttributeError):
            raise self._unreadable() from None

    def clean_credential(self) -> Any:
        try:
            self.check_sent(self.cleaned_data["credential"]["response"])  # type: ignore[attr-defined]
            checked = getattr(super(), "clean_credential", None)
            return checked() if checked else self.cleaned_data["credential"]  # type: ignore[attr-defined]
        except ValidationError as error:
            raise self._unreadable() if error.code == "incorrect_code" else error from None
        except (TypeError, ValueError, KeyError, AttributeError):
            raise self._unreadable() from None

    def check_sent(self, response: dict[str, Any]) -> None:
        """Raise ValidationError unless a page of this very origin asked for it, in no frame of another's.

        allauth asks for the name of the site alone, and over http for nothing: a page at another port, or of a host
        below ours, would do.
        """
        request = context.request
        ours = {f"{request.scheme}://{request.get_host()}", *settings.CSRF_TRUSTED_ORIGINS}
        said = CollectedClientData(websafe_decode(response["clientDataJSON"]))
        if said.origin not in ours or said.cross_origin:
            raise self._unreadable()

    @staticmethod
    def _unreadable() -> ValidationError:
        return ValidationError(_("這把密碼金鑰無法驗證，請再試一次或改用密碼。"), code="passkey")


class PasskeySignInForm(_Passkey, passkey_forms.LoginWebAuthnForm):
    """Sign-in with a passkey alone."""

    def check_sent(self, response: dict[str, Any]) -> None:
        """Also: the device asked who holds it. A key that lay about, good as a second step, is not enough.

        (allauth asks for what the page demanded, which may have been that of the second step.)
        """
        super().check_sent(response)
        if not AuthenticatorData(websafe_decode(response["authenticatorData"])).is_user_verified():
            raise self._unreadable()


class PasskeyStepForm(_Passkey, passkey_forms.AuthenticateWebAuthnForm):
    """A passkey as the second step."""


class ReauthenticatePasskeyForm(_Passkey, passkey_forms.ReauthenticateWebAuthnForm):
    """A passkey, before a change to the account."""


class AddPasskeyForm(_Passkey, passkey_forms.AddWebAuthnForm):
    """A new passkey and its name."""

    labels = {"name": gettext_lazy("名稱"), "passwordless": gettext_lazy("可以只用這把密碼金鑰登入，不必輸入密碼")}
    hints = {
        "name": gettext_lazy("例：辦公室電腦、我的手機"),
        "passwordless": gettext_lazy("裝置會要求指紋、臉部或 PIN 碼。"),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].max_length = 60
        self.fields["passwordless"].initial = True

    def clean(self) -> Any:
        """Also: a passkey is added once. Of two forms sent at once, the second waits for the account and finds it."""
        cleaned = super().clean()
        if credential := self.cleaned_data.get("credential"):
            User.objects.select_for_update(no_key=True).only("pk").get(pk=self.user.pk)
            if Authenticator.objects.filter(user=self.user, data__credential__id=credential["id"]).exists():
                raise self._unreadable()
        return cleaned


class RenamePasskeyForm(_OurWords, passkey_forms.EditWebAuthnForm):
    """Another name for a passkey."""

    labels = {"name": gettext_lazy("名稱")}


def _status_of(form: Any) -> HTTPStatus:
    """Of a form that was refused: too many tries, or something to be corrected."""
    errors = [error for found in form.errors.as_data().values() for error in found] if form is not None else []
    counted = any(error.code in _TOO_MANY for error in errors)
    return HTTPStatus.TOO_MANY_REQUESTS if counted else HTTPStatus.UNPROCESSABLE_ENTITY


def sign_in_again(request: HttpRequest) -> HttpResponse:
    """On to proving once more who one is; what was sent is sent again after that."""
    ways = get_adapter().get_reauthentication_methods(request.user)
    answer: HttpResponse = suspend_request(request, ways[0]["url"] if ways else reverse("account_login"))
    return answer


def proved_again(request: HttpRequest, what: str) -> bool:
    """True when whoever signs has proved who he is since he asked to sign this very thing. (Asks it to be kept.)"""
    asked = request.session.get(_ASKED, {})
    proofs = [one for one in get_authentication_records(request, request.user) if one.get("reauthenticated")]
    if what in asked and proofs and proofs[-1]["at"] >= asked[what]:
        request.session[_ASKED] = {}
        return True
    request.session[_ASKED] = {what: time()}
    return False


def serve(view: Callable[..., Any], needs: Access) -> View:
    """One view of allauth as a page of ours: who may open it, 422 for a refused form, the way to re-authentication.

    (Its middleware would turn ReauthenticationRequired into that way, but our transaction runs the view before that.)
    """

    @wraps(view)
    def served(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response: HttpResponse = view(request, *args, **kwargs)
        except ReauthenticationRequired:
            return sign_in_again(request)
        if (
            isinstance(response, TemplateResponse)
            and request.method == "POST"
            and response.status_code == HTTPStatus.OK
        ):
            response.status_code = _status_of((response.context_data or {}).get("form"))
            if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
                note_refusal(request, response.status_code)
        return response

    if needs is Access.SIGNED_IN:
        return signed_in_so_far(served)
    served.needs = needs  # type: ignore[attr-defined]
    return served


def with_password(view: Callable[..., Any]) -> Callable[..., Any]:
    """An account that has no password (yet) cannot change it: it is given one by whoever gives accounts."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.user.is_authenticated and not request.user.has_usable_password():
            messages.error(request, _("這個帳號還沒有密碼。請洽貴機構業務主管或管理窗口設定。"))
            return redirect("mfa_index")
        return view(request, *args, **kwargs)

    return checked


def with_new_key(view: Callable[..., Any]) -> Callable[..., Any]:
    """Whoever has proved once more who he is goes on under another session key: one seen before is worth nothing."""

    @wraps(view)
    def keyed(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        response = view(request, *args, **kwargs)
        if request.method == "POST" and response.status_code == HTTPStatus.FOUND:
            request.session.cycle_key()
        return response

    return keyed


def with_clean_browser(view: Callable[..., Any]) -> Callable[..., Any]:
    """After signing out the browser forgets what it kept of our pages. (Over https; others ignore it.)"""

    @wraps(view)
    def cleaned(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        response = view(request, *args, **kwargs)
        if request.method == "POST":
            response["Clear-Site-Data"] = '"cache", "storage"'
        return response

    return cleaned


@require_http_methods(["GET", "HEAD", "POST"])
def account_sessions(request: Request) -> HttpResponse:
    """登入中的裝置: where this account is signed in; POST: everywhere but here no longer, after the password once more."""
    user: Any = request.user
    here = request.session.session_key
    if request.method == "POST":
        raise_if_reauthentication_required(request, app="quitledger")
        ended = end_sessions(user, by=request.desk.actor, but=here)
        messages.success(request, _("已結束其他 %(n)s 處的登入。") % {"n": ended})
        return redirect("account_sessions")
    shift = request.desk.moment - datetime.now(UTC)  # of the clock of a demo: this page shows its time, like all
    found = [(one.began + shift, one.used + shift, one.here) for one in sign_ins_of(user, here)]
    return render(request, "account/sessions.html", {"sign_ins": found})


@signed_in
@require_safe
def resume(request: HttpRequest) -> HttpResponse:
    """After signing in again: the form that was kept, ready to be sent once more; without one, the home page."""
    kept = kept_forms.take(request)
    if kept is None:
        return redirect("home")
    path, pairs = kept
    return render(request, "kept_form.html", {"path": path, "pairs": pairs})
