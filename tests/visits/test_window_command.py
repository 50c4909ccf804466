"""`quitledger window`: the recording window of a day, with and without a database's clock."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from quitledger.policy import parse_moment
from quitledger.visits.command import window


def run(*words, now=None):
    return CliRunner().invoke(window, words, obj=now and {"now": lambda: parse_moment(now)})


def answer(*words, **options):
    result = run(*words, "--json", **options)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


@pytest.mark.parametrize("day", ["114/2/15", "1140215", "2025-02-15", "20250215", "民國114年2月15日"])
def test_the_answer_is_exact_and_the_same_for_every_form_of_the_day(day):
    assert answer(day, "--at", "114/3/20 23:59:59") == {
        "visit_on": "2025-02-15",
        "opens_at": "2025-02-15T00:00:00+08:00",
        "closes_at": "2025-03-21T00:00:00+08:00",
        "open": True,
        "hours_24_until": "2025-02-17T00:00:00+08:00",
    }


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2025-02-14T23:59:59.999999+08:00", False),
        ("2025-02-15T00:00:00+08:00", True),
        ("2025-03-20T23:59:59.999999+08:00", True),
        ("2025-03-21T00:00:00+08:00", False),
        ("2025-03-20T15:59:59Z", True),
        ("2025-03-20T16:00:00Z", False),
        ("114/3/20 24:00", False),
        ("114/4/1", False),
    ],
)
def test_closes_at_is_the_first_moment_refused(moment, is_open):
    assert answer("114/2/15", "--at", moment)["open"] is is_open


def test_a_visit_of_december_is_recorded_until_january():
    assert answer("113/12/31", "--at", "114/1/20")["closes_at"] == "2025-01-21T00:00:00+08:00"


@pytest.mark.parametrize(
    ("moment", "state"),
    [
        ("114/2/14 12:00", "114/02/14 12:00:00：就醫日期還沒到，不能登錄。"),
        ("2025-03-20T15:59:59Z", "114/03/20 23:59:59：可以登錄。"),
        (
            "114/3/21",
            "114/03/21 00:00:00：登錄期限已過，機構不能再自行新增、修改或刪除。可向管理窗口申請補登。",
        ),
    ],
)
def test_without_json_the_answer_is_in_words(moment, state):
    assert run("114/2/15", "--at", moment).output.splitlines() == [
        "就醫日期：114/02/15（六）",
        "開始登錄：114/02/15 00:00",
        "24 小時內：到 114/02/16 24:00",
        "登錄期限：到 114/03/20 24:00（個別延長未計入）",
        state,
    ]


@pytest.mark.parametrize(("now", "is_open"), [("114/3/20 23:59", True), ("114/3/21 00:00", False)])
def test_without_a_moment_the_clock_of_the_caller_decides(now, is_open):
    assert answer("114/2/15", now=now)["open"] is is_open


def test_with_a_moment_the_clock_of_the_caller_is_left_alone():
    def database():
        raise AssertionError("the database was asked")

    assert CliRunner().invoke(window, ["114/2/15", "--at", "114/3/1"], obj={"now": database}).exit_code == 0


def test_without_any_clock_that_of_the_machine_decides():
    assert answer("91/9/1")["open"] is False
    assert answer("700/1/1")["open"] is False
    assert "就醫日期還沒到" in run("700/1/1").output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["114/2/29"], "114/2/29 不存在：114 年 2 月只有 28 日。"),
        (["2025-02-30"], "2025/2/30 不存在：2025 年 2 月只有 28 日。"),
        (["1141301"], "114/13/1 不存在：月份是 1 到 12。"),
        (["yesterday"], "看不懂這個日期，請寫成 114/2/15、1140215 或 2025-02-15。"),
        (["114/2/15", "--at", "114/3/20 25:00"], "25:00 不存在：時是 0 到 23，分與秒是 0 到 59。"),
    ],
)
def test_a_day_or_moment_that_does_not_exist_is_refused_with_one_sentence(words, sentence):
    result = run(*words)
    assert result.exit_code == 2
    assert result.output.splitlines()[-1].endswith(sentence)


def test_a_day_before_the_programme_is_refused_with_one_sentence():
    result = run("91/8/31", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: 「登錄期限的截止日（次月）」在 91/09/01 以前沒有規定值。\n"


def test_help_is_in_both_languages():
    lines = run("--help").output.splitlines()
    assert lines[2].strip().endswith("。")
    assert lines[4].strip().isascii()


def test_the_command_runs_without_django():
    code = (
        "import sys; from quitledger.visits.command import window;"
        "window(['114/2/15', '--at', '114/3/1', '--json'], standalone_mode=False);"
        "sys.exit(any(name.split('.')[0] == 'django' for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["open"] is True
