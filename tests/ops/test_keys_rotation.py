"""`quitledger keys rotate`: another key, while the site goes on."""

from datetime import date
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from quitledger.accounts.keys import add_key, keys, make_current
from quitledger.accounts.scope import scoped
from quitledger.audit.rewriting import rewriting
from quitledger.cases.models import Case, Person
from quitledger.cases.services import Registration, find_by_identity, register_case
from quitledger.policy.identity import make_up

from .. import world
from ..audit.conftest import Ledger
from ..sql import one
from .commands import assert_told, quitledger

PASSPHRASE = "sea-of-quiet-99\n"


@pytest.fixture
def place(committed: Any, owner: Any, tmp_path: Any, monkeypatch: Any) -> dict[str, str]:
    """A server with keys, anchor and checkpoint key of its own, the same for this process."""
    import os
    import shutil

    shutil.copy(os.environ["QUITLEDGER_KEYS_FILE"], tmp_path / "keys.json")
    (tmp_path / "keys.json").chmod(0o600)
    values = {
        "DATABASE_URL": committed.app_url, "DATABASE_OWNER_URL": committed.owner_url,
        "QUITLEDGER_KEYS_FILE": str(tmp_path / "keys.json"),
        "QUITLEDGER_ANCHOR": str(tmp_path / "anchor.txt"), "QUITLEDGER_CHECKPOINT_KEY": str(tmp_path / "key.pem"),
    }  # fmt: skip
    monkeypatch.setenv("QUITLEDGER_KEYS_FILE", values["QUITLEDGER_KEYS_FILE"])
    return values


def done(place: dict[str, str], *words: str, typed: str = "") -> str:
    outcome = quitledger(*words, typed=typed, **place)
    assert outcome.returncode == 0, outcome
    return outcome.stdout


def rotate(place: dict[str, str], tmp_path: Any) -> str:
    done(place, "keys", "add")
    done(place, "keys", "export", str(tmp_path / f"{uuid4()}.sealed"), "--passphrase-stdin", typed=PASSPHRASE)
    return done(place, "keys", "rotate", "--settle", "0")


def registration(number: str, day: date = date(1990, 1, 1)) -> Registration:
    return Registration(uuid4(), "national_id", number, "", day, "male", "示範庚")


def test_everything_is_under_the_new_key_and_the_proof_still_holds(place, owner, tmp_path):
    before = owner.execute("SELECT count(*) FROM cases_person").fetchone()[0]
    done(place, "audit", "checkpoint")
    said = rotate(place, tmp_path)
    assert "已改用金鑰 k2" in said
    for table in (
        "cases_person",
        "cases_person_history",
        "institutions_staffmember",
        "institutions_staffmember_history",
    ):
        assert one(owner, f"SELECT array_agg(DISTINCT identity_key_id) FROM {table}") == ["k2"], table
    assert one(owner, "SELECT count(*) FROM cases_person") == before
    said = done(place, "audit", "verify")
    assert "沒有發現竄改" in said
    assert "版在第 1 次改寫時換金鑰" in said
    done(place, "audit", "checkpoint")
    assert "已改用金鑰 k3" in rotate(place, tmp_path)
    assert "沒有發現竄改" in done(place, "audit", "verify"), "written anew twice"


def test_people_are_found_while_and_after_keys_are_rotated(place, committed, tmp_path):
    recorder = world.actor("recorder")
    number = make_up(1)
    with scoped(recorder):
        case = find_by_identity(number=number, by=recorder)[0]
    key_id = add_key(tmp_path / "keys.json")
    make_current(tmp_path / "keys.json", key_id)
    assert keys().current == key_id, "read again without a restart"
    with scoped(recorder):
        assert find_by_identity(number=number, by=recorder) == [case], "still under the old key"
        again = register_case(registration(make_up(77)), today=world.TODAY, made_up_allowed=True, by=recorder)
    done(place, "keys", "rotate", "--settle", "0")
    with scoped(recorder):
        assert find_by_identity(number=number, by=recorder) == [case]
        assert Case.objects.get(pk=again.pk).person.identity_number == make_up(77)
        assert Case.objects.get(pk=case.pk).person.identity_number == number


def test_one_person_under_two_keys_stays_one(place, committed, tmp_path):
    """Registered at one institution under the old key, at another under the new one."""
    recorder, stranger = world.actor("recorder"), world.actor("stranger")
    with scoped(recorder):
        first = register_case(registration(make_up(77)), today=world.TODAY, made_up_allowed=True, by=recorder)
    make_current(tmp_path / "keys.json", add_key(tmp_path / "keys.json"))
    with scoped(stranger):
        second = register_case(registration(make_up(77)), today=world.TODAY, made_up_allowed=True, by=stranger)
    assert first.person_id == second.person_id


def test_a_rotation_cut_off_goes_on(place, owner, committed, tmp_path):
    done(place, "keys", "add")
    done(place, "keys", "export", str(tmp_path / "sealed"), "--passphrase-stdin", typed=PASSPHRASE)
    make_current(tmp_path / "keys.json", "k2")  # and then the power failed
    from quitledger.accounts.services import renew_numbers
    from quitledger.cases.services import PERSON_NUMBERS

    with committed.as_owner(), scoped(world.SYSTEM):
        assert renew_numbers(PERSON_NUMBERS, history=False, after=0, limit=2, by=world.SYSTEM)[1] == 2
    assert one(owner, "SELECT array_agg(DISTINCT identity_key_id ORDER BY identity_key_id) FROM cases_person") == [
        "k1",
        "k2",
    ]
    done(place, "keys", "rotate")
    assert one(owner, "SELECT array_agg(DISTINCT identity_key_id) FROM cases_person") == ["k2"]
    assert_told(quitledger("keys", "rotate", **place), "資料都已使用金鑰 k2", "keys add")


def test_a_key_is_not_used_before_it_was_exported_nor_added_twice(place):
    done(place, "keys", "add")
    assert_told(quitledger("keys", "add", **place), "已加入而還沒有使用")
    assert_told(quitledger("keys", "rotate", "--settle", "0", **place), "還沒有匯出")


def test_second_factors_are_encrypted_anew(place, owner, committed, tmp_path):
    from allauth.mfa.models import Authenticator

    from quitledger.accounts.sign_in import SecondFactorAdapter

    account = world.actor("recorder").account_id
    with committed.as_owner(), scoped(world.SYSTEM):
        Authenticator.objects.create(
            user_id=account, type="totp", data={"secret": SecondFactorAdapter().encrypt("JBSW")}
        )
    rotate(place, tmp_path)
    with scoped(world.SYSTEM):
        data = Authenticator.objects.get(user_id=account).data
    assert data["secret"].startswith("k2:")
    assert SecondFactorAdapter().decrypt(data["secret"]) == "JBSW"


# --- Versions written anew -------------------------------------------------------------------------------------------


@pytest.fixture
def ledger(committed: Any, tmp_path: Any) -> Ledger:
    ledger = Ledger(committed, tmp_path)
    ledger.checkpoint()
    return ledger


def write_anew(ledger: Ledger, owner: Any) -> int:
    with ledger.database.as_owner(), scoped(world.SYSTEM), rewriting(ledger.signer, run=1, kind="keys"):
        person = Person.objects.order_by("pk").first()
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("UPDATE cases_person_history SET identity_key_id = 'k9' WHERE id = %s", [person.pk])
    return one(owner, "SELECT min(row_number) FROM audit_rewritten")


def test_what_was_written_anew_is_told_and_is_no_tampering(ledger, owner):
    row = write_anew(ledger, owner)
    report = ledger.verify()
    assert report.rewritten == {"keys 1": 1}
    assert ledger.found() == [("record-differs", "cases_person", one(owner, "SELECT min(id) FROM cases_person"))]
    with ledger.tampering() as superuser:
        superuser.execute("UPDATE cases_person_history SET identity_key_id = 'kx' WHERE history_id = %s", [row])
    assert ("row-changed", "cases_person_history", row) in ledger.found(), "changed once more, behind its back"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_rewritten SET row_number = row_number + 1",
        "UPDATE audit_rewritten SET after = before",
        "UPDATE audit_rewriting SET run = 7",
        "UPDATE audit_rewriting SET signed = 'AAAA {}'",
        "UPDATE audit_rewriting SET signed = 'what is this'",
        "DELETE FROM audit_rewritten",
    ],
)
def test_notes_that_nobody_signed_excuse_nothing(ledger, owner, change):
    row = write_anew(ledger, owner)
    with ledger.tampering() as superuser:
        superuser.execute(change)
    found = ledger.found()
    assert ("rewriting-forged", "", one(owner, "SELECT max(number) FROM audit_rewriting")) in found
    assert ("row-changed", "cases_person_history", row) in found


def test_nobody_writes_a_version_anew_without_signing_it(committed, owner):
    rewriting_99 = "SELECT set_config('quitledger.rewriting', '99', true)"
    unsigned = psycopg.connect(committed.owner_url)
    unsigned.execute(rewriting_99)
    unsigned.execute("UPDATE cases_person_history SET identity_key_id = 'k9'")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        unsigned.commit()
    unsigned.close()
    with committed.app() as app:
        app.execute(rewriting_99)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("UPDATE cases_case_history SET name = 'x'")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        owner.execute("DELETE FROM cases_person_history")
