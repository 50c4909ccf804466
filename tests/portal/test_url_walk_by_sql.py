"""Every address by direct SQL: the statements of its view, run by somebody of another place, show nothing of the clinic."""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from quitledger.accounts.permissions import Permission
from quitledger.accounts.scope import scoped
from quitledger.cases.models import Baseline, Case
from quitledger.institutions.models import Membership
from quitledger.visits.models import Visit

from .. import world
from ..accounts.test_row_level_security import FREE, TABLES
from .conftest import Browser, visit_fields, visit_page
from .filled_forms import FORMS
from .test_url_walk import MAY, TABLE, VISIT

WHO = {"recorder": "clinic", "supervisor": "clinic", "desk_officer": "desk", "desk_supervisor": "desk"}
SCOPED = {name for name, rights in TABLES.items() if rights.get("select", FREE) != FREE}


@pytest.fixture
def secrets(browse: Any) -> set[str]:
    """What nobody elsewhere may come to see: uids, chart numbers and names of the clinic's alone, what was typed."""
    fields = visit_fields(VISIT["uid"], note="只有診所知道")
    assert browse("recorder").send(visit_page(), fields).status_code == 302
    with scoped(world.SYSTEM):
        here = {"institution": world.institution()}
        uids = {
            str(uid)
            for model in (Case, Visit, Membership)
            for uid in model.objects.filter(**here).values_list("uid", flat=True)
        }
        uids |= {
            str(uid)
            for uid in Baseline.objects.filter(case__institution=here["institution"]).values_list("uid", flat=True)
        }
        charts = set(Case.objects.filter(**here).values_list("chart_no", flat=True))
    return uids | charts | {"示範乙", "示範丙", "示範丁", "只有診所知道"}


def statements(browser: Browser, name: str) -> list[str]:
    """What the view of an address asks the database, by page and by its form filled in."""
    with browser.undone(), CaptureQueriesContext(connection) as captured:
        browser.get(reverse(name, kwargs=TABLE[name][1]))
        if name in FORMS and FORMS[name].username == browser.username:
            arguments, fields = FORMS[name].given(browser)
            browser.send(reverse(name, kwargs=arguments), fields)
    asked = dict.fromkeys(query["sql"] for query in captured.captured_queries)
    return [
        sql
        for sql in asked
        if re.match(r"\s*(SELECT|WITH)\b", sql) and "set_config" not in sql and "_enter(" not in sql
    ]


def seen(sql: str, scope: str) -> str:
    """What comes of a statement in a scope: its rows as text, or why there are none."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('quitledger.scope', %s, true), set_config('quitledger.account', '', true)", [scope]
        )
        try:
            with transaction.atomic():
                cursor.execute(sql.replace("%", "%%"), [])
                return str(cursor.fetchall() if cursor.description else "")
        except DatabaseError as error:
            return f"refused: {error}"
        finally:
            transaction.set_rollback(True)


@pytest.mark.parametrize("username", WHO)
def test_the_statements_of_every_page_show_others_nothing(username: str, secrets: set[str], browse: Any) -> None:
    with scoped(world.SYSTEM):
        own = "0" if WHO[username] == "desk" else str(world.institution_id())
        pharmacy = str(world.institution_id(world.PHARMACY))
    wrong, telling, tables = [], 0, set()
    asked: dict[str, str] = {}  # where each was asked first
    for name, (needs, *_) in TABLE.items():
        if not isinstance(needs, Permission) or username in MAY[needs]:
            asked = dict.fromkeys(statements(browse(username), name), name) | asked
    for sql, name in asked.items():
        touched = {table for table in SCOPED if re.search(rf"\b{table}\b", sql)}
        tables |= touched
        found = {scope: seen(sql, scope) for scope in (own, pharmacy, "-1", "999999", "")}
        telling += any(secret in found[own] for secret in secrets)
        for scope in (pharmacy, "-1", "999999", ""):
            shown = sorted(secret for secret in secrets if secret in found[scope] and secret not in sql)
            if shown or (touched and scope == "" and "no scope was set" not in found[scope]):
                wrong.append((name, scope, shown, sql[:200], found[scope][:200]))
    assert wrong == []
    assert telling > 10, "in one's own scope they show a lot"
    assert {"cases_case", "visits_visit", "institutions_membership"} <= tables


def test_uids_in_an_address_are_nobodys_guess(secrets: set[str], browse: Any) -> None:
    """A uid that is somebody else's and one that is nobody's lead to the same statements with the same answers."""
    browser = browse("stranger")
    for name, argument in (("case_show", world.uid(f"case 示範甲 {world.CLINIC}")), ("visit_show", VISIT["uid"])):
        asked: list[list[str]] = []
        for uid in (argument, uuid4()):
            with browser.undone(), CaptureQueriesContext(connection) as captured:
                assert browser.get(reverse(name, kwargs={"uid": uid})).status_code == 404
            own = r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}|s\d+_x\d+"
            asked.append([re.sub(own, "", query["sql"]) for query in captured.captured_queries])
        assert asked[0] == asked[1]
