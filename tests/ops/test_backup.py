"""Backup, restore, and the way back to any moment: real clusters in folders of their own."""

import json
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from quitledger.ops.postgres import Cluster

from ..folders import new_folder
from .commands import assert_told, eventually, quitledger
from .test_server import environment

PASSPHRASE = "sea-of-quiet-99\n"


class Place:
    """A data folder with its keys, and what is done there."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.environment = environment(data)

    def run(self, *words: str, typed: str = ""):
        return quitledger(*words, typed=typed, **self.environment)

    def done(self, *words: str, typed: str = "") -> str:
        outcome = self.run(*words, typed=typed)
        assert outcome.returncode == 0, outcome
        return outcome.stdout

    def write(self, action: str) -> None:
        with psycopg.connect(Cluster(self.data).ensure_database().app_url) as app:
            app.execute("SELECT set_config('quitledger.scope', '0', true)")
            app.execute("INSERT INTO audit_journal (action) VALUES (%s)", [action])

    def actions(self) -> list[str]:
        with psycopg.connect(Cluster(self.data).ensure_database().owner_url) as owner:
            rows = owner.execute("SELECT action FROM audit_journal WHERE action LIKE 'test.%' ORDER BY id").fetchall()
        return [action for (action,) in rows]


@pytest.fixture
def top() -> Iterator[Path]:
    """A folder that the database's own user can pass through, for several machines."""
    folder = new_folder()
    yield folder
    for data in folder.glob("*/postgres.json"):
        Cluster(data.parent).remove()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def migrated() -> Iterator[Path]:
    """A data folder as the first migration leaves it, its database as a copy of files in `copy`: made once for all tests."""
    folder = new_folder()
    place = Place(folder / "data")
    place.done("db", "migrate", "--purpose", "test")
    cluster = Cluster(place.data)
    cluster.base_backup(folder / "copy")
    cluster.stop()
    yield folder
    cluster.remove()
    shutil.rmtree(folder)


@pytest.fixture
def here(top: Path, migrated: Path) -> Place:
    place = Place(top / "here")
    place.data.mkdir()
    for file in (migrated / "data").iterdir():
        if file.is_file() and not file.name.startswith("postgres"):
            shutil.copy2(file, place.data)
    Cluster(place.data).adopt(migrated / "copy", Cluster(migrated / "data").passwords())
    return place


def elsewhere(top: Path, here: Place) -> Place:
    """Another machine, to which the keys were brought."""
    place = Place(top / "elsewhere")
    here.done("keys", "export", str(top / "keys.sealed"), "--passphrase-stdin", typed=PASSPHRASE)
    place.done("keys", "import", str(top / "keys.sealed"), "--passphrase-stdin", typed=PASSPHRASE)
    return place


def test_a_backup_is_restored_on_an_empty_machine_and_proved(here, top):
    here.write("test.before")
    there = elsewhere(top, here)
    assert "檢核點 1 個" in here.done("backup", str(top / "backup"))
    here.write("test.after")
    said = there.done("restore", str(top / "backup"))
    assert "沒有發現竄改" in said
    assert there.actions() == ["test.before"]
    assert there.done("audit", "verify").count("沒有發現竄改") == 1
    there.write("test.there")
    assert "新檢核點 1 個" in there.done("audit", "checkpoint"), "it goes on where the backup ended"
    assert there.actions() == ["test.before", "test.there"]
    assert_told(there.run("restore", str(top / "backup")), "已有資料庫")
    made = json.loads((top / "backup" / "backup.json").read_text())
    assert made["keys_exported"] is True
    assert made["purpose"] == "test"


def test_a_backup_without_exported_keys_says_that_it_is_not_complete(here, top):
    with psycopg.connect(Cluster(here.data).ensure_database().owner_url) as owner:
        owner.execute("SELECT set_config('quitledger.scope', '0', true)")
        owner.execute(
            "INSERT INTO cases_person (identity_kind, identity_country, identity_hash, identity_token, identity_key_id,"
            " birth_on, sex) VALUES ('national_id', '', '\\x01', '\\x02', 'k1', '1980-01-01', 'male')"
        )
    assert_told(here.run("backup", str(top / "first")), "備份還不完整", "quitledger keys export")
    assert json.loads((top / "first" / "backup.json").read_text())["keys_exported"] is False
    here.done("keys", "export", str(top / "keys.sealed"), "--passphrase-stdin", typed=PASSPHRASE)
    assert "需要金鑰 k1" in here.done("backup", str(top / "second"))
    stranger = Place(top / "stranger")
    assert_told(stranger.run("restore", str(top / "second")), "找不到金鑰檔")
    assert not (top / "stranger" / "postgres.json").exists(), "nothing was made"


def test_a_drill_restores_verifies_and_leaves_nothing(here, top):
    here.write("test.before")
    here.done("keys", "export", str(top / "keys.sealed"), "--passphrase-stdin", typed=PASSPHRASE)
    here.done("backup", str(top / "backup"))
    before = sorted(path.name for path in top.iterdir())
    assert "沒有發現竄改" in here.done("restore", str(top / "backup"), "--verify")
    assert sorted(path.name for path in top.iterdir()) == before
    assert here.actions() == ["test.before"]


def test_a_damaged_backup_is_refused_before_anything_is_made(here, top):
    there = elsewhere(top, here)
    here.done("backup", str(top / "backup"))
    table = max((top / "backup" / "base" / "base").rglob("*"), key=lambda path: path.stat().st_size)
    content = bytearray(table.read_bytes())
    content[5000] ^= 1
    table.write_bytes(content)
    assert_told(there.run("restore", str(top / "backup")), "損壞")
    assert not (there.data / "postgres.json").exists()
    (top / "backup" / "backup.json").unlink()
    assert_told(there.run("restore", str(top / "backup")), "不是完整的備份")


def test_a_backup_goes_into_an_empty_folder_only(here, top):
    (top / "full").mkdir()
    (top / "full" / "letter.txt").write_text("dear")
    assert_told(here.run("backup", str(top / "full")), "不是空的資料夾")
    assert [path.name for path in (top / "full").iterdir()] == ["letter.txt"]


def test_with_archived_wal_any_moment_comes_back(here, top):
    there = elsewhere(top, here)
    here.done("archive", str(top / "wal"))
    Cluster(here.data).stop()
    here.done("db", "start")
    here.done("backup", str(top / "backup"))
    here.write("test.wanted")
    time.sleep(1.1)
    moment = datetime.now(UTC)
    time.sleep(1.1)
    here.write("test.mistake")
    with psycopg.connect(Cluster(here.data).ensure_running().url(), autocommit=True) as superuser:
        name = superuser.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()[0]
    eventually(lambda: (top / "wal" / name).exists())
    said = there.done(
        "restore", str(top / "backup"), "--archive", str(top / "wal"), "--until", moment.isoformat(timespec="seconds")
    )
    assert "沒有發現竄改" in said
    assert there.actions() == ["test.wanted"]
    there.write("test.there")
    assert "新檢核點 1 個" in there.done("audit", "checkpoint")
    assert "沒有封存" in there.done("archive")
    assert "沒有封存" in here.done("archive", "--off")


def test_exported_keys_are_worth_nothing_without_the_passphrase(here, top):
    sealed = top / "keys.sealed"
    here.done("keys", "export", str(sealed), "--passphrase-stdin", typed=PASSPHRASE)
    assert sealed.stat().st_mode & 0o777 == 0o600
    secret = json.loads((here.data / "keys.json").read_text())["keys"]["k1"]["encrypt"]
    assert secret not in sealed.read_text()
    there = Place(top / "there")
    words = ("keys", "import", str(sealed), "--passphrase-stdin")
    assert_told(there.run(*words, typed="another-one-of-12\n"), "通行語不對")
    assert_told(here.run("keys", "export", str(sealed), "--passphrase-stdin", typed=PASSPHRASE), "已存在")
    assert_told(here.run("keys", "export", str(top / "x"), "--passphrase-stdin", typed="short\n"), "至少 12 字")
    assert "金鑰已經都在" in here.done(*words, typed=PASSPHRASE)
    there.data.mkdir()
    (there.data / "keys.json").write_text("another's")
    assert_told(there.run(*words, typed=PASSPHRASE), "沒有覆寫")
    sealed.write_text("{}")
    assert_told(here.run(*words, typed=PASSPHRASE), "不是匯出的金鑰")


def test_a_lost_key_is_told_at_the_start(here):
    assert "需要的金鑰都在" in here.done("keys", "check")
    (here.data / "keys.json").unlink()
    for words in (("keys", "check"), ("run", "--port", "0")):
        outcome = here.run(*words)
        assert outcome.returncode != 0
        assert not (here.data / "keys.json").exists(), "no new one is made for a database that holds data"
    assert_told(here.run("keys", "check"), "找不到金鑰檔")


def test_a_server_of_ones_own_is_backed_up_by_its_own_tools(committed, top):
    outcome = quitledger(
        "backup", str(top / "backup"), DATABASE_URL=committed.app_url, DATABASE_OWNER_URL=committed.owner_url
    )
    assert_told(outcome, "內嵌的資料庫")
