"""稽核軌跡: who saw or changed this person, this visit, this month."""

import ast
import csv
import io
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from quitledger.accounts.permissions import Permission
from quitledger.visits.trail import ACTIONS, FIELD_WORDS

from .. import world
from .conftest import journaled, visit_fields, visit_page

CASE = world.uid(f"case 示範甲 {world.CLINIC}")
OTHER = world.uid(f"case 示範乙 {world.CLINIC}")
ELSEWHERE = world.uid(f"case 示範甲 {world.PHARMACY}")
PACKAGE = Path(__file__).resolve().parents[2] / "quitledger"


def test_a_supervisor_sees_who_saw_and_changed_a_person(browse):
    colleague, recorder = browse("colleague"), browse("recorder")
    colleague.get(f"/cases/{CASE}")
    visit = uuid4()
    assert recorder.send(visit_page(), visit_fields(visit)).status_code == 302
    recorder.get(f"/cases/{OTHER}")
    page = browse("supervisor").get(f"/audit?case={CASE}")
    text = page.content.decode()
    assert page.status_code == 200
    for words in ("示範丑", "查看個案", "示範子", "登錄就醫資料", "示範甲 114/"):
        assert words in text
    assert "示範乙" not in text.split("<table")[1]


def test_whoever_asks_for_one_person_is_told_no_others_name(browse):
    browse("colleague").get("/visits")
    browse("recorder").send(visit_page(), visit_fields(uuid4()))
    browse("colleague").get("/cases/find?q=")
    browse("recorder").send("/cases/find", {"who": "示範"})
    table = browse("supervisor").get(f"/audit?case={CASE}").content.decode().split("<table")[1]
    assert "示範乙" not in table


def test_a_visit_has_its_own_trail(browse):
    visit, recorder = uuid4(), browse("recorder")
    recorder.send(visit_page(), visit_fields(visit))
    recorder.get(f"/visits/{visit}")
    text = browse("supervisor").get(f"/audit?visit={visit}").content.decode()
    assert "登錄就醫資料" in text
    assert "查看就醫資料" in text
    assert "收案" not in text.split("<tbody")[1]


@pytest.mark.parametrize("address", ["case={case}", "visit={visit}"])
def test_nobody_follows_the_trail_of_a_stranger(browse, address):
    visit = uuid4()
    browse("recorder").send(visit_page(), visit_fields(visit))
    stranger = browse("stranger_supervisor")
    assert stranger.get("/audit?" + address.format(case=CASE, visit=visit)).status_code == 404
    assert stranger.get("/audit.csv?" + address.format(case=CASE, visit=visit)).status_code == 404


def test_an_institution_sees_its_own_entries_alone_and_the_desk_all(browse):
    browse("stranger").get(f"/cases/{ELSEWHERE}")
    browse("colleague").get(f"/cases/{CASE}")
    ours = browse("supervisor").get("/audit").content.decode()
    assert "示範丑" in ours
    assert "示範卯" not in ours
    desk = browse("desk_officer").get(f"/audit?case={CASE}").content.decode().split("<tbody")[1]
    assert "示範丑" in desk
    assert "示範卯" in desk, "the same person elsewhere"


def test_kinds_accounts_and_days_are_asked_for(browse):
    browse("colleague").get(f"/cases/{CASE}")
    browse("recorder").send(visit_page(), visit_fields(uuid4()))
    supervisor = browse("supervisor")
    written = supervisor.get("/audit?kind=written").content.decode().split("<tbody")[1]
    assert "登錄就醫資料" in written
    assert "查看個案" not in written
    account = world.actor("colleague").account_id
    from quitledger.accounts.models import User

    uid = User.objects.get(pk=account).uid
    his = supervisor.get(f"/audit?account={uid}").content.decode().split("<tbody")[1]
    assert "示範丑" in his
    assert "示範子" not in his.replace("示範子 ", "")
    assert "這段期間沒有稽核紀錄" in supervisor.get("/audit?first=113/01/01&last=113/01/31").content.decode()
    assert supervisor.get("/audit?first=114/03/02&last=114/03/01").status_code == 422


def test_looking_at_the_trail_leaves_one_of_its_own(browse):
    supervisor = browse("supervisor")
    with journaled() as entries:
        supervisor.get(f"/audit?case={CASE}")
    ((action, uids),) = [(entry.action, entry.uids) for entry in entries]
    assert action == "audit.read"
    assert CASE in uids


def test_a_month_is_followed_by_the_visits_of_that_month(browse):
    recorder, supervisor = browse("recorder"), browse("supervisor")
    ours, before = uuid4(), uuid4()
    recorder.send(visit_page("示範乙"), visit_fields(ours, visit_on="114/4/1"))
    recorder.send(visit_page("示範甲"), visit_fields(before, visit_on="114/3/31", services="counselling"))
    browse("colleague").get(f"/visits/{before}")
    browse("colleague").get(f"/cases/{OTHER}")
    march = supervisor.get("/audit?month=114/3").content.decode()
    assert "只看就醫月份：" in march
    assert "114 年 3 月" in march
    table = march.split("<tbody")[1]
    assert "查看就醫資料" in table
    assert "示範甲 114/03/31" in table
    assert "示範乙" not in table
    assert "示範乙 114/04/01" in supervisor.get("/audit?month=2025-04").content.decode().split("<tbody")[1]
    assert "這段期間沒有稽核紀錄" in supervisor.get("/audit?month=113/1").content.decode()
    assert supervisor.get("/audit?month=114/13").status_code == 422
    assert "這段期間沒有稽核紀錄" in browse("stranger_supervisor").get("/audit?month=114/3").content.decode()


def test_the_desk_follows_the_month_of_one_institution(browse):
    visit = uuid4()
    browse("recorder").send(visit_page(), visit_fields(visit))
    desk = browse("desk_officer")
    page = desk.get("/audit?month=114/4")
    assert page.status_code == 422
    assert "請填機構代碼" in page.content.decode()
    assert "示範甲 114/04/01" in desk.get(f"/audit?month=114/4&institution={world.CLINIC}").content.decode()
    theirs = desk.get(f"/audit?month=114/4&institution={world.PHARMACY}").content.decode()
    assert "這段期間沒有稽核紀錄" in theirs
    desk.get(f"/visits/{visit}")
    who = desk.get(f"/audit?month=114/4&institution={world.CLINIC}").content.decode().split("<tbody")[1]
    assert "示範窗口" in who, "also what the desk itself looked at"


def test_what_is_long_is_paged_and_no_page_is_missing(browse, monkeypatch):
    monkeypatch.setattr("quitledger.portal.audit.PAGE_ROWS", 2)
    for _ in range(3):
        browse("colleague").get(f"/cases/{CASE}")
    supervisor = browse("supervisor")
    asked = f"/audit?case={CASE}&kind=seen&first=114/4/1"
    page = supervisor.get(asked).content.decode()
    assert "查得 3 筆，第 1–2 筆" in page
    last = supervisor.get(f"{asked}&page=2").content.decode()
    assert "查得 4 筆，第 3–4 筆" in last, "the look at the first page is one more"
    for nonsense in ("0", "-1", "99", "x", "²"):
        assert supervisor.get(f"{asked}&page={nonsense}").status_code == 200


def test_the_trail_is_taken_away_as_json(browse):
    browse("colleague").get(f"/cases/{CASE}")
    supervisor = browse("supervisor")
    assert f'href="/audit.json?case={CASE}"' in supervisor.get(f"/audit?case={CASE}").content.decode()
    answer = supervisor.get(f"/audit.json?case={CASE}&kind=seen")
    assert (answer["Content-Type"], answer["Cache-Control"]) == ("application/json", "no-store")
    found = answer.json()
    assert found["made_up"] is True
    entry = next(entry for entry in found["entries"] if entry["action"] == "case.read")
    assert (entry["account"], entry["what"]) == ("示範丑", "查看個案")
    assert {"uid": str(CASE), "name": "示範甲"} in entry["named"]
    assert browse("recorder").get(f"/audit.json?case={CASE}").status_code == 403
    assert browse("stranger_supervisor").get(f"/audit.json?case={CASE}").status_code == 404


@pytest.mark.parametrize("file_format", ["csv", "ods"])
def test_the_trail_is_taken_away_as_a_file(browse, file_format):
    browse("colleague").get(f"/cases/{CASE}")
    answer = browse("supervisor").get(f"/audit.{file_format}?case={CASE}")
    assert answer.status_code == 200
    assert str(CASE) not in answer["Content-Disposition"]
    if file_format == "csv":
        lines = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
        assert lines[0][0].startswith("測試資料")
        assert lines[1][:4] == ["時間", "帳號", "機構", "做了什麼"]
        assert any(line[3] == "查看個案" and line[1] == "示範丑" for line in lines[2:])


def recorded_actions() -> dict[str, str]:
    """What is given to journal.record as its action, by where."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("journal.record", "_record") and node.args:
                found[f"{path.name}:{node.lineno}"] = _action(node)
    return found


def _action(call: ast.Call) -> str:
    given: Any = call.args[0]
    if isinstance(given, ast.Constant):
        return str(given.value) if ast.unparse(call.func) == "journal.record" else f"account.{given.value}"
    if isinstance(given, ast.Attribute) and ast.unparse(given.value) in ("Permission", "_P"):
        return Permission[given.attr].value
    return ""  # signals._record itself


def test_every_action_of_the_journal_has_words():
    actions = {action for action in recorded_actions().values() if action}
    assert len(actions) > 30
    assert actions - {str(action) for action in ACTIONS} == set()


def test_every_field_that_the_world_journals_has_words(committed, owner):
    fields = owner.execute("SELECT DISTINCT unnest(fields) FROM audit_journal").fetchall()
    assert {name for (name,) in fields} - FIELD_WORDS.keys() == set()
