"""What the application role may do, for every table there is: asked of PostgreSQL itself, without a service between."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors

from .. import world
from ..sql import acting, insert_line, insert_service, insert_visit, keys, one, open_month, record, set_scope

pytestmark = pytest.mark.engine

ACTIONS = ("select", "insert", "update", "delete", "truncate")
SCOPES = ("own", "other", "none", "agency", "nobody")

# What comes of an action on a row of the clinic: in the clinic's own scope, in another institution's, in no scope, in
# the agency's, in nobody's.
DENIED = ("denied",) * 5  # no right to the table
NO_RIGHT = ("denied", "denied", "no scope", "denied", "denied")  # no right either, but the scope is asked for first
FREE = ("done",) * 5  # no rows of institutions, no scope asked
SEEN = ("done", "unseen", "no scope", "done", "unseen")
WRITTEN = ("done", "refused", "no scope", "refused", "refused")
CHANGED = ("done", "unseen", "no scope", "refused", "unseen")
LOCKED = ("refused", "unseen", "no scope", "refused", "unseen")  # may be locked, never changed
IN_ANY_SCOPE = ("done", "done", "no scope", "done", "done")
BY_THE_AGENCY = ("refused", "refused", "no scope", "done", "refused")

# Attached by the institution and the desk. To which application, by whom and when is said by triggers, which are asked
# before the policy and refuse the rest (tests/corrections/test_evidence.py).
ATTACHED = {"select": SEEN, "insert": IN_ANY_SCOPE, "update": ("done", "unseen", "no scope", "done", "unseen")}

# Applied for by the institution, decided by the desk; the triggers say what each may write.
BY_BOTH = ("done", "refused", "no scope", "done", "refused")
APPLIED = {"select": SEEN, "insert": BY_BOTH, "update": ("done", "unseen", "no scope", "done", "unseen")}

# Held for a time: the institution's alone, not even the agency's to see.
ALONE = ("done", "unseen", "no scope", "unseen", "unseen")
HELD = {
    "select": ALONE,
    "insert": ("done", "refused", "no scope", "refused", "refused"),
    "update": ALONE,
    "delete": ALONE,
}
TAKEN_AWAY = {action: HELD[action] for action in ("select", "insert", "delete")}

NOTHING: dict[str, tuple[str, ...]] = {}
READ = {"select": FREE}
KEPT = {"select": SEEN}  # written by the database alone
RECORDED = {"select": SEEN, "insert": WRITTEN, "update": CHANGED}
TAKEN_OUT = {**RECORDED, "delete": ("done", "unseen", "no scope", "unseen", "unseen")}
# Whoever types: the row is that of the account that asks, at the clinic; a second one is refused.
MINE = {
    "select": ("done", "unseen", "no scope", "unseen", "unseen"),
    "insert": ("refused", "refused", "no scope", "refused", "refused"),
    "update": ("done", "unseen", "no scope", "unseen", "unseen"), "delete": TAKEN_OUT["delete"],
}  # fmt: skip
# Given, changed and ended by the institution or by the desk.
OF_BOTH = {
    "select": SEEN, "insert": ("done", "refused", "no scope", "done", "refused"),
    "update": ("done", "unseen", "no scope", "done", "unseen"),
}  # fmt: skip
# Whoever wrote it or whom it concerns, in whatever scope; here written by the account that asks, on another's behalf.
TOLD = {
    "select": IN_ANY_SCOPE, "insert": ("refused", "refused", "no scope", "refused", "refused"),
    "update": ("unseen", "unseen", "no scope", "unseen", "unseen"),
}  # fmt: skip
# The desk's lists: seen by the institution (or by all), written by the desk alone.
BY_DESK = {"insert": BY_THE_AGENCY, "update": ("unseen", "unseen", "no scope", "done", "unseen")}
LISTED = {"select": SEEN, **BY_DESK}
PUBLISHED = {"select": FREE, **BY_DESK}
# The job's, which acts for nobody; here somebody asks.
BY_THE_JOB = {
    "select": ("unseen", "unseen", "no scope", "unseen", "unseen"),
    "insert": ("refused", "refused", "no scope", "refused", "refused"),
    "update": ("unseen", "unseen", "no scope", "unseen", "unseen"),
}  # fmt: skip
# The account's that asks, in whatever scope.
OWN = {
    "select": IN_ANY_SCOPE, "update": IN_ANY_SCOPE,
    "insert": ("refused", "refused", "no scope", "refused", "refused"),  # of nobody's
}  # fmt: skip
OF_THE_DESK = {"select": ("unseen", "unseen", "no scope", "done", "unseen")}
PASSING = {"select": FREE, "insert": FREE, "update": FREE, "delete": FREE}  # sessions, attempts, jobs

TABLES = {
    "account_emailaddress": READ,
    "account_emailconfirmation": READ,
    "accounts_attempt": PASSING,
    "accounts_notice": TOLD,
    "accounts_onetimecode": {"select": FREE, "insert": FREE, "update": FREE},
    "accounts_session": PASSING,
    "accounts_user": {"select": FREE, "insert": FREE, "update": FREE},
    "accounts_user_history": NOTHING,
    "audit_checkpoint": NOTHING,
    "audit_database": READ,
    "audit_rewriting": NOTHING,
    "audit_rewritten": NOTHING,
    "audit_journal": {"select": SEEN, "insert": IN_ANY_SCOPE},
    "audit_journal_default": NOTHING,
    "audit_journal_[month]": NOTHING,
    "auth_group": NOTHING,
    "auth_group_permissions": NOTHING,
    "auth_permission": READ,
    "batches_batch": {action: HELD[action] for action in ("select", "insert", "update")},
    "batches_batchfile": TAKEN_AWAY,
    "batches_columnchoice": HELD,
    "batches_comparison": TAKEN_AWAY,
    "batches_row": HELD,
    "cases_baseline": RECORDED,
    "cases_baseline_history": KEPT,
    "cases_case": RECORDED,
    "cases_case_history": KEPT,
    "cases_merge": OF_THE_DESK,
    "cases_merge_history": NOTHING,
    "cases_mergedrecord": OF_THE_DESK,
    "cases_person": {"select": SEEN, "update": LOCKED},
    "cases_person_history": NOTHING,
    "corrections_application": APPLIED,
    "corrections_application_history": KEPT,
    "corrections_askedidentity": ATTACHED,
    "corrections_evidence": ATTACHED,
    "corrections_evidence_history": KEPT,
    "corrections_evidencefile": {
        **ATTACHED,
        "update": NO_RIGHT,
        "delete": ("done", "unseen", "no scope", "done", "unseen"),
    },
    "corrections_item": ATTACHED,
    "corrections_item_history": KEPT,
    "corrections_serial": NOTHING,
    "corrections_steptaken": {"select": SEEN, "insert": BY_BOTH},
    "corrections_steptaken_history": NOTHING,
    "django_content_type": READ,
    "django_migrations": READ,
    "institutions_certificate": LISTED,
    "institutions_certificate_history": OF_THE_DESK,
    "institutions_contract": PUBLISHED,
    "institutions_contract_history": OF_THE_DESK,
    "institutions_institution": PUBLISHED,
    "institutions_institution_history": OF_THE_DESK,
    "institutions_institutiondetails": PUBLISHED,
    "institutions_institutiondetails_history": OF_THE_DESK,
    "institutions_membership": OF_BOTH,
    "institutions_membership_history": NOTHING,
    "institutions_quota": LISTED,
    "institutions_quota_history": OF_THE_DESK,
    "institutions_staffcontract": LISTED,
    "institutions_staffcontract_history": OF_THE_DESK,
    "institutions_staffmember": LISTED,
    "institutions_staffmember_history": OF_THE_DESK,
    "mfa_authenticator": PASSING,
    "procrastinate_events": PASSING,
    "procrastinate_jobs": PASSING,
    "procrastinate_periodic_defers": PASSING,
    "procrastinate_workers": PASSING,
    "retention_plannedperson": NOTHING,
    "retention_run": NOTHING,
    "retention_run_history": NOTHING,
    "selfcheck_reminder": BY_THE_JOB,
    "selfcheck_reminderaddress": OWN,
    "selfcheck_signoff": {"select": SEEN, "insert": IN_ANY_SCOPE},  # a trigger refuses: selfcheck/test_services.py
    # Public; triggers refuse what is not drawn up in one snapshot: statistics/test_publications.py
    "statistics_publication": {"select": IN_ANY_SCOPE, "insert": IN_ANY_SCOPE},
    "statistics_publication_history": NOTHING,
    "visits_course": KEPT,
    "visits_coursefinding": KEPT,
    "visits_draft": MINE,
    "visits_medicationline": TAKEN_OUT,
    "visits_medicationline_history": KEPT,
    "visits_medicine": READ,
    "visits_month": READ,
    "visits_permit": {
        "select": SEEN,
        "insert": IN_ANY_SCOPE,
    },  # triggers refuse: corrections/test_no_way_around.py
    "visits_permit_history": NOTHING,
    "visits_service": TAKEN_OUT,
    "visits_service_history": KEPT,
    "visits_servicemonth": KEPT,
    "visits_servicemonth_history": KEPT,
    "visits_visit": RECORDED,
    "visits_visit_history": KEPT,
    "visits_windowextension": {"select": IN_ANY_SCOPE, "insert": BY_THE_AGENCY},
}
THE_CLINIC = "id = (SELECT institution_id FROM institutions_institutiondetails WHERE code = '9900000019')"
# The row of the clinic, where it is not found by its institution.
ROWS = {
    "cases_person": "birth_on = '1973-05-06'",  # 示範乙, known to the clinic alone
    "cases_merge": "reason = 'test'",
    "cases_mergedrecord": "kind = 'case'",
    "institutions_staffmember": "name = '示範子'",
    "institutions_certificate": "kind = 'test'",
    "institutions_certificate_history": "kind = 'test'",
    "institutions_staffmember_history": "name = '示範子'",
    "institutions_institution": THE_CLINIC,
    "institutions_institution_history": THE_CLINIC,
    "institutions_institutiondetails": "code = '9900000019'",
    "institutions_contract": f"institution_{THE_CLINIC}",
    "accounts_notice": "kind = 'password_reset'",
    "selfcheck_reminder": "sent_on = '2025-04-01'",
    "selfcheck_reminderaddress": "address = 'a@example.org'",
    "statistics_publication": "number = 1",
    "institutions_membership": "user_id = (SELECT id FROM accounts_user WHERE username = 'recorder')",
}
EXTENSION = (
    "INSERT INTO visits_windowextension (month, reach, county, institution_id, closes_at, reason, decided_by_id)"
    " VALUES ('2025-03-01', 'institution', '', {clinic}, '2025-05-%s', 'test', {supervisor})"
)
JOURNAL_ENTRY = "INSERT INTO audit_journal (action) VALUES ('test')"


@pytest.fixture
def clinic(committed: Any, owner: psycopg.Connection) -> dict[str, int]:
    """At least one row of the clinic in every table that holds rows of institutions. Its keys and others'."""
    at = keys(owner)
    with acting(committed, at.institution, at.account) as connection:
        record(connection, at, world.TODAY, "medication")
        connection.execute(JOURNAL_ENTRY)
        service = one(connection, "SELECT id FROM visits_service")
        changed = json.dumps([[service, 2025, 2, 2025, 1, True]])
        connection.execute("SELECT visits_write_courses(%s, %s, '{1}', %s, NULL)", [[at.person], [service], changed])
    ids = {
        "clinic": at.institution,
        "pharmacy": keys(owner, "示範戊", world.PHARMACY).institution,
        "supervisor": one(owner, "SELECT id FROM accounts_user WHERE username = 'desk_supervisor'"),
    }
    owner.execute(
        "INSERT INTO institutions_certificate (staff_id, kind, number, ends_on)"
        " SELECT id, 'test', '', '2025-12-31' FROM institutions_staffmember WHERE name = '示範子'"
    )
    owner.execute(
        "INSERT INTO institutions_quota (institution_id, year, kind, visits) VALUES (%s, 2025, 'medication', 1)",
        [ids["clinic"]],
    )
    owner.execute(
        "INSERT INTO visits_draft (institution_id, account_id, case_id, contents) VALUES (%s, %s, %s, '{}')",
        [ids["clinic"], ids["supervisor"], at.case],
    )
    an_evidence(owner, at)
    a_batch(owner, at)
    owner.execute(
        "INSERT INTO selfcheck_signoff (institution_id, month, number, signed_by_id, incomplete, reason, visits, versions, seen)"
        " VALUES (%s, '2025-04-01', 1, %s, 0, '', 0, 0, '{}')", [ids["clinic"], ids["supervisor"]]
    )  # fmt: skip
    owner.execute(
        "WITH a AS (INSERT INTO selfcheck_reminderaddress (account_id, address) VALUES (%s, 'a@example.org') RETURNING account_id)"
        " INSERT INTO selfcheck_reminder (account_id, sent_on, failed) SELECT account_id, '2025-04-01', false FROM a",
        [ids["supervisor"]],
    )  # fmt: skip
    a_publication(owner, ids["supervisor"])
    owner.execute((EXTENSION % "01").format(**ids))
    owner.execute(
        "WITH m AS (INSERT INTO cases_merge (uid, kept_id, merged_id, reason, decided_by_id)"
        " SELECT gen_random_uuid(), min(id), max(id), 'test', %s FROM cases_person RETURNING id)"
        " INSERT INTO cases_mergedrecord (merge_id, kind, record_id, from_case_id) SELECT id, 'case', 1, %s FROM m",
        [ids["supervisor"], at.case],
    )
    owner.execute(
        "INSERT INTO accounts_notice (user_id, kind, by_id) SELECT id, 'password_reset', %s FROM accounts_user"
        " WHERE username = 'recorder'", [ids["supervisor"]]
    )  # fmt: skip
    return ids


def an_evidence(owner: psycopg.Connection, at: Any) -> None:
    """An application of the clinic, with all that hangs on one."""
    application = one(
        owner,
        "INSERT INTO corrections_application (uid, institution_id, case_id, person_id, state, on_paper, reason,"
        " discovered_on, written_by_id, single_person, version)"
        " VALUES (gen_random_uuid(), %s, %s, %s, 'withdrawn', false, 'test', '2025-04-01', %s, false, 1) RETURNING id",
        [at.institution, at.case, at.person, at.account],
    )
    owner.execute(
        "INSERT INTO corrections_item (uid, application_id, institution_id, position, kind, visit_on, contents, linked, taken_out,"
        " decision, rejected_for) VALUES (gen_random_uuid(), %s, %s, 0, 'late_entry', '2025-02-15', '{}', false, false, '', '')",
        [application, at.institution],
    )
    person = one(
        owner,
        "INSERT INTO corrections_item (uid, application_id, institution_id, position, kind, linked, taken_out, decision,"
        " rejected_for) VALUES (gen_random_uuid(), %s, %s, 1, 'person', false, false, '', '') RETURNING id",
        [application, at.institution],
    )
    owner.execute(
        "INSERT INTO corrections_askedidentity (item_id, institution_id, person_version, token, key_id)"
        " VALUES (%s, %s, 1, '', 'k1')",
        [person, at.institution],
    )
    owner.execute(
        "INSERT INTO corrections_steptaken (application_id, institution_id, step, from_state, to_state, by_id, from_desk, text)"
        " VALUES (%s, %s, 'write', '', 'draft', %s, false, '')",
        [application, at.institution, at.account],
    )
    owner.execute(
        "INSERT INTO visits_permit (uid, application, person_id, institution_id, visit, kind, expected_version, visit_on, is_late,"
        " applied_by_id, decided_by_id) SELECT gen_random_uuid(), a.uid, a.person_id, a.institution_id, gen_random_uuid(), 'record',"
        " 0, '2025-02-15', true, a.written_by_id, u.id FROM corrections_application a, accounts_user u"
        " WHERE a.id = %s AND u.username = 'desk_officer'",
        [application],
    )
    evidence = one(
        owner,
        "INSERT INTO corrections_evidence (uid, application_id, institution_id, number, origin, kind, size, pages,"
        " uploaded_by_id) VALUES (gen_random_uuid(), %s, %s, 1, 'sent', 'pdf', 1, 1, %s) RETURNING id",
        [application, at.institution, at.account],
    )
    owner.execute(
        "INSERT INTO corrections_evidencefile (evidence_id, institution_id, token, key_id) VALUES (%s, %s, '', 'k1')",
        [evidence, at.institution],
    )


def a_publication(owner: psycopg.Connection, account: int) -> None:
    """What the desk's supervisor published of a year: nothing but what its columns say."""
    with owner.transaction():
        owner.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        owner.execute(
            "INSERT INTO statistics_publication (uid, year, basis, number, last_on, data_at, content, fingerprint, note,"
            " published_by_id) SELECT gen_random_uuid(), 114, 'any_day', 1, '2025-04-01', moment, said, encode(sha256(said::bytea), 'hex'),"
            " '', %s FROM (SELECT statistics_snapshot_moment() AS moment) a, LATERAL (SELECT jsonb_build_object('roc_year', 114,"
            " 'basis', 'any_day', 'number', 1, 'last', '2025-04-01', 'data_at', moment)::text AS said) b",
            [account],
        )


def a_batch(owner: psycopg.Connection, at: Any) -> None:
    """A file of the clinic that is held, a title that it said, and a list that was compared."""
    batch = one(
        owner,
        "INSERT INTO batches_batch (uid, institution_id, kind, file_format, state, done, recorded, all_or_none, key_id,"
        " uploaded_by_id, kept_until) VALUES (gen_random_uuid(), %s, 'visits', 'csv', 'checked', 0, 0, false, 'k1', %s, 'infinity')"
        " RETURNING id",
        [at.institution, at.account],
    )
    held = [batch, at.institution]
    owner.execute(
        "INSERT INTO batches_batchfile (batch_id, institution_id, token, key_id) VALUES (%s, %s, '', 'k1')", held
    )
    owner.execute(
        "INSERT INTO batches_row (batch_id, institution_id, line, status, token, key_id) VALUES (%s, %s, 2, 'good', '', 'k1')",
        held,
    )
    owner.execute(
        "INSERT INTO batches_columnchoice (institution_id, kind, title, \"column\") VALUES (%s, 'visits', 'x', 'visit_on')",
        [at.institution],
    )
    owner.execute(
        "INSERT INTO batches_comparison (uid, institution_id, month, token, key_id, compared_by_id, kept_until)"
        " VALUES (gen_random_uuid(), %s, '2025-03-01', '', 'k1', %s, 'infinity')",
        [at.institution, at.account],
    )


def every_table(owner: psycopg.Connection) -> Iterator[tuple[str, str]]:
    """Every table, view and partition of the schema: its name, and its name in TABLES."""
    for name, monthly in owner.execute(
        "SELECT relname, relname ~ '^audit_journal_[0-9]{6}$' FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY relname"
    ):
        yield name, "audit_journal_[month]" if monthly else name


def test_every_table_has_its_entry(owner):
    assert {entry for _, entry in every_table(owner)} == set(TABLES)


def test_what_comes_of_every_action_on_every_table_in_every_scope(committed, owner, clinic):
    scopes = {"own": clinic["clinic"], "other": clinic["pharmacy"], "none": None, "agency": 0, "nobody": -1}
    expected, found, unknown = {}, {}, {}
    with committed.app() as application:
        for name, entry in every_table(owner):
            statements = _statements(owner, name, clinic)
            for action in ACTIONS:
                expected[name, action] = TABLES[entry].get(action) or _without_right(TABLES[entry], action)
                found[name, action] = tuple(
                    _outcome(application, statements[action], scopes[scope], clinic["supervisor"]) for scope in SCOPES
                )
                unknown[name, action] = _outcome(application, statements[action], 999_999, clinic["supervisor"])
    assert {key: found[key] for key in found if found[key] != expected[key]} == {}, "as found; see TABLES"
    other = SCOPES.index("other")
    assert unknown == {key: row[other] for key, row in found.items()}, "nobody's institution is another's"


def test_a_scope_that_is_no_number_shows_nothing(committed, owner):
    rows = owner.execute("SELECT relname FROM pg_class WHERE relrowsecurity").fetchall()
    with committed.app() as connection:
        for table in [table for (table,) in rows if TABLES[table].get("select", FREE) != FREE]:
            for scope in ("x", "0 OR true", "1,0", "9" * 30, "-", "1.5", "０"):
                connection.execute("SELECT set_config('quitledger.scope', %s, true)", [scope])
                with pytest.raises(errors.DataError):
                    connection.execute(f"SELECT FROM {table}")
                connection.rollback()


def _without_right(rights: dict[str, tuple[str, ...]], action: str) -> tuple[str, ...]:
    in_a_scope = "no scope" in rights.get("select", ()) and action != "truncate"
    return NO_RIGHT if in_a_scope else DENIED


def _statements(owner: psycopg.Connection, table: str, ids: dict[str, int]) -> dict[str, str]:
    columns: dict[str, bool] = dict(
        owner.execute(
            "SELECT attname, has_column_privilege('quitledger_app', attrelid, attnum, 'UPDATE') FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attidentity <> 'a' ORDER BY attnum",
            [table],
        ).fetchall()
    )
    of_institution = "institution_id" in columns and table not in READ_BY_ALL
    row = ROWS.get(table, f"institution_id = {ids['clinic']}" if of_institution else "true")
    insertion = f"INSERT INTO {table} DEFAULT VALUES"
    if of_institution:
        insertion = f"INSERT INTO {table} (institution_id) VALUES ({ids['clinic']})"
    insertion = {
        "audit_journal": JOURNAL_ENTRY,
        "accounts_user": "INSERT INTO accounts_user (username) VALUES ('own')",
        "visits_windowextension": (EXTENSION % "02").format(**ids),
    }.get(table, insertion)
    changed = next((name for name, may_update in columns.items() if may_update), next(iter(columns)))
    change = "version = version + 1" if "version" in columns and columns["version"] else f"{changed} = {changed}"
    return {
        "select": f"SELECT FROM {table} WHERE {row}",
        "insert": insertion,
        "update": f"UPDATE {table} SET {change} WHERE {row}",
        "delete": f"DELETE FROM {table} WHERE {row}",
        "truncate": f"TRUNCATE {table}",
    }


READ_BY_ALL = {name for name, rights in TABLES.items() if rights is READ}


def _outcome(connection: psycopg.Connection, statement: str, scope: int | None, account: int) -> str:
    with connection.transaction(force_rollback=True):
        set_scope(connection, scope, account)
        try:
            done = connection.execute(statement)
        except errors.IntegrityError:
            return "done"  # rights and policies come first: only what the row says was refused
        except errors.InsufficientPrivilege as error:
            reasons = {"no scope": "no scope was set", "refused": "row-level security policy", "denied": "permission"}
            return next(word for word, text in reasons.items() if text in str(error))
        # A table without rows of institutions may be empty here.
        return "done" if done.rowcount or " WHERE true" in statement else "unseen"


def test_no_scope_is_an_error_where_there_is_no_row_to_look_at(committed, owner):
    rows = owner.execute("SELECT relname FROM pg_class WHERE relrowsecurity")
    protected = [name for (name,) in rows if TABLES[name] is not PUBLISHED]
    with committed.app() as connection:
        for table in protected:
            if not one(owner, "SELECT has_table_privilege('quitledger_app', %s, 'SELECT')", [table]):
                continue
            for condition in ("true", "false", "1 = 2", "ctid = '(9999,9)'"):
                with pytest.raises(errors.InsufficientPrivilege, match="no scope"), connection.transaction():
                    connection.execute(f"SELECT FROM {table} WHERE {condition} LIMIT 0")
        with pytest.raises(errors.InsufficientPrivilege, match="no scope"), connection.transaction():
            connection.execute("INSERT INTO visits_visit SELECT * FROM visits_visit WHERE false")
    assert one(owner, "SELECT count(*) FROM visits_visit") == 0, "the point of this test: empty tables are errors, too"


def test_a_scope_ends_with_its_transaction(committed, owner):
    at = keys(owner)
    with committed.app() as connection:
        set_scope(connection, at.institution)
        assert one(connection, "SELECT count(*) FROM cases_case")
        connection.commit()
        with pytest.raises(errors.InsufficientPrivilege, match="no scope"):
            connection.execute("SELECT FROM cases_case")


def test_turning_row_level_security_off_shows_nothing(committed, owner):
    with acting(committed, keys(owner).institution) as connection:
        connection.execute("SET LOCAL row_security = off")
        with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
            connection.execute("SELECT FROM cases_case")


def test_copy_from_is_refused_under_row_level_security(committed, owner):
    with acting(committed, keys(owner).institution) as connection:
        with pytest.raises(errors.FeatureNotSupported, match="row-level security"):
            connection.execute("COPY visits_visit FROM STDIN")
        connection.rollback()


def test_the_application_role_owns_nothing_and_is_nobody_else(owner):
    owned = owner.execute(
        "SELECT deptype, objid FROM pg_shdepend WHERE deptype = 'o' AND refobjid = 'quitledger_app'::regrole"
    )
    assert owned.fetchall() == []
    memberships = owner.execute("SELECT FROM pg_auth_members WHERE member = 'quitledger_app'::regrole")
    assert memberships.fetchall() == []
    assert one(owner, "SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb FROM pg_roles"
                      " WHERE rolname = 'quitledger_app'") is False  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.own (id int)",
        "CREATE VIEW public.own AS SELECT 1",
        "CREATE FUNCTION public.own() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA own",
        "CREATE EXTENSION postgres_fdw",
        "SET ROLE quitledger_owner",
        "SET SESSION AUTHORIZATION quitledger_owner",
        "SET session_replication_role = replica",
        "ALTER TABLE visits_visit DISABLE TRIGGER ALL",
        "ALTER TABLE visits_visit DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE visits_visit ADD COLUMN own int",
        "ALTER TABLE visits_visit DROP CONSTRAINT visits_visit_one_a_day",
        "DROP TRIGGER within_window ON visits_visit",
        "CREATE TRIGGER own BEFORE INSERT ON visits_visit FOR EACH ROW EXECUTE FUNCTION visits_stamp_visit()",
        "DROP POLICY scope ON visits_visit",
        "CREATE POLICY own ON visits_visit USING (true)",
        "ALTER FUNCTION programme_now() RENAME TO own",
        "UPDATE audit_database SET clock_offset = '1 day'",
        "UPDATE audit_database SET purpose = 'production'",
        "SELECT audit_make_partitions('2030-01-01', 1)",
        "SELECT audit_follow('visits_medicine')",
        "SELECT visits_require_open(1, '2025-04-01', 1)",
        "UPDATE visits_month SET closes_at = 'infinity'",
        "INSERT INTO visits_month VALUES ('2030-01-01', 'infinity', 24)",
        "UPDATE visits_servicemonth SET closes_at = 'infinity'",
        "INSERT INTO visits_servicemonth (institution_id, month) VALUES (1, '2030-01-01')",
        "INSERT INTO cases_person DEFAULT VALUES",
        "UPDATE cases_person SET sex = 'male'",
        "INSERT INTO visits_visit_history (history_change) VALUES ('insert')",
        "INSERT INTO audit_journal (action, at) VALUES ('visit.record', '2025-01-01')",
        "INSERT INTO audit_journal (action, account_id) VALUES ('visit.record', 1)",
        "INSERT INTO audit_journal (action, institution_id) VALUES ('visit.record', 1)",
        "INSERT INTO audit_journal (action, xid) VALUES ('visit.record', '1')",
        "INSERT INTO audit_journal_default (action) VALUES ('visit.record')",
        "UPDATE accounts_user SET agency_role = 'desk_supervisor'",
        "INSERT INTO accounts_user (username, agency_role) VALUES ('own', 'desk_supervisor')",
        "UPDATE accounts_user SET is_active = true",
        "UPDATE institutions_membership SET user_id = 1",
        "UPDATE institutions_membership SET institution_id = 1",
        "COPY accounts_user TO PROGRAM 'true'",
        "COPY accounts_user TO '/tmp/own'",
    ],
)
def test_the_application_role_cannot(db, statement):
    with db.app() as connection:
        set_scope(connection, 0)
        with pytest.raises((errors.InsufficientPrivilege, errors.InvalidParameterValue)) as refused:
            connection.execute(statement)
        assert "permission denied" in str(refused.value) or "must be" in str(refused.value)
        connection.rollback()


def test_functions_with_the_owners_rights_are_few_and_look_nothing_up_in_a_callers_schema(owner):
    ours = (
        "FROM pg_proc p WHERE pronamespace = 'public'::regnamespace AND proname NOT LIKE 'procrastinate%'"
        " AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')"
    )
    callable_ = owner.execute(f"SELECT proname {ours} AND has_function_privilege('quitledger_app', p.oid, 'EXECUTE')")
    assert {name for (name,) in callable_} == {
        "programme_now", "programme_today", "current_scope", "scope_was_set", "current_account", "is_owner",
        "institutions_enter", "institutions_is_elsewhere", "visits_closes_at", "visits_open_months",
        "cases_find_persons", "cases_persons_found", "cases_persons_by_hash", "cases_person_facts", "cases_change_person", "visits_merge_persons",
        "visits_recorded_since_merge", "visits_undo_merge", "corrections_count_accounts",
        "visits_course_facts", "visits_write_courses", "visits_recording_facts", "batches_remove_expired", "statistics_snapshot_moment", "statistics_place", "statistics_changes", "visits_written_now",
        "visits_count_drafts", "visits_hand_over_drafts",
    }  # fmt: skip
    path = "ARRAY['search_path=public, pg_temp']"
    loose = owner.execute(f"SELECT proname {ours} AND prosecdef AND NOT coalesce(proconfig, '{{}}') @> {path}")
    assert loose.fetchall() == []


def test_temporary_tables_with_our_names_deceive_nobody(committed, owner):
    at = keys(owner)
    with acting(committed, at.institution, at.account) as connection:
        connection.execute("CREATE TEMP TABLE audit_database (clock_offset interval)")
        connection.execute("INSERT INTO audit_database VALUES ('-10 years')")
        connection.execute("CREATE TEMP TABLE visits_servicemonth (institution_id bigint, month date, closes_at date)")
        connection.execute("CREATE TEMP TABLE pg_class AS SELECT * FROM pg_catalog.pg_class LIMIT 0")
        connection.execute("SET LOCAL search_path = pg_temp, public, pg_catalog")
        assert one(connection, "SELECT is_owner()") is False
        visit = record(connection, at, world.TODAY)
        connection.execute(JOURNAL_ENTRY)
    assert one(owner, "SELECT recorded_at >= %s FROM visits_visit WHERE id = %s", [world.NOW, visit])
    assert one(owner, "SELECT at >= %s FROM audit_journal WHERE action = 'test'", [world.NOW])
    assert one(owner, "SELECT history_at >= %s FROM visits_visit_history WHERE id = %s", [world.NOW, visit])


def test_history_cannot_be_forged_by_hanging_its_trigger_on_a_temporary_table(committed, owner):
    keeping = owner.execute(
        "SELECT DISTINCT tgfoid::regproc::text FROM pg_trigger WHERE tgname = 'keep_insert'"
    ).fetchall()
    assert ("visits_visit_keep",) in keeping
    with committed.app() as connection:
        connection.execute("CREATE TEMP TABLE own (id bigint)")
        for (function,) in keeping:
            with pytest.raises(errors.InsufficientPrivilege, match=function), connection.transaction():
                connection.execute(
                    "CREATE TRIGGER own AFTER INSERT ON own REFERENCING NEW TABLE AS new_rows"
                    f" FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
                )


# --- Columns that are the database's word ----------------------------------------------------------------------------


def test_who_recorded_a_visit_and_when_is_not_the_writers_to_say(committed, owner):
    at = keys(owner)
    lies = {"recorded_at": "2020-01-01", "changed_at": "2020-01-01", "recorded_by_id": 1, "changed_by_id": 1,
            "version": 7}  # fmt: skip
    with acting(committed, at.institution, at.account) as connection:
        open_month(connection, at.institution, world.TODAY)
        visit = insert_visit(connection, at, world.TODAY, **lies)
        insert_service(connection, at, visit, world.TODAY)
    stamped = "SELECT recorded_at, changed_at, recorded_by_id, changed_by_id, version, uid FROM visits_visit"
    recorded_at, changed_at, *who, version, uid = owner.execute(stamped).fetchone()
    assert world.NOW <= recorded_at == changed_at
    assert (*who, version) == (at.account, at.account, 1)

    with acting(committed, at.institution, at.account) as connection:
        connection.execute(
            "UPDATE visits_visit SET recorded_at = '2020-01-01', changed_at = '2020-01-01', recorded_by_id = 1,"
            " changed_by_id = 1, uid = gen_random_uuid(), id = 99, version = 2"
        )
    later = owner.execute(stamped + " WHERE id = %s", [visit]).fetchone()
    assert later[0] == recorded_at < later[1]
    assert later[2:] == (at.account, at.account, 2, uid)


@pytest.mark.parametrize("table", ["visits_visit", "cases_case", "cases_baseline"])
@pytest.mark.parametrize("step", ["version", "version + 2", "version - 1"])
def test_a_change_makes_the_next_version(db, table, step):
    with db.owner() as owner:
        at = keys(owner)
    with db.app() as connection:
        set_scope(connection, at.institution, at.account)
        record(connection, at, world.TODAY)
        with pytest.raises(errors.CheckViolation, match="next version"):
            connection.execute(f"UPDATE {table} SET version = {step}")
        connection.rollback()


def test_who_changed_a_case_or_an_intake_and_when_is_not_the_writers_to_say(committed, owner):
    at = keys(owner)
    with acting(committed, at.institution, at.account) as connection:
        connection.execute("UPDATE cases_case SET version = version + 1, changed_at = '2020-01-01', changed_by_id = 1,"
                           " uid = gen_random_uuid() WHERE id = %s", [at.case])  # fmt: skip
        connection.execute("UPDATE cases_baseline SET version = version + 1, changed_at = '2020-01-01',"
                           " recorded_at = '2020-01-01', changed_by_id = 1 WHERE case_id = %s", [at.case])  # fmt: skip
    case = owner.execute("SELECT changed_at >= %s, changed_by_id, uid FROM cases_case WHERE id = %s",
                         [world.NOW, at.case]).fetchone()  # fmt: skip
    assert case == (True, at.account, world.uid(f"case 示範甲 {world.CLINIC}"))
    intake = owner.execute("SELECT changed_at >= %(now)s, recorded_at > '2025-01-01', changed_by_id FROM cases_baseline"
                           " WHERE case_id = %(case)s", {"now": world.NOW, "case": at.case}).fetchone()  # fmt: skip
    assert intake == (True, True, at.account)


def test_the_owner_may_say_when_a_visit_was_recorded(committed, owner):
    at = keys(owner)
    open_month_of = "SELECT set_config('quitledger.scope', '0', false), visits_open_months(%s, %s)"
    owner.execute(open_month_of, [[at.institution], [world.TODAY.replace(month=1, day=1)]])
    visit = insert_visit(owner, at, world.TODAY.replace(month=1, day=2), recorded_at="2025-01-03 10:00+08")
    assert one(owner, "SELECT recorded_at = '2025-01-03 10:00+08' FROM visits_visit WHERE id = %s", [visit])


def test_a_line_belongs_to_the_visit_of_its_service(db):
    with db.owner() as owner:
        here, there = keys(owner), keys(owner, "示範乙")
    with db.app() as connection:
        set_scope(connection, here.institution, here.account)
        record(connection, here, world.TODAY, "medication")
        service = one(connection, "SELECT id FROM visits_service")
        other = record(connection, there, world.TODAY, "counselling")
        with pytest.raises(errors.ForeignKeyViolation):
            insert_line(connection, here, other, service, medicine_code=world.GUM)
        connection.rollback()


# --- Beginning a request ---------------------------------------------------------------------------------------------


def enter(database: Any, username: str | None, institution_code: str | None = None) -> dict[str, Any]:
    """What institutions_enter answers, and the scope and account it has set."""
    with database.owner() as owner:
        account = username and one(owner, "SELECT id FROM accounts_user WHERE username = %s", [username])
        code = "SELECT institution_id FROM institutions_institutiondetails WHERE code = %s"
        institution = institution_code and (one(owner, code, [institution_code]) or 999_999)
    with database.app() as connection:
        cursor = connection.execute("SELECT * FROM institutions_enter(%s, %s)", [account, institution])
        answer = dict(zip([column.name for column in cursor.description or ()], cursor.fetchone() or (), strict=True))
        assert str(answer["scope"]) == one(connection, "SELECT current_setting('quitledger.scope')")
        assert one(connection, "SELECT current_account()") == account
        answer["cases"] = one(connection, "SELECT count(*) FROM cases_case")
        answer["code"] = answer.pop("institution_code")
        connection.rollback()
    return answer


@pytest.mark.parametrize(
    ("username", "expected"),
    [
        ("recorder", {"role": "recorder", "code": world.CLINIC, "places": 1, "cases": 4}),
        ("supervisor", {"role": "supervisor", "code": world.CLINIC, "places": 1, "cases": 4}),
        ("stranger", {"role": "recorder", "code": world.PHARMACY, "places": 1, "cases": 2}),
        ("nowhere", {"role": "", "code": None, "places": 0, "scope": -1, "cases": 0}),
        ("desk_officer", {"role": "desk_officer", "code": None, "scope": 0, "cases": 7}),
        ("desk_supervisor", {"role": "desk_supervisor", "code": None, "scope": 0, "cases": 7}),
        ("analyst", {"role": "analyst", "code": None, "scope": -1, "cases": 0}),
        ("administrator", {"role": "administrator", "code": None, "scope": -1, "cases": 0}),
        (None, {"role": "", "code": None, "scope": -1, "cases": 0}),
    ],
)
def test_a_request_begins_in_the_scope_of_the_accounts_place(db, username, expected):
    answer = enter(db, username)
    assert {name: answer[name] for name in expected} == expected
    assert answer["purpose"] == "test"
    assert answer["shifted"] is True
    assert answer["moment"] >= world.NOW


def test_somebody_with_several_places_chooses_and_begins_at_the_first(db):
    first = enter(db, "both")
    assert (first["code"], first["role"], first["places"]) == (world.CLINIC, "recorder", 2)
    second = enter(db, "both", world.PHARMACY)
    assert (second["code"], second["role"], second["places"]) == (world.PHARMACY, "supervisor", 2)


@pytest.mark.parametrize("asked_for", [world.PHARMACY, "0000000000"])
def test_who_asks_for_a_place_that_is_not_his_stays_at_his_own(db, asked_for):
    answer = enter(db, "recorder", asked_for)
    assert (answer["code"], answer["role"], answer["cases"]) == (world.CLINIC, "recorder", 4)


@pytest.mark.parametrize(
    ("starts_on", "ends_on", "counts"),
    [
        ("2024-01-01", "2025-03-31", False),
        ("2024-01-01", "2025-04-01", True),  # the last day is a day
        ("2025-04-01", None, True),
        ("2025-04-02", None, False),
    ],
)
def test_a_membership_counts_from_its_first_day_to_its_last(committed, owner, starts_on, ends_on, counts):
    recorder = "(SELECT id FROM accounts_user WHERE username = 'recorder')"
    owner.execute(f"UPDATE institutions_membership SET starts_on = %s, ends_on = %s WHERE user_id = {recorder}",
                  [starts_on, ends_on])  # fmt: skip
    answer = enter(committed, "recorder")
    assert (answer["scope"] > 0, answer["role"], answer["places"]) == (counts, "recorder" if counts else "", counts)


@pytest.mark.parametrize("username", ["recorder", "desk_officer"])
def test_an_inactive_account_sees_nothing(committed, owner, username):
    owner.execute("UPDATE accounts_user SET is_active = false WHERE username = %s", [username])
    answer = enter(committed, username)
    assert (answer["scope"], answer["role"], answer["cases"]) == (-1, "", 0)


def test_an_institution_opens_no_months_elsewhere(db):
    with db.owner() as owner:
        here, there = keys(owner), keys(owner, "示範戊", world.PHARMACY)
    for scope, institution in ((here.institution, there.institution), (-1, here.institution), (None, here.institution)):
        with acting(db, scope) as connection, pytest.raises(errors.InsufficientPrivilege):
            open_month(connection, institution, world.TODAY)


@pytest.mark.parametrize("scope", [None, -1])
def test_nobody_registers_persons_without_a_place(db, scope):
    with acting(db, scope) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute("SELECT cases_find_persons('[]', false)")
