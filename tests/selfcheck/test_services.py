"""Signing a month off on a real PostgreSQL: who may, what is kept, what opens it again, many at once; and reminders."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.core import mail
from django.core.exceptions import PermissionDenied
from django.db import connection
from psycopg import errors

from quitledger.accounts.actors import SYSTEM
from quitledger.accounts.permissions import Role
from quitledger.accounts.scope import scoped, try_twice
from quitledger.audit import journal
from quitledger.cases.services import BaselineEntry, record_baseline
from quitledger.institutions.lists import CertificateRow, ContractRow
from quitledger.institutions.models import StaffContract
from quitledger.institutions.services import record_certificate, record_contract
from quitledger.ops.jobs import remind
from quitledger.policy.identity import make_up
from quitledger.policy.problem import Refused
from quitledger.selfcheck import services
from quitledger.selfcheck.models import Reminder, SignOff
from quitledger.selfcheck.queries import Differences, nation, seen_of, standing_of
from quitledger.selfcheck.rules import Check, Ground, Level, Standing
from quitledger.selfcheck.services import Stale, begin_reminders, give_reminder_back, record_address, sign_month_off
from quitledger.visits.models import Visit
from quitledger.visits.services import keep_draft, record_visit, restore_visit, void_visit

from .. import world
from ..sql import acting, keys, one, record, set_clock
from ..visits.test_concurrency import at_once
from .scene import (
    APRIL,
    MARCH,
    MARCH_15,
    MARCH_20,
    both,
    changed,
    looked_at,
    recorded,
    seen_by,
    sign_offs,
    signed,
    step,
)


def stands(username: str = "recorder", month: date = MARCH) -> Standing:
    """How the month stands, by the page and by the short way, which agree."""
    with step(username) as by:
        standing = seen_by(by, month).standing
        assert standing_of(month, by=by) is standing
        return standing


# --- signing ---------------------------------------------------------------------------------------------------------------


def test_a_sign_off_keeps_who_when_and_what_the_page_said(committed: Any, owner: psycopg.Connection) -> None:
    uid = recorded(committed)
    wrong = recorded(committed, MARCH_15, "示範乙", days=15)
    assert stands() is Standing.OPEN
    done = signed(reason=" 待個案回診確認天數 ").sign_off
    assert (done.number, done.incomplete, done.reason) == (1, 1, "待個案回診確認天數")
    assert done.signed_by_id == world.actor("supervisor").account_id
    assert world.NOW <= done.signed_at <= world.NOW + timedelta(hours=1)
    assert stands() is Standing.SIGNED
    with step("recorder") as by:
        seen = seen_of(done)
        assert (seen.visits, seen.drafts) == (2, 0)
        assert {day.on: (day.visits, day.incomplete) for week in seen.weeks for day in week if day.visits} == {
            MARCH_15: (1, 1), MARCH_20: (1, 0)
        }  # fmt: skip
        assert [(one.check, one.level, one.uid, one.called, one.says) for one in seen.findings] == [
            (Check.SUPPLY_DAYS, Level.INCOMPLETE, wrong, "示範乙", "用藥 2 週但填 15 天，應為 14 天。")
        ]
        assert seen_by(by).signed == done
    entry = owner.execute(
        "SELECT record_uids, record_version, fields, account_id, institution_id FROM audit_journal WHERE action = 'selfcheck.sign'"
    ).fetchall()
    assert entry == [([done.uid], 1, ["month", "reason"], done.signed_by_id, done.institution_id)]
    assert uid


def test_what_is_kept_names_nobody_and_holds_no_number_of_anybody(committed: Any) -> None:
    recorded(committed, MARCH_15, "示範乙", days=15)
    kept = str(signed(reason="說明").sign_off.seen)
    assert not [word for word in ("示範", make_up(2), "T-0002") if word in kept]


def test_what_is_kept_stays_as_it_was_when_the_visits_are_put_right(committed: Any) -> None:
    uid = recorded(committed, MARCH_15, "示範乙", days=15)
    done = signed(reason="說明").sign_off
    with step("recorder"):
        right = both(MARCH_15).medication
    changed(uid, medication=right)
    with step("recorder") as by:
        assert seen_by(by).findings == []
        assert len(seen_of(SignOff.objects.get(uid=done.uid)).findings) == 1


def test_an_empty_month_can_be_signed_off(committed: Any) -> None:
    assert stands() is Standing.EMPTY
    assert signed().sign_off.seen["visits"] == 0
    assert stands() is Standing.SIGNED


@pytest.mark.parametrize("username", ["recorder", "colleague", "desk_officer", "desk_supervisor", "analyst", "nowhere"])
def test_only_a_supervisor_signs(committed: Any, username: str) -> None:
    recorded(committed)
    seen = looked_at()
    with step(username) as by, pytest.raises(PermissionDenied):
        sign_month_off(month=MARCH, number=seen[0], seen=seen[1], reason="", by=by)
    assert sign_offs() == 0


def test_each_supervisor_signs_the_month_of_his_own_institution(committed: Any) -> None:
    recorded(committed)
    signed("supervisor")
    assert stands("stranger") is Standing.EMPTY
    signed("stranger_supervisor")
    assert sign_offs() == 2


def test_a_month_that_is_not_over_or_not_there_is_not_signed(committed: Any) -> None:
    with pytest.raises(Refused) as refused:
        signed(month=APRIL)
    assert [problem.code for problem in refused.value.problems] == ["month-not-over"]
    with step("supervisor") as by, pytest.raises(PermissionDenied):
        sign_month_off(month=date(2025, 5, 1), number=1, seen="", reason="", by=by)
    assert sign_offs() == 0


def test_what_is_incomplete_is_signed_with_a_reason_only(committed: Any) -> None:
    recorded(committed, days=15)
    with pytest.raises(Refused) as refused:
        signed()
    assert [(problem.code, problem.field) for problem in refused.value.problems] == [("reason-missing", "reason")]


def test_nothing_newer_than_what_was_looked_at_is_signed(committed: Any) -> None:
    uid = recorded(committed)
    seen = looked_at()
    recorded(committed, MARCH_15, "示範乙")
    with pytest.raises(Stale):
        signed(seen=seen)
    with pytest.raises(Stale):  # a number too many
        signed(seen=(2, looked_at()[1]))
    assert sign_offs() == 0
    assert uid
    signed()
    assert sign_offs() == 1


def test_without_its_entry_in_the_journal_nothing_is_signed(committed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(committed)
    seen = looked_at()

    def broken(*_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError("the journal")

    monkeypatch.setattr(journal, "record", broken)
    with pytest.raises(RuntimeError):
        signed(seen=seen)
    monkeypatch.undo()
    assert sign_offs() == 0
    assert stands() is Standing.OPEN


# --- many at once ----------------------------------------------------------------------------------------------------------


def test_a_double_click_is_one_sign_off(committed: Any, owner: psycopg.Connection) -> None:
    recorded(committed)
    seen = looked_at()
    first, second = signed(seen=seen), signed(seen=seen)
    assert (first.sign_off, first.repeated, second.sign_off, second.repeated) == (
        first.sign_off, False, first.sign_off, True
    )  # fmt: skip
    assert one(owner, "SELECT count(*) FROM audit_journal WHERE action = 'selfcheck.sign'") == 1


def test_of_two_supervisors_at_once_one_signs_and_the_other_is_told_who_did(
    committed: Any, owner: psycopg.Connection
) -> None:
    recorded(committed)
    owner.execute(
        "UPDATE institutions_membership SET role = 'supervisor' WHERE user_id IN (SELECT id FROM accounts_user WHERE username = 'colleague')"
    )
    seen = looked_at()
    with scoped(world.SYSTEM):
        actors = {name: replace(world.actor(name), role=Role.SUPERVISOR) for name in ("supervisor", "colleague")}

    def signing(name: str) -> Callable[[], tuple[int, bool]]:
        def ask() -> tuple[int, bool]:
            with scoped(actors[name]):
                done = sign_month_off(month=MARCH, number=seen[0], seen=seen[1], reason="", by=actors[name])
                return done.sign_off.pk, done.repeated

        return lambda: try_twice(ask)

    found = at_once([signing(name) for name in ("supervisor", "colleague") * 5])
    assert len({key for key, _repeated in found}) == 1
    assert Counter(repeated for _key, repeated in found) == {False: 1, True: 9}
    assert sign_offs() == 1
    assert one(owner, "SELECT count(*) FROM audit_journal WHERE action = 'selfcheck.sign'") == 1


def test_what_was_being_recorded_while_somebody_signed_opens_the_month_again(committed: Any) -> None:
    """The visit is stamped before the signature and committed after it."""
    recorded(committed)
    seen = looked_at()
    with committed.owner() as owner:
        at = keys(owner, "示範乙")
    with acting(committed, at.institution, at.account) as clerk:
        record(clerk, at, MARCH_15)
        signed(seen=seen)
    assert stands() is Standing.CHANGED


# --- what opens it again ---------------------------------------------------------------------------------------------------


def _record(_uid: Any) -> None:
    with step("recorder") as by:
        record_visit(case=world.case("示範乙"), entry=both(MARCH_15), by=by)


def _void(uid: Any) -> None:
    with step("recorder") as by:
        void_visit(visit=Visit.objects.select_related("case__person").get(uid=uid), version=1, reason="重複", by=by)


@pytest.mark.parametrize(
    "happens",
    [
        _record,
        _void,
        lambda uid: changed(uid, note="補充"),
        lambda uid: changed(uid, visit_on=date(2025, 3, 21)),
        lambda uid: changed(uid, visit_on=APRIL),
    ],
    ids=["recorded", "voided", "changed", "moved within the month", "moved out of the month"],
)
def test_a_change_of_a_visit_of_the_month_opens_it_again_and_it_may_be_signed_once_more(
    committed: Any, happens: Callable[[Any], None]
) -> None:
    uid = recorded(committed)
    first = signed().sign_off
    happens(uid)
    assert stands() is Standing.CHANGED
    second = signed().sign_off
    assert (first.number, second.number) == (1, 2)
    assert stands() is Standing.SIGNED


# --- what else the page rests on -------------------------------------------------------------------------------------------


def an_intake(day: date = MARCH_15, name: str = "示範甲", **said: Any) -> None:
    """The recorder records an intake."""
    with step("recorder") as by:
        values = {
            "cigarettes_per_day": 20,
            "co_ppm": None,
            "weight_kg": None,
            "pregnant": False,
            "insured": True,
        } | said
        record_baseline(
            case=world.case(name), entry=BaselineEntry(uuid4(), day, {}, **values), today=world.TODAY, by=by
        )


def at_the_desk(committed: Any, work: Callable[[], Any]) -> None:
    """The desk changes one of its lists."""
    with committed.as_owner(), scoped(world.SYSTEM):
        work()


def of_staff(name: str = "示範子", **said: Any) -> StaffContract:
    found = StaffContract.objects.get(staff__name=name, institution_id=world.institution_id())
    for field, value in said.items():
        setattr(found, field, value)
    found.save()
    return found


def grounds() -> list[Ground]:
    """What was changed since the sign-off, by the page; and how the month stands, by page, short way and desk."""
    with step("recorder") as by:
        check = seen_by(by)
        found = check.grounds_changed
        assert standing_of(MARCH, by=by) is check.standing is (Standing.CHANGED if found else Standing.SIGNED)
    with step("desk_officer") as by:
        (row,) = [row for row in nation(MARCH, by=by) if row.code == world.CLINIC]
        assert row.standing is check.standing
    return found


CLINIC_CONTRACT = ContractRow(world.CLINIC, world.FIRST_DAY, date(2025, 3, 18), "提前終止")
EVERY_GROUND = [
    ("an intake", Ground.INTAKES, lambda _committed: an_intake()),
    ("contract", Ground.CONTRACT, lambda committed: at_the_desk(committed, lambda: record_contract(CLINIC_CONTRACT, by=world.SYSTEM))),
    ("staff", Ground.STAFF, lambda committed: at_the_desk(committed, lambda: of_staff(ends_on=date(2025, 3, 18)))),
    ("what staff may", Ground.STAFF, lambda committed: at_the_desk(committed, lambda: of_staff(may_counsel=False))),
    ("a certificate", Ground.CERTIFICATES, lambda committed: at_the_desk(committed, lambda: record_certificate(
        CertificateRow("", "示範證明", date(2025, 3, 18)), by=world.SYSTEM, staff=world.staff("示範子")))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "ground", "change"), EVERY_GROUND, ids=[what for what, _ground, _change in EVERY_GROUND]
)
def test_a_change_of_what_the_page_rests_on_opens_the_month_again_and_says_what(
    committed: Any, what: str, ground: Ground, change: Callable[[Any], None]
) -> None:
    recorded(committed)
    signed()
    assert grounds() == []
    change(committed)
    assert grounds() == [ground], what
    with step("recorder") as by:
        incomplete = bool(seen_by(by).incomplete)
    signed(reason="已與窗口確認" if incomplete else "")
    assert grounds() == []
    assert sign_offs() == 2


def test_what_says_nothing_of_the_month_does_not_open_it_again(committed: Any, owner: psycopg.Connection) -> None:
    recorded(committed)
    with committed.as_owner(), scoped(world.SYSTEM):
        contract = record_contract(
            ContractRow(world.CLINIC, world.FIRST_DAY, date(2025, 12, 31), ""), by=world.SYSTEM
        ).record
        record_certificate(
            CertificateRow("", "示範證明", date(2025, 6, 30)), by=world.SYSTEM, staff=world.staff("示範子")
        )
    signed()
    an_intake(date(2025, 3, 25))  # after the visit
    an_intake(MARCH_15, "示範乙")  # of somebody without a visit in the month
    with committed.as_owner(), scoped(world.SYSTEM):
        record_contract(
            ContractRow(world.CLINIC, world.FIRST_DAY, date(2026, 12, 31), ""), of=contract, by=world.SYSTEM
        )  # prolonged
        record_certificate(
            CertificateRow("", "示範證明", date(2026, 6, 30)), by=world.SYSTEM, staff=world.staff("示範子")
        )
        of_staff("示範寅", ends_on=date(2025, 3, 18))  # who gave no service
    set_clock(owner, world.NOW + timedelta(days=120))  # the supply has long ended
    assert grounds() == []
    with step("recorder") as by:
        check = seen_by(by)
        assert {one.check for one in check.findings} == {Check.NEXT_VISIT}
        assert check.since_signed.new == 1  # told, and no reason to sign again


def test_a_month_signed_before_grounds_were_kept_is_opened_by_its_visits_alone(
    committed: Any, owner: psycopg.Connection
) -> None:
    recorded(committed)
    signed()
    owner.execute("ALTER TABLE selfcheck_signoff DISABLE TRIGGER append_only")
    owner.execute("UPDATE selfcheck_signoff SET grounds = NULL")
    owner.execute("ALTER TABLE selfcheck_signoff ENABLE TRIGGER append_only")
    an_intake()
    assert grounds() == []
    recorded(committed, MARCH_15, "示範乙")
    assert stands() is Standing.CHANGED


def test_what_was_missing_and_is_put_right_is_counted(committed: Any) -> None:
    recorded(committed, MARCH_15, "示範丁", medication=None)
    uid = recorded(committed, MARCH_20, days=15)
    signed(reason="待確認")
    with step("recorder"):
        right = both(MARCH_20).medication
    changed(uid, medication=right)
    recorded(committed, date(2025, 3, 26), "示範乙", days=15)
    with step("recorder") as by:
        check = seen_by(by)
        assert (check.visits_changed, check.since_signed) == (True, Differences(new=1, gone=1))


def test_what_is_restored_opens_the_month_again(committed: Any) -> None:
    uid = recorded(committed)
    _void(uid)
    signed()
    with step("recorder") as by:
        restore_visit(
            visit=Visit.objects.select_related("case__person").get(uid=uid), version=2, reason="誤作廢", by=by
        )
    assert stands() is Standing.CHANGED


def test_a_change_in_another_month_or_elsewhere_leaves_the_sign_off(committed: Any) -> None:
    recorded(committed)
    signed()
    recorded(committed, date(2025, 2, 25), "示範乙", medication=None)
    recorded(committed, MARCH_20, "示範戊", world.PHARMACY)
    assert stands() is Standing.SIGNED


def test_what_retention_empties_years_later_is_no_change_of_the_month(
    committed: Any, owner: psycopg.Connection
) -> None:
    uid = recorded(committed)
    signed()
    set_clock(owner, world.NOW + timedelta(hours=1))
    owner.execute("SELECT set_config('quitledger.scope', '0', false)")
    owner.execute("UPDATE visits_visit SET changed_at = programme_now() WHERE uid = %s", [uid])
    assert stands() is Standing.CHANGED
    for without in ("DISABLE TRIGGER USER", "DROP CONSTRAINT cases_person_emptied_run"):  # no run is planned here
        owner.execute(f"ALTER TABLE cases_person {without}")
    owner.execute(
        "UPDATE cases_person SET emptied_run = 1, identity_hash = NULL, identity_token = NULL, identity_key_id = '',"
        " identity_country = '', birth_on = '1980-01-01' WHERE id = (SELECT person_id FROM visits_visit WHERE uid = %s)",
        [uid],
    )
    assert stands() is Standing.SIGNED


# --- no way around ---------------------------------------------------------------------------------------------------------

INSERT = (
    "INSERT INTO selfcheck_signoff (institution_id, month, number, signed_by_id, incomplete, reason, visits, versions, seen)"
    " VALUES (%s, %s, %s, %s, 0, '', 0, 0, '{}') RETURNING signed_by_id"
)


def test_the_database_itself_lets_only_a_supervisor_sign_in_his_own_name_number_by_number(
    committed: Any, owner: psycopg.Connection
) -> None:
    recorded(committed)
    with scoped(world.SYSTEM):
        supervisor, recorder, stranger = (
            world.actor(name) for name in ("supervisor", "recorder", "stranger_supervisor")
        )
    clinic = supervisor.institution_id
    for by in (recorder, stranger):
        with pytest.raises(errors.CheckViolation), acting(committed, clinic, by.account_id) as connection_:
            connection_.execute(INSERT, [clinic, MARCH, 1, supervisor.account_id])
    with pytest.raises(errors.UniqueViolation), acting(committed, clinic, supervisor.account_id) as connection_:
        connection_.execute(INSERT, [clinic, MARCH, 2, supervisor.account_id])
    with pytest.raises(errors.ForeignKeyViolation), acting(committed, clinic, supervisor.account_id) as connection_:
        connection_.execute(INSERT, [clinic, date(2024, 2, 1), 1, supervisor.account_id])
    with acting(committed, clinic, supervisor.account_id) as connection_:
        assert one(connection_, INSERT, [clinic, MARCH, 1, recorder.account_id]) == supervisor.account_id
    for statement in ("UPDATE selfcheck_signoff SET reason = 'x'", "DELETE FROM selfcheck_signoff"):
        with pytest.raises(errors.InsufficientPrivilege):
            owner.execute(statement)


# --- reminders -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def addressed(committed: Any) -> Any:
    """The clinic's recorder and supervisor gave an address; a visit of March misses something, and a draft."""
    recorded(committed, MARCH_15, "示範乙", days=15)
    for name in ("recorder", "supervisor"):
        with step(name) as by:
            record_address(address=f"{name}@example.org", by=by)
    with step("recorder") as by:
        keep_draft(case=world.case("示範丁"), visit=None, contents={"note": ["未完"]}, by=by)
    return committed


def letters(moment: Any = world.NOW) -> dict[str, list[Any]]:
    """Who would be written to, and what is missing."""
    return {one.address: [line.missing for line in one.lines] for one in begin_reminders(moment=moment, by=SYSTEM)}


def test_whoever_gave_an_address_is_reminded_of_what_is_missing_once_a_day(addressed: Any) -> None:
    missing = services.Missing
    assert letters() == {
        "recorder@example.org": [missing(1, 1, to_sign=False)], "supervisor@example.org": [missing(1, 0, to_sign=True)]
    }  # fmt: skip
    assert letters() == {}
    assert letters(world.NOW + timedelta(hours=5)) == {}
    assert set(letters(world.NOW + timedelta(days=9))) == {"recorder@example.org", "supervisor@example.org"}  # the 10th


@pytest.mark.parametrize("day", [2, 9, 11, 19, 21])
def test_on_other_days_nobody_is_reminded(addressed: Any, day: int) -> None:
    assert letters(world.NOW.replace(day=day)) == {}


def test_who_has_nothing_missing_or_no_address_or_no_place_is_not_reminded(
    addressed: Any, owner: psycopg.Connection
) -> None:
    owner.execute("UPDATE accounts_user SET is_active = false WHERE username = 'supervisor'")
    with step("recorder") as by:
        record_address(address="", by=by)
    assert letters() == {}
    with step("recorder") as by:
        record_address(address="again@example.org", by=by)
    owner.execute(
        "UPDATE institutions_membership SET ends_on = '2025-03-31' WHERE user_id = (SELECT id FROM accounts_user WHERE username = 'recorder')"
    )
    assert letters() == {}


def test_a_signed_month_is_no_reason_to_write_but_a_draft_is(addressed: Any) -> None:
    signed(reason="待回診")
    assert set(letters()) == {"recorder@example.org"}  # his draft
    with scoped(SYSTEM), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM selfcheck_reminder")
        assert cursor.fetchone()[0] == 1


def test_once_the_window_has_closed_nobody_is_reminded_of_the_month(addressed: Any) -> None:
    april = {"recorder@example.org": [services.Missing(0, 1, to_sign=False)]}  # his draft, and nothing of March
    assert letters(world.NOW.replace(month=5, day=10)) == april


def test_a_letter_that_could_not_be_sent_is_tried_again_the_same_day(addressed: Any) -> None:
    one_of_them, *_others = begin_reminders(moment=world.NOW, by=SYSTEM)
    give_reminder_back(one_of_them, moment=world.NOW, by=SYSTEM)
    assert set(letters()) == {one_of_them.address}
    assert letters() == {}


def test_of_runs_at_once_one_writes_to_each(addressed: Any) -> None:
    found = at_once([lambda: list(letters()) for _ in range(6)])
    assert Counter(address for run in found for address in run) == {
        "recorder@example.org": 1, "supervisor@example.org": 1
    }  # fmt: skip


def test_nobody_but_the_programme_itself_reminds(addressed: Any) -> None:
    with scoped(world.SYSTEM):
        by = world.actor("desk_supervisor")
    with pytest.raises(PermissionDenied):
        list(begin_reminders(moment=world.NOW, by=by))
    with pytest.raises(PermissionDenied):
        give_reminder_back(services.Letter(1, "", MARCH, ()), moment=world.NOW, by=by)


def test_the_job_mails_each_once_and_no_letter_names_anybody(addressed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mail.outbox.clear()
    assert remind(timestamp=0) == 2
    assert remind(timestamp=0) == 0
    assert sorted(one.to[0] for one in mail.outbox) == ["recorder@example.org", "supervisor@example.org"]
    first = next(one for one in mail.outbox if one.to == ["recorder@example.org"])
    assert first.subject == "114 年 3 月就醫資料自行清查提醒"
    assert "・示範戒菸診所 9900000019：未完整 1 筆、您的草稿 1 筆。登錄期限 114/04/20 24:00。" in first.body
    for one_of_them in mail.outbox:
        text = one_of_them.subject + one_of_them.body
        assert not [word for word in ("示範乙", "示範丁", "A1", "T-0", "http") if word in text]


def test_a_mail_server_that_is_away_loses_no_letter(addressed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_args: Any, **_kwargs: Any) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("quitledger.ops.jobs.send_mail", away)
    assert remind(timestamp=0) == 0
    monkeypatch.undo()
    assert remind(timestamp=0) == 2
    with scoped(SYSTEM):
        assert Reminder.objects.filter(failed=True).count() == 0


def test_an_address_is_seen_by_its_account_alone(addressed: Any, owner: psycopg.Connection) -> None:
    ids = dict(owner.execute("SELECT username, id FROM accounts_user").fetchall())
    with scoped(world.SYSTEM):
        clinic = world.institution_id()
    for scope, username, expected in ((clinic, "recorder", 1), (clinic, "colleague", 0), (0, "desk_officer", 0)):
        with acting(addressed, scope, ids[username]) as connection_:
            assert one(connection_, "SELECT count(*) FROM selfcheck_reminderaddress") == expected


def test_an_address_that_says_the_same_writes_nothing(committed: Any, owner: psycopg.Connection) -> None:
    for address in ("a@example.org", "a@example.org", "b@example.org"):
        with step("recorder") as by:
            record_address(address=address, by=by)
    assert one(owner, "SELECT count(*) FROM audit_journal WHERE action = 'selfcheck.address'") == 2
    with scoped(world.SYSTEM):
        by = world.actor("desk_officer")
    with pytest.raises(PermissionDenied):
        record_address(address="a@example.org", by=by)
