"""The addresses of the site; nothing here needs a database."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from quitledger.accounts.permissions import Permission
from quitledger.portal.permissions import Access


def addresses(patterns: list[Any], before: str = "") -> Iterator[tuple[str, URLPattern]]:
    for one in patterns:
        if isinstance(one, URLResolver):
            yield from addresses(one.url_patterns, before + str(one.pattern))
        else:
            yield before + str(one.pattern), one


ALL = dict(addresses(get_resolver().url_patterns))


@pytest.mark.parametrize("address", ALL)
def test_every_page_says_who_may_open_it(address: str) -> None:
    assert isinstance(ALL[address].callback.needs, Access | Permission)


def test_every_page_has_a_name_of_its_own() -> None:
    names = [one.name for one in ALL.values()]
    assert None not in names
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "name",
    ["account_signup", "account_email", "account_reset_password", "account_set_password", "account_request_login_code"],
)
def test_signing_up_and_passwords_by_e_mail_are_not_served(name: str) -> None:
    with pytest.raises(NoReverseMatch):
        reverse(name)


def test_no_address_asks_for_an_identity_number() -> None:
    assert not [address for address in ALL if "national_id" in address or "identity_no" in address]
