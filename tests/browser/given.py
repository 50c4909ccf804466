"""What is there before a browser test begins: people, visits, accounts, extensions, written as the owner through the services."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.db import connections

from quitledger.accounts.actors import SYSTEM, Actor
from quitledger.accounts.models import Notice, User
from quitledger.accounts.permissions import Role
from quitledger.accounts.scope import scoped
from quitledger.accounts.services import add_account
from quitledger.batches.columns import Kind
from quitledger.batches.comparison_services import compare_list
from quitledger.batches.services import ask_recording, give_up_batch, upload_batch
from quitledger.cases.models import Case
from quitledger.cases.services import BaselineEntry, Registration, record_baseline, register_case
from quitledger.corrections import services as corrections
from quitledger.corrections.evidence_services import attach_evidence
from quitledger.institutions.lists import ContractRow, InstitutionRow, QuotaRow, StaffRow
from quitledger.institutions.membership_services import add_membership, end_membership
from quitledger.institutions.models import Membership
from quitledger.institutions.services import record_contract, record_institution, record_quota, record_staff
from quitledger.policy import TAIPEI
from quitledger.policy.identity import make_up
from quitledger.visits import rules
from quitledger.visits.merge_services import merge_persons, undo_merge
from quitledger.visits.models import Draft, Visit
from quitledger.visits.services import record_visits
from tests import world
from tests.batches.files import PERSON_TITLES, counselling, csv_of
from tests.batches.files import a_person as a_person_row
from tests.batches.files import a_visit as a_visit_row
from tests.batches.scene import record, sent
from tests.conftest import connect_django
from tests.corrections import files, scene
from tests.selfcheck import scene as selfcheck
from tests.statistics import scene as statistics

from .served import Site

CODE_LASTS = 30  # seconds: TOTP_PERIOD


@contextmanager
def the_owner(site: Site) -> Iterator[None]:
    """A committed transaction of the owner of the site's database."""
    connect_django(site.database.owner_url)
    try:
        with scoped(SYSTEM):
            yield
    finally:
        connections.close_all()  # one left open while Playwright's loop runs cannot be found when it has stopped


def _at(institution_code: str) -> Actor:
    return Actor(None, world.institution_id(institution_code), None, system=True)


def a_person(
    site: Site, name: str, serial: int, *, birth_on: date = date(1980, 2, 3), sex: str = "male", ftnd: bool = True,
    chart_no: str = "", institution_code: str = world.CLINIC,
) -> Case:  # fmt: skip
    """Somebody registered two months ago, with an intake of twenty days ago unless `ftnd` is False."""
    with the_owner(site):
        return somebody(
            name, serial, birth_on=birth_on, sex=sex, ftnd=ftnd, chart_no=chart_no, institution_code=institution_code
        )


def somebody(
    name: str, serial: int, *, birth_on: date = date(1980, 2, 3), sex: str = "male", ftnd: bool = True,
    chart_no: str = "", institution_code: str = world.CLINIC,
) -> Case:  # fmt: skip
    """As a_person, in a transaction of the owner that is open already."""
    by = _at(institution_code)
    entry = Registration(uuid4(), "national_id", make_up(serial), "", birth_on, sex, name, chart_no or f"T-{serial:04}")
    case = register_case(entry, today=world.TODAY - timedelta(days=60), made_up_allowed=True, by=by)
    case = Case.objects.select_related("person").get(pk=case.pk)
    if ftnd:
        intake = BaselineEntry(
            uuid4(), world.TODAY - timedelta(days=20), world.FTND, 20, 24, Decimal("68.5"), pregnant=False, insured=True
        )
        record_baseline(case=case, entry=intake, today=world.TODAY, by=by)
    return case


def a_visit(site: Site, case: Case, day: date, **changes: object) -> Visit:
    """A visit of `case` on `day`, recorded that evening; both services unless `changes` says otherwise."""
    with the_owner(site):
        both = {
            "medication": rules.Medication(world.staff("示範丑").uid, (rules.Line(world.PATCH, 2),)),
            "counselling": rules.Counselling(world.staff("示範子").uid),
        }
        entry = replace(rules.Entry(uuid4(), day, cigarettes_per_day=9, co_ppm=12), **{**both, **changes})
        evening = min(datetime.combine(day, clock(18, 5), TAIPEI), world.NOW)
        (outcome,) = record_visits([(case, entry)], by=_at(world.CLINIC), recorded_at=[evening])
        assert outcome.visit, outcome.problems
        return outcome.visit


def two_of_one(site: Site, long: Case) -> dict[str, str]:
    """One number under two birth dates; two whose visits collide; a merge in force with a visit since, and one undone."""
    there = world.PHARMACY
    first, second = date(1985, 6, 7), date(1985, 7, 6)
    twin = a_person(site, "示範雙一", 860, birth_on=first)
    other = a_person(site, "示範雙二", 860, birth_on=second, chart_no="T-8601", institution_code=there)
    a_visit(site, twin, date(2025, 3, 3), medication=None)
    collider = a_person(site, "示範撞", 862)
    a_visit(site, collider, world.TODAY - timedelta(days=60), medication=None)
    a_visit(site, collider, world.TODAY - timedelta(days=57 - 3 * 5), medication=None)
    kept, merged = a_person(site, "示範留", 863), a_person(site, "示範併", 864)
    old, older = a_person(site, "示範舊一", 865), a_person(site, "示範舊二", 866)
    a_visit(site, merged, date(2025, 3, 3), medication=None)
    with the_owner(site):
        desk = world.actor("desk_officer")
    with scoped_site(site, desk):
        made = merge_persons(
            uid=uuid4(), kept=kept.person, merged=merged.person, reason="出生日期打錯，同一人", by=desk
        )
        undone = merge_persons(uid=uuid4(), kept=old.person, merged=older.person, reason="以為是同一人", by=desk)
        undo_merge(merge=undone, reason="其實是兩個人", by=desk)
    with site.database.owner() as connection:  # what is recorded now came after it
        connection.execute("UPDATE cases_merge SET decided_at = '2025-03-04 10:00+08', undone_at = undone_at")
    a_visit(site, kept, date(2025, 3, 20), medication=None)
    return {
        "twin": f"/cases/{twin.uid}", "twin_uid": str(other.uid), "collider": f"/cases/{collider.uid}",
        "collider_uid": str(long.uid), "merge": f"/merges/{made.uid}", "undone": f"/merges/{undone.uid}",
        "merged_case": f"/cases/{merged.uid}", "both_places": f"/cases/{world.case_uid(world.PEOPLE[0])}",
    }  # fmt: skip


@contextmanager
def scoped_site(site: Site, actor: Actor) -> Iterator[None]:
    """A committed transaction of the application role in an actor's scope."""
    connect_django(site.database.app_url)
    try:
        with scoped(actor):
            yield
    finally:
        connections.close_all()


def visits_of(site: Site, case: Case) -> list[date]:
    """The days of the visits that the database holds of `case`."""
    with the_owner(site):
        return list(Visit.objects.filter(case=case).order_by("visit_on").values_list("visit_on", flat=True))


def an_account(site: Site, username: str, *, totp_secret: str = "") -> None:
    """A recorder of the clinic, with an authenticator app whose key is `totp_secret` if one is given."""
    with the_owner(site):
        user = add_account(username=username, display_name="示範申", password=world.PASSWORD, by=SYSTEM)
        add_membership(
            user=user, institution=world.institution(), role=Role.RECORDER, starts_on=world.FIRST_DAY, by=SYSTEM
        )
        if totp_secret:
            TOTP.activate(User.objects.get(pk=user.pk), totp_secret)


def a_place(site: Site, username: str) -> UUID:
    """The uid of somebody's place at the clinic."""
    with the_owner(site):
        return Membership.objects.get(user__username=username, institution=world.institution()).uid


def a_draft(site: Site, username: str) -> None:
    """A draft of somebody for a person's next visit."""
    with the_owner(site):
        account = User.objects.get(username=username)
        Draft.objects.get_or_create(
            institution=world.institution(),
            account=account,
            case=world.case(),
            defaults={"contents": {"note": ["未完"]}},
        )


def who_left(site: Site, username: str) -> None:
    """Somebody's last day was yesterday."""
    place = a_place(site, username)
    with the_owner(site):
        end_membership(
            Membership.objects.select_related("user", "institution").get(uid=place),
            ends_on=world.TODAY - timedelta(days=1), moment=world.NOW, by=SYSTEM,
        )  # fmt: skip


def who_has_not_signed_in_for_long(site: Site, username: str) -> None:
    """Somebody's account is older than three months and was never used."""
    with site.database.owner() as connection:
        connection.execute("UPDATE accounts_user SET created_at = '2024-01-01' WHERE username = %s", [username])


def a_notice(site: Site, username: str) -> None:
    """Somebody's password was reset by the supervisor."""
    with the_owner(site):
        told = {name: User.objects.get(username=name) for name in (username, "supervisor")}
        Notice.objects.create(user=told[username], by=told["supervisor"], kind="password_reset")


def lists_of_the_desk(site: Site) -> dict[str, str]:
    """A hospital with a new code and a branch, a contract ended in retrospect, a certificate about to end, a quota."""
    with the_owner(site):
        hospital = InstitutionRow(
            world.HOSPITAL, "示範承接醫院", "regional_hospital", "臺北市", "示範路 3 號", world.TODAY,
            new_code="9900000046", change="take_over",
        )  # fmt: skip
        details = record_institution(hospital, by=SYSTEM).record
        branch = InstitutionRow("9900000055", "示範分院", "clinic", "臺北市", "", world.TODAY, parent_code="9900000046")
        record_institution(branch, by=SYSTEM)
        contract = record_contract(
            ContractRow("9900000055", date(2025, 1, 1), date(2025, 3, 31), "停業"), by=SYSTEM
        ).record
        staff = StaffRow(
            "9900000055", make_up(901, "S"), "示範申", "counsellor", date(2025, 1, 1), None, False, True, "訓練證明",
            world.TODAY + timedelta(days=30),
        )  # fmt: skip
        record_staff(staff, by=SYSTEM)
        record_quota(QuotaRow(world.CLINIC, 2025, "counselling", 1), by=SYSTEM)
    with site.database.owner() as connection:
        # A course of another number, and a staff contract that was found to have begun later.
        connection.execute(
            "INSERT INTO visits_coursefinding (visit_id, institution_id, kind, before_year, before_no, after_year,"
            " after_no, is_allowed) SELECT id, institution_id, 'counselling', 2025, 2, 2025, 3, false FROM visits_visit LIMIT 1"
        )
        connection.execute(
            "UPDATE institutions_staffcontract SET starts_on = '2025-03-10' WHERE staff_id ="
            " (SELECT id FROM institutions_staffmember WHERE name = '示範子')"
        )
    return {
        "details": f"/registers/institutions/{details.pk}", "contract": f"/registers/contracts/{contract.pk}",
    }  # fmt: skip


def forgotten_attempts(site: Site) -> None:
    """Time has passed: no failed sign-in is counted any more."""
    with site.database.owner() as connection:
        connection.execute("DELETE FROM accounts_attempt")


def a_secret() -> str:
    """A new key for an authenticator app."""
    return generate_totp_secret()


def code_of(secret: str) -> str:
    """What an authenticator app with this key shows now; waits for the next code where this one is about to end."""
    if time.time() % CODE_LASTS > CODE_LASTS - 5:
        time.sleep(6)
    return format_hotp_value(hotp_value(secret, int(time.time()) // CODE_LASTS))


def applications(site: Site, uid: str) -> dict[str, str]:
    """Applications about a visit whose month is closed, and about a visit never recorded, one in every state."""
    connect_django(site.database.app_url)
    try:
        return {f"correction_{name}": f"/corrections/{path}" for name, path in _applications(UUID(uid)).items()}
    finally:
        connections.close_all()


def _applications(uid: UUID) -> dict[str, str]:
    def two() -> list[corrections.ItemEntry]:
        near = scene.late(date(2025, 2, 3))  # too near the visit that is there
        return [scene.changing(uid, note="更正後的備註：改為早上貼；下次帶家屬一起來。"), near]

    name = visit_name(uid)
    made: dict[str, Any] = {}
    with scene.step("recorder") as by:
        draft = made["draft"] = scene.written(two(), by, name)
        for content in (files.a_pdf(2), files.a_photograph()):
            attach_evidence(application=draft, content=content, today=world.TODAY, by=by)
        item = draft.items.get(position=0).uid
        gone = scene.written([scene.late(date(2025, 1, 2))], by, name)
        made["withdrawn"] = corrections.withdraw_application(application=gone, version=1, text="不需要了", by=by)
        made["person"] = scene.written([scene.asking(scene.case_of(name), birth_on=date(1960, 2, 3))], by, name)
    made["person_sent"] = scene.sent(lambda: [scene.asking(scene.case_of(name))], name)
    made["to_sign"] = scene.submitted(two, name)
    made["new"] = scene.sent(two, name)
    made["in_review"] = scene.claimed(two, name=name)
    asked = scene.claimed(two, name=name)
    with scene.step("desk_officer") as by:
        made["waiting"] = corrections.ask_institution(
            application=asked, version=asked.version, text="請補第 2 頁。", by=by
        )
    made["approved"] = scene.decided(scene.claimed(lambda: [scene.late(date(2025, 1, 9))], name=name))
    refused = scene.claimed(lambda: [scene.late(date(2025, 1, 15))], name=name)
    made["rejected"] = scene.decided(refused, corrections.Decision("rejected", "evidence"), text="請附個案紀錄表。")
    return {state: str(one.uid) for state, one in made.items()} | {"item": f"{draft.uid}/items/{item}"}


def months_signed(site: Site) -> dict[str, str]:
    """The clinic's January signed off with what it missed; the pharmacy's March signed off, and a visit since."""
    connect_django(site.database.app_url)
    try:
        done = selfcheck.signed("supervisor", date(2025, 1, 1), reason="待個案回診。").sign_off
        selfcheck.signed("stranger_supervisor")
        with scene.step("stranger") as by:
            entry = rules.Entry(uuid4(), date(2025, 3, 28), counselling=rules.Counselling(world.staff("示範卯").uid))
            (outcome,) = record_visits([(world.case("示範戊", world.PHARMACY), entry)], by=by)
            assert outcome.visit, outcome.problems
    finally:
        connections.close_all()
    return {"signed": f"/selfcheck/signed/{done.uid}"}


def publications(site: Site) -> dict[str, str]:
    """113 published, 114 published twice, and something recorded since."""
    connect_django(site.database.app_url)
    try:
        statistics.published(year=113)
        first = statistics.published(until=date(2025, 2, 28)).publication
        second = statistics.published(note="到三月底").publication
        with scene.step("stranger") as by:
            entry = rules.Entry(uuid4(), date(2025, 3, 14), counselling=rules.Counselling(world.staff("示範卯").uid))
            (outcome,) = record_visits([(world.case("示範戊", world.PHARMACY), entry)], by=by)
            assert outcome.visit, outcome.problems
    finally:
        connections.close_all()
    return {
        "published": f"/statistics/publications/{first.uid}",
        "published_again": f"/statistics/publications/{second.uid}",
    }


def visit_name(uid: UUID) -> str:
    """Whose visit it is: the name of his case."""
    with scoped(world.actor("recorder")):
        return Visit.objects.get(uid=uid).case.name


def batches(site: Site) -> dict[str, str]:
    """Files of rows in every state, and lists that were compared, of the clinic; their paths."""
    paths = {}
    with the_owner(site):
        by, stranger = world.actor("recorder"), world.actor("stranger")
        rows = (
            counselling("T-0001", "114/3/13"), counselling("T-0002", "114/2/30"), counselling("T-0003", "45736", 衛教人員="示範卯"),
            counselling("T-9999"), a_visit_row("T-0004", 週數="9"), counselling("T-0001", "114/3/13"),
        )  # fmt: skip
        asking = csv_of(("T-0001", "114/3/20"), titles=("示範卡號", "示範日"))
        made = {
            "checked": sent(csv_of(*rows), by=by), "good": sent(csv_of(counselling("T-0002", "114/3/13")), by=by),
            "same": sent(csv_of(counselling("T-0004", "114/3/13"), counselling("T-0004", "114/3/13")), by=by),
            "asking": sent(asking, by=by), "refused": sent(b"%PDF-1.7", by=by),
            "given_up": sent(csv_of(counselling()), by=by),
            "recorded": sent(csv_of(a_person_row(990), titles=PERSON_TITLES), Kind.PERSONS, by=by),
            "at_work": sent(csv_of(counselling("T-0002", "114/3/13")), by=by),
        }  # fmt: skip
        record(made["recorded"], by)
        with scoped(by):
            give_up_batch(batch=made["given_up"], by=by)
            ask_recording(batch=made["at_work"], all_or_none=False, by=by)
            reading = upload_batch(uid=uuid4(), kind=Kind.VISITS, content=b"x", by=by)
            listed = csv_of(
                counselling("T-0001", "114/3/13"), counselling("T-9999"), counselling("T-0002", "114/2/1"),
                counselling("T-0003", "114/2/30"),
            )  # fmt: skip
            compared = compare_list(uid=uuid4(), month=date(2025, 3, 1), content=listed, by=by)
        with scoped(stranger):
            nothing = compare_list(uid=uuid4(), month=date(2025, 2, 1), content=csv_of(), by=stranger)
        paths |= {f"batch_{name}": f"/batches/{batch.uid}" for name, batch in made.items()}
        paths |= {"batch_reading": f"/batches/{reading.uid}", "comparison": f"/comparisons/{compared.uid}"}
        paths |= {"comparison_of_nothing": f"/comparisons/{nothing.uid}"}
    return paths
