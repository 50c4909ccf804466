"""For every address that takes a form: who sends it, what is there before, the form as it is right, and what it makes.

Everybody and everything is used by one form alone, so that all can be sent in one database, in any order.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any
from uuid import UUID, uuid4

from allauth.mfa.totp.internal import auth as totp
from django.db import connection
from django.urls import reverse

from quitledger.accounts.models import Notice, NoticeKind, User
from quitledger.accounts.scope import scoped
from quitledger.accounts.services import issue_code
from quitledger.batches.comparison_services import compare_list
from quitledger.batches.models import Batch
from quitledger.corrections.evidence_services import attach_evidence
from quitledger.corrections.models import Application
from quitledger.corrections.rules import ItemKind
from quitledger.corrections.services import ItemEntry, write_application
from quitledger.institutions.models import Contract
from quitledger.policy.identity import make_up
from quitledger.visits.rules import Counselling, Entry
from quitledger.visits.services import keep_draft, record_visit, void_visit

from .. import world
from ..batches.files import counselling, csv_of
from ..batches.scene import sent
from ..corrections.files import a_pdf
from ..corrections.scene import late, step, written
from ..institutions.make_faulty import CONTRACTS
from ..selfcheck import scene as selfcheck
from ..statistics import scene as statistics
from ..visits.merged import Twins, merge, registered
from .conftest import Browser, visit_fields
from .passkey_device import ADD, ALONE, STEP, Device, a_passkey, asked, just_signed_in
from .test_nasty_forms import EXTEND, INTAKE, REGISTER
from .test_people import PASSWORD
from .test_registers import file_of, kept_in, looked_at

Fields = dict[str, Any]


@dataclass(frozen=True)
class Filled:
    """One form. `given`: makes what must be there, perhaps in the browser's session; its arguments and its fields.

    `first`, `again`: what it is answered with when it is sent and sent again. `makes`: by how many rows which tables
    grow the first time; the second time none does but ALWAYS.
    """

    username: str
    given: Callable[[Browser], tuple[dict[str, Any], Fields]]
    makes: dict[str, int] = field(default_factory=dict)
    first: int = 302
    again: int = 302


def simply(fields: Fields | None = None, **arguments: Any) -> Callable[[Browser], tuple[dict[str, Any], Fields]]:
    """Nothing has to be there."""
    return lambda _browser: (arguments, dict(fields or {}))


def case(name: str) -> UUID:
    return world.uid(f"case {name} {world.CLINIC}")


def place(username: str, code: str = world.CLINIC) -> UUID:
    return world.uid(f"place of {username} {code}")


def user(username: str) -> User:
    return User.objects.get(username=username)


def a_visit(name: str, day: date = world.TODAY) -> UUID:
    """A counselling visit, of today."""
    by = world.actor("recorder")
    with scoped(by):
        entry = Entry(uuid4(), day, time(9, 0), counselling=Counselling(world.staff("示範子").uid))
        return record_visit(case=world.case(name), entry=entry, by=by).uid


def to_change(_browser: Browser) -> tuple[dict[str, Any], Fields]:
    uid = a_visit("示範乙")
    fields = visit_fields(uid, services="counselling", **{"lines-0-medicine": "", "lines-0-supply_weeks": ""})
    return {"uid": uid}, fields | {"version": 1, "reason": "補填備註", "note": "改過"}


def to_void(_browser: Browser) -> tuple[dict[str, Any], Fields]:
    return {"uid": a_visit("示範丙")}, {"version": 1, "reason": "重複登錄"}


def to_restore(_browser: Browser) -> tuple[dict[str, Any], Fields]:
    uid, by = a_visit("示範丁"), world.actor("recorder")
    with scoped(by):
        from quitledger.visits.models import Visit

        void_visit(visit=Visit.objects.get(uid=uid), version=1, reason="誤登", by=by)
    return {"uid": uid}, {"version": 2, "reason": "查證後仍有"}


def called(_browser: Browser) -> tuple[dict[str, Any], Fields]:
    case_ = registered(870, world.CLINIC, "示範申")
    return {"uid": case_.uid}, {"version": 1, "name": "示範申申", "chart_no": "T-870", "phone": "", "reason": ""}


def said_to_be(serial: int) -> Callable[[Browser], tuple[dict[str, Any], Fields]]:
    def given(_browser: Browser) -> tuple[dict[str, Any], Fields]:
        case_ = registered(serial, world.CLINIC, "示範酉")
        return {"uid": case_.uid}, {
            "version": 1, "identity_kind": "national_id", "identity_number": make_up(serial + 1), "identity_country": "",
            "birth_on": "74/6/8", "sex": "male", "reason": "證號打錯",
        }  # fmt: skip

    return given


def two_of_one(serial: int) -> Twins:
    return Twins(registered(serial, world.CLINIC, "示範戌"), registered(serial + 1, world.PHARMACY, "示範亥"))


def to_merge(_browser: Browser) -> tuple[dict[str, Any], Fields]:
    twins = two_of_one(876)
    fields = {"uid": uuid4(), "other": twins.merged.uid, "keep": "one", "reason": "同一人"}
    return {"uid": twins.kept.uid}, fields


def to_undo(_browser: Browser) -> tuple[dict[str, Any], Fields]:
    return {"uid": merge(two_of_one(878)).uid}, {"reason": "其實是兩個人"}


def a_contract(browser: Browser) -> tuple[dict[str, Any], Fields]:
    with scoped(world.SYSTEM):
        pk = Contract.objects.get(institution__details__code=world.PHARMACY).pk
    return {"register": "contracts", "pk": pk}, {"starts_on": "113/1/1", "ends_on": "115/12/31", "end_reason": ""}


def a_file(browser: Browser) -> tuple[dict[str, Any], Fields]:
    page = looked_at(browser, "contracts", file_of(CONTRACTS, (world.HOSPITAL, "114/4/1", "", "")))
    return {"register": "contracts"}, {"kept": kept_in(page)}


def an_app(username: str) -> str:
    """Somebody has an authenticator app; its key."""
    secret = totp.generate_totp_secret()
    with scoped(world.SYSTEM):
        totp.TOTP.activate(user(username), secret)
    return secret


def code_of(secret: str) -> str:
    """What the app shows now."""
    counters = list(totp.yield_hotp_counters_from_time())
    return str(totp.format_hotp_value(totp.hotp_value(secret, counters[len(counters) // 2])))


def with_app(browser: Browser) -> tuple[dict[str, Any], Fields]:
    an_app(browser.username)
    just_signed_in(browser)
    return {}, {}


def with_passkey(browser: Browser) -> tuple[dict[str, Any], Fields]:
    _device, pk = a_passkey(browser.username)
    just_signed_in(browser)
    return {"pk": pk}, {"name": "示範裝置"}


def new_app(browser: Browser) -> tuple[dict[str, Any], Fields]:
    just_signed_in(browser).get(reverse("mfa_activate_totp"))
    return {}, {"code": code_of(browser.session[totp.SECRET_SESSION_KEY])}


def credential(device: Device, options: dict[str, Any], *, made: bool = False) -> Fields:
    import json

    return {"credential": json.dumps(device.make(options) if made else device.sign(options))}


def elsewhere_too(browser: Browser) -> tuple[dict[str, Any], Fields]:
    Browser(browser.username)  # signed in on another device, which is to end
    just_signed_in(browser)
    return {}, {}


def new_passkey(browser: Browser) -> tuple[dict[str, Any], Fields]:
    options = asked(just_signed_in(browser), ADD)
    return {}, credential(Device(), options, made=True) | {"name": "示範裝置", "passwordless": "on"}


def by_passkey(browser: Browser) -> tuple[dict[str, Any], Fields]:
    device, _pk = a_passkey("stranger")
    return {}, credential(device, asked(browser, ALONE))


def passkey_once_more(browser: Browser) -> tuple[dict[str, Any], Fields]:
    device, _pk = a_passkey(browser.username)
    return {}, credential(device, asked(browser, reverse("mfa_reauthenticate_webauthn")))


def second_step(browser: Browser) -> tuple[dict[str, Any], Fields]:
    secret = an_app("stranger_supervisor")
    answer = browser.send("/accounts/login", {"login": "stranger_supervisor", "password": world.PASSWORD})
    assert answer["Location"] == STEP
    return {}, {"code": code_of(secret)}


def a_code_once_more(browser: Browser) -> tuple[dict[str, Any], Fields]:
    return {}, {"code": code_of(an_app(browser.username))}


def an_invitation(_browser: Browser) -> tuple[dict[str, Any], Fields]:
    with scoped(world.SYSTEM):
        code = issue_code(user("nowhere"), form_uid=uuid4(), moment=world.NOW, by=world.SYSTEM).code
    return {}, {"username": "nowhere", "code": code, "password": PASSWORD, "again": PASSWORD}


def a_notice(browser: Browser) -> tuple[dict[str, Any], Fields]:
    by = world.actor("desk_supervisor")
    with scoped(by):
        Notice.objects.create(user=user(browser.username), kind=NoticeKind.PASSWORD_RESET, by_id=by.account_id)
    return {}, {}


def without_a_telephone(_browser: Browser) -> tuple[dict[str, Any], Fields]:
    an_app("both")
    return {"uid": place("both", world.PHARMACY)}, {}


def drafts_left(_browser: Browser) -> tuple[dict[str, Any], Fields]:
    by = world.actor("both")
    with scoped(by):
        keep_draft(case=world.case("示範乙"), visit=None, contents={"note": ["未完"]}, by=by)
    with scoped(world.actor("supervisor")), connection.cursor() as cursor:
        cursor.execute("UPDATE institutions_membership SET ends_on = '2025-03-31' WHERE uid = %s", [place("both")])
    return {"uid": place("both")}, {"drafts_to": place("colleague")}


def to_be_said(_browser: Browser) -> tuple[dict[str, Any], Fields]:
    """Of a person whom another institution knows too."""
    registered(880, world.PHARMACY, "示範戌")
    arguments, fields = said_to_be(880)(_browser)
    return arguments, fields | {
        "uid": uuid4(), "application": uuid4(), "discovered_on": "114/4/1", "identity_number": make_up(882),
    }  # fmt: skip


def late_entry(name: str, **changes: Any) -> Fields:
    """A visit of 114/02/15 that was never recorded."""
    return visit_fields(uuid4(), visit_on="114/2/15", services="counselling", **WITHOUT_MEDICINE) | {
        "application": uuid4(), "reason": "漏未登錄", "discovered_on": "114/4/1",
    } | changes  # fmt: skip


WITHOUT_MEDICINE = {"lines-0-medicine": "", "lines-0-supply_weeks": ""}


def to_move(_browser: Browser) -> tuple[dict[str, Any], Fields]:
    uid = a_visit("示範丙", date(2025, 3, 20))
    return {"uid": uid, "kind": "parked"}, late_entry("示範丙", version=1)


def to_sign_off(_browser: Browser) -> tuple[dict[str, Any], Fields]:
    number, seen = selfcheck.looked_at(month=date(2024, 12, 1))
    return {"month": date(2024, 12, 1)}, {"number": number, "seen": seen, "reason": ""}


def a_draft(name: str) -> Any:
    """An application that is being written, of a visit never recorded."""
    by, new = world.actor("recorder"), uuid4()
    with scoped(by):
        entry = Entry(new, date(2025, 2, 15), counselling=Counselling(world.staff("示範子").uid))
        return write_application(
            uid=uuid4(), case=world.case(name), reason="漏未登錄", discovered_on=world.TODAY,
            items=[ItemEntry(new, ItemKind.LATE_ENTRY, entry=entry)], by=by,
        ), new  # fmt: skip


def an_item(_browser: Browser) -> tuple[dict[str, Any], Fields]:
    application, item = a_draft("示範甲")
    fields = late_entry("示範甲", uid=item, application=application.uid, visit_on="114/2/16")
    return {"uid": application.uid, "item": item}, fields


def to_withdraw(_browser: Browser) -> tuple[dict[str, Any], Fields]:
    application, _item = a_draft("示範乙")
    return {"uid": application.uid, "step": "withdraw"}, {"version": 1, "text": "不需要了"}


def an_application(_browser: Browser | None = None) -> Application:
    """A draft about a visit that was never recorded."""
    with step("recorder") as by:
        return written([late()], by)


def with_evidence(_browser: Browser) -> tuple[dict[str, Any], Fields]:
    application = an_application()
    with step("recorder") as by:
        evidence = attach_evidence(application=application, content=a_pdf(), today=world.TODAY, by=by)
    return {"uid": application.uid, "evidence": evidence.uid}, {}


def a_batch(*rows: Any, **options: Any) -> Callable[[Browser], Batch]:
    """A file that was sent and checked, with rows of its own."""
    return lambda _browser: sent(csv_of(*rows, **options))


def of_batch(make: Callable[[Browser], Batch], fields: Fields | None = None, **more: Any) -> Callable[[Browser], Any]:
    return lambda browser: ({"uid": make(browser).uid, **more}, dict(fields or {}))


def a_comparison(_browser: Browser) -> tuple[dict[str, Any], Fields]:
    with step("recorder") as by:
        content = csv_of(counselling("T-0001", "114/3/13"))
        return {"uid": compare_list(uid=uuid4(), month=date(2025, 3, 1), content=content, by=by).uid}, {}


def to_publish(_browser: Browser) -> tuple[dict[str, Any], Fields]:
    return {"year": 113}, {
        "uid": uuid4(),
        "seen": statistics.looked_at("analyst", year=113).report.looked_at,
        "note": "第一版",
    }


# These grow with every request: who looked, sessions, tries.
ALWAYS = {"audit_journal", "accounts_session", "accounts_attempt"}

APPLIED = {"corrections_application": 1, "corrections_item": 1, "corrections_steptaken": 1}

FORMS: dict[str, Filled] = {
    "switch_institution": Filled("both", simply({"institution": world.PHARMACY})),
    "case_find": Filled("recorder", simply({"q": "示範甲"}), first=200, again=200),
    "case_register": Filled("recorder", lambda _b: ({}, REGISTER | {"uid": uuid4()}), {"cases_case": 1, "cases_person": 1}),
    "case_identity": Filled("recorder", simply(uid=case("示範甲")), first=200, again=200),
    "case_change": Filled("recorder", called, {"cases_case_history": 1}),
    "person_correct": Filled("recorder", said_to_be(872), {"cases_person_history": 1}),
    "case_person_change": Filled("desk_officer", said_to_be(874), {"cases_person_history": 1}),
    "merge_find": Filled("desk_officer", lambda _b: ({"uid": case("示範甲")}, {"number": make_up(5)}), first=200, again=200),
    "person_merge": Filled("desk_officer", to_merge, {"cases_merge": 1, "cases_mergedrecord": 1}),
    "merge_undo": Filled("desk_supervisor", to_undo, {"cases_merge_history": 1}),
    "baseline_record": Filled(
        "recorder", lambda _b: ({"uid": case("示範丁")}, INTAKE | {"uid": uuid4()}), {"cases_baseline": 1}
    ),
    "visit_record": Filled(
        "recorder", lambda _b: ({"uid": case("示範甲")}, visit_fields(uuid4())), {"visits_visit": 1, "visits_service": 2}
    ),
    "case_sheet": Filled("recorder", simply(uid=case("示範甲")), first=200, again=200),
    "correction_form": Filled("recorder", lambda b: ({"uid": an_application(b).uid}, {}), first=200, again=200),
    "correction_attach": Filled(
        "recorder", lambda b: ({"uid": an_application(b).uid}, {"file": a_pdf()}),
        {"corrections_evidence": 1, "corrections_evidencefile": 1},
    ),
    "correction_attach_sheet": Filled(
        "recorder", lambda b: ({"uid": an_application(b).uid}, {}),
        {"corrections_evidence": 1, "corrections_evidencefile": 1},
    ),
    "correction_detach": Filled("recorder", with_evidence, {"corrections_evidencefile": -1}),
    "batch_upload": Filled(
        "recorder", lambda _b: ({}, {"uid": uuid4(), "kind": "visits", "file": csv_of(counselling())}),
        {"batches_batch": 1, "batches_batchfile": 1},
    ),
    "batch_columns": Filled(
        "recorder", of_batch(a_batch(("T-0001", "114/3/20"), titles=("卡號", "來的那天")), {"chart_no": "0", "visit_on": "1"}),
        {"batches_columnchoice": 2},
    ),
    "batch_row": Filled(
        "recorder",
        of_batch(a_batch(counselling("X")), {"chart_no": "T-0001", "visit_on": "114/3/14", "counselling_staff": "示範子"}, line=2),
    ),
    "batch_record": Filled("recorder", of_batch(a_batch(counselling("T-0002", "114/3/13")), {"all_or_none": "on"})),
    "batch_give_up": Filled("recorder", of_batch(a_batch(counselling("T-0002", "114/3/13"))), {"batches_row": -1}),
    "comparison_new": Filled(
        "recorder", lambda _b: ({}, {"uid": uuid4(), "month": "114/3", "file": csv_of(counselling())}), {"batches_comparison": 1}
    ),
    "comparison_remove": Filled("recorder", a_comparison, {"batches_comparison": -1}, again=404),
    "visit_query": Filled("recorder", simply({"who": "示範甲"})),
    "visit_change": Filled("recorder", to_change, {"visits_visit_history": 1}),
    "visit_void": Filled("recorder", to_void, {"visits_visit_history": 1}),
    "visit_restore": Filled("recorder", to_restore, {"visits_visit_history": 1}),
    "correction_visit": Filled("recorder", to_move, APPLIED),
    "correction_late_entry": Filled("recorder", lambda _b: ({"uid": case("示範丁")}, late_entry("示範丁")), APPLIED),
    "correction_person": Filled("recorder", to_be_said, APPLIED | {"corrections_askedidentity": 1}),
    "correction_identity": Filled("recorder", lambda b: ({"uid": an_application(b).uid}, {}), first=200, again=200),
    "correction_item": Filled("recorder", an_item, {"corrections_item_history": 1, "corrections_steptaken": 1}),
    "correction_step": Filled("recorder", to_withdraw, {"corrections_steptaken": 1}),
    "register_record": Filled(
        "desk_officer",
        simply({"institution_code": world.HOSPITAL, "starts_on": "114/3/1", "ends_on": "114/3/31", "end_reason": "短期"},
               register="contracts"),
        {"institutions_contract": 1},
    ),
    "register_import": Filled("desk_officer", a_file, {"institutions_contract": 1}),
    "register_change": Filled("desk_officer", a_contract, {"institutions_contract_history": 1}),
    "person_invite": Filled(
        "supervisor",
        lambda _b: ({}, {"uid": uuid4(), "display_name": "示範新人", "username": "new.person", "role": "recorder", "staff": ""}),
        {"accounts_user": 1, "institutions_membership": 1, "accounts_onetimecode": 1}, first=200, again=200,
    ),
    "person_change": Filled(
        "supervisor", simply({"display_name": "示範子", "role": "supervisor", "staff": ""}, uid=place("recorder")),
        {"institutions_membership_history": 1},
    ),
    "person_password": Filled(
        "supervisor", lambda _b: ({"uid": place("colleague")}, {"uid": uuid4()}),
        {"accounts_notice": 1, "accounts_onetimecode": 1}, first=200, again=200,
    ),
    "person_second_factor": Filled("desk_officer", without_a_telephone, {"accounts_notice": 1, "mfa_authenticator": -1}),
    "person_unlock": Filled("supervisor", simply(uid=place("recorder"))),
    "person_confirm": Filled("supervisor", simply(uid=place("supervisor")), {"institutions_membership_history": 1}),
    "person_end": Filled(
        "supervisor", simply({"ends_on": "114/4/30"}, uid=place("colleague")), {"institutions_membership_history": 1}
    ),
    "person_drafts": Filled("supervisor", drafts_left),
    "selfcheck_sign": Filled("supervisor", to_sign_off),  # and proves once more who he is
    "reminder_address": Filled("recorder", simply({"address": "a@example.org"}), {"selfcheck_reminderaddress": 1}),
    "statistics_publish": Filled("analyst", to_publish, {"statistics_publication": 1, "statistics_publication_history": 1}),
    "switch_language": Filled("anonymous", simply({"language": "en", "next": "/policies"})),
    "account_accept": Filled("anonymous", an_invitation, {"accounts_user_history": 1}, again=422),
    "account_notices": Filled("administrator", a_notice),
    "window_extend": Filled("desk_supervisor", simply(EXTEND), {"visits_windowextension": 1}, again=422),
    "account_login": Filled("anonymous", simply({"login": "recorder", "password": world.PASSWORD})),
    "mfa_login_webauthn": Filled("anonymous", by_passkey),
    "mfa_authenticate": Filled("anonymous", second_step),
    "account_logout": Filled("recorder", simply()),
    "account_reauthenticate": Filled("recorder", simply({"password": world.PASSWORD})),
    "mfa_reauthenticate": Filled("desk_officer", a_code_once_more, again=422),
    "mfa_reauthenticate_webauthn": Filled("stranger", passkey_once_more),
    "account_sessions": Filled("analyst", elsewhere_too),
    "account_change_password": Filled(
        "stranger", simply({"oldpassword": world.PASSWORD, "password1": PASSWORD, "password2": PASSWORD}),
        {"accounts_user_history": 1}, again=422,
    ),
    "mfa_activate_totp": Filled("analyst", new_app, {"mfa_authenticator": 2}),
    "mfa_deactivate_totp": Filled("administrator", with_app, {"mfa_authenticator": -1}, again=404),
    "mfa_generate_recovery_codes": Filled("desk_supervisor", with_app, {"mfa_authenticator": 1}),
    "mfa_add_webauthn": Filled("supervisor", new_passkey, {"mfa_authenticator": 2}, again=422),
    "mfa_edit_webauthn": Filled("desk_officer", with_passkey),
    "mfa_remove_webauthn": Filled("colleague", with_passkey, {"mfa_authenticator": -1}, again=404),
}  # fmt: skip
