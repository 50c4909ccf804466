"""Every version of every followed row is kept, by the database, whoever writes and however."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.apps import apps
from psycopg import errors, sql

from quitledger.accounts.scope import scoped
from quitledger.visits import rules
from quitledger.visits.services import record_visits

from .. import world
from ..conftest import Database
from ..sql import acting, insert_service, keys, one, open_month, record, set_scope

pytestmark = pytest.mark.engine

# In the order in which their rows can be deleted.
FOLLOWED = (
    "corrections_steptaken", "corrections_item", "corrections_application", "visits_permit", "visits_medicationline", "visits_service", "visits_visit", "visits_servicemonth", "cases_baseline", "cases_case",
    "cases_merge", "cases_person", "institutions_certificate", "institutions_staffcontract", "institutions_staffmember",
    "institutions_membership", "institutions_quota", "institutions_contract", "institutions_institutiondetails",
    "institutions_institution", "accounts_user",
)  # fmt: skip
RUNS = (
    "retention_run",
    "corrections_evidence",
    "statistics_publication",
)  # followed as well; there is none in the world, and none is ever deleted
# Rows of passing or unchanging things: public lists, the calendar, extensions and the journal (append-only themselves),
# what libraries keep.
NOT_FOLLOWED = {
    "visits_medicine", "visits_month", "visits_windowextension",
    "visits_course",  # computed from what is followed
    "visits_coursefinding",  # written once
    "visits_draft",  # no record
    "corrections_askedidentity",  # what becomes of it is a version of the person
    "batches_batch", "batches_batchfile", "batches_row", "batches_columnchoice", "batches_comparison",  # held, no records
    "corrections_evidencefile",  # what it is stands in its row, which is followed, with the digest of what was sent
    "accounts_session", "accounts_onetimecode",  # passing
    "accounts_notice",  # written once
    "selfcheck_signoff",  # written once, and append-only itself
    "selfcheck_reminder", "selfcheck_reminderaddress",  # passing: that somebody was reminded today, and where to
    "cases_mergedrecord",  # written once
    "retention_plannedperson",  # a plan stays; what becomes of each is said once
}  # fmt: skip


# An application with an item and its first step, and a permit of nobody's.
_APPLICATION = """
WITH a AS (INSERT INTO corrections_application (uid, institution_id, case_id, person_id, state, on_paper, reason,
    discovered_on, written_by_id, single_person, version)
  VALUES (gen_random_uuid(), %(institution)s, %(case)s, %(person)s, 'withdrawn', false, '漏登', '2025-04-01', %(account)s, false, 1)
  RETURNING id, uid),
i AS (INSERT INTO corrections_item (uid, application_id, institution_id, position, kind, visit_on, contents, linked,
    taken_out, decision, rejected_for)
  SELECT gen_random_uuid(), a.id, %(institution)s, 0, 'late_entry', '2025-02-15', '{}', false, false, '', '' FROM a),
s AS (INSERT INTO corrections_steptaken (application_id, institution_id, step, from_state, to_state, by_id, from_desk, text)
  SELECT a.id, %(institution)s, 'write', '', 'draft', %(account)s, false, '' FROM a)
INSERT INTO visits_permit (uid, application, person_id, institution_id, visit, kind, expected_version, visit_on, is_late,
    applied_by_id, decided_by_id)
  SELECT gen_random_uuid(), a.uid, %(person)s, %(institution)s, gen_random_uuid(), 'record', 0, '2025-02-15', true,
    %(account)s, u.id FROM a, accounts_user u WHERE u.username = 'desk_officer'
"""


@pytest.fixture(scope="module")
def living(another: Callable[[], Database]) -> Iterator[psycopg.Connection]:
    """The owner in a world in which every followed table has rows: one transaction, rolled back."""
    database = another()
    with psycopg.connect(database.owner_url) as owner:
        at = keys(owner)
        set_scope(owner, 0, at.account)
        record(owner, at, world.TODAY, "medication", "counselling")
        owner.execute(
            "INSERT INTO institutions_certificate (staff_id, kind, number, ends_on)"
            " SELECT id, 'test', '', '2025-12-31' FROM institutions_staffmember"
        )
        owner.execute(
            "INSERT INTO institutions_quota (institution_id, year, kind, visits)"
            " SELECT id, 2025, 'medication', 1 FROM institutions_institution"
        )
        owner.execute(
            _APPLICATION, {"case": at.case, "person": at.person, "institution": at.institution, "account": at.account}
        )
        owner.execute(
            "INSERT INTO cases_merge (uid, kept_id, merged_id, reason, decided_by_id)"
            " SELECT gen_random_uuid(), min(id), max(id), 'test', %s FROM cases_person",
            [at.account],
        )
        owner.execute("SET CONSTRAINTS ALL IMMEDIATE")  # as a commit would
        owner.execute("SET CONSTRAINTS ALL DEFERRED")
        yield owner
        owner.rollback()
    database.drop()


@pytest.fixture
def lived_in(living: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """That world for one test: what it does is undone."""
    with living.transaction(force_rollback=True):
        yield living


def columns(connection: psycopg.Connection, table: str) -> dict[str, str]:
    """The columns of a table and their types."""
    rows = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
        [table],
    )
    return dict(rows.fetchall())


def test_every_table_of_a_room_is_followed_or_named_here(lived_in):
    tables = {model._meta.db_table for model in apps.get_models() if model.__module__.startswith("quitledger.")}
    assert tables - NOT_FOLLOWED == {*FOLLOWED, *RUNS}
    followed = lived_in.execute(
        "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'keep_insert'"
    ).fetchall()
    assert {name for (name,) in followed} == {*FOLLOWED, *RUNS}


@pytest.mark.parametrize("table", FOLLOWED + RUNS)
def test_history_has_every_column_of_its_table(db, table):
    with db.owner() as owner:
        history = columns(owner, f"{table}_history")
        assert columns(owner, table).items() <= history.items()
        own = {name for name in history if name.startswith("history_")}
    assert own == {"history_id", "history_at", "history_change", "history_by", "history_xid"}


@pytest.mark.parametrize("table", FOLLOWED)
def test_the_latest_version_of_every_row_is_the_row(lived_in, table):
    left = "accounts_user" if table == "accounts_user" else None  # its password is not kept
    differing = lived_in.execute(
        sql.SQL(
            "SELECT count(*), count(*) FILTER (WHERE h.row - 'password' = to_jsonb(t) - %s::text) FROM {} t LEFT JOIN"
            " (SELECT DISTINCT ON (id) id, to_jsonb(v) - '{{history_id,history_at,history_change,history_by,"
            "history_xid}}'::text[] AS row FROM {} v ORDER BY id, history_id DESC) h USING (id)"
        ).format(sql.Identifier(table), sql.Identifier(f"{table}_history")),
        ["password" if left else "-"],
    ).fetchone()
    assert differing[0] == differing[1] > 0


def versions(connection: psycopg.Connection, table: str) -> dict[str, int]:
    """How many versions a table's history holds, by what made them."""
    rows = connection.execute(f"SELECT history_change, count(*)::int FROM {table}_history GROUP BY 1").fetchall()
    return {"insert": 0, "update": 0, "delete": 0} | dict(rows)


@pytest.mark.parametrize("table", FOLLOWED)
def test_every_change_of_every_row_makes_exactly_one_version(lived_in, table):
    before, rows = versions(lived_in, table), one(lived_in, f"SELECT count(*) FROM {table}")
    assert rows
    lived_in.execute(f"UPDATE {table} SET id = id")
    lived_in.execute(f"UPDATE {table} SET id = id WHERE id = (SELECT min(id) FROM {table})")
    lived_in.execute(f"UPDATE {table} SET id = id WHERE false")
    for earlier in FOLLOWED[: FOLLOWED.index(table) + 1]:
        lived_in.execute(f"DELETE FROM {earlier}")
    after = versions(lived_in, table)
    assert {change: after[change] - before[change] for change in after} == {
        "insert": 0,
        "update": rows + 1,
        "delete": rows,
    }


def test_a_version_tells_who_and_in_which_transaction(committed, owner):
    at = keys(owner)
    with acting(committed, at.institution, at.account) as connection:
        visit = record(connection, at, world.TODAY)
        xid = one(connection, "SELECT pg_current_xact_id()::text")
    kept = (
        "SELECT history_change, history_by, history_xid::text, history_at >= %s FROM visits_visit_history WHERE id = %s"
    )
    assert owner.execute(kept, [world.NOW, visit]).fetchall() == [("insert", at.account, xid, True)]


def test_many_rows_at_once_make_a_version_each(committed, owner):
    """By multi-row INSERT of the service, by UPDATE over all, by INSERT … ON CONFLICT and by COPY."""
    with scoped(world.SYSTEM):
        recorder = world.actor("recorder")
    with scoped(recorder):
        staff = world.staff("示範子").uid
        entries = [
            (world.case(name), rules.Entry(uuid4(), world.TODAY, counselling=rules.Counselling(staff)))
            for name in ("示範甲", "示範乙", "示範丙", "示範丁")
        ]
        assert all(outcome.visit for outcome in record_visits(entries, by=recorder))
    assert versions(owner, "visits_visit") == {"insert": 4, "update": 0, "delete": 0}
    assert versions(owner, "visits_service") == {"insert": 4, "update": 0, "delete": 0}

    owner.execute("UPDATE visits_visit SET in_force = false, version = version + 1")  # services follow
    assert (
        versions(owner, "visits_visit") == versions(owner, "visits_service") == {"insert": 4, "update": 4, "delete": 0}
    )

    owner.execute("INSERT INTO visits_service SELECT * FROM visits_service ON CONFLICT (id) DO UPDATE SET version = 3")
    assert versions(owner, "visits_service") == {"insert": 4, "update": 8, "delete": 0}

    before, institution = versions(owner, "institutions_contract")["insert"], keys(owner).institution
    with owner.cursor().copy(
        "COPY institutions_contract (institution_id, starts_on, ends_on, end_reason) FROM STDIN"
    ) as copy:
        for year in (2001, 2002, 2003):
            copy.write_row((institution, f"{year}-01-01", f"{year}-12-31", ""))
    assert versions(owner, "institutions_contract")["insert"] == before + 3


def test_a_write_rolled_back_leaves_no_version(committed, owner):
    at = keys(owner)
    with acting(committed, at.institution, at.account) as connection:
        record(connection, at, world.TODAY)
        connection.rollback()
    assert versions(owner, "visits_visit") == {"insert": 0, "update": 0, "delete": 0}


@pytest.mark.parametrize("table", FOLLOWED)
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {}_history SET history_by = 1", "UPDATE {}_history SET id = id", "DELETE FROM {}_history",
     "TRUNCATE {}_history", "TRUNCATE {} CASCADE"],
)  # fmt: skip
def test_no_version_is_changed_or_removed_by_the_owner_either(lived_in, table, statement):
    with pytest.raises(errors.InsufficientPrivilege, match="append-only|keeps every version"):
        lived_in.execute(statement.format(table))


def test_no_password_is_kept_in_history(committed, owner):
    owner.execute("UPDATE accounts_user SET password = 'a new one', display_name = '示範新名'")
    kept = owner.execute("SELECT count(*), count(password), count(DISTINCT display_name) FROM accounts_user_history")
    total, passwords, names = kept.fetchone()
    assert (total, passwords) == (2 * len(world.ACCOUNTS), 0)
    assert names == len(world.ACCOUNTS) + 1
    assert one(owner, "SELECT count(*) FROM accounts_user WHERE password = 'a new one'") == len(world.ACCOUNTS)


def test_a_column_added_later_is_kept_from_the_next_follow_on(committed, owner):
    at = keys(owner)
    change = "UPDATE cases_case SET name = %s, version = version + 1 WHERE id = %s"

    def kept() -> list[tuple[Any, ...]]:
        return owner.execute(
            "SELECT name, nickname FROM cases_case_history WHERE id = %s ORDER BY history_id", [at.case]
        ).fetchall()

    owner.execute("ALTER TABLE cases_case ADD COLUMN nickname text NOT NULL DEFAULT '阿甲'")
    with acting(committed, at.institution, at.account) as connection:
        connection.execute(change, ["甲一", at.case])  # before it is followed, writing goes on
    for _ in range(2):
        owner.execute("SELECT audit_follow('cases_case')")
    with acting(committed, at.institution, at.account) as connection:
        connection.execute(change, ["甲二", at.case])
    assert kept() == [("示範甲", None), ("甲一", None), ("甲一", "阿甲"), ("甲二", "阿甲")]

    owner.execute("ALTER TABLE cases_case DROP COLUMN nickname")
    owner.execute("SELECT audit_follow('cases_case')")
    owner.execute(change, ["甲三", at.case])
    assert kept()[-2:] == [("甲二", "阿甲"), ("甲三", None)]


def test_a_followed_service_month_tells_of_its_extension(committed, owner):
    at = keys(owner)
    with acting(committed, at.institution) as connection:
        open_month(connection, at.institution, world.TODAY)
    owner.execute(
        "INSERT INTO visits_windowextension (month, reach, county, closes_at, reason, decided_by_id)"
        " VALUES ('2025-04-01', 'all', '', '2025-06-01', 'test', %s)",
        [at.account],
    )
    closings = owner.execute("SELECT history_change, closes_at::date::text FROM visits_servicemonth_history ORDER BY 1")
    assert [change for change, _ in closings.fetchall()] == ["insert", "update"]


def test_the_service_that_joins_a_visit_makes_one_version_of_it(committed, owner):
    at = keys(owner)
    with acting(committed, at.institution, at.account) as connection:
        visit = record(connection, at, world.TODAY, "medication")
    with acting(committed, at.institution, at.account) as connection:
        insert_service(connection, at, visit, world.TODAY, "counselling")
        connection.execute("UPDATE visits_visit SET version = 2")
    assert versions(owner, "visits_visit") == {"insert": 1, "update": 1, "delete": 0}
    assert versions(owner, "visits_service") == {"insert": 2, "update": 0, "delete": 0}
