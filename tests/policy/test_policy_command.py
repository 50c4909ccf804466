"""`quitledger policy` and the pages it writes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from quitledger.policy import parameters
from quitledger.policy.command import policy
from quitledger.policy.pages import pages, write_pages

DOCS = Path(__file__).parents[2] / "docs" / "policy"


def run(*words):
    return CliRunner().invoke(policy, words)


def test_list_names_every_parameter_with_its_value():
    result = run("list", "--on", "114/2/15")
    assert result.exit_code == 0
    for entry in parameters():
        assert f"  {entry.name}\n      {entry.title}：{entry.text_of(entry.values[-1].value)}（依據：" in result.output


def test_list_without_a_day_asks_about_today():
    assert "兩次就醫的最小間隔：5 日（依據：" in run("list").output


def test_list_as_json_holds_every_parameter():
    listed = json.loads(run("list", "--json", "--on", "114/2/15").output)
    assert [entry["name"] for entry in listed] == [entry.name for entry in parameters()]


@pytest.mark.parametrize(
    ("day", "shown"),
    [
        ("101/2/29", "101/02/29 有效的值：2 週"),
        ("1010301", "101/03/01 有效的值：4 週"),
        ("2012-03-01", "101/03/01 有效的值：4 週"),
        ("80/1/1", "80/01/01 有效的值：沒有（91/09/01 以前沒有規定值）"),
    ],
)
def test_show_tells_the_value_in_force_on_the_day(day, shown):
    result = run("show", "weeks_per_visit", "--on", day)
    assert result.exit_code == 0
    assert shown in result.output


def test_show_prints_unit_source_note_and_the_whole_history():
    output = run("show", "copayment_twd", "--on", "114/2/15").output
    assert "單位：元\n適用日：就醫日\n" in output
    assert "  91/09/01 起：不明　依據：不明\n      101/03/01 以前的部分負擔沒有找到來源。\n" in output
    assert "  101/03/01 起：比率（%）：20；上限（元）：200　依據：衛生所、醫院與藥師公會公開網頁" in output
    assert "  111/05/15 起：比率（%）：0；上限（元）：0　依據：" in output


def test_show_says_what_is_assumed():
    assert "14 日（依據：假設）" in run("show", "followup_window_days", "--on", "114/2/15").output
    age = run("show", "medication_minimum_age", "--on", "114/2/15").output
    assert "適用日：就醫日（假設）" in age
    assert "說明：滿規定年齡當天即符合。" in age
    assert "91/09/01 起（起始日為假設）：18 歲" in age


def test_show_as_json_holds_value_in_force_and_history():
    shown = json.loads(run("show", "copayment_twd", "--on", "111/5/14", "--json").output)
    assert (shown["name"], shown["day"], shown["on"]) == ("copayment_twd", "visit_day", "2022-05-14")
    assert shown["in_force"]["value"] == {"percent": 20, "maximum_twd": 200}
    assert [dated["from"] for dated in shown["values"]] == ["2002-09-01", "2012-03-01", "2022-05-15"]
    assert json.loads(run("show", "weeks_per_visit", "--on", "80/1/1", "--json").output)["in_force"] is None


def test_a_day_that_does_not_exist_is_refused_with_one_sentence():
    result = run("show", "weeks_per_visit", "--on", "114/2/30")
    assert result.exit_code == 2
    assert "114/2/30 不存在：114 年 2 月只有 28 日。" in result.output


@pytest.mark.parametrize(
    ("name", "hint"),
    [("visit_spacing", "是不是要找：visit_spacing_days"), ("zzz", "請用 quitledger policy list 查名稱。")],
)
def test_an_unknown_name_is_refused_with_a_way_on(name, hint):
    result = run("show", name)
    assert result.exit_code == 1
    assert f"沒有名為 {name} 的規定。{hint}" in result.output


@pytest.mark.parametrize("words", [[], ["list"], ["show"], ["docs"]])
def test_help_is_in_both_languages(words):
    lines = run(*words, "--help").output.splitlines()
    chinese, english = lines[2].strip(), lines[4].strip()
    assert chinese.endswith("。")
    assert english.isascii()


def test_the_committed_pages_are_those_of_the_rule_files():
    committed = {path.name: path.read_text(encoding="utf-8") for path in DOCS.iterdir()}
    assert committed == pages(), "run: quitledger policy docs"


def test_docs_writes_every_page_and_removes_only_generated_ones_that_are_gone(tmp_path):
    folder = tmp_path / "policy"
    write_pages(folder)
    (folder / "gone.md").write_text(pages()["index.md"], encoding="utf-8")
    (folder / "own.md").write_text("# written by hand\n", encoding="utf-8")
    result = run("docs", str(folder))
    assert result.exit_code == 0
    assert f"已寫入 {len(parameters()) + 1} 頁。" in result.output
    assert {path.name for path in folder.iterdir()} == pages().keys() | {"own.md"}


def test_the_room_runs_without_django():
    code = (
        "import sys, quitledger.policy.command; sys.exit(any(name.split('.')[0] == 'django' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
