"""Settings of Quitledger: everything that differs between machines comes from the environment.

`quitledger` (the command) fills the environment from the data folder before Django reads this file; a server
sets the same variables by hand. What each variable means is said beside it and in README.md.
"""

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from csp.constants import NONE, SELF

PACKAGE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("QUITLEDGER_DATA") or PACKAGE.parent / ".data")


def database(url: str) -> dict[str, Any]:
    """Django's description of the PostgreSQL database at `url` (postgresql://user:password@host:port/name).

    What stands after a `?` is for the connection, e.g. sslmode=verify-full&sslrootcert=….
    """
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        # One connection a slot of the web server (ops.admission), kept: a pool would cost a check-out each request.
        # A connection that died is replaced by the request's own second try (portal.transactions).
        "CONN_MAX_AGE": None,
        # Statements are prepared by the server the sixth time and planned once: planning took as long as running them.
        # Not behind a pooler that hands a connection to another client after each transaction.
        "OPTIONS": {
            **dict(parse_qsl(parts.query)),
            "application_name": "quitledger",
            "client_encoding": "UTF8",
            "options": "-c plan_cache_mode=force_generic_plan",
            "prepare_threshold": 5,
            "server_side_binding": True,
        },
    }


# DATABASE_URL: the application role, owns nothing. DATABASE_OWNER_URL: the owner that migrates and loads; only the
# commands that need it run with QUITLEDGER_ROLE=owner.
_owner = os.environ.get("QUITLEDGER_ROLE") == "owner"
DATABASES = {"default": database(os.environ.get("DATABASE_OWNER_URL" if _owner else "DATABASE_URL", ""))}

# QUITLEDGER_SECRET_KEY: signs cookies; the command keeps one in the data folder.
SECRET_KEY = os.environ.get("QUITLEDGER_SECRET_KEY", "")
DEBUG = False
# QUITLEDGER_HOSTS: host names under which the site is reached, separated by commas.
ALLOWED_HOSTS = os.environ.get("QUITLEDGER_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
# QUITLEDGER_ORIGINS: https origins of a proxy in front, separated by commas.
CSRF_TRUSTED_ORIGINS = [origin for origin in os.environ.get("QUITLEDGER_ORIGINS", "").split(",") if origin]
# QUITLEDGER_HTTPS=1: the site is reached by https only (behind a proxy that sets X-Forwarded-Proto).
HTTPS = os.environ.get("QUITLEDGER_HTTPS") == "1"
# QUITLEDGER_PROXIES: how many proxies in front add the address of whoever asks them to X-Forwarded-For. Failed sign-ins
# are counted by address: with one too few, everybody has the proxy's; with one too many, whichever he likes.
ALLAUTH_TRUSTED_PROXY_COUNT = int(os.environ.get("QUITLEDGER_PROXIES") or (1 if HTTPS else 0))

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.forms",
    "quitledger.audit",
    "quitledger.accounts",
    "quitledger.institutions",
    "quitledger.cases",
    "quitledger.visits",
    "quitledger.corrections",
    "quitledger.batches",
    "quitledger.selfcheck",
    "quitledger.statistics",
    "quitledger.retention",
    "quitledger.portal",
    "quitledger.ops",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "procrastinate.contrib.django",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "quitledger.portal.headers.HeadersMiddleware",
    "quitledger.portal.headers.LengthMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "quitledger.portal.languages.LanguageMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "quitledger.portal.transactions.TransactionMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "quitledger.urls"
WSGI_APPLICATION = "quitledger.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "quitledger.portal.context.page",
            ],
            "builtins": ["django.templatetags.i18n", "quitledger.portal.templatetags.quitledger"],
        },
    }
]
FORM_RENDERER = "quitledger.portal.forms.Renderer"

LANGUAGE_CODE = "zh-hant"
LANGUAGES = [("zh-hant", "中文"), ("en", "English")]
LOCALE_PATHS = [PACKAGE / "locale"]
TIME_ZONE = "Asia/Taipei"
USE_TZ = True
DATA_UPLOAD_MAX_NUMBER_FIELDS = 500
# A file that is sent lies in memory, never unencrypted on a disk; how long it may be is asked before (LengthMiddleware).
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = 64 * 1_048_576

# A file that is recorded: how large (QUITLEDGER_BATCH_MEGABYTES) and how long (QUITLEDGER_BATCH_ROWS) it may be at most; and
# a list that is compared, which a page waits for.
BATCH_MOST_MEGABYTES = int(os.environ.get("QUITLEDGER_BATCH_MEGABYTES") or 32)
BATCH_MOST_ROWS = int(os.environ.get("QUITLEDGER_BATCH_ROWS") or 100_000)
COMPARISON_MOST_ROWS = int(os.environ.get("QUITLEDGER_COMPARISON_ROWS") or 20_000)

STATIC_URL = "/static/"
STATIC_ROOT = DATA / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MESSAGE_STORAGE = "quitledger.portal.headers.MessageStorage"
# Failed sign-ins are counted here, for all processes and machines alike; so many that none is dropped while it counts.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "accounts_attempt",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}
# QUITLEDGER_SMTP: the server that takes reminders, smtp://user:password@host:587 (STARTTLS) or smtps://…:465; without one
# they are printed. QUITLEDGER_MAIL_FROM: who sends them.
_smtp = urlsplit(os.environ.get("QUITLEDGER_SMTP", ""))
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if _smtp.hostname else 'console'}.EmailBackend"
EMAIL_HOST, EMAIL_PORT = _smtp.hostname or "", _smtp.port or 0
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(_smtp.username or ""), unquote(_smtp.password or "")
EMAIL_USE_TLS, EMAIL_USE_SSL = _smtp.scheme == "smtp" and bool(_smtp.username), _smtp.scheme == "smtps"
EMAIL_TIMEOUT = 30  # seconds
DEFAULT_FROM_EMAIL = os.environ.get("QUITLEDGER_MAIL_FROM", "quitledger@localhost")

# --- sign-in -------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["quitledger.accounts.sign_in.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("username", "display_name")},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "quitledger.accounts.passwords.KnownPasswordValidator"},
    {"NAME": "quitledger.accounts.passwords.ProgrammeWordsValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "quitledger.accounts.sign_in.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_USER_MODEL_EMAIL_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_NOTIFICATIONS = False
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
# Counted by account and by address; slows further tries down, never locks an account for good.
ACCOUNT_RATE_LIMITS = {
    "login": "60/m/ip",
    "login_failed": "20/m/ip,5/5m/key",
    "one_time_code": "20/m/ip,5/5m/key",
    "reauthenticate": "10/m/user",
    "change_password": "5/m/user",
}
# QUITLEDGER_SECOND_FACTOR=1: whoever has neither an authenticator app nor a passkey comes no further than to set one up.
SECOND_FACTOR_DEMANDED = os.environ.get("QUITLEDGER_SECOND_FACTOR") == "1"
MFA_ADAPTER = "quitledger.accounts.sign_in.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Quitledger"
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS

# --- the browser ---------------------------------------------------------------------------------------------------
SESSION_ENGINE = "quitledger.accounts.sessions"
SESSION_COOKIE_AGE = 60 * 60  # seconds without a request after which one signs in again
SESSION_LONGEST = 12 * 60 * 60  # seconds after the sign-in, however busy
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# With this prefix a browser takes a cookie from this host alone, over https, for every path.
_HOST = "__Host-" if HTTPS else ""
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = f"{_HOST}sessionid", f"{_HOST}csrftoken"
LANGUAGE_COOKIE_NAME, MESSAGES_COOKIE_NAME = f"{_HOST}language", f"{_HOST}messages"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]  # asked by machines: one that asks by http is not helped in silence to go on so
SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "quitledger.portal.refusals.csrf_failure"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "object-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}

# --- jobs ----------------------------------------------------------------------------------------------------------
PROCRASTINATE_ON_APP_READY = "quitledger.ops.jobs.register"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "quitledger.audit.log_lines.LineFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {"quitledger": {"level": "INFO"}, "django.request": {"level": "ERROR"}},
}
