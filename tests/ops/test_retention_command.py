"""`quitledger retention`, as two people of the agency type it."""

import os
import re
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from quitledger.policy import TAIPEI

from .. import world
from ..sql import one, set_clock
from .commands import assert_told, eventually, quitledger

LATER = datetime(2032, 4, 2, 9, tzinfo=TAIPEI)  # all but the minor have been kept for long enough
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@pytest.fixture
def place(committed: Any, owner: Any, tmp_path: Any) -> dict[str, str]:
    """The environment of a server with an anchor and a key of its own, years later."""
    environment = {
        "DATABASE_URL": committed.app_url, "DATABASE_OWNER_URL": committed.owner_url,
        "QUITLEDGER_ANCHOR": str(tmp_path / "anchor.txt"), "QUITLEDGER_CHECKPOINT_KEY": str(tmp_path / "key.pem"),
    }  # fmt: skip
    quitledger("audit", "checkpoint", **environment)
    set_clock(owner, LATER)
    return environment


def retention(place: dict[str, str], *words: str, by: str, typed: str = f"{world.PASSWORD}\n") -> Any:
    return quitledger("retention", *words, "--by", by, "--password-stdin", typed=typed, **place)


def planned(place: dict[str, str], by: str = "desk_supervisor") -> str:
    """The code of a new plan."""
    said = retention(place, "plan", by=by)
    assert said.returncode == 0, said
    found = re.search(r"代碼 ([0-9a-f-]+)", said.stdout)
    assert found
    return found[1]


def test_one_plans_another_runs_and_a_verification_tells_it_in_both_languages(place, owner):
    said = retention(place, "plan", by="desk_supervisor").stdout
    assert "5 人的保存期限在 121/04/02 以前已過" in said
    assert "5 people ended before 2032-04-02" in said
    assert "保存到 121 年 / kept until 2032：5" in said
    assert "在 1 家機構有紀錄 / known to 1 institutions：4" in said
    assert "最早 121/04/01，最晚 121/04/01" in said
    code = re.search(r"代碼 ([0-9a-f-]+)", said)[1]
    assert_told(retention(place, "run", code, by="desk_supervisor"), "另一個人")
    assert one(owner, "SELECT count(*) FROM cases_case WHERE name = ''") == 0
    done = retention(place, "run", code, by="administrator")
    assert done.returncode == 0, done
    assert "第 1 次清除：已清除 5 人；0 人在計畫後另有紀錄" in done.stdout
    assert "5 people emptied" in done.stdout
    assert "示範" not in done.stdout
    verified = quitledger("audit", "verify", **place)
    assert verified.returncode == 0, verified
    assert re.search(r"[0-9]+ 版依保存期限清除，第 1 次。 / [0-9]+ versions redacted under run 1\.", verified.stdout)
    again = retention(place, "run", code, by="administrator")
    assert "第 1 次清除先前已完成" in again.stdout
    assert "已清除 5 人" in again.stdout


def test_whoever_does_not_prove_who_he_is_plans_nothing_and_nobody_to_empty_is_no_plan(place, owner):
    assert_told(retention(place, "plan", by="desk_supervisor", typed="wrong\n"), "帳號、密碼或第二步驗證不正確")
    set_clock(owner, LATER - timedelta(days=1))
    nobody = retention(place, "plan", by="desk_supervisor")
    assert nobody.returncode == 0, nobody
    assert "沒有人的保存期限已過" in nobody.stdout
    assert one(owner, "SELECT count(*) FROM retention_run") == 0


def test_a_run_that_is_killed_leaves_nothing_half_and_goes_on(place, owner, committed):
    code = planned(place)
    holder = psycopg.connect(committed.owner_url)
    # The last thing a batch writes before its journal entry.
    holder.execute("SELECT FROM retention_plannedperson FOR UPDATE")
    running = subprocess.Popen(
        [sys.executable, "-m", "quitledger.ops.command", "retention", "run", code, "--by", "administrator",
         "--password-stdin"],
        env=os.environ | place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert running.stdin
        running.stdin.write(f"{world.PASSWORD}\n")
        running.stdin.close()
        eventually(lambda: one(owner, WAITING))
        assert_told(retention(place, "run", code, by="administrator"), "另一個程序正在清除")
        running.send_signal(signal.SIGKILL)
        running.wait(30)
    finally:
        running.kill()
        holder.close()
    assert one(owner, "SELECT count(*) FROM cases_case WHERE name = ''") == 0, "nothing half"
    assert one(owner, "SELECT confirmed_at IS NOT NULL AND finished_at IS NULL FROM retention_run")
    set_clock(owner, LATER + timedelta(days=1))
    done = retention(place, "run", code, by="administrator")
    assert "第 1 次清除：已清除 5 人" in done.stdout, done
    assert quitledger("audit", "verify", **place).returncode == 0
