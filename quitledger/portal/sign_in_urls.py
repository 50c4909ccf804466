"""The addresses of signing in, one by one: what is not listed here (signing up, e-mail, password by e-mail) is not served."""

from allauth.account import views as account
from allauth.mfa.base import views as second_factor
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as passkey
from django.urls import path, reverse_lazy
from django.utils.translation import gettext_lazy as _

from . import sign_in
from .permissions import Access
from .sign_in import serve

PUBLIC, SIGNED_IN = Access.PUBLIC, Access.SIGNED_IN

step = second_factor.AuthenticateView.as_view(form_class=sign_in.CodeForm, webauthn_form_class=sign_in.PasskeyStepForm)
change_password = sign_in.with_password(
    account.PasswordChangeView.as_view(
        form_class=sign_in.ChangePasswordForm,
        success_url=reverse_lazy("mfa_index"),
        extra_context={"here": _("變更密碼")},
    )
)
generate_codes = recovery_codes.GenerateRecoveryCodesView.as_view(
    form_class=sign_in.RecoveryCodesForm, extra_context={"here": _("產生新的復原代碼")}
)

urlpatterns = [
    path(
        "login",
        serve(account.LoginView.as_view(form_class=sign_in.SignInForm, extra_context={"verb": _("登入")}), PUBLIC),
        name="account_login",
    ),
    path(
        "login/passkey",
        serve(passkey.LoginWebAuthnView.as_view(form_class=sign_in.PasskeySignInForm), PUBLIC),
        name="mfa_login_webauthn",
    ),
    path("login/code", serve(step, PUBLIC), name="mfa_authenticate"),
    path("inactive", serve(account.AccountInactiveView.as_view(), PUBLIC), name="account_inactive"),
    path("logout", serve(sign_in.with_clean_browser(account.LogoutView.as_view()), PUBLIC), name="account_logout"),
    path(
        "confirm/password",
        serve(
            sign_in.with_new_key(account.ReauthenticateView.as_view(form_class=sign_in.ReauthenticateForm)), SIGNED_IN
        ),
        name="account_reauthenticate",
    ),
    path(
        "confirm/code",
        serve(
            sign_in.with_new_key(second_factor.ReauthenticateView.as_view(form_class=sign_in.ReauthenticateCodeForm)),
            SIGNED_IN,
        ),
        name="mfa_reauthenticate",
    ),
    path(
        "confirm/passkey",
        serve(
            sign_in.with_new_key(
                passkey.ReauthenticateWebAuthnView.as_view(form_class=sign_in.ReauthenticatePasskeyForm)
            ),
            SIGNED_IN,
        ),
        name="mfa_reauthenticate_webauthn",
    ),
    path("password", serve(change_password, SIGNED_IN), name="account_change_password"),
    path("security/sessions", serve(sign_in.account_sessions, SIGNED_IN), name="account_sessions"),
    path("security", serve(second_factor.IndexView.as_view(), SIGNED_IN), name="mfa_index"),
    path(
        "security/app/add",
        serve(
            totp.ActivateTOTPView.as_view(
                form_class=sign_in.ActivateAppForm, extra_context={"here": _("啟用驗證器 App")}
            ),
            SIGNED_IN,
        ),
        name="mfa_activate_totp",
    ),
    path(
        "security/app/remove",
        serve(
            totp.DeactivateTOTPView.as_view(
                form_class=sign_in.DeactivateAppForm, extra_context={"here": _("停用驗證器 App")}
            ),
            SIGNED_IN,
        ),
        name="mfa_deactivate_totp",
    ),
    path(
        "security/recovery-codes",
        serve(recovery_codes.ViewRecoveryCodesView.as_view(extra_context={"here": _("復原代碼")}), SIGNED_IN),
        name="mfa_view_recovery_codes",
    ),
    path("security/recovery-codes/new", serve(generate_codes, SIGNED_IN), name="mfa_generate_recovery_codes"),
    path(
        "security/passkeys",
        serve(passkey.ListWebAuthnView.as_view(extra_context={"here": _("密碼金鑰")}), SIGNED_IN),
        name="mfa_list_webauthn",
    ),
    path(
        "security/passkeys/add",
        serve(
            passkey.AddWebAuthnView.as_view(
                form_class=sign_in.AddPasskeyForm, extra_context={"here": _("新增密碼金鑰")}
            ),
            SIGNED_IN,
        ),
        name="mfa_add_webauthn",
    ),
    path(
        "security/passkeys/<int:pk>/rename",
        serve(
            passkey.EditWebAuthnView.as_view(
                form_class=sign_in.RenamePasskeyForm, extra_context={"here": _("密碼金鑰改名")}
            ),
            SIGNED_IN,
        ),
        name="mfa_edit_webauthn",
    ),
    path(
        "security/passkeys/<int:pk>/remove",
        serve(passkey.RemoveWebAuthnView.as_view(extra_context={"here": _("移除密碼金鑰")}), SIGNED_IN),
        name="mfa_remove_webauthn",
    ),
]
