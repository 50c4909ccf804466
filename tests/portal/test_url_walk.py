"""Every address × everybody × GET and POST, against one table of who may."""

import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from quitledger.accounts.permissions import Permission
from quitledger.accounts.scope import scoped
from quitledger.portal.permissions import Access

from .. import world
from .conftest import Browser, visit_fields, visit_page

CASE = {"uid": world.uid(f"case 示範甲 {world.CLINIC}")}
VISIT = {"uid": world.uid("visit of the walk")}
PASSKEY = {"pk": 1}

INSTITUTION = {"recorder", "colleague", "supervisor"}
ELSEWHERE = {"stranger"}
DESK = {"desk_officer", "desk_supervisor"}
OUTSIDE = {"nowhere", "analyst", "administrator"}
EVERYBODY = INSTITUTION | ELSEWHERE | DESK | OUTSIDE

# address → (what it needs, its arguments, answers to GET, answers to POST of whoever may: a POST with no fields)
TABLE: dict[str, tuple[Access | Permission, dict[str, Any], set[int], set[int]]] = {
    "home": (Access.SIGNED_IN, {}, {200}, {405}),
    "switch_institution": (Access.SIGNED_IN, {}, {200}, {302}),
    "case_find": (Permission.CASE_READ, {}, {200}, {200}),
    "case_register": (Permission.CASE_REGISTER, {}, {200}, {200}),
    "case_show": (Permission.CASE_READ, CASE, {200}, {405}),
    "case_identity": (Permission.IDENTITY_SHOW, CASE, {405}, {200}),
    "baseline_record": (Permission.BASELINE_RECORD, CASE, {200}, {200}),
    "visit_record": (Permission.VISIT_RECORD, CASE, {200}, {422}),
    "visit_query": (Permission.VISIT_READ, {}, {200}, {302}),
    "visit_show": (Permission.VISIT_READ, VISIT, {200}, {405}),
    "visit_download": (Permission.VISIT_DOWNLOAD, {"file_format": "json"}, {200}, {405}),
    "window_list": (Access.SIGNED_IN, {}, {200}, {405}),
    "window_extend": (Permission.WINDOW_EXTEND, {}, {200}, {200}),
    "policy_list": (Access.PUBLIC, {}, {200}, {405}),
    "policy_show": (Access.PUBLIC, {"name": "visit_spacing_days"}, {200}, {405}),
    "help_connection": (Access.PUBLIC, {}, {200}, {405}),
    "healthz": (Access.PUBLIC, {}, {200}, {405}),
}


def patterns(resolver: URLResolver | None = None) -> Iterator[URLPattern]:
    for pattern in (resolver or get_resolver()).url_patterns:
        if isinstance(pattern, URLResolver):
            yield from patterns(pattern)
        else:
            yield pattern


@pytest.fixture
def world_with_a_visit(browse: Callable[..., Browser]) -> None:
    answer = browse("recorder").send(visit_page(), visit_fields(VISIT["uid"]))
    assert answer.status_code == 302


def test_show(world_with_a_visit, browse):
    for user in ["anonymous", *sorted(EVERYBODY), "both"]:
        b = browse(user)
        for p in patterns():
            kw = TABLE[p.name][1] if p.name in TABLE else ({"pk": 1} if "pk" in str(p.pattern) else {})
            out = []
            for m in ("GET", "POST"):
                with b.undone():
                    out.append(b.send(reverse(p.name, kwargs=kw), {}, m).status_code)
            print(user, p.name, p.callback.needs, out)
