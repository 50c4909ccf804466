"""Every address × everybody × GET and POST, against one table of who may."""

import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from allauth.mfa.models import Authenticator
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from quitledger.accounts.actors import Actor
from quitledger.accounts.models import User
from quitledger.accounts.permissions import Permission
from quitledger.accounts.scope import in_one_snapshot, scoped
from quitledger.batches.comparison_services import compare_list
from quitledger.policy.identity import make_up
from quitledger.portal.permissions import Access
from quitledger.portal.transactions import SESSION_INSTITUTION

from .. import world
from ..batches.files import counselling, csv_of
from ..batches.scene import sent
from ..conftest import Database, connect_django
from ..corrections.scene import on_its_way
from ..selfcheck.scene import a_sign_off
from ..statistics.scene import published
from ..visits.merged import Twins, merge, registered
from .conftest import Browser, staff_uids, visit_fields, visit_page
from .passkey_device import a_passkey, just_signed_in

CASE = {"uid": world.uid(f"case 示範甲 {world.CLINIC}")}
VISIT = {"uid": world.uid("visit of the walk")}
APPLICATION = {"uid": world.uid("application of the walk")}
ITEM = world.uid("an item of nobody's")
SIGNED = {"uid": world.uid("sign-off of the walk")}
EVIDENCE = {**APPLICATION, "evidence": world.uid("evidence of the walk")}
PASSKEY = {"pk": 1}
PERSON = {"uid": world.uid(f"place of colleague {world.CLINIC}")}
MERGE = {"uid": world.uid("merge of the walk")}
BATCH, ASKED = {"uid": world.uid("batch of the walk")}, {"uid": world.uid("batch that asks")}
COMPARISON = {"uid": world.uid("comparison of the walk")}
PUBLISHED = {"publication": world.uid("publication of the walk")}
MONTH = {"month": date(2025, 3, 1)}
LIST, RECORD = {"register": "contracts"}, {"register": "contracts", "pk": 1}
RULE = {"name": "visit_spacing_days"}

CLINIC = {"recorder", "colleague", "supervisor"}
SUPERVISORS = {"supervisor", "stranger_supervisor"}
STRANGER = {"stranger", "stranger_supervisor"}  # the same roles, at another institution
DESK = {"desk_officer", "desk_supervisor"}
EVERYBODY = CLINIC | STRANGER | DESK | {"nowhere", "analyst", "administrator"}
MAY: dict[Access | Permission, set[str]] = {
    Access.PUBLIC: EVERYBODY,
    Access.SIGNED_IN: EVERYBODY,
    Permission.CASE_READ: CLINIC | STRANGER | DESK,
    Permission.CASE_REGISTER: CLINIC | STRANGER,
    Permission.CASE_CHANGE: CLINIC | STRANGER,
    Permission.PERSON_CORRECT: CLINIC | STRANGER,
    Permission.PERSON_CHANGE: DESK,
    Permission.PERSON_MERGE: DESK,
    Permission.MERGE_UNDO: DESK,
    Permission.IDENTITY_SHOW: CLINIC | STRANGER | DESK,
    Permission.BASELINE_RECORD: CLINIC | STRANGER,
    Permission.VISIT_READ: CLINIC | STRANGER | DESK,
    Permission.VISIT_RECORD: CLINIC | STRANGER,
    Permission.VISIT_CHANGE: CLINIC | STRANGER,
    Permission.VISIT_VOID: CLINIC | STRANGER,
    Permission.VISIT_RESTORE: CLINIC | STRANGER,
    Permission.VISIT_DOWNLOAD: CLINIC | STRANGER | DESK,
    Permission.VISIT_COMPARE: CLINIC | STRANGER,
    Permission.CORRECTION_READ: CLINIC | STRANGER | DESK,
    Permission.CORRECTION_APPLY: CLINIC | STRANGER,
    Permission.CORRECTION_DECIDE: DESK,
    Permission.SELFCHECK_READ: CLINIC | STRANGER,
    Permission.SELFCHECK_SIGN: SUPERVISORS,
    Permission.SELFCHECK_REVIEW: DESK,
    Permission.WINDOW_EXTEND: {"desk_supervisor"},
    Permission.COURSE_REVIEW: DESK,
    Permission.REGISTER_READ: DESK,
    Permission.AUDIT_READ: SUPERVISORS | DESK,
    Permission.STATISTICS_READ: DESK | {"analyst"},
    Permission.STATISTICS_PUBLISH: {"analyst", "desk_supervisor"},
    Permission.ACCOUNT_READ: SUPERVISORS | DESK,
    Permission.ACCOUNT_INVITE: SUPERVISORS | DESK,
    Permission.ACCOUNT_CHANGE: SUPERVISORS | DESK,
    Permission.ACCOUNT_RESET: SUPERVISORS | DESK,
    Permission.ACCOUNT_UNLOCK: SUPERVISORS | DESK,
    Permission.ACCOUNT_CONFIRM: SUPERVISORS | DESK,
    Permission.ACCOUNT_END: SUPERVISORS | DESK,
}

# address: what it needs, its arguments, the answers to GET and to a POST without fields of somebody who may
TABLE: dict[str, tuple[Access | Permission, dict[str, Any], set[int], set[int]]] = {
    "home": (Access.SIGNED_IN, {}, {200}, {200, 405}),
    "resume": (Access.SIGNED_IN, {}, {302}, {405}),
    "switch_institution": (Access.SIGNED_IN, {}, {200}, {302}),
    "case_find": (Permission.CASE_READ, {}, {200}, {200}),
    "case_register": (Permission.CASE_REGISTER, {}, {200}, {200}),
    "case_show": (Permission.CASE_READ, CASE, {200}, {405}),
    "case_identity": (Permission.IDENTITY_SHOW, CASE, {302}, {200}),
    "case_change": (Permission.CASE_CHANGE, CASE, {200}, {200}),
    "person_correct": (Permission.PERSON_CORRECT, CASE, {200}, {200}),
    "case_person_change": (Permission.PERSON_CHANGE, CASE, {200}, {200}),
    "merge_find": (Permission.PERSON_MERGE, CASE, {200}, {200}),
    "person_merge": (Permission.PERSON_MERGE, CASE, {302}, {302}),
    "merge_list": (Permission.PERSON_MERGE, {}, {200}, {405}),
    "merge_show": (Permission.PERSON_MERGE, MERGE, {200}, {405}),
    "merge_undo": (Permission.MERGE_UNDO, MERGE, {200}, {200}),
    "baseline_record": (Permission.BASELINE_RECORD, CASE, {200}, {200}),
    "visit_record": (Permission.VISIT_RECORD, CASE, {200}, {422}),
    "visit_query": (Permission.VISIT_READ, {}, {200}, {302}),
    "visit_show": (Permission.VISIT_READ, VISIT, {200}, {405}),
    "visit_change": (Permission.VISIT_CHANGE, VISIT, {200}, {422}),
    "visit_void": (Permission.VISIT_VOID, VISIT, {200}, {200, 422}),
    "visit_restore": (Permission.VISIT_RESTORE, VISIT, {200}, {200, 422}),
    "visit_download": (Permission.VISIT_DOWNLOAD, {"file_format": "json"}, {200}, {405}),
    "batch_list": (Permission.VISIT_RECORD, {}, {200}, {405}),
    "batch_upload": (Permission.VISIT_RECORD, {}, {200}, {200}),
    "batch_sample": (Permission.VISIT_RECORD, {"kind": "visits", "file_format": "csv"}, {200}, {405}),
    "batch_show": (Permission.VISIT_RECORD, BATCH, {200}, {405}),
    "batch_download": (Permission.VISIT_RECORD, {**BATCH, "file_format": "ods"}, {200}, {405}),
    "batch_columns": (Permission.VISIT_RECORD, ASKED, {405}, {422}),
    "batch_row": (Permission.VISIT_RECORD, {**BATCH, "line": 2}, {200}, {200}),
    "batch_record": (Permission.VISIT_RECORD, BATCH, {405}, {302}),
    "batch_give_up": (Permission.VISIT_RECORD, BATCH, {405}, {302}),
    "comparison_new": (Permission.VISIT_COMPARE, {}, {200}, {200}),
    "comparison_show": (Permission.VISIT_COMPARE, COMPARISON, {200}, {405}),
    "comparison_remove": (Permission.VISIT_COMPARE, COMPARISON, {405}, {302}),
    "correction_choose": (Permission.CORRECTION_READ, VISIT, {200}, {405}),
    "correction_visit": (Permission.CORRECTION_READ, {**VISIT, "kind": "parked"}, {200}, {422}),
    "correction_late_entry": (Permission.CORRECTION_READ, CASE, {200}, {422}),
    "correction_person": (Permission.CORRECTION_READ, CASE, {200}, {422}),
    "correction_identity": (Permission.IDENTITY_SHOW, APPLICATION, {302}, {200}),
    "correction_list": (Permission.CORRECTION_READ, {}, {200}, {405}),
    "correction_numbers": (Permission.CORRECTION_DECIDE, {}, {200}, {405}),
    "correction_numbers_download": (Permission.CORRECTION_DECIDE, {"file_format": "csv"}, {200}, {405}),
    "correction_download": (Permission.CORRECTION_DECIDE, {"file_format": "csv"}, {200}, {405}),
    "correction_show": (Permission.CORRECTION_READ, APPLICATION, {200}, {405}),
    # it was sent: nothing of it is written any more, and nobody but the institution withdraws it
    "correction_item": (Permission.CORRECTION_APPLY, {**APPLICATION, "item": ITEM}, {404}, {404}),
    "correction_step": (Permission.CORRECTION_READ, {**APPLICATION, "step": "withdraw"}, {405}, {403, 422}),
    "case_sheet": (Permission.CASE_READ, CASE, {200}, {200}),
    "correction_form": (Permission.CORRECTION_READ, APPLICATION, {200}, {200}),
    "correction_attach": (Permission.CORRECTION_READ, APPLICATION, {200}, {422}),
    # the desk registers and decides, and attaches only then
    "correction_attach_sheet": (Permission.CORRECTION_READ, APPLICATION, {405}, {302, 422}),
    "correction_evidence": (Permission.CORRECTION_READ, EVIDENCE, {200}, {405}),
    "correction_detach": (Permission.CORRECTION_APPLY, EVIDENCE, {405}, {422}),
    "selfcheck_index": (Permission.VISIT_READ, {}, {302}, {405}),
    "selfcheck_month": (Permission.SELFCHECK_READ, MONTH, {200}, {405}),
    "selfcheck_sign": (Permission.SELFCHECK_SIGN, MONTH, {405}, {422}),
    "selfcheck_signed": (Permission.VISIT_READ, SIGNED, {200}, {405}),
    "selfcheck_review": (Permission.SELFCHECK_REVIEW, MONTH, {200}, {405}),
    "selfcheck_download": (Permission.SELFCHECK_REVIEW, {**MONTH, "file_format": "csv"}, {200}, {405}),
    "reminder_address": (Permission.SELFCHECK_READ, {}, {200}, {200}),
    "register_index": (Permission.REGISTER_READ, {}, {200}, {405}),
    "register_list": (Permission.REGISTER_READ, LIST, {200}, {405}),
    "register_download": (Permission.REGISTER_READ, {**LIST, "file_format": "csv"}, {200}, {405}),
    "register_record": (Permission.REGISTER_READ, LIST, {200}, {422}),
    "register_import": (Permission.REGISTER_READ, LIST, {200}, {200}),
    "register_sample": (Permission.REGISTER_READ, LIST, {200}, {405}),
    "register_show": (Permission.REGISTER_READ, RECORD, {200}, {405}),
    "register_change": (Permission.REGISTER_READ, RECORD, {200}, {422}),
    "finding_list": (Permission.REGISTER_READ, {}, {200}, {405}),
    "finding_download": (Permission.REGISTER_READ, {"file_format": "csv"}, {200}, {405}),
    "statistics": (Permission.STATISTICS_READ, {}, {302}, {405}),
    "annual_statistics": (Permission.STATISTICS_READ, {"year": 113}, {200}, {405}),
    "annual_download": (Permission.STATISTICS_READ, {"year": 113, "file_format": "csv"}, {200}, {405}),
    "annual_breakdown": (Permission.STATISTICS_READ, {"year": 113, "grouping": "county"}, {200}, {405}),
    "annual_breakdown_download": (
        Permission.STATISTICS_READ,
        {"year": 113, "grouping": "month", "file_format": "csv"},
        {200},
        {405},
    ),
    "annual_rows": (Permission.STATISTICS_READ, {"year": 113, "name": "staff_execution"}, {200}, {405}),
    "annual_dictionary": (Permission.STATISTICS_READ, {"year": 113}, {200}, {405}),
    "statistics_publish": (Permission.STATISTICS_PUBLISH, {"year": 113}, {200}, {422}),
    "publication_list": (Permission.STATISTICS_READ, {}, {200}, {405}),
    "publication_show": (Permission.STATISTICS_READ, PUBLISHED, {200}, {405}),
    "publication_download": (Permission.STATISTICS_READ, {**PUBLISHED, "file_format": "json"}, {200}, {405}),
    "publication_dictionary": (Permission.STATISTICS_READ, PUBLISHED, {200}, {405}),
    "audit_trail": (Permission.AUDIT_READ, {}, {200}, {405}),
    "audit_download": (Permission.AUDIT_READ, {"file_format": "csv"}, {200}, {405}),
    "person_list": (Permission.ACCOUNT_READ, {}, {200}, {405}),
    "person_invite": (Permission.ACCOUNT_INVITE, {}, {200}, {200}),
    "person_show": (Permission.ACCOUNT_READ, PERSON, {200}, {405}),
    "person_change": (Permission.ACCOUNT_CHANGE, PERSON, {200}, {200}),
    "person_password": (Permission.ACCOUNT_RESET, PERSON, {200}, {200}),
    "person_second_factor": (Permission.ACCOUNT_RESET, PERSON, {200}, {302}),
    "person_unlock": (Permission.ACCOUNT_UNLOCK, PERSON, {405}, {302}),
    "person_confirm": (Permission.ACCOUNT_CONFIRM, PERSON, {405}, {302}),
    "person_end": (Permission.ACCOUNT_END, PERSON, {200}, {200}),
    "person_drafts": (Permission.ACCOUNT_END, PERSON, {200}, {200}),
    "switch_language": (Access.PUBLIC, {}, {405}, {302}),
    "account_accept": (Access.PUBLIC, {}, {200}, {422}),
    "account_notices": (Access.SIGNED_IN, {}, {200}, {302}),
    "course_finding_list": (Permission.COURSE_REVIEW, {}, {200}, {405}),
    "window_list": (Access.SIGNED_IN, {}, {200}, {405}),
    "window_extend": (Permission.WINDOW_EXTEND, {}, {200}, {200}),
    "policy_list": (Access.PUBLIC, {}, {200}, {200, 405}),
    "policy_show": (Access.PUBLIC, RULE, {200}, {200, 405}),
    "component_gallery": (Access.SIGNED_IN, {}, {200}, {405}),
    "help_connection": (Access.PUBLIC, {}, {200}, {200, 405}),
    "favicon": (Access.PUBLIC, {}, {302}, {302, 405}),
    "healthz": (Access.PUBLIC, {}, {200}, {200, 405}),
    # signing in: who is signed in already is led away from it
    "account_login": (Access.PUBLIC, {}, {302}, {302}),
    "mfa_login_webauthn": (Access.PUBLIC, {}, {302}, {302}),
    "mfa_authenticate": (Access.PUBLIC, {}, {302}, {302}),
    "account_inactive": (Access.PUBLIC, {}, {200}, {405}),
    "account_logout": (Access.PUBLIC, {}, {200}, {302}),
    # means to sign in: where none is there, 404; before one is changed the password is asked for once more
    "account_reauthenticate": (Access.SIGNED_IN, {}, {200}, {422}),
    "mfa_reauthenticate": (Access.SIGNED_IN, {}, {302}, {302}),
    "mfa_reauthenticate_webauthn": (Access.SIGNED_IN, {}, {302}, {302}),
    "account_change_password": (Access.SIGNED_IN, {}, {200}, {422}),
    "mfa_index": (Access.SIGNED_IN, {}, {200}, {405}),
    "account_sessions": (Access.SIGNED_IN, {}, {200}, {302}),
    "mfa_activate_totp": (Access.SIGNED_IN, {}, {302}, {302}),
    "mfa_deactivate_totp": (Access.SIGNED_IN, {}, {404}, {404}),
    "mfa_view_recovery_codes": (Access.SIGNED_IN, {}, {404}, {405}),
    "mfa_generate_recovery_codes": (Access.SIGNED_IN, {}, {302}, {302}),
    "mfa_list_webauthn": (Access.SIGNED_IN, {}, {200}, {405}),
    "mfa_add_webauthn": (Access.SIGNED_IN, {}, {302}, {302}),
    "mfa_edit_webauthn": (Access.SIGNED_IN, PASSKEY, {302}, {302}),
    "mfa_remove_webauthn": (Access.SIGNED_IN, PASSKEY, {302}, {302}),
}
# What an argument of an address names: a thing of an institution, of one account, of the desk, or of nobody.
WHOSE = {
    "uid": "institution",
    "evidence": "institution",
    "pk": "account",
    "register": "desk",
    "month": "nobody",
    "name": "nobody",
    "file_format": "nobody",
    "item": "institution",
    "kind": "nobody",
    "step": "nobody",
    "year": "nobody",
    "grouping": "nobody",
    "line": "nobody",
    "publication": "nobody",
}
# The things of the table at the clinic, and their like at the pharmacy.
ELSEWHERE = {
    CASE["uid"]: world.uid(f"case 示範甲 {world.PHARMACY}"),
    VISIT["uid"]: world.uid("visit of the walk elsewhere"),
    SIGNED["uid"]: world.uid("sign-off of the walk elsewhere"),
    PERSON["uid"]: world.uid(f"place of stranger {world.PHARMACY}"),
    MERGE["uid"]: MERGE["uid"],  # of no institution: the desk's
    APPLICATION["uid"]: world.uid("application of the walk elsewhere"),
    BATCH["uid"]: world.uid("batch of the walk elsewhere"),
    ASKED["uid"]: world.uid("batch that asks elsewhere"),
    COMPARISON["uid"]: world.uid("comparison of the walk elsewhere"),
    ITEM: ITEM,
    EVIDENCE["evidence"]: world.uid("evidence of the walk elsewhere"),
}
NOBODY = {"account_login": [{200}, {422}], "account_logout": [{302}, {302}]}  # what differs for nobody signed in


def patterns(resolver: URLResolver | None = None) -> Iterator[URLPattern]:
    for pattern in (resolver or get_resolver()).url_patterns:
        if isinstance(pattern, URLResolver):
            yield from patterns(pattern)
        else:
            yield pattern


def answers(browser: Browser, name: str, arguments: dict[str, Any]) -> list[tuple[str, Any]]:
    """What GET and POST are answered with, each as if the other had not been."""
    found = []
    for method in ("GET", "POST"):
        with browser.undone():
            found.append((method, browser.send(reverse(name, kwargs=arguments), {}, method)))
    return found


@pytest.fixture(scope="module")
def shared(another: Callable[[], Database]) -> Iterator[Database]:
    """In place of the world alone, for every walk: the world and what is met on the way, written once."""
    database = another()
    connect_django(database.app_url)
    with transaction.atomic():
        in_one_snapshot()
        met_on_the_way()
    yield database
    database.drop()


def met_on_the_way() -> None:
    """The visits of the walk, the applications, at the clinic and at the pharmacy, and a merge of two whom nobody else asks for."""
    merge(Twins(registered(880, world.CLINIC, "示範申"), registered(881, world.CLINIC, "示範酉")), uid=MERGE["uid"])
    assert Browser("recorder").send(visit_page(), visit_fields(VISIT["uid"])).status_code == 302
    theirs = visit_fields(ELSEWHERE[VISIT["uid"]], staff=("示範卯", "示範卯"))
    assert Browser("stranger").send(visit_page("示範戊", world.PHARMACY), theirs).status_code == 302
    for username, name in (("recorder", ""), ("stranger", " elsewhere")):
        batches_of_the_walk(world.actor(username), name)
    on_its_way(APPLICATION["uid"], world.CLINIC, "recorder", "supervisor", EVIDENCE["evidence"])
    a_sign_off(SIGNED["uid"], "supervisor")
    published(uid=PUBLISHED["publication"])
    a_sign_off(ELSEWHERE[SIGNED["uid"]], "stranger_supervisor")
    on_its_way(
        ELSEWHERE[APPLICATION["uid"]],
        world.PHARMACY,
        "stranger",
        "stranger_supervisor",
        ELSEWHERE[EVIDENCE["evidence"]],
    )


def batches_of_the_walk(by: Actor, name: str) -> None:
    """A batch that waits for a decision, one that asks what its columns are, and a comparison."""
    chart_no, staff = ("T-0001", "示範子") if not name else ("T-0005", "示範卯")
    good = csv_of(counselling(chart_no, "114/3/25", 衛教人員=staff), counselling("nobody"))
    sent(good, by=by, uid=world.uid(f"batch of the walk{name}"))
    sent(csv_of(("x", "y"), titles=("甲欄", "乙欄")), by=by, uid=world.uid(f"batch that asks{name}"))
    with scoped(by):
        uid = world.uid(f"comparison of the walk{name}")
        compare_list(uid=uid, month=world.TODAY.replace(day=1), content=good, by=by)


def test_every_address_stands_in_the_table_with_what_its_view_says_it_needs() -> None:
    assert {p.name: getattr(p.callback, "needs", None) for p in patterns()} == {
        name: needs for name, (needs, *_) in TABLE.items()
    }


def test_nobody_signed_in_is_led_to_the_sign_in_or_told_that_nothing_was_kept(browse: Any) -> None:
    browser, wrong = browse(), []
    for name, (needs, arguments, *allowed) in TABLE.items():
        for (method, answer), fine in zip(answers(browser, name, arguments), NOBODY.get(name, allowed), strict=True):
            if needs is Access.PUBLIC:
                right = answer.status_code in fine
            elif method == "GET":
                sign_in = f"{reverse('account_login')}?next={reverse(name, kwargs=arguments)}"
                right = answer.status_code == 302 and answer["Location"] == sign_in
            else:
                right = answer.status_code == 403 and "這次送出的內容沒有存入" in answer.text
            if not right:
                wrong.append((name, method, answer.status_code))
    assert wrong == []


def test_of_every_argument_of_an_address_is_said_whose_it_is() -> None:
    arguments = {argument for pattern in patterns() for argument in pattern.pattern.converters}
    assert arguments == set(WHOSE)
    ours = [arguments for _needs, arguments, *_ in TABLE.values() if "uid" in arguments]
    things = {value for arguments in ours for name, value in arguments.items() if WHOSE[name] != "nobody"}
    assert things == set(ELSEWHERE)


@pytest.mark.parametrize("whose", [world.CLINIC, world.PHARMACY], ids=["clinic", "pharmacy"])
@pytest.mark.parametrize("username", sorted(EVERYBODY | {"both"}))
def test_whoever_is_signed_in_sees_what_the_table_says_and_nothing_of_others(
    username: str, whose: str, browse: Any
) -> None:
    browser, wrong = browse(username), []
    at = None if username in DESK else world.PHARMACY if username in STRANGER else world.CLINIC
    role = "recorder" if username == "both" else username
    for name, (needs, ours, *allowed) in TABLE.items():
        if whose == world.PHARMACY and "uid" not in ours:
            continue  # of no institution: asked once
        arguments = {key: ELSEWHERE.get(uid, uid) for key, uid in ours.items()} if whose == world.PHARMACY else ours
        for (method, answer), fine in zip(answers(browser, name, arguments), allowed, strict=True):
            if role not in MAY[needs]:
                expected = {403}
            elif "uid" in arguments and at not in (None, whose) and fine != {405}:
                expected = {404}
            else:
                expected = fine
            if answer.status_code not in expected:
                wrong.append((name, method, answer.status_code))
    assert wrong == []


@pytest.mark.parametrize("name", [name for name, (_needs, arguments, *_) in TABLE.items() if arguments == PASSKEY])
def test_the_passkeys_of_another_account_are_not_there(name: str, browse: Any) -> None:
    _device, mine = a_passkey("recorder")
    _device, theirs = a_passkey("colleague")
    browser = just_signed_in(browse("recorder"))
    found = {
        pk: [answer.status_code for _method, answer in answers(browser, name, {"pk": pk})] for pk in (mine, theirs)
    }
    assert found[theirs] == [404, 404]
    assert 404 not in found[mine]
    with scoped(world.SYSTEM):
        assert Authenticator.objects.filter(pk=theirs, data__name="裝置").exists()


def foreign() -> list[tuple[str, str, dict[str, Any], set[int]]]:
    """Forms of the clinic that name what is another's: who sends it, where, the fields, the answers that are right."""
    theirs, account = staff_uids("示範卯")[0], User.objects.get(username="stranger").uid
    case, place_there = ELSEWHERE[CASE["uid"]], ELSEWHERE[PERSON["uid"]]
    person, colleague = (reverse(name, kwargs=PERSON) for name in ("person_change", "person_drafts"))
    return [
        ("recorder", visit_page(), visit_fields(uuid4(), medication_staff=theirs), {422}),
        ("recorder", visit_page(), visit_fields(uuid4(), counselling_staff=theirs), {422}),
        ("recorder", "/cases/find", {"q": make_up(5)}, {200}),
        ("recorder", "/cases/find", {"q": "示範戊"}, {200}),
        ("recorder", "/visits", {"who": "示範戊"}, {422}),
        ("recorder", f"/visits?case={case}", {}, {200}),
        ("recorder", f"/visits?staff={theirs}", {}, {200}),
        ("recorder", f"/visits?institution={world.PHARMACY}", {}, {200}),
        ("recorder", f"/visits.json?case={case}&institution={world.PHARMACY}", {}, {200}),
        ("recorder", f"/visits.csv?staff={theirs}", {}, {200}),
        ("supervisor", person, {"display_name": "示範丑", "role": "recorder", "staff": theirs}, {422}),
        ("supervisor", colleague, {"drafts_to": place_there}, {422}),
        ("supervisor", f"/audit?account={account}", {}, {200}),
        ("supervisor", f"/audit?institution={world.PHARMACY}", {}, {200}),
        ("supervisor", f"/audit.csv?account={account}&institution={world.PHARMACY}", {}, {200}),
        ("supervisor", f"/people?q={world.PHARMACY}", {}, {200}),
        ("supervisor", "/people?q=示範卯", {}, {200}),
    ]  # fmt: skip


def test_naming_what_is_anothers_in_a_form_or_after_the_address_shows_and_changes_nothing_of_it(browse: Any) -> None:
    browse("stranger").get(reverse("case_show", kwargs={"uid": ELSEWHERE[CASE["uid"]]}))
    secrets = {"示範戊", "示範卯</", "示範藥局", *map(str, ELSEWHERE.values())}
    for username, url, fields, right in foreign():
        browser = browse(username)
        with browser.undone():
            answer = browser.send(url, fields) if fields else browser.get(url)
        sent = url + str(fields)
        assert answer.status_code in right, (url, answer.status_code)
        shown = answer.content.decode().partition("<main")[2] if "html" in answer["Content-Type"] else answer.text
        assert [secret for secret in secrets if secret in shown and secret not in sent] == [], url


def test_what_others_have_is_answered_like_what_nobody_has(browse: Any) -> None:
    browser = browse("stranger")
    for name, theirs in (
        ("case_show", CASE),
        ("visit_record", CASE),
        ("visit_show", VISIT),
        ("correction_show", APPLICATION),
    ):
        pages = [browser.get(reverse(name, kwargs=arguments)) for arguments in (theirs, {"uid": uuid4()})]
        assert [page.status_code for page in pages] == [404, 404]
        first, second = (
            re.sub(r'name="csrfmiddlewaretoken" value="\w+"|name="next" value="[^"]+"|\d\d:\d\d', "", page.text)
            for page in pages
        )
        assert first == second


# --- which institution ------------------------------------------------------------------------------------------------


def here(browser: Browser) -> str:
    """The institution code in the header."""
    found = re.search(r"<b>[^<]+</b> (\d{10})", browser.get("/").text)
    return found[1] if found else ""


def test_whoever_works_at_two_places_sees_one_at_a_time(browse: Any) -> None:
    browser = browse("both")
    ours, theirs = (f"/cases/{world.uid(f'case 示範甲 {code}')}" for code in (world.CLINIC, world.PHARMACY))
    assert here(browser) == world.CLINIC
    assert [browser.get(url).status_code for url in (ours, theirs)] == [200, 404]
    browser.send("/institution", {"institution": world.PHARMACY})
    assert here(browser) == world.PHARMACY
    assert [browser.get(url).status_code for url in (ours, theirs)] == [404, 200]


@pytest.mark.parametrize("asked", [world.HOSPITAL, "1234567890", "", "\x00", "𠮷"])
def test_nobody_switches_to_a_place_that_is_not_his(asked: str, browse: Any) -> None:
    browser = browse("both")
    assert browser.send("/institution", {"institution": asked})["Location"] == "/institution"
    assert "您今天在這個機構沒有職務" in browser.get("/institution").text
    assert here(browser) == world.CLINIC


def test_a_session_that_names_another_institution_is_not_believed(browse: Any) -> None:
    with scoped(world.SYSTEM):
        hospital = world.institution_id(world.HOSPITAL)
    browser = browse("recorder")
    session = browser.session
    session[SESSION_INSTITUTION] = hospital
    session.save()
    assert here(browser) == world.CLINIC


def test_a_closed_account_is_signed_out_at_its_next_request(committed: Any, owner: Any) -> None:
    browser = Browser("recorder")
    assert browser.get("/").status_code == 200
    owner.execute("UPDATE accounts_user SET is_active = false WHERE username = 'recorder'")
    assert browser.get("/").status_code == 302
    assert browser.send("/cases/find", {"q": "示範甲"}).status_code == 403
