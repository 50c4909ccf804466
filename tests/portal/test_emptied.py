"""The pages of a person whose personal data were emptied: words instead of blanks, and nothing to record."""

from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection

from quitledger.policy.identity import make_up

from .. import world
from .conftest import Browser, record, visit_fields, visit_page

CASE = world.uid(f"case 示範甲 {world.CLINIC}")
# What a run leaves of a person, done by hand where triggers are asleep: the run itself has tests of its own.
EMPTIED = """
UPDATE cases_person SET identity_hash = NULL, identity_token = NULL, identity_key_id = '', birth_on = '1980-01-01',
  emptied_run = 7 WHERE birth_on = '1980-02-03';
UPDATE cases_case SET name = '', chart_no = '', phone = '', emptied_run = 7 WHERE name = '示範甲';
UPDATE visits_visit SET note = ''
"""


@pytest.fixture
def visit(committed: Any, owner: Any) -> UUID:
    """A visit of 示範甲, who is emptied afterwards."""
    recorded = record(Browser("recorder"), note="示範甲的備註")
    with psycopg.connect(committed.cluster.ensure_running().url(committed.name), autocommit=True) as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(EMPTIED)
    connection.close()
    return recorded


def test_every_page_that_shows_an_emptied_person_says_so(visit):
    supervisor = Browser("supervisor")
    for address in (
        f"/cases/{CASE}", f"/visits/{visit}", "/visits", f"/visits?case={CASE}", f"/audit?case={CASE}", "/audit",
    ):  # fmt: skip
        answer = supervisor.get(address)
        assert answer.status_code == 200, address
        page = answer.content.decode()
        assert "（保存期限已過，已清除）" in page, address
        assert "示範甲" not in page, address
        supervisor.cookies["language"] = "en"
        page = supervisor.get(address).content.decode()
        assert "(emptied: keeping time ended)" in page, address
        assert "已清除" not in page, address
        del supervisor.cookies["language"]


def test_the_page_of_an_emptied_person_shows_the_year_of_birth_and_offers_nothing(visit):
    page = Browser("recorder").get(f"/cases/{CASE}").content.decode()
    assert "個人資料已清除（第 7 次清除）" in page
    assert "69 年" in page
    assert "69/01/01" not in page
    assert "顯示" not in page.split("<main")[1].split("</h2>")[1].split("</dl>")[0]
    assert f"/cases/{CASE}/visits/new" not in page
    assert f"/cases/{CASE}/baselines/new" not in page
    assert "114/04/01" in page, "the visit stays"


def test_what_would_be_recorded_or_shown_leads_to_the_page_that_says_why(visit):
    recorder = Browser("recorder")
    here = f"/cases/{CASE}"
    assert recorder.get(visit_page())["Location"] == here
    assert recorder.send(visit_page(), visit_fields(CASE))["Location"] == here
    assert recorder.send(f"{here}/identity", {})["Location"] == here
    assert recorder.get(f"{here}/baselines/new")["Location"] == here


def test_an_emptied_person_is_found_by_no_number_and_no_name(visit):
    recorder = Browser("recorder")
    for text in (make_up(1), "示範甲", "T-0001", "已清除", "（保存期限已過，已清除）"):
        page = recorder.send("/cases/find", {"q": text}).content.decode()
        assert "找不到符合的戒菸者" in page, text


def test_downloads_have_the_words_as_well(visit):
    recorder = Browser("recorder")
    assert "（保存期限已過，已清除）" in recorder.get("/visits.csv").content.decode("utf-8-sig")
    (row,) = recorder.get("/visits.json").json()["visits"]
    assert (row["name"], row["identity_masked"], row["chart_no"]) == ("（保存期限已過，已清除）", "（已清除）", "")
    assert recorder.get("/visits.ods").status_code == 200
