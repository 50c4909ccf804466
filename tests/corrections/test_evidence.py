"""Evidence of applications: who attaches, takes out and opens it when; and the same by SQL alone."""

import hashlib
from copy import deepcopy
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection
from psycopg import errors

from quitledger.accounts.keys import Tampered, keys
from quitledger.corrections import evidence as rules
from quitledger.corrections.evidence import MEGABYTE, Asker
from quitledger.corrections.evidence_services import attach_evidence, open_evidence, remove_evidence
from quitledger.corrections.models import Application, Evidence, EvidenceFile
from quitledger.corrections.rules import State
from quitledger.corrections.services import (
    answer_application,
    ask_institution,
    claim_application,
    hand_back_application,
    register_on_paper,
    submit_application,
)
from quitledger.policy.problem import Refused

from .. import world
from ..conftest import TEMPLATE, Database, Prepare
from ..portal.conftest import journaled
from ..sql import acting, one
from . import files
from .scene import claimed, decided, late, step, written

pytestmark = pytest.mark.engine
CONTENT = files.a_pdf(2)


def draft(name: str = "示範甲") -> Application:
    with step("recorder") as by:
        return written([late()], by, name)


def attached(application: Application, content: bytes = CONTENT, username: str = "recorder") -> Evidence:
    with step(username) as by:
        return attach_evidence(application=application, content=content, today=world.TODAY, by=by)


def codes(work: Any) -> list[str]:
    with pytest.raises(Refused) as refused:
        work()
    return [problem.code for problem in refused.value.problems]


def opened(evidence: Evidence, username: str) -> bytes:
    with step(username) as by:
        return open_evidence(evidence=Evidence.objects.get(uid=evidence.uid), by=by)


# --- Attaching -------------------------------------------------------------------------------------------------------


def test_a_file_is_attached_encrypted_and_opened_again(committed):
    evidence = attached(draft())
    assert (evidence.number, evidence.kind, evidence.pages, evidence.size) == (1, "pdf", 2, len(CONTENT))
    assert evidence.called == "證明文件 1"
    assert evidence.file_name == "evidence-1.pdf"
    assert bytes(evidence.sha256) == hashlib.sha256(CONTENT).digest()
    with step("recorder"):
        token = bytes(EvidenceFile.objects.get(evidence=evidence).token)
    assert b"%PDF" not in token
    assert len(token) == len(CONTENT) + 28, "nonce and tag"
    for username in ("recorder", "colleague", "supervisor", "desk_officer", "desk_supervisor"):
        assert opened(evidence, username) == CONTENT


def test_what_is_done_is_journaled_and_nothing_else(committed):
    application = draft()
    with journaled() as entries:
        evidence = attached(application)
        opened(evidence, "desk_officer")
        with step("recorder") as by:
            remove_evidence(evidence=evidence, by=by)
    uids = [evidence.uid, application.uid, application.case.uid]
    assert [(one.action, one.uids, one.fields) for one in entries] == [
        (f"evidence.{action}", uids, []) for action in ("attach", "read", "remove")
    ]
    assert [one.username for one in entries] == ["recorder", "desk_officer", "recorder"]


def test_the_same_file_twice_is_one_and_taken_out_it_can_come_again(committed):
    application = draft()
    first = attached(application)
    assert attached(application) == first
    with step("recorder") as by:
        remove_evidence(evidence=first, by=by)
        remove_evidence(evidence=first, by=by)
    again = attached(application)
    assert (again.number, again != first) == (2, True)
    with step("recorder"):
        assert EvidenceFile.objects.count() == 1
        assert [one.removed_at is None for one in Evidence.objects.all()] == [False, True]
    with step("recorder") as by:
        assert codes(lambda: open_evidence(evidence=Evidence.objects.get(uid=first.uid), by=by)) == ["evidence-gone"]


def test_a_picture_counts_as_the_one_that_was_sent(committed):
    application = draft()
    first = attached(application, files.a_photograph())
    assert attached(application, files.a_photograph()) == first
    assert (first.width, first.height) == (40, 80)


def test_a_refused_file_leaves_nothing(committed):
    application = draft()
    assert codes(lambda: attached(application, files.with_script())) == ["evidence-pdf-active"]
    assert codes(lambda: attached(application, b"")) == ["evidence-empty"]
    assert codes(lambda: attached(application, b"%PDF-" + b" " * 10 * MEGABYTE)) == ["evidence-too-large"]
    with step("recorder"):
        assert Evidence.objects.count() == 0


def test_ten_are_enough(committed, monkeypatch):
    application = draft()
    monkeypatch.setattr(rules, "looked_at", lambda content: (rules.Look("pdf", pages=1), content))
    for number in range(10):
        attached(application, b"%d" % number)
    assert codes(lambda: attached(application, b"one more")) == ["evidence-too-many"]
    assert attached(application, b"3").number == 4, "known already"


# --- Who, when -------------------------------------------------------------------------------------------------------

INSTITUTION, OTHER_OFFICER = Asker(of_desk=False), Asker(of_desk=True)
WHEN = {
    INSTITUTION: {State.DRAFT, State.WAITING},
    OTHER_OFFICER: set(),
    Asker(of_desk=True, registered_it=True): {State.NEW},
    Asker(of_desk=True, claimed_it=True): {State.IN_REVIEW},
    Asker(of_desk=False, registered_it=True, claimed_it=True): {State.DRAFT, State.WAITING},
}


@pytest.mark.parametrize("asker", WHEN, ids=str)
def test_in_which_states_something_is_attached_or_taken_out(asker):
    assert {state for state in State if rules.may_attach(state, asker)} == WHEN[asker]
    removable = {state for state in State if not rules.check_removing(state=state, asker=asker)}
    assert removable == (set() if asker.of_desk else {State.DRAFT})


def test_after_it_was_sent_nothing_is_attached_or_taken_out_until_the_desk_asks(committed):
    application = draft()
    evidence = attached(application)
    with step("recorder") as by:
        application = submit_application(application=application, version=1, by=by)
        assert codes(lambda: remove_evidence(evidence=evidence, by=by)) == ["evidence-sent"]
    assert codes(lambda: attached(application, files.a_pdf(3))) == ["evidence-not-now"]
    with step("supervisor") as by:
        hand_back_application(application=application, version=2, text="少一頁", by=by)
    attached(application, files.a_pdf(3))

    asked = claimed(lambda: [late(day=world.TODAY.replace(month=1, day=15))])
    with step("desk_officer") as by:
        asked = ask_institution(application=asked, version=asked.version, text="請附病歷", by=by)
    extra = attached(asked)
    with step("recorder") as by:
        assert codes(lambda: remove_evidence(evidence=extra, by=by)) == ["evidence-sent"]
        asked = answer_application(application=asked, version=asked.version, text="已附", by=by)
    assert codes(lambda: attached(asked, files.a_pdf(3))) == ["evidence-not-now"]
    decided(asked)
    assert codes(lambda: attached(asked, files.a_pdf(3), "desk_officer")) == ["evidence-not-now"]
    assert opened(extra, "recorder") == CONTENT, "read when all is over"


def test_the_desk_attaches_the_paper_that_it_registers_and_to_what_it_has_claimed(committed):
    with step("desk_officer") as by:
        paper = register_on_paper(
            uid=uuid4(), case=world.case(), reason="傳真", discovered_on=world.TODAY, received_on=world.TODAY,
            items=[late()], by=by,
        )  # fmt: skip
    scan = attached(paper, username="desk_officer")
    assert codes(lambda: attached(paper, files.a_pdf(3), "desk_supervisor")) == ["evidence-not-now"]
    assert codes(lambda: attached(paper, files.a_pdf(3), "recorder")) == ["evidence-not-now"]
    with step("desk_supervisor") as by:
        claim_application(application=paper, version=paper.version, by=by)
    attached(paper, files.a_pdf(4), "desk_supervisor")
    assert codes(lambda: attached(paper, files.a_pdf(3), "desk_officer")) == ["evidence-not-now"]
    with step("desk_officer") as by, pytest.raises(PermissionDenied):
        remove_evidence(evidence=scan, by=by)


@pytest.mark.parametrize("username", ["stranger", "stranger_supervisor", "analyst", "administrator", "nowhere"])
def test_others_have_no_way_to_it(committed, username):
    application = draft()
    evidence = attached(application)
    with step(username) as by:
        assert not Evidence.objects.filter(uid=evidence.uid).exists()
        assert not EvidenceFile.objects.exists()
        with pytest.raises(PermissionDenied):
            attach_evidence(application=application, content=CONTENT, today=world.TODAY, by=by)
    with step(username) as by, pytest.raises(PermissionDenied):
        remove_evidence(evidence=evidence, by=by)


def test_a_broken_journal_leaves_no_evidence(committed, monkeypatch):
    from quitledger.audit import journal

    def broken(*_words: Any, **_more: Any) -> None:
        raise OSError

    application = draft()
    with monkeypatch.context() as patch:
        patch.setattr(journal, "record", broken)
        with pytest.raises(OSError):  # noqa: PT011 - whichever
            attached(application)
    with step("recorder"):
        assert not Evidence.objects.exists()


def test_the_file_of_one_piece_of_evidence_is_none_of_another(committed, owner):
    application = draft()
    first, second = attached(application), attached(application, files.a_pdf(5))
    owner.execute(
        "UPDATE corrections_evidencefile f SET token = o.token FROM corrections_evidencefile o"
        " WHERE f.evidence_id = %s AND o.evidence_id = %s", [first.pk, second.pk]
    )  # fmt: skip
    with pytest.raises(Tampered):
        opened(first, "recorder")


# --- By SQL alone ----------------------------------------------------------------------------------------------------


def two_with_evidence(database: Database) -> dict[str, Any]:
    """A draft and a sent application of the clinic, each with evidence, and who is who."""
    first, second = draft(), draft("示範乙")
    evidence = attached(first)
    gone = attached(second)
    with step("recorder") as by:
        submit_application(application=second, version=1, by=by)
    with database.owner() as owner:
        accounts = dict(owner.execute("SELECT username, id FROM accounts_user").fetchall())
        pharmacy = one(
            owner, "SELECT institution_id FROM institutions_institutiondetails WHERE code = %s", [world.PHARMACY]
        )
    return {
        "draft": first, "sent": second, "evidence": evidence, "sent evidence": gone, "accounts": accounts,
        "clinic": first.institution_id, "pharmacy": pharmacy,
    }  # fmt: skip


@pytest.fixture
def origin(request: pytest.FixtureRequest, prepare: Prepare) -> str:
    return prepare(two_with_evidence)[0].name if "scene" in request.fixturenames else TEMPLATE


@pytest.fixture
def scene(committed: Any, prepare: Prepare) -> dict[str, Any]:
    """What two_with_evidence() tells, in a copy."""
    return deepcopy(prepare(two_with_evidence)[1])


INSERT = (
    "INSERT INTO corrections_evidence (uid, application_id, institution_id, number, origin, kind, size, pages, sha256,"
    " uploaded_by_id, removed_at, removed_by_id)"
    " VALUES (gen_random_uuid(), %(application)s, %(institution)s, 99, 'sent', 'pdf', 1, 1, %(sha)s, %(by)s, now(), %(by)s)"
    " RETURNING id, number, uploaded_by_id, removed_at"
)


def test_number_and_who_are_the_databases_word(scene, committed):
    values = {
        "application": scene["draft"].pk, "institution": scene["clinic"], "sha": b"\x00" * 32,
        "by": scene["accounts"]["desk_officer"],
    }  # fmt: skip
    with acting(committed, scene["clinic"], scene["accounts"]["colleague"]) as connection_:
        row = connection_.execute(INSERT, values).fetchone()
        assert row[1:] == (2, scene["accounts"]["colleague"], None)
        connection_.rollback()


@pytest.mark.parametrize(
    ("which", "scope", "account", "error"),
    [
        ("sent", "clinic", "recorder", errors.CheckViolation),
        ("draft", "desk", "desk_officer", errors.CheckViolation),
        ("sent", "desk", "desk_officer", errors.CheckViolation),
        ("draft", "pharmacy", "stranger", (errors.CheckViolation, errors.InsufficientPrivilege)),
        ("draft", None, "recorder", errors.InsufficientPrivilege),
    ],
)
def test_nobody_attaches_by_sql_where_the_service_would_not(scene, committed, which, scope, account, error):
    values = {
        "application": scene[which].pk, "institution": scene["clinic"], "sha": b"\x00" * 32,
        "by": scene["accounts"][account],
    }  # fmt: skip
    where = {"desk": 0, None: None}.get(scope, scene.get(scope))
    with acting(committed, where, scene["accounts"][account]) as connection_:
        with pytest.raises(error):
            connection_.execute(INSERT, values)
        connection_.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM corrections_evidence",
        "UPDATE corrections_evidence SET sha256 = NULL",
        "UPDATE corrections_evidence SET kind = 'png'",
        "UPDATE corrections_evidencefile SET token = ''",
        "DELETE FROM corrections_evidencefile",
        "INSERT INTO corrections_evidencefile (evidence_id, institution_id, token, key_id)"
        " SELECT id, institution_id, '', 'k1' FROM corrections_evidence",
        "UPDATE corrections_evidence SET removed_at = now(), removed_by_id = uploaded_by_id WHERE application_id = {sent}",
        "DELETE FROM corrections_evidence_history",
    ],
)
def test_nothing_attached_is_changed_or_taken_away_by_sql(scene, committed, statement):
    with acting(committed, scene["clinic"], scene["accounts"]["recorder"]) as connection_:
        with pytest.raises((errors.InsufficientPrivilege, errors.CheckViolation)):
            connection_.execute(statement.format(sent=scene["sent"].pk))
        connection_.rollback()


def test_from_elsewhere_nothing_is_seen(scene, committed):
    with acting(committed, scene["pharmacy"], scene["accounts"]["stranger"]) as connection_:
        for table in ("corrections_evidence", "corrections_evidence_history", "corrections_evidencefile"):
            assert one(connection_, f"SELECT count(*) FROM {table}") == 0
    with acting(committed, 0, scene["accounts"]["desk_officer"]) as connection_:
        assert one(connection_, "SELECT count(*) FROM corrections_evidencefile") == 2
    with acting(committed, 0, scene["accounts"]["desk_officer"]) as connection_:
        connection_.execute("UPDATE corrections_evidence SET removed_at = removed_at WHERE false")
        with pytest.raises(errors.CheckViolation):
            connection_.execute(
                "UPDATE corrections_evidence SET removed_at = now() WHERE application_id = %s", [scene["draft"].pk]
            )
        connection_.rollback()


def test_a_file_is_stored_unpacked_and_its_row_has_versions(scene, owner):
    storage = one(
        owner,
        "SELECT attstorage::text FROM pg_attribute WHERE attrelid = 'corrections_evidencefile'::regclass AND attname = 'token'",
    )
    assert storage == "e"
    assert one(owner, "SELECT to_regclass('corrections_evidencefile_history')") is None
    assert one(owner, "SELECT count(*) FROM corrections_evidence_history") == 2


def test_nobody_attaches_while_a_step_is_taken(scene):
    """The application is locked by whoever attaches: a signature cannot pass between the question and the row."""
    with step("recorder") as by:
        attach_evidence(application=scene["draft"], content=files.a_pdf(7), today=world.TODAY, by=by)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE relation = 'corrections_application'::regclass AND mode = 'RowShareLock'"
            )
            assert cursor.fetchone()[0] >= 1


def test_keys_know_bytes():
    token, key_id = keys().encrypt_bytes(b"\xff\x00", about=b"a")
    assert keys().decrypt_bytes(token, key_id, about=b"a") == b"\xff\x00"
    with pytest.raises(Tampered):
        keys().decrypt_bytes(token, key_id, about=b"b")


# --- Another key, and the end of the keeping time --------------------------------------------------------------------


def test_another_key_comes_to_files_too(committed, owner, tmp_path, monkeypatch):
    import os
    import shutil

    from quitledger.accounts.keys import add_key, make_current
    from quitledger.corrections.evidence_services import renew_evidence
    from quitledger.ops.keys_export import needed_key_ids

    path = tmp_path / "keys.json"
    shutil.copy(os.environ["QUITLEDGER_KEYS_FILE"], path)
    path.chmod(0o600)
    monkeypatch.setenv("QUITLEDGER_KEYS_FILE", str(path))
    application = draft()
    pieces = [attached(application), attached(application, files.a_photograph())]
    kept = [opened(one_, "recorder") for one_ in pieces]
    make_current(path, add_key(path))
    with committed.as_owner(), step_of_the_system():
        assert needed_key_ids() >= {"k1"}
        with pytest.raises(PermissionDenied):
            renew_evidence(after=0, limit=9, by=world.actor("desk_supervisor"))
        after, renewed = renew_evidence(after=0, limit=1, by=world.SYSTEM)
        assert (after, renewed) == (pieces[0].pk, 1)
        after, renewed = renew_evidence(after=after, limit=9, by=world.SYSTEM)
        assert (after, renewed) == (pieces[1].pk, 1)
        assert renew_evidence(after=after, limit=9, by=world.SYSTEM) == (after, 0)
    assert one(owner, "SELECT array_agg(DISTINCT key_id) FROM corrections_evidencefile") == ["k2"]
    assert [opened(one_, "recorder") for one_ in pieces] == kept


def step_of_the_system() -> Any:
    from quitledger.accounts.scope import scoped

    return scoped(world.SYSTEM)


def test_when_the_keeping_time_has_ended_the_file_goes_and_the_digest_with_it(committed, owner, tmp_path):
    """What emptying does to the tables, in the order in which it does it."""
    from quitledger.audit.keeping import kept_tables
    from quitledger.audit.rewriting import rewriting
    from quitledger.retention.services import _empty

    from ..audit.conftest import Ledger

    application = draft()
    evidence = attached(application)
    ledger = Ledger(committed, tmp_path)
    ledger.checkpoint()
    run = type("Run", (), {"pk": 1})()
    tables = [table for table in kept_tables() if table.name.startswith("corrections_evidence")]
    assert [table.name for table in tables] == ["corrections_evidence", "corrections_evidencefile"]
    with committed.as_owner(), step_of_the_system(), rewriting(ledger.signer, run=1, kind="retention"):
        for table in tables:
            _empty(table, run, [application.person_id])
    assert one(owner, "SELECT count(*) FROM corrections_evidencefile") == 0
    assert one(owner, "SELECT count(sha256) FROM corrections_evidence") == 0
    assert one(owner, "SELECT count(sha256) FROM corrections_evidence_history") == 0
    assert one(owner, "SELECT count(*) FROM corrections_evidence") == 1, "that there was one stays"
    with step("recorder") as by:
        assert codes(lambda: open_evidence(evidence=Evidence.objects.get(uid=evidence.uid), by=by)) == ["evidence-gone"]


def test_nothing_is_attached_for_a_person_who_was_emptied(committed, tmp_path):
    from ..audit.conftest import Ledger

    application = draft()
    with Ledger(committed, tmp_path).tampering() as superuser:
        superuser.execute(
            "UPDATE cases_person SET emptied_run = 1, identity_hash = NULL, identity_token = NULL, identity_key_id = '',"
            " identity_country = '', birth_on = date_trunc('year', birth_on)::date WHERE id = %s",
            [application.person_id],
        )
    assert codes(lambda: attached(application)) == ["person-emptied"]
    with acting(committed, application.institution_id, application.written_by_id) as connection_:
        with pytest.raises(errors.CheckViolation, match="keeping time"):
            connection_.execute(
                INSERT,
                {"application": application.pk, "institution": application.institution_id, "sha": b"x", "by": 1},
            )
        connection_.rollback()
