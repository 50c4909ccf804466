"""`quitledger audit`, as an auditor types it."""

import json
import os
import signal
import subprocess
import sys
from typing import Any

import psycopg
import pytest

from ..sql import one
from .commands import assert_told, eventually, quitledger


@pytest.fixture
def place(committed: Any, owner: Any, tmp_path: Any) -> dict[str, str]:
    """The environment of a server with an anchor and a key of its own."""
    return {
        "DATABASE_URL": committed.app_url, "DATABASE_OWNER_URL": committed.owner_url,
        "QUITLEDGER_ANCHOR": str(tmp_path / "anchor.txt"), "QUITLEDGER_CHECKPOINT_KEY": str(tmp_path / "key.pem"),
    }  # fmt: skip


def tamper(committed: Any, statement: str) -> None:
    with psycopg.connect(committed.cluster.ensure_running().url(committed.name), autocommit=True) as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(statement)


def test_a_checkpoint_is_made_and_verified(place, tmp_path):
    made = quitledger("audit", "checkpoint", **place)
    assert made.returncode == 0, made
    assert "新檢核點 1 個" in made.stdout
    assert "已建立檢核點金鑰" in made.stderr
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    assert "新檢核點 0 個" in quitledger("audit", "checkpoint", **place).stdout
    verified = quitledger("audit", "verify", **place)
    assert verified.returncode == 0, verified
    assert "沒有發現竄改" in verified.stdout
    assert "0 筆尚未涵蓋" in verified.stdout


def test_a_stranger_verifies_with_the_public_key_alone(place, tmp_path):
    quitledger("audit", "checkpoint", **place)
    (tmp_path / "public.pem").write_text(quitledger("audit", "public-key", **place).stdout)
    anchor = (tmp_path / "anchor.txt").rename(tmp_path / "elsewhere.txt")
    (tmp_path / "key.pem").unlink()
    words = ("audit", "verify", "--anchor", str(anchor), "--key", str(tmp_path / "public.pem"))
    assert quitledger(*words, **place).returncode == 0
    assert_told(quitledger("audit", "verify", "--anchor", str(anchor), **place), "找不到檢核點金鑰")
    (tmp_path / "public.pem").write_text("what is this")
    assert_told(quitledger(*words, **place), "不是 Ed25519 的公開金鑰")


def test_tampering_is_told_with_the_row_and_ends_with_1(place, committed):
    quitledger("audit", "checkpoint", **place)
    tamper(committed, "UPDATE audit_journal SET fields = '{x}' WHERE id = 3")
    outcome = quitledger("audit", "verify", **place)
    assert_told(outcome, "audit_journal 的 3 號被改過（檢核點 1）", "audit_journal row 3 was changed", "發現 1 處問題")
    report = json.loads(quitledger("audit", "verify", "--json", **place).stdout)
    assert report["sound"] is False
    assert report["findings"] == [
        {"fault": "row-changed", "table": "audit_journal", "first": 3, "last": 3, "number": 1, "detail": ""}
    ]


def test_after_a_restore_the_checkpoints_are_continued_with_a_reason(place, committed):
    quitledger("audit", "checkpoint", **place)
    tamper(committed, "DELETE FROM audit_checkpoint")
    assert_told(quitledger("audit", "checkpoint", **place), "quitledger audit continue")
    told = quitledger("audit", "continue", "--reason", "磁碟損壞", **place)
    assert told.returncode == 0, told
    assert "1 個檢核點之後的紀錄不在這個資料庫" in told.stdout
    assert "不需要接續" in quitledger("audit", "continue", "--reason", "再一次", **place).stdout
    quitledger("audit", "checkpoint", **place)
    verified = quitledger("audit", "verify", **place)
    assert verified.returncode == 0, verified
    assert "由備份還原（磁碟損壞）" in verified.stdout


def test_a_key_that_is_lost_is_not_made_anew(place, tmp_path):
    quitledger("audit", "checkpoint", **place)
    (tmp_path / "key.pem").unlink()
    assert_told(quitledger("audit", "checkpoint", **place), "找不到檢核點金鑰")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda key: key.chmod(0o640), "chmod 600"),
        (lambda key: key.write_text("what is this"), "不是 Ed25519 的私密金鑰"),
    ],
)
def test_a_key_that_cannot_be_used_is_told(place, tmp_path, change, words):
    quitledger("audit", "checkpoint", **place)
    change(tmp_path / "key.pem")
    assert_told(quitledger("audit", "checkpoint", **place), words)


def test_an_anchor_that_cannot_be_written_is_told(place, tmp_path):
    quitledger("audit", "checkpoint", **place)
    (tmp_path / "anchor.txt").unlink()
    (tmp_path / "anchor.txt").mkdir()
    assert_told(quitledger("audit", "checkpoint", **place), "檢核點檔無法使用")


def test_kept_checkpoints_begin_at_once_and_end_with_one(place, committed, owner):
    keeping = subprocess.Popen(
        [sys.executable, "-m", "quitledger.ops.command", "audit", "keep"],
        env=os.environ | place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        eventually(lambda: one(owner, "SELECT count(*) FROM audit_checkpoint") == 1)
        with committed.app() as app:
            app.execute("SELECT set_config('quitledger.scope', '0', true)")
            app.execute("INSERT INTO audit_journal (action) VALUES ('test.read')")
        keeping.send_signal(signal.SIGTERM)
        said, _ = keeping.communicate(timeout=30)
    finally:
        keeping.kill()
    assert keeping.returncode == 0, said
    assert one(owner, "SELECT count(*) FROM audit_checkpoint") == 2
    assert "0 筆尚未涵蓋" in quitledger("audit", "verify", **place).stdout
