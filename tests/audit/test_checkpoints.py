"""Whatever somebody does to the ledger behind the database's back is found, and which row it was is said."""

import json
import shutil
import threading
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import connection, connections

from quitledger.accounts.scope import scoped
from quitledger.audit import anchors, checkpoints, journal
from quitledger.audit import ledger as the_ledger
from quitledger.audit.anchors import parsed, signed
from quitledger.audit.checkpoints import (
    AlreadyAtWork,
    AnchorBehind,
    AnotherAnchor,
    continue_after_restore,
    make_checkpoint,
    new_entries,
)
from quitledger.audit.ledger import LedgerBusy, ledger_tables
from quitledger.audit.signing import create_signing_key, load_signer
from quitledger.audit.verification import verify
from quitledger.ops.database import set_clock
from quitledger.visits.services import record_visit

from .. import world
from ..conftest import TEMPLATE, Database, Prepare
from ..sql import one
from .conftest import Ledger
from .test_history import FOLLOWED, RUNS
from .test_journal import typed

pytestmark = pytest.mark.engine


def write(times: int = 1) -> None:
    """Entries of the journal, by the application."""
    for _ in range(times):
        with scoped(world.actor("recorder")):
            journal.record("case.read", record_type="case", uids=[uuid4()])


def record_one() -> None:
    """A visit with all that goes with it."""
    recorder = world.actor("recorder")
    with scoped(recorder):
        record_visit(case=world.case(), entry=typed(), by=recorder)


@pytest.fixture(scope="module")
def covered_once(prepare: Prepare, tmp_path_factory: pytest.TempPathFactory) -> tuple[Database, Path]:
    """Two checkpoints over the world, a visit and a few entries, and the folder with their anchor and key."""
    folder = tmp_path_factory.mktemp("covered")

    def two_checkpoints(database: Database) -> Path:
        ledger = Ledger(database, folder)
        record_one()
        ledger.checkpoint()
        write(5)
        ledger.checkpoint()
        return folder

    return prepare(two_checkpoints)


@pytest.fixture
def origin(request: pytest.FixtureRequest) -> str:
    if "covered" not in request.fixturenames:
        return TEMPLATE
    database: Database = request.getfixturevalue("covered_once")[0]
    return database.name


@pytest.fixture
def covered(committed: Database, covered_once: tuple[Database, Path], tmp_path: Path) -> Ledger:
    """A copy of that database, its anchor and key."""
    shutil.copytree(covered_once[1], tmp_path, dirs_exist_ok=True)
    return Ledger(committed, tmp_path)


# --- Nothing wrong ---------------------------------------------------------------------------------------------------


def test_the_ledger_is_the_journal_and_every_history(db):
    names = [table.name for table in ledger_tables()]
    assert sorted(names[:-2]) == sorted(f"{table}_history" for table in FOLLOWED + RUNS)
    assert names[-2:] == ["audit_rewritten", "audit_journal"]


def test_what_was_not_touched_is_sound_and_what_is_not_covered_is_counted(covered):
    write(3)
    report = covered.verify()
    assert report.sound
    assert (report.checkpoints, report.not_anchored, report.restored) == (2, 0, [])
    assert report.rows > 100
    assert report.not_covered == {"audit_journal": 3}
    covered.checkpoint()
    report = covered.verify()
    assert report.sound
    assert report.not_covered == {}


def test_nothing_new_makes_no_checkpoint(covered):
    assert covered.checkpoint().checkpoints == 0
    assert len(covered.lines) == 2


def test_a_checkpoint_tells_no_value(covered):
    text = covered.anchor.read_text()
    assert "示範" not in text
    with covered.database.owner() as owner:
        for (uid,) in owner.execute("SELECT uid::text FROM cases_case").fetchall():
            assert uid not in text


def test_the_anchor_is_its_owners_alone(covered):
    assert covered.anchor.stat().st_mode & 0o777 == 0o600


def test_entries_not_covered_yet_are_known_by_their_numbers(covered):
    write(4)
    with covered.database.as_owner():
        assert new_entries() == 4


def test_more_rows_than_a_block_and_than_a_checkpoint(ledger, monkeypatch):
    monkeypatch.setattr(checkpoints, "BLOCK_ROWS", 7)
    monkeypatch.setattr(checkpoints, "MOST_ROWS", 40)
    write(25)
    made = ledger.checkpoint()
    assert made.checkpoints == -(-made.rows // 40) > 2
    assert ledger.verify().sound
    with ledger.tampering() as superuser:
        row = one(superuser, "SELECT id FROM audit_journal WHERE action = 'case.read' ORDER BY id OFFSET 13 LIMIT 1")
        superuser.execute("UPDATE audit_journal SET fields = '{name}' WHERE id = %s", [row])
    assert ledger.found() == [("row-changed", "audit_journal", row)]


def test_a_column_added_later_changes_nothing_that_was_proved(covered):
    with covered.database.owner() as owner:
        owner.execute("ALTER TABLE cases_case ADD COLUMN nickname text NOT NULL DEFAULT '阿甲'")
        owner.execute("SELECT audit_follow('cases_case')")
    assert covered.verify().sound
    covered.checkpoint()
    assert covered.verify().sound


@pytest.mark.parametrize("zone", ["UTC", "Asia/Taipei", "America/St_Johns"])
def test_a_session_in_another_time_zone_sees_the_same_rows(covered, zone):
    with covered.database.as_owner(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('timezone', %s, false)", [zone])
        assert verify(covered.anchor, {covered.signer.key_id: covered.signer.public}).sound


# --- Rows ------------------------------------------------------------------------------------------------------------

TABLES = [("audit_journal", "id"), *((f"{table}_history", "history_id") for table in FOLLOWED)]


def some_row(superuser: psycopg.Connection, table: str, key: str) -> Any:
    return one(superuser, f"SELECT {key} FROM {table} ORDER BY {key} OFFSET (SELECT count(*) / 2 FROM {table}) LIMIT 1")


def rows_of(ledger: Ledger) -> list[tuple[str, str]]:
    with ledger.database.owner() as owner:
        return [(table, key) for table, key in TABLES if one(owner, f"SELECT count(*) FROM {table}")]


def test_a_row_removed_is_named_in_every_table(covered):
    tables = rows_of(covered)
    assert len(tables) > 10
    with covered.tampering() as superuser:
        gone = {table: some_row(superuser, table, key) for table, key in tables}
        for table, key in tables:
            superuser.execute(f"DELETE FROM {table} WHERE {key} = %s", [gone[table]])
    found = [finding for finding in covered.found() if finding[0] != "record-differs"]
    assert sorted(found) == sorted(("row-removed", table, row) for table, row in gone.items())


def test_a_row_changed_is_named_in_every_table(covered):
    tables = rows_of(covered)
    with covered.tampering() as superuser:
        changed = {table: some_row(superuser, table, key) for table, key in tables}
        for table, key in tables:
            at = "at" if table == "audit_journal" else "history_at"
            superuser.execute(f"UPDATE {table} SET {at} = {at} + interval '1 us' WHERE {key} = %s", [changed[table]])
    assert sorted(covered.found()) == sorted(("row-changed", table, row) for table, row in changed.items())


def test_a_value_changed_in_a_version_and_in_its_record_is_found(covered):
    with covered.tampering() as superuser:
        superuser.execute("UPDATE visits_visit SET visit_on = visit_on - 1")
        superuser.execute("UPDATE visits_visit_history SET visit_on = visit_on - 1")
        row = one(superuser, "SELECT history_id FROM visits_visit_history")
    assert covered.found() == [("row-changed", "visits_visit_history", row)]


def test_a_value_taken_out_and_one_put_in_are_changes(covered):
    with covered.tampering() as superuser:
        superuser.execute("UPDATE audit_journal SET record_type = '' WHERE id = (SELECT max(id) FROM audit_journal)")
        superuser.execute(
            "UPDATE audit_journal SET record_version = 1 WHERE id = (SELECT max(id) - 1 FROM audit_journal)"
        )
        last = one(superuser, "SELECT max(id) FROM audit_journal")
    assert covered.found() == [("row-changed", "audit_journal", last - 1), ("row-changed", "audit_journal", last)]


def test_rows_inserted_in_gaps_before_the_first_and_under_a_number_twice_are_named(covered):
    with covered.tampering() as superuser:
        last = one(superuser, "SELECT max(id) FROM audit_journal")
        superuser.execute("DELETE FROM audit_journal WHERE id = %s", [last - 2])
        put_in = (
            "INSERT INTO audit_journal (id, action, account_id, institution_id) OVERRIDING SYSTEM VALUE"
            " VALUES (%s, 'case.read', 1, 1)"
        )
        for number in (-3, 0, last - 2, last):
            superuser.execute(put_in, [number])
    assert covered.found() == [
        ("row-inserted", "audit_journal", -3),
        ("row-inserted", "audit_journal", 0),
        ("row-changed", "audit_journal", last - 2),
        ("row-inserted", "audit_journal", last),
    ]


def test_two_entries_in_each_others_place_are_named(covered):
    with covered.tampering() as superuser:
        last = one(superuser, "SELECT max(id) FROM audit_journal")
        superuser.execute("ALTER TABLE audit_journal ALTER COLUMN id DROP IDENTITY")
        superuser.execute(
            "UPDATE audit_journal SET id = CASE id WHEN %(a)s THEN %(b)s ELSE %(a)s END WHERE id IN (%(a)s, %(b)s)",
            {"a": last, "b": last - 1},
        )
    assert covered.found() == [("row-changed", "audit_journal", last - 1), ("row-changed", "audit_journal", last)]


def test_a_function_that_says_what_one_wants_to_hear_is_not_asked(covered):
    with covered.tampering() as superuser:
        superuser.execute(
            "CREATE TABLE kept AS SELECT j::text AS was, audit_leaf(j::text) AS leaf FROM audit_journal j"
        )
        row = one(superuser, "UPDATE audit_journal SET fields = '{x}' WHERE id = 2 RETURNING id")
        superuser.execute(
            "INSERT INTO kept SELECT j::text, (SELECT leaf FROM kept LIMIT 1 OFFSET 1) FROM audit_journal j WHERE id = 2"
        )
        superuser.execute(
            "CREATE OR REPLACE FUNCTION audit_leaf(r text) RETURNS bytea LANGUAGE sql AS 'SELECT leaf FROM kept WHERE was = r'"
        )
    assert covered.found() == [("row-changed", "audit_journal", row)]


def test_a_table_dropped_is_named(covered):
    with covered.tampering() as superuser:
        superuser.execute("DROP TABLE visits_visit_history")
    assert ("table-missing", "visits_visit_history", 0) in covered.found()


def test_a_trigger_taken_away_does_not_take_the_table_out_of_the_proof(covered):
    with covered.tampering() as superuser:
        superuser.execute("DROP TRIGGER append_only ON visits_visit_history")
        superuser.execute("DELETE FROM visits_visit_history")
    assert ("table-missing", "visits_visit_history", 0) in covered.found()


def test_a_record_changed_without_a_version_is_named(covered):
    with covered.tampering() as superuser:
        visit = one(superuser, "UPDATE visits_visit SET note = '改過' RETURNING id")
        case = one(superuser, "DELETE FROM cases_case WHERE id = (SELECT max(id) FROM cases_case) RETURNING id")
        quota = one(
            superuser,
            "INSERT INTO institutions_quota (institution_id, year, kind, visits) VALUES (1, 2025, 'medication', 1)"
            " RETURNING id",
        )
    assert sorted(covered.found()) == [
        ("record-differs", "cases_case", case),
        ("record-differs", "institutions_quota", quota),
        ("record-differs", "visits_visit", visit),
    ]


# --- Checkpoints -----------------------------------------------------------------------------------------------------


def test_the_tail_removed_with_its_checkpoints_is_found_by_the_anchor(covered):
    with covered.tampering() as superuser:
        first = parsed(covered.lines[0]).covered["audit_journal"]
        gone = superuser.execute("DELETE FROM audit_journal WHERE id > %s RETURNING id", [first]).fetchall()
        superuser.execute("DELETE FROM audit_checkpoint WHERE number = 2")
    assert covered.found() == [
        ("checkpoint-removed", "", 2),
        *(("row-removed", "audit_journal", row) for (row,) in sorted(gone)),
    ]
    with pytest.raises(AnchorBehind):
        covered.checkpoint()


def test_a_chain_computed_anew_by_somebody_without_the_key_is_found(covered, tmp_path):
    """The journal is changed, all checkpoints are made again with another key, and even the anchor is replaced."""
    with covered.tampering() as superuser:
        superuser.execute("UPDATE audit_journal SET fields = '{x}' WHERE id = (SELECT max(id) FROM audit_journal)")
        superuser.execute("DELETE FROM audit_checkpoint")
    create_signing_key(tmp_path / "forged.pem")
    forger = load_signer(tmp_path / "forged.pem")
    with covered.database.as_owner():
        make_checkpoint(forger, tmp_path / "forged.txt")
    found = covered.found()
    assert ("checkpoint-altered", "", 1) in found
    assert ("checkpoint-removed", "", 2) in found
    assert [fault for fault, table, _ in found if table] == ["row-changed"]

    (tmp_path / "forged.txt").replace(covered.anchor)
    report = covered.verify()
    assert [finding.fault.value for finding in report.findings] == ["line-forged"]
    assert report.rows == 0, "nothing is proved by a line that is not trusted"
    assert report.not_covered["audit_journal"] > 0


def altered(line: str, **changes: Any) -> str:
    """The line with another payload under the old signature."""
    signature, _, body = line.partition(" ")
    return f"{signature} {json.dumps(json.loads(body) | changes, separators=(',', ':'))}"


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (lambda one, two: [two], {"line-out-of-order", "checkpoint-altered"}),
        (lambda one, two: [two, one], {"line-out-of-order", "checkpoint-altered"}),
        (lambda one, two: [one, one, two], {"line-out-of-order", "checkpoint-altered", "checkpoint-removed"}),
        (lambda one, two: [altered(one, covered={}), two], {"line-forged", "line-out-of-order"}),
        (lambda one, two: [altered(one, blocks=[]), two], {"line-forged", "line-out-of-order"}),
        (lambda one, two: [altered(one, database=str(uuid4())), two], {"line-forged", "line-of-another"}),
        (lambda one, two: [one, altered(two, key="0" * 16)], {"line-forged"}),
        (lambda one, two: [one, "AAAA" + two[4:]], {"line-forged"}),
        (lambda one, two: [one, "不是簽章 " + two.partition(" ")[2]], {"line-forged"}),
        (lambda one, two: ["what is this", two], {"line-unreadable", "line-out-of-order"}),
        (lambda one, two: [one.replace('"number":1', '"number":"1"'), two], {"line-unreadable"}),
        (lambda one, two: [], set()),
    ],
)
def test_an_anchor_that_was_written_to_is_not_believed(covered, change, faults):
    covered.anchor.write_text("".join(line + "\n" for line in change(*covered.lines)))
    report = covered.verify()
    assert faults <= {finding.fault.value for finding in report.findings}
    assert not report.sound or report.not_anchored, "at least the checkpoints that nobody anchored are told"


def test_an_anchor_cut_short_is_told_and_filled_up_by_the_next_checkpoint(covered):
    whole = covered.anchor.read_text()
    covered.anchor.write_text(whole[: whole.index("\n") + 100])  # the second line is half written, as by a crash
    report = covered.verify()
    assert (report.sound, report.checkpoints, report.not_anchored) == (True, 1, 1)
    covered.checkpoint()
    assert covered.anchor.read_text() == whole


def test_an_anchor_that_is_gone_is_a_fault_and_what_the_database_has_is_checked_all_the_same(covered):
    covered.anchor.unlink()
    assert covered.found() == [("anchor-missing", "", 0)]
    with covered.tampering() as superuser:
        row = one(superuser, "UPDATE audit_journal SET fields = '{x}' WHERE id = 1 RETURNING id")
    assert covered.found() == [("anchor-missing", "", 0), ("row-changed", "audit_journal", row)]


def test_the_anchor_of_another_database_is_refused(covered):
    with covered.tampering() as superuser:
        superuser.execute("UPDATE audit_database SET uid = gen_random_uuid()")
    assert {fault for fault, _, _ in covered.found()} == {"line-of-another"}
    write()
    with pytest.raises(AnotherAnchor):
        covered.checkpoint()


@pytest.mark.parametrize("change", ["line = 'x'", "line = replace(line, 'checkpoint', 'Checkpoint')"])
def test_a_checkpoint_altered_in_the_database_is_told_and_not_built_upon(covered, change):
    with covered.tampering() as superuser:
        superuser.execute(f"UPDATE audit_checkpoint SET {change} WHERE number = 2")
    assert covered.found() == [("checkpoint-altered", "", 2)]
    write()
    with pytest.raises(AnotherAnchor):
        covered.checkpoint()


def test_nobody_changes_a_checkpoint_by_statement(covered):
    with covered.database.owner() as owner:
        for statement in (
            "UPDATE audit_checkpoint SET number = 9",
            "DELETE FROM audit_checkpoint",
            "TRUNCATE audit_checkpoint",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                owner.execute(statement)
        with pytest.raises(psycopg.errors.CheckViolation):
            owner.execute("UPDATE audit_database SET uid = gen_random_uuid()")
    with covered.database.app() as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute("INSERT INTO audit_checkpoint (number, line) VALUES (9, 'x')")


# --- Restored --------------------------------------------------------------------------------------------------------


def test_a_restored_database_says_so_for_ever_and_goes_on(covered):
    """As after a restore from a backup made between the two checkpoints."""
    first, second = map(parsed, covered.lines)
    with covered.tampering() as superuser:
        superuser.execute("DELETE FROM audit_journal WHERE id > %s", [first.covered["audit_journal"]])
        superuser.execute("DELETE FROM audit_checkpoint WHERE number = 2")
    with covered.database.as_owner():
        assert continue_after_restore(covered.signer, covered.anchor, reason="磁碟損壞") == 1
        assert continue_after_restore(covered.signer, covered.anchor, reason="再一次") == 0
    write(2)
    covered.checkpoint()
    report = covered.verify()
    assert report.findings == []
    assert report.restored == [
        {"at": report.restored[0]["at"], "reason": "磁碟損壞", "checkpoints": 1, "rows": 5},
    ]
    assert [parsed(line).payload["kind"] for line in covered.lines] == [
        "checkpoint",
        "checkpoint",
        "restored",
        "checkpoint",
    ]
    assert report.not_covered == {}


def test_nobody_without_the_key_declares_a_restore(covered, tmp_path):
    create_signing_key(tmp_path / "forged.pem")
    last = parsed(covered.lines[-1])
    payload = last.payload | {
        "number": 3,
        "kind": "restored",
        "to": 0,
        "blocks": [],
        "previous": last.hash,
        "covered": {},
    }
    with covered.anchor.open("a") as file:
        file.write(signed(load_signer(tmp_path / "forged.pem"), payload) + "\n")
    assert [fault for fault, _, _ in covered.found()] == ["line-forged", "checkpoint-removed"]
    assert covered.verify().rows > 100


# --- Together with writers -------------------------------------------------------------------------------------------


def test_an_entry_numbered_before_the_checkpoint_and_committed_after_it_is_not_lost(covered, monkeypatch):
    """Numbers are given before a transaction commits: the checkpoint waits for whoever writes, and gives way to him."""
    monkeypatch.setattr(the_ledger, "_LOCK_WAIT", "50ms")
    slow = covered.database.app()
    slow.execute("SELECT set_config('quitledger.scope', '0', true)")
    slow.execute("INSERT INTO audit_journal (action) VALUES ('slow.read')")
    write()  # a later number, committed at once
    done: list[Any] = []
    thread = threading.Thread(target=lambda: done.append(_checkpoint_in_thread(covered)))
    thread.start()
    thread.join(0.5)
    assert not done
    write()  # and nobody is kept from writing meanwhile
    slow.commit()
    slow.close()
    thread.join(20)
    assert done[0].rows >= 2
    covered.checkpoint()
    report = covered.verify()
    assert report.sound
    assert report.not_covered == {}


def _checkpoint_in_thread(ledger: Ledger) -> Any:
    try:
        connections["default"].settings_dict.update(_described(ledger.database.owner_url))
        return make_checkpoint(ledger.signer, ledger.anchor)
    finally:
        connections["default"].close()
        connections["default"].settings_dict.update(_described(ledger.database.app_url))


def _described(url: str) -> dict[str, Any]:
    from quitledger.settings import database

    return database(url)


def test_a_writer_that_never_ends_is_waited_for_only_so_long(covered, monkeypatch):
    for name, value in (("_LOCK_WAIT", "20ms"), ("_LOCK_TRIES", 3), ("_PAUSE", 0.01)):
        monkeypatch.setattr(the_ledger, name, value)
    with covered.database.app() as slow:
        slow.execute("SELECT set_config('quitledger.scope', '0', true)")
        slow.execute("INSERT INTO audit_journal (action) VALUES ('slow.read')")
        with pytest.raises(LedgerBusy):
            covered.checkpoint()
    covered.checkpoint()
    assert covered.verify().not_covered == {}


def test_two_checkpoints_at_once_are_one(covered):
    write()
    with covered.database.owner() as other:
        other.execute("SELECT pg_advisory_lock(%s)", [checkpoints._LOCK])
        with pytest.raises(AlreadyAtWork):
            covered.checkpoint()
        other.execute("SELECT pg_advisory_unlock(%s)", [checkpoints._LOCK])  # a closed session frees it a moment later
    assert covered.checkpoint().checkpoints == 1


def test_an_anchor_that_cannot_be_written_leaves_a_checkpoint_that_is_anchored_later(covered, monkeypatch):
    write()

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(anchors.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            covered.checkpoint()
    covered.checkpoint()
    assert [parsed(line).number for line in covered.lines] == [1, 2, 3]
    assert covered.verify().sound


def test_a_shifted_clock_is_only_what_entries_say(covered):
    with covered.database.as_owner():
        set_clock(date(2030, 1, 1))
    covered.checkpoint()
    assert covered.verify().sound
