"""Every command: its help in both languages, what it does, and its faults told in one sentence."""

import json
import re
from pathlib import Path

import click
import psycopg
import pytest
from click.testing import CliRunner

from quitledger.ops.command import main

from .. import world
from .commands import CHINESE, as_program, assert_told, quitledger

FAULTY = Path(__file__).with_name("faulty")
SAMPLES = Path(__file__).resolve().parents[2] / "docs" / "samples"
ENGLISH = re.compile(r"[A-Z][a-z]+ [a-z]+ [a-z]")


def commands(group: click.Group, *path: str):
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        yield (*path, name)
        if isinstance(found, click.Group):
            yield from commands(found, *path, name)


@pytest.fixture
def here(committed) -> dict[str, str]:
    """The environment of a command on the test's own database, with the made-up world in it."""
    return {"DATABASE_URL": committed.app_url, "DATABASE_OWNER_URL": committed.owner_url}


def count(committed, table: str) -> int:
    with psycopg.connect(committed.owner_url) as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


# --- Help ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [(), *commands(main)], ids=" ".join)
def test_help_is_in_chinese_and_english(path):
    outcome = CliRunner().invoke(main, [*path, "--help"])
    assert outcome.exit_code == 0
    assert CHINESE.search(outcome.output)
    assert ENGLISH.search(outcome.output)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--help",), "synthesize"),
        (("accounts", "list"), "recorder"),
        (("db", "migrate"), "purpose: test"),
        (("keys", "check"), "k1"),
        (("statistics", "annual", "113"), "服務 0 人"),
        (("institutions", "import", str(SAMPLES / "institutions.csv")), "3"),
        (("visits", "record", "--by", "recorder", "--institution", world.CLINIC, "-"), "recorded"),
    ],
)
def test_a_command_is_the_same_as_a_program_that_has_nothing_ready(words, said, here):
    """All other tests here have others' modules imported before the command begins."""
    line = '{"case": "T-0001", "visit_on": "114/4/1", "counselling": {"staff": "示範子"}}\n'
    outcome = as_program(*words, typed=line, **here)
    assert outcome.returncode == 0, outcome
    assert said in outcome.stdout


# --- The database ----------------------------------------------------------------------------------------------------


def test_migrating_what_is_migrated_says_the_purpose_it_keeps(here):
    outcome = quitledger("db", "migrate", "--purpose", "production", **here)
    assert outcome.returncode == 0, outcome
    assert "purpose: test" in outcome.stdout


def forget(committed, *names: str, room: str = "%") -> list[str]:
    """The rooms (or `room`) of which these migrations were applied, of which the database no longer knows."""
    statement = "DELETE FROM django_migrations WHERE app LIKE %s AND name = ANY (%s) RETURNING app"
    with committed.owner() as owner:
        return sorted(app for (app,) in owner.execute(statement, [room, list(names)]))


def test_a_database_that_the_replaced_migrations_made_is_up_to_date(here, committed):
    rooms = forget(committed, "0001_tables")
    assert len(rooms) == 10
    outcome = quitledger("db", "migrate", **here)
    assert outcome.returncode == 0, outcome
    assert forget(committed, "0001_tables") == rooms, "applied by being known as what it replaces"


@pytest.mark.parametrize(
    ("room", "last"), [("visits", "0018_fewer_indexes"), ("statistics", "0003_changes")], ids=["stood_on", "on_top"]
)
@pytest.mark.parametrize("command", ["db migrate", "run", "run without the owner's URL"])
def test_a_database_that_the_replaced_migrations_left_half_way_is_told(command, room, last, here, committed):
    assert forget(committed, "0001_tables", last, room=room) == [room, room]
    words, _, without = command.partition(" without")
    if without:
        here["DATABASE_OWNER_URL"] = ""
    assert_told(quitledger(*words.split(), **here), room, "make it anew", "demo load --again")


def test_maintaining_makes_nothing_new_the_second_time(here):
    quitledger("db", "maintain", **here)
    assert "New: 0 months, 0 partitions" in quitledger("db", "maintain", **here).stdout


@pytest.mark.parametrize("command", [("db", "migrate"), ("db", "maintain"), ("demo", "load"), ("accounts", "list")])
def test_what_only_the_owner_may_do_asks_for_the_owners_url(command):
    outcome = quitledger(*command, DATABASE_URL="postgresql://somebody@127.0.0.1:1/none", DATABASE_OWNER_URL="")
    assert_told(outcome, "DATABASE_OWNER_URL")


def test_the_owners_url_alone_is_refused_instead_of_being_passed_over():
    outcome = quitledger("db", "migrate", DATABASE_URL="", DATABASE_OWNER_URL="postgresql://x@127.0.0.1:1/none")
    assert_told(outcome, "DATABASE_URL")


def test_a_server_that_does_not_answer_is_told():
    nowhere = "postgresql://somebody@127.0.0.1:1/none"
    assert_told(quitledger("db", "migrate", DATABASE_URL=nowhere, DATABASE_OWNER_URL=nowhere), "資料庫沒有回應")


def test_a_database_without_tables_is_told(empty_database):
    empty = empty_database()
    urls = {"DATABASE_URL": empty.app_url, "DATABASE_OWNER_URL": empty.owner_url}
    assert_told(quitledger("accounts", "list", **urls), "quitledger db migrate")


def test_the_first_migration_makes_the_keys_and_a_later_one_does_not(empty_database, tmp_path):
    empty = empty_database()
    here = {"DATABASE_URL": empty.app_url, "DATABASE_OWNER_URL": empty.owner_url, "QUITLEDGER_DATA": str(tmp_path),
            "QUITLEDGER_KEYS_FILE": ""}  # fmt: skip
    first = quitledger("db", "migrate", **here).stdout
    assert "keys.json" in first
    assert "purpose: production" in first, "where nothing else is said"
    (tmp_path / "keys.json").unlink()
    assert "keys.json" not in quitledger("db", "migrate", **here).stdout
    assert not (tmp_path / "keys.json").exists(), "keys that went missing are never replaced"


def test_the_clock_of_a_test_database_is_not_the_demos_to_shift(here):
    assert_told(quitledger("demo", "clock", "114/4/2", **here), "test")


def test_a_day_that_does_not_exist_is_told():
    outcome = quitledger("demo", "clock", "114/2/30")
    assert outcome.returncode == 2
    assert "只有 28 日" in outcome.stderr


# --- Accounts --------------------------------------------------------------------------------------------------------


def test_an_account_is_added_with_a_place_and_listed(here):
    added = quitledger(
        "accounts", "add", "newcomer", "--name", "示範新", "--institution", world.CLINIC, "--role", "recorder",
        "--password-stdin", typed="paper-boat-51-lantern\n", **here,
    )  # fmt: skip
    assert added.returncode == 0, added
    assert f"newcomer\t示範新\t{world.CLINIC} 登錄人員" in quitledger("accounts", "list", **here).stdout


def test_a_password_of_the_agency_is_reset_by_a_code(here, committed):
    outcome = quitledger("accounts", "code", "Desk_Officer", "--factors", **here)
    assert re.search(r"一次性代碼 ([2-9A-Z]{4}-){2}[2-9A-Z]{4}，有效至 114/04/15", outcome.stdout), outcome
    with psycopg.connect(committed.owner_url) as connection:
        (password,) = connection.execute(
            "SELECT password FROM accounts_user WHERE username = 'desk_officer'"
        ).fetchone()
        assert connection.execute("SELECT kind FROM accounts_notice").fetchall() == [("password_reset",)]
    assert password.startswith("!")
    assert_told(quitledger("accounts", "code", "nobody", **here), "沒有帳號 nobody")


def test_an_account_gets_a_place_at_one_more_institution(here):
    words = ("accounts", "place", "stranger", "--institution", world.CLINIC, "--role", "supervisor")
    assert quitledger(*words, **here).returncode == 0
    assert_told(quitledger(*words, **here), "stranger")


@pytest.mark.parametrize(
    ("words", "password", "told"),
    [
        (("weak", "--name", "示範弱"), "short", "12"),
        (("recorder", "--name", "示範子"), "paper-boat-51-lantern", "帳號"),
        (("alone", "--name", "示範", "--role", "recorder"), "paper-boat-51-lantern", "--institution"),
        (("x", "--name", "示範", "--institution", "1234567890", "--role", "recorder"), "paper-boat-51-lantern", "1234567890"),
        (("x", "--name", "示範", "--agency-role", "analyst", "--institution", world.CLINIC, "--role", "recorder"),
         "paper-boat-51-lantern", "主管機關"),
    ],
)  # fmt: skip
def test_an_account_that_cannot_be_is_told_and_not_made(words, password, told, here, committed):
    before = count(committed, "accounts_user")
    assert_told(quitledger("accounts", "add", *words, "--password-stdin", typed=f"{password}\n", **here), told)
    assert count(committed, "accounts_user") == before


# --- Lists -----------------------------------------------------------------------------------------------------------


def test_the_samples_can_be_imported_twice(here, committed):
    for _ in range(2):
        for command, name in (
            (("institutions", "import"), "institutions.csv"),
            (("institutions", "import-staff"), "staff.csv"),
            (("medicines", "import"), "medicines.csv"),
        ):
            outcome = quitledger(*command, str(SAMPLES / name), **here)
            assert outcome.returncode == 0, outcome
        assert count(committed, "institutions_institution") == 3 + 3
        assert count(committed, "institutions_staffcontract") == 5 + 3
        assert count(committed, "visits_medicine") == 3 + 2


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp950"])
def test_a_list_may_have_a_byte_order_mark_or_be_in_big5(encoding, here, committed, tmp_path):
    path = tmp_path / "list.csv"
    path.write_bytes((SAMPLES / "institutions.csv").read_text(encoding="utf-8").encode(encoding))
    outcome = quitledger("institutions", "import", str(path), **here)
    assert outcome.returncode == 0, outcome
    with psycopg.connect(committed.owner_url) as connection:
        assert connection.execute(
            "SELECT name FROM institutions_institutiondetails WHERE code = '9900200010'"
        ).fetchone() == ("範例戒菸診所",)


FAULTS = [
    ("code_of_nine_digits.csv", 3, "10 位數字"),
    ("unknown_tier.csv", 3, "「層級別」應為"),
    ("name_missing.csv", 3, "「機構名稱」沒有填"),
    ("name_too_long.csv", 3, "最多 100 字"),
    ("day_that_does_not_exist.csv", 3, "只有 29 日"),
    ("ends_before_it_starts.csv", 3, "迄日早於起日"),
    ("staff_unknown_institution.csv", 3, "找不到代碼 9999999999"),
    ("staff_neither_yes_nor_no.csv", 3, "「用藥」應為「是」或「否」"),
    ("staff_contracts_overlap.csv", 3, "重疊"),
    ("staff_unknown_profession.csv", 3, "「職類」應為"),
    ("medicine_unknown_kind.csv", 3, "「品項」應為"),
]


def importing(name: str) -> tuple[str, str]:
    if name.startswith("staff"):
        return "institutions", "import-staff"
    return ("medicines", "import") if name.startswith("medicine") else ("institutions", "import")


@pytest.mark.parametrize(("name", "line", "told"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_a_bad_row_is_told_with_its_line_and_stops_the_others(name, line, told, here, committed):
    tables = ("institutions_institution", "institutions_staffcontract", "visits_medicine")
    before = [count(committed, table) for table in tables]
    outcome = quitledger(*importing(name), str(FAULTY / name), **here)
    assert_told(outcome, f"line {line}", told, "0 rows imported")
    assert [count(committed, table) for table in tables] == before


@pytest.mark.parametrize("name", [fault[0] for fault in FAULTS])
def test_the_good_rows_are_imported_where_that_is_chosen(name, here):
    outcome = quitledger(*importing(name), str(FAULTY / name), "--good-rows-only", **here)
    assert_told(outcome, "1 rows imported")


@pytest.mark.parametrize(("name", "told"), [("column_missing.csv", "縣市"), ("neither_utf8_nor_big5.csv", "UTF-8")])
def test_a_file_that_cannot_be_read_is_told(name, told, here):
    assert_told(quitledger("institutions", "import", str(FAULTY / name), **here), told)


# --- Visits ----------------------------------------------------------------------------------------------------------


def lines(*entries: object) -> str:
    return "".join(
        f"{entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False)}\n" for entry in entries
    )


COUNSELLING = {"case": "T-0001", "visit_on": "114/4/1", "counselling": {"staff": "示範子"}}
BOTH = {
    "case": "T-0002", "visit_on": "2025-03-31", "visit_time": "09:20",
    "medication": {"staff": "示範丑", "lines": [{"medicine_code": world.PATCH, "supply_weeks": 2}]},
    "counselling": {"staff": "示範子", "mode": "telephone"}, "cigarettes_per_day": 9, "co_ppm": 12, "note": "𠮷",
}  # fmt: skip


def record(here: dict[str, str], typed: str, *words: str, by: str = "recorder", code: str = world.CLINIC):
    return quitledger("visits", "record", "--by", by, "--institution", code, *words, "-", typed=typed, **here)


def test_visits_are_recorded_in_the_accounts_name_once_however_often_they_are_sent(here, committed):
    for word in ("已登錄 recorded", "先前已登錄 recorded before"):
        outcome = record(here, lines(COUNSELLING, BOTH))
        assert outcome.returncode == 0, outcome
        assert outcome.stdout.count(word) == 2
        assert count(committed, "visits_visit") == 2
    with psycopg.connect(committed.owner_url) as connection:
        who = "SELECT DISTINCT u.username FROM visits_visit v JOIN accounts_user u ON u.id = v.recorded_by_id"
        assert connection.execute(who).fetchall() == [("recorder",)]
        assert connection.execute("SELECT note FROM visits_visit WHERE note <> ''").fetchone() == ("𠮷",)


def test_every_problem_of_a_line_is_told_and_the_others_are_recorded(here, committed):
    closed = COUNSELLING | {"visit_on": "114/2/15"}
    outcome = record(here, lines(closed, BOTH, "", '{"case": 1}', "[]", COUNSELLING | {"modus": "?"}))
    assert_told(
        outcome,
        "line 1",
        "登錄期限",
        "line 4",
        "「case」應為文字",
        "「visit_on」沒有填",
        "line 5",
        "「modus」沒有這個欄位",
    )
    assert count(committed, "visits_visit") == 1


def test_all_or_none_records_none_where_one_is_refused(here, committed):
    outcome = record(here, lines(BOTH, COUNSELLING | {"visit_on": "114/2/15"}), "--all-or-none")
    assert_told(outcome, "0 recorded, 2 not")
    assert count(committed, "visits_visit") == 0
    assert record(here, lines(BOTH, COUNSELLING), "--all-or-none").returncode == 0
    assert count(committed, "visits_visit") == 2


@pytest.mark.parametrize(
    "line",
    [
        '{"case": "T-0001", "visit_on": "114/4/1", "note": "\\u0000"}',
        '{"case": "\\ud800", "visit_on": "114/4/1"}',
        '{"case": "T-0001", "visit_on": "114/2/30"}',
        '{"case": "T-0001", "visit_on": "114/4/1", "co_ppm": 1e400}',
        '{"case": "T-0001", "visit_on": "114/4/1", "co_ppm": 99999999999999999999}',
        '{"case": "T-0001", "visit_on": "114/4/1", "counselling": [1]}',
        '{"case": "T-0001", "visit_on": "114/4/1", "medication": {"staff": "示範丑", "lines": [1]}}',
        "[" * 100_000,
    ],
)
def test_a_line_of_nonsense_is_told(line, here, committed):
    assert_told(record(here, line), "line 1")
    assert count(committed, "visits_visit") == 0


@pytest.mark.parametrize(
    ("by", "code", "told"),
    [
        ("stranger", world.CLINIC, "stranger"),
        ("desk_officer", world.CLINIC, "desk_officer"),
        ("nobody", world.CLINIC, "nobody"),
        ("recorder", "0000000000", "0000000000"),
    ],
)
def test_who_has_no_place_at_the_institution_records_nothing(by, code, told, here, committed):
    assert_told(record(here, lines(COUNSELLING), by=by, code=code), told)
    assert count(committed, "visits_visit") == 0
