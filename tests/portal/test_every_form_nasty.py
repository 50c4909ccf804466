"""Every form and every filter with anything in it: words for an answer, never half of a record."""

from collections import Counter
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quitledger.accounts.scope import scoped

from .. import world
from .conftest import Browser
from .filled_forms import ALWAYS, FORMS
from .test_nasty_forms import FITTING, nasty, typed
from .test_url_walk import TABLE

few = settings(
    max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
# The filters of pages that are only read.
FILTERS: dict[str, tuple[str, dict[str, Any]]] = {
    "visit_query": ("desk_officer", {"first": "114/3/1", "last": "114/4/1", "institution": world.CLINIC, "sort": "name", "page": "1"}),
    "visit_download": ("supervisor", {"first": "114/3/1", "last": "114/4/1", "case": "", "staff": "", "tags": "late"}),
    "register_list": ("desk_officer", {"q": "示範", "show": "now", "page": "1"}),
    "register_download": ("desk_officer", {"q": "示範", "show": "now"}),
    "register_record": ("desk_officer", {"from": "1", "code": world.CLINIC}),
    "finding_list": ("desk_officer", {"q": "示範", "page": "1"}),
    "finding_download": ("desk_officer", {"q": "示範"}),
    "audit_trail": ("desk_officer", {"first": "114/3/1", "last": "114/4/1", "institution": world.CLINIC, "month": "114/3", "kind": "seen", "case": "", "visit": "", "page": "1"}),
    "audit_download": ("supervisor", {"first": "114/3/1", "last": "114/4/1", "account": "", "month": "", "kind": "written"}),
    "person_list": ("desk_officer", {"q": "示範", "page": "1"}),
    "course_finding_list": ("desk_officer", {"beyond": "1", "page": "1"}),
    "batch_list": ("recorder", {"page": "1"}),
    "batch_show": ("recorder", {"show": "all", "page": "1"}),
    "comparison_show": ("recorder", {"show": "listed", "page": "1"}),
    "visit_record": ("recorder", {"on": "2025-03-20"}),
    "correction_list": ("desk_officer", {"view": "open", "kind": "late_entry", "institution": world.CLINIC, "mine": "on", "page": "1"}),
    "correction_numbers": ("desk_officer", {"first": "114/1", "last": "114/4"}),
    "correction_download": ("desk_officer", {"first": "114/1", "last": "114/4"}),
    "correction_numbers_download": ("desk_officer", {"first": "114/1", "last": "114/4"}),
    "annual_statistics": ("analyst", {"basis": "any_day", "until": "113/6/15"}),
    "annual_breakdown": ("analyst", {"tier": "clinic", "table": "staff", "basis": "any_day", "until": "113/6/30", "page": "1"}),
    "annual_breakdown_download": ("analyst", {"until": "113/6/30"}),
    "annual_rows": ("desk_officer", {"by": "tier", "of": "clinic", "part": "denominator", "basis": "any_day", "until": "113/6/30", "page": "1"}),
    "statistics_publish": ("analyst", {"basis": "any_day", "until": "113/6/30"}),
    "annual_download": ("analyst", {"basis": "last_day"}),
    "correction_choose": ("recorder", {"to": ""}),
    "selfcheck_month": ("recorder", {"check": "check_draft", "view": "list", "page": "1"}),
    "selfcheck_signed": ("supervisor", {"page": "1"}),
    "selfcheck_review": ("desk_officer", {"show": "idle", "state": "all", "tier": "clinic", "county": "", "page": "1"}),
    "selfcheck_download": ("desk_officer", {"show": "staff", "state": "", "tier": "", "county": ""}),
    "merge_list": ("desk_officer", {"page": "1"}),
    "person_merge": ("desk_officer", {"other": str(world.uid(f"case 示範乙 {world.CLINIC}"))}),
    "component_gallery": ("recorder", {"page": "1"}),
    "account_login": ("anonymous", {"next": "/visits"}),
    "mfa_login_webauthn": ("anonymous", {"next": "/visits"}),
    "account_reauthenticate": ("recorder", {"next": "/accounts/password"}),
}  # fmt: skip


def test_every_page_that_reads_its_address_has_its_filters_here() -> None:
    import ast
    from pathlib import Path

    portal = Path(__file__).resolve().parents[2] / "quitledger" / "portal"
    reading = {
        function.name
        for path in portal.glob("*.py")
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef) and "request.GET" in ast.unparse(function) and function.name in TABLE
    }
    assert reading <= set(FILTERS)


def rows() -> Counter[str]:
    """How many rows every table has that the application may read, but for those that grow with every request, and
    for service months: one is opened by the first question about it, and says only when it closes.
    """
    with scoped(world.SYSTEM), connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND NOT relispartition"
            " AND has_table_privilege(oid, 'SELECT') AND relname NOT LIKE 'procrastinate%%'"
        )
        tables = [
            table
            for (table,) in cursor.fetchall()
            if table not in ALWAYS and not table.startswith("visits_servicemonth")
        ]
        cursor.execute(" UNION ALL ".join(f"SELECT '{table}', count(*) FROM {table}" for table in tables))
        return Counter(dict(cursor.fetchall()))


def in_words(answer: Any) -> None:
    """A page in one of the site's two languages, a file, or the way to one."""
    assert answer.status_code in (200, 204, 302, 400, 403, 404, 405, 409, 422, 429), answer.status_code
    if answer.status_code in (204, 302):
        return
    assert answer.content
    if answer["Content-Type"].startswith("text/html"):
        assert '<html lang="zh-Hant-TW">' in answer.text
        assert "<script>alert" not in answer.text


@pytest.mark.parametrize("name", FORMS)
def test_whatever_stands_in_a_form_it_is_answered_in_words_and_written_whole_or_not_at_all(
    name: str, browse: Any
) -> None:
    browser = browse(FORMS[name].username, raise_request_exception=False)
    arguments, fields = FORMS[name].given(browser)
    url = reverse(name, kwargs=arguments)

    @few
    @given(sent=typed(fields or {"x": ""}, "csrfmiddlewaretoken", "next", "kept_for"), as_file=st.booleans())
    def ask(sent: dict[str, Any], as_file: bool) -> None:
        with browser.undone():
            before = rows()
            if as_file:  # a file where a text is asked for, among others
                whole = {
                    n: str(v).encode(errors="replace").decode() for n, v in sent.items() if not isinstance(v, list)
                }
                first = next(iter(whole), "x")
                whole[first] = SimpleUploadedFile("𠮷\x00.csv", b"\xff\xfe\x00=1+1")  # type: ignore[assignment]
                answer = browser.post(url, whole)
            else:
                answer = browser.send(url, sent)
            in_words(answer)
            if answer.status_code >= 400:
                assert rows() == before

    ask()


@pytest.mark.parametrize("name", FILTERS)
def test_whatever_is_asked_in_an_address_it_is_answered_in_words(name: str, browse: Any) -> None:
    username, fields = FILTERS[name]
    browser, url = browse(username, raise_request_exception=False), reverse(name, kwargs=TABLE[name][1])

    @few
    @given(asked=typed(fields, *FITTING), more=st.dictionaries(nasty, nasty, max_size=2))
    def ask(asked: dict[str, Any], more: dict[str, str]) -> None:
        with browser.undone():
            before = rows()
            in_words(browser.send(url, {**more, **asked}, "GET"))
            assert rows() == before

    ask()


def test_in_english_the_answers_are_english(browse: Any) -> None:
    browser: Browser = browse("recorder", raise_request_exception=False)
    browser.cookies["language"] = "en"
    for name in ("case_register", "baseline_record", "visit_record", "case_find"):
        arguments, _fields = FORMS[name].given(browser)
        answer = browser.send(reverse(name, kwargs=arguments), {"uid": "x", "q": "\x00", "name": "\x00"})
        assert answer.status_code == 422
        assert '<html lang="en">' in answer.text
