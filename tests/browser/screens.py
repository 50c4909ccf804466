"""Every screen of the site, in its states: how to get there, and who does."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from io import BytesIO
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.test import RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver
from playwright.sync_api import Page

from quitledger.accounts.sessions import SessionStore
from quitledger.policy import TAIPEI
from quitledger.policy.identity import make_up
from quitledger.portal import refusals
from quitledger.portal.busy import refusal
from quitledger.portal.register_lists import REGISTERS
from quitledger.visits.rules import Counselling, Line, Medication
from quitledger.visits.services import extend_window
from tests import world
from tests.batches.files import csv_of

from . import given
from .served import Site

LONG_NAME = "瑪麗亞・安潔莉卡・羅莎琳達・示範之名很長 Anna-Katharina-Magdalena-Luederscheidt"
NOBODY = ""  # who is not signed in
NO_FACTOR, APP, APP_AND_KEY = "with-none", "with-app", "with-both"


@dataclass
class Scene:
    """The records that the screens show, and the means to get through the doors of sign-in."""

    site: Site
    paths: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)


Open = Callable[[Page, Scene], None]


@dataclass(frozen=True)
class Screen:
    """A screen in one state: the name of its address, the state, whose it is, how it is opened, the answer's status."""

    name: str
    state: str
    username: str
    open: Open
    status: int = 200
    typed: str = ""  # an identity number that the reader typed himself
    data: tuple[str, ...] = ()  # words in Latin letters that are data

    def __str__(self) -> str:
        return f"{self.name}: {self.state}"


# --- Ways to a screen -----------------------------------------------------------------------------------------------


def at(path: str) -> Open:
    """Simply the address; {words} in it are paths of the scene."""
    return lambda page, scene: goto(page, path.format(**scene.paths))


def goto(page: Page, path: str) -> None:
    """Open an address and wait for the page."""
    page.goto(path)


def sent(path: str, button: str, **typed: Any) -> Open:
    """The address, `typed` into its fields by their names, then the button pressed."""

    def open_(page: Page, scene: Scene) -> None:
        goto(page, path.format(**scene.paths))
        fill(page, **typed)
        page.locator("main").get_by_role("button", name=button).first.click()
        page.wait_for_load_state()

    return open_


def fill(page: Page, **typed: Any) -> None:
    """Type into the fields of a form by their names; a list or True checks boxes, a choice is chosen."""
    for name, value in typed.items():
        control = page.locator(f"main [name={name.replace('__', '-')}]")
        if isinstance(value, list):
            for one in value:
                page.locator(f"main [name={name}][value={one}]").check()
        elif control.first.evaluate("e => e.tagName") == "SELECT":
            control.select_option(label=value)
        else:
            control.fill(value)


def draft_kept(page: Page, scene: Scene) -> None:
    """A form that was being typed, opened anew: it kept itself."""
    goto(page, f"{scene.paths['woman']}/visits/new")
    with page.expect_response(lambda answer: answer.status == 204):
        fill(page, note="打到一半")
    page.locator("[data-draft-told]", has_text="草稿已自動存下").wait_for()
    goto(page, f"{scene.paths['woman']}/visits/new")


def home_with_draft(page: Page, scene: Scene) -> None:
    """The first page of somebody who has a draft."""
    given.a_draft(scene.site, "colleague")
    goto(page, "/")


def month_with_draft(page: Page, scene: Scene) -> None:
    """The month of somebody who has a draft."""
    given.a_draft(scene.site, "colleague")
    goto(page, "/selfcheck/114-04")


def menu_open(page: Page, scene: Scene) -> None:
    """The menu, as its link opens it."""
    goto(page, "/")
    goto(page, "/#menu")


def changed_meanwhile(page: Page, scene: Scene) -> None:
    """A change typed on a version that is no longer the newest."""
    goto(page, f"{scene.paths['visit']}/change")
    page.evaluate("document.querySelector('main [name=version]').value = 0")
    fill(page, note="我填的備註", reason="補填")
    page.locator("main").get_by_role("button", name="修改就醫資料 Ctrl").click()
    page.wait_for_load_state()


def case_changed_meanwhile(page: Page, scene: Scene) -> None:
    """A case called otherwise on a version that is no longer the newest."""
    goto(page, f"{scene.paths['twin']}/change")
    page.evaluate("document.querySelector('main [name=version]').value = 0")
    fill(page, phone="0911222333")
    page.locator("main").get_by_role("button", name="修改個案資料").click()
    page.wait_for_load_state()


def identity_shown(page: Page, scene: Scene) -> None:
    """The page of a person after 顯示."""
    goto(page, scene.paths["long"])
    page.get_by_role("button", name="顯示").click()
    page.wait_for_url("**/identity")


def several_medicines(page: Page, scene: Scene) -> None:
    """The record page with rows added."""
    goto(page, f"{scene.paths['long']}/visits/new")
    for _ in range(2):
        page.get_by_role("button", name="再加一項藥品").click()
        page.wait_for_load_state()


def second_step(username: str) -> Open:
    """After the password, before the second factor."""

    def open_(page: Page, scene: Scene) -> None:
        goto(page, "/accounts/login")
        fill(page, login=username, password=world.PASSWORD)
        page.get_by_role("button", name="登入", exact=True).click()
        page.wait_for_url("**/login/code")

    return open_


def second_step_refused(page: Page, scene: Scene) -> None:
    """A wrong code."""
    second_step(APP)(page, scene)
    fill(page, code="12")
    page.get_by_role("button", name="登入", exact=True).click()
    page.wait_for_load_state()


def without_token(page: Page, scene: Scene) -> None:
    """A form that is older than the sign-in it was opened with."""
    goto(page, "/cases/find")
    page.context.clear_cookies(name="csrftoken")
    fill(page, q="T-0001")
    page.locator("main").get_by_role("button", name="找人").click()
    page.wait_for_load_state()


def signed_out_meanwhile(page: Page, scene: Scene) -> None:
    """A form sent after the sign-in had ended."""
    goto(page, "/cases/find")
    page.context.clear_cookies(name="sessionid")
    fill(page, q="T-0001")
    page.locator("main").get_by_role("button", name="找人").click()
    page.wait_for_load_state()


def sent_too_late(page: Page, scene: Scene) -> None:
    """A visit sent after the sign-in had ended: it is kept."""
    goto(page, f"{scene.paths['woman']}/visits/new")
    page.context.clear_cookies(name="sessionid")
    fill(page, note="逾時前填的")
    page.locator("main").get_by_role("button", name="登錄就醫資料 Ctrl").click()
    page.wait_for_load_state()


def signed_in_again(page: Page, scene: Scene) -> None:
    """And signed in again."""
    sent_too_late(page, scene)
    page.locator("main").get_by_role("link", name="登入").click()
    fill(page, login="recorder", password=world.PASSWORD)
    page.get_by_role("button", name="登入", exact=True).click()
    page.wait_for_url("**/resume")


def answered(refusal: Callable[[Any], Any]) -> Open:
    """What cannot be brought about from outside: the answer itself, in place of the home page."""

    def open_(page: Page, scene: Scene) -> None:
        with given.the_owner(scene.site):
            request = RequestFactory().get("/")
            request.user, request.session = AnonymousUser(), SessionStore()
            answer = refusal(request)
        page.route("**/", lambda route: route.fulfill(body=answer.content, status=200, content_type="text/html"))
        goto(page, "/")

    return open_


def busy(method: str, path: str = "/") -> Open:
    """What is answered while too many ask at once, in place of the home page."""

    def open_(page: Page, scene: Scene) -> None:
        body = BytesIO(b"note=%E5%82%99%E8%A8%BB")
        _, headers, answer = refusal()({
            "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "", "wsgi.input": body,
            "CONTENT_TYPE": "application/x-www-form-urlencoded",
        })  # fmt: skip
        page.route("**/", lambda route: route.fulfill(body=answer, status=429, headers=dict(headers)))
        goto(page, "/")

    return open_


def too_many_fields(page: Page, scene: Scene) -> None:
    """More fields than any page of ours has."""
    goto(page, "/cases/find")
    with page.expect_navigation():
        page.evaluate("""() => {
          const form = document.querySelector("main form");
          for (let n = 0; n < 600; n++) form.insertAdjacentHTML("beforeend", `<input type="hidden" name="x${n}">`);
          form.submit();
        }""")


def file_looked_at(page: Page, scene: Scene) -> None:
    """What a file with good and bad rows would do."""
    _look_at(page, f"{world.HOSPITAL},114/3/1,,", f"{world.CLINIC},114/1/1,,", "12,,,")


def file_unreadable(page: Page, scene: Scene) -> None:
    """A file that cannot be read to its end."""
    _look_at(page, f'{world.HOSPITAL},114/3/1,,"停業', f"{world.CLINIC},114/1/1,,")


def _look_at(page: Page, *rows: str) -> None:
    goto(page, "/registers/contracts/import")
    lines = ["醫事機構代碼,合約起日,合約迄日,終止事由", *rows]
    page.locator("main [name=file]").set_input_files({
        "name": "list.csv", "mimeType": "text/csv", "buffer": "\r\n".join(lines).encode(),
    })  # fmt: skip
    page.get_by_role("button", name="檢查檔案").click()
    page.wait_for_load_state()


# --- The list ---------------------------------------------------------------------------------------------------------

USERNAMES = tuple(
    sorted(
        [*world.ACCOUNTS, "with-none", "with-app", "with-both", "leaver", "drafter", "slip.one", "wang.mei"],
        key=len, reverse=True,
    )
)  # fmt: skip
WRONG_NUMBER = "A123456788"
TOO_MUCH = {
    "visit_on": "114/4/1", "visit_time": "25:00", "services": ["medication", "counselling"],
    "lines-0-medicine": "尼古丁貼片（示範品項甲）", "lines-0-supply_weeks": "6", "cigarettes_per_day": "二十",
    "co_ppm": "-1",
}  # fmt: skip
BROKEN = {
    "visit_on": "114/2/15", "services": ["medication", "counselling"],
    "lines-0-medicine": "停用錠（示範品項丙）", "lines-0-supply_weeks": "6", "cigarettes_per_day": "999",
    "note": "家屬陪同，想先試貼片",
}  # fmt: skip

FILE_KINDS = ("PDF", "JPEG", "PNG", "HEIC", "Word", "MB", "KB", "dpi")


def no_document(page: Page, scene: Scene) -> None:
    """A file that is none of those taken."""
    goto(page, f"{scene.paths['correction_draft']}/evidence")
    page.locator("input[type=file]").set_input_files(
        files=[{"name": "a.pdf", "mimeType": "application/pdf", "buffer": b"MZ"}]
    )
    page.get_by_role("button", name="附上檔案").click()
    page.wait_for_load_state()


def a_list_without_titles(page: Page, scene: Scene) -> None:
    """A list whose titles are not recognised."""
    goto(page, "/comparisons/new")
    content = csv_of(("T-0001", "114/3/20"), titles=("示範卡號", "示範日"))
    page.locator("main [name=file]").set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": content})
    page.get_by_role("button", name="開始對照").click()
    page.wait_for_load_state()


def looked_at_something_else(page: Page, scene: Scene) -> None:
    """The tables said something else when they were looked at."""
    goto(page, "/statistics/114/publish")
    page.evaluate("document.querySelector('main [name=seen]').value = 'x'")
    fill(page, note="我的說明")
    page.locator("main").get_by_role("button", name="公布 114-3").click()
    page.wait_for_load_state()


OF_FILES = ("UTF-8", "JPN", "PDF", "DEMO000001", "CSV", "uid")
SCREENS = [
    Screen("home", "recorder", "recorder", at("/"), data=(LONG_NAME,)),
    Screen("home", "supervisor", "supervisor", at("/"), data=(LONG_NAME,)),
    Screen("home", "two institutions", "both", at("/"), data=(LONG_NAME,)),
    Screen("home", "no institution", "nowhere", at("/")),
    Screen("home", "desk officer", "desk_officer", at("/")),
    Screen("home", "desk supervisor", "desk_supervisor", at("/")),
    Screen("home", "analyst", "analyst", at("/")),
    Screen("home", "administrator", "administrator", at("/")),
    Screen("home", "menu open", "recorder", menu_open, data=(LONG_NAME,)),
    Screen("switch_institution", "two institutions", "both", at("/institution")),
    Screen("switch_institution", "no institution", "nowhere", at("/institution")),
    Screen("switch_institution", "switched", "both", sent("/institution", "切換")),
    Screen("case_find", "empty", "recorder", at("/cases/find")),
    Screen("case_find", "nothing typed", "recorder", sent("/cases/find", "找人"), 422),
    Screen("case_find", "one found", "recorder", sent("/cases/find", "找人", q="T-0001")),
    Screen("case_find", "several found", "recorder", sent("/cases/find", "找人", q="示範"), data=(LONG_NAME,)),
    Screen("case_find", "none found", "recorder", sent("/cases/find", "找人", q="沒有這個人")),
    Screen("case_find", "desk", "desk_officer", sent("/cases/find", "找人", q="示範甲")),
    Screen("case_find", "not allowed", "analyst", at("/cases/find"), 403),
    Screen("case_register", "empty", "recorder", at("/cases/new")),
    Screen("case_register", "nothing typed", "recorder", sent("/cases/new", "收案"), 422),
    Screen("case_register", "wrong check digit", "recorder", sent("/cases/new", "收案", identity_number=WRONG_NUMBER,
           birth_on="69/2/3", sex=["male"], name="示範庚"), 422, typed=WRONG_NUMBER),
    Screen("case_show", "with visits", "recorder", at("{long}"), data=(LONG_NAME,)),
    Screen("case_show", "without anything", "recorder", at("{no_intake}")),
    Screen("case_show", "minor", "recorder", at("{minor}")),
    Screen("case_show", "desk", "desk_officer", at("{long}"), data=(LONG_NAME,)),
    Screen("case_show", "somebody else", "stranger", at("{long}"), 404),
    Screen("case_identity", "identity shown", "recorder", identity_shown, data=(LONG_NAME, make_up(101))),
    Screen("case_identity", "from the address bar", "recorder", at("{long}/identity"), data=(LONG_NAME,)),
    Screen("baseline_record", "empty", "recorder", at("{woman}/baselines/new")),
    Screen("baseline_record", "refused", "recorder", sent("{woman}/baselines/new", "登錄收案評估", taken_on="114/4/2",
           cigarettes_per_day="400", co_ppm="x", weight_kg="7,5", ftnd_hard_to_refrain=["yes"]), 422),
    Screen("visit_record", "first visit", "recorder", at("{woman}/visits/new")),
    Screen("visit_record", "with earlier visits", "recorder", at("{long}/visits/new"), data=(LONG_NAME,)),
    Screen("visit_record", "repeated", "recorder", sent("{long}/visits/new", "帶入上次內容"), data=(LONG_NAME,)),
    Screen("visit_record", "not eligible", "recorder", at("{minor}/visits/new")),
    Screen("visit_record", "several medicines", "recorder", several_medicines, data=(LONG_NAME,)),
    Screen("visit_record", "unreadable", "recorder", sent("{woman}/visits/new", "登錄就醫資料 Ctrl", **TOO_MUCH), 422),
    Screen("visit_record", "against the rules", "recorder", sent("{woman}/visits/new", "登錄就醫資料 Ctrl", **BROKEN), 422),
    Screen("visit_record", "not allowed", "desk_officer", at("{long}/visits/new"), 403),
    Screen("visit_record", "draft", "colleague", draft_kept),
    Screen("home", "with a draft", "colleague", home_with_draft, data=(LONG_NAME,)),
    Screen("visit_query", "filled", "recorder", at("/visits"), data=(LONG_NAME,)),
    Screen("visit_query", "several pages", "recorder", at("/visits?first=113/01/01&page=2&sort=visit_on"), data=(LONG_NAME,)),
    Screen("visit_query", "nothing found", "recorder", at("/visits?first=113/01/01&last=113/01/02")),
    Screen("visit_query", "one person", "recorder", at("/visits?case={long_uid}"), data=(LONG_NAME,)),
    Screen("visit_query", "several people", "recorder", sent("/visits", "查詢", who="示範"), data=(LONG_NAME,)),
    Screen("visit_query", "refused", "recorder", sent("/visits", "查詢", first="114/2/30", last="xx"), 422),
    Screen("visit_query", "desk", "desk_officer", at("/visits"), data=(LONG_NAME,)),
    Screen("visit_query", "not allowed", "analyst", at("/visits"), 403),
    Screen("visit_show", "open", "recorder", at("{visit}"), data=(LONG_NAME,)),
    Screen("visit_show", "closed", "recorder", at("{old_visit}"), data=(LONG_NAME,)),
    Screen("visit_show", "desk", "desk_officer", at("{visit}"), data=(LONG_NAME,)),
    Screen("visit_show", "somebody else", "stranger", at("{visit}"), 404),
    Screen("visit_change", "open", "recorder", at("{visit}/change"), data=(LONG_NAME,)),
    Screen("visit_change", "nothing changed", "recorder", sent("{visit}/change", "修改就醫資料 Ctrl"), 422, data=(LONG_NAME,)),
    Screen("visit_change", "unreadable", "recorder", sent("{visit}/change", "修改就醫資料 Ctrl", visit_on="114/2/30"), 422,
           data=(LONG_NAME,)),
    Screen("visit_change", "changed meanwhile", "recorder", changed_meanwhile, 409, data=(LONG_NAME,)),
    Screen("visit_change", "closed", "recorder", at("{old_visit}/change"), data=(LONG_NAME,)),
    Screen("visit_change", "somebody else", "stranger", at("{visit}/change"), 404),
    Screen("visit_change", "not allowed", "desk_officer", at("{visit}/change"), 403),
    Screen("visit_void", "open", "recorder", at("{visit}/void"), data=(LONG_NAME,)),
    Screen("visit_void", "without a reason", "recorder", sent("{visit}/void", "作廢就醫資料"), 422, data=(LONG_NAME,)),
    Screen("visit_restore", "not voided", "recorder", sent("{visit}/restore", "恢復就醫資料", reason="試"), 422,
           data=(LONG_NAME,)),
    Screen("case_change", "filled", "recorder", at("{twin}/change")),
    Screen("case_change", "refused", "recorder", sent("{twin}/change", "修改個案資料", name="", chart_no="T-0001"), 422),
    Screen("case_change", "changed meanwhile", "recorder", case_changed_meanwhile, 409),
    Screen("case_change", "not allowed", "desk_officer", at("{twin}/change"), 403),
    Screen("person_correct", "open", "recorder", at("{twin}/person")),
    Screen("person_correct", "refused", "recorder", sent("{woman}/person", "更正", birth_on="114/2/30"), 422),
    Screen("person_correct", "for the desk", "recorder",
           sent("{both_places}/person", "更正", birth_on="69/2/4", reason="打錯"), 422),
    Screen("case_person_change", "open", "desk_officer", at("{twin}/person/change")),
    Screen("case_person_change", "known", "desk_officer",
           sent("{twin}/person/change", "更正", birth_on="74/7/6", reason="打錯"), 422),
    Screen("case_person_change", "not allowed", "recorder", at("{twin}/person/change"), 403),
    Screen("merge_find", "same number", "desk_officer", at("{twin}/merge")),
    Screen("merge_find", "nobody", "desk_officer", sent("{woman}/merge", "尋找", number="X1234567")),
    Screen("merge_find", "refused", "desk_officer", sent("{woman}/merge", "尋找"), 422),
    Screen("person_merge", "side by side", "desk_officer", at("{twin}/merge/decide?other={twin_uid}")),
    Screen("person_merge", "colliding", "desk_officer",
           sent("{collider}/merge/decide?other={collider_uid}", "合併"), 422, data=(LONG_NAME,)),
    Screen("merge_list", "some", "desk_officer", at("/merges")),
    Screen("merge_list", "not allowed", "supervisor", at("/merges"), 403),
    Screen("merge_show", "in force", "desk_officer", at("{merge}")),
    Screen("merge_show", "undone", "desk_supervisor", at("{undone}")),
    Screen("merge_undo", "with records since", "desk_officer", at("{merge}/undo")),
    Screen("merge_undo", "refused", "desk_officer", sent("{merge}/undo", "撤銷合併"), 422),
    Screen("case_show", "merged", "recorder", at("{merged_case}")),
    Screen("case_show", "merged, at the desk", "desk_officer", at("{merged_case}")),
    Screen("visit_download", "refused", "recorder", at("/visits.csv?first=114/2/30"), 422),
    Screen("course_finding_list", "desk officer", "desk_officer", at("/course-findings"), data=(LONG_NAME,)),
    Screen("course_finding_list", "beyond the year", "desk_supervisor", at("/course-findings?beyond=1"), data=(LONG_NAME,)),
    Screen("course_finding_list", "not allowed", "recorder", at("/course-findings"), 403),
    Screen("window_list", "institution", "recorder", at("/windows")),
    Screen("window_list", "desk supervisor", "desk_supervisor", at("/windows")),
    Screen("window_extend", "empty", "desk_supervisor", at("/windows/new")),
    Screen("window_extend", "refused", "desk_supervisor", sent("/windows/new", "延長登錄期限", month="114/2",
           last_day="114/3/1", last_time="99", reach=["institution"], institution="123"), 422),
    Screen("window_extend", "shorter", "desk_supervisor", sent("/windows/new", "延長登錄期限", month="114/3",
           last_day="114/3/1", reason="系統中斷"), 422),
    Screen("window_extend", "not allowed", "recorder", at("/windows/new"), 403),
    Screen("person_list", "supervisor", "supervisor", at("/people"), data=USERNAMES),
    Screen("person_list", "to confirm", "supervisor", at("/people"), data=USERNAMES),
    Screen("person_list", "none found", "supervisor", at("/people?q=沒有這個人"), data=USERNAMES),
    Screen("person_list", "desk", "desk_officer", at("/people"), data=USERNAMES),
    Screen("person_list", "not allowed", "recorder", at("/people"), 403, data=USERNAMES),
    Screen("person_invite", "empty", "supervisor", at("/people/new"), data=USERNAMES),
    Screen("person_invite", "desk", "desk_officer", at("/people/new"), data=USERNAMES),
    Screen("person_invite", "refused", "supervisor", sent("/people/new", "邀請", username="recorder", display_name="示範子"), 422, data=USERNAMES),
    Screen("person_invite", "slip", "supervisor", sent("/people/new", "邀請", username="slip.one", display_name="示範新人"),
           data=USERNAMES),
    Screen("person_show", "recorder", "supervisor", at("{recorder}"), data=USERNAMES),
    Screen("person_show", "left, with drafts", "supervisor", at("{leaver}"), data=USERNAMES),
    Screen("person_show", "oneself", "supervisor", at("{supervisor}"), data=USERNAMES),
    Screen("person_show", "desk", "desk_officer", at("{recorder}"), data=USERNAMES),
    Screen("person_show", "somebody else", "stranger_supervisor", at("{recorder}"), 404, data=USERNAMES),
    Screen("person_change", "filled", "supervisor", at("{recorder}/change"), data=USERNAMES),
    Screen("person_change", "refused", "supervisor", sent("{recorder}/change", "修改", display_name=""), 422, data=USERNAMES),
    Screen("person_password", "asked", "supervisor", at("{recorder}/password"), data=USERNAMES),
    Screen("person_password", "refused", "supervisor", sent("{supervisor}/password", "重設並顯示單子"), 422, data=USERNAMES),
    Screen("person_second_factor", "asked", "supervisor", at("{recorder}/second-factor"), data=USERNAMES),
    Screen("person_second_factor", "nothing to remove", "supervisor", sent("{recorder}/second-factor", "重設第二道驗證"), data=USERNAMES),
    Screen("person_end", "empty", "supervisor", at("{recorder}/end"), data=USERNAMES),
    Screen("person_end", "with drafts", "supervisor", at("{drafter}/end"), data=USERNAMES),
    Screen("person_end", "refused", "supervisor", sent("{recorder}/end", "登記", ends_on="100/1/1"), 422, data=USERNAMES),
    Screen("person_drafts", "some", "supervisor", at("{leaver}/drafts"), data=USERNAMES),
    Screen("person_drafts", "none", "supervisor", at("{recorder}/drafts"), data=USERNAMES),
    Screen("person_drafts", "refused", "supervisor", sent("{leaver}/drafts", "轉交草稿"), 422, data=USERNAMES),
    Screen("account_accept", "empty", NOBODY, at("/invitation")),
    Screen("account_accept", "refused", NOBODY, sent("/invitation", "設定密碼", username="x", code="y", password="z", again="w"), 422),
    Screen("account_notices", "none", "supervisor", at("/notices"), data=USERNAMES),
    Screen("account_notices", "one", "colleague", at("/notices"), data=USERNAMES),
    Screen("register_index", "desk", "desk_officer", at("/registers")),
    Screen("register_index", "not allowed", "supervisor", at("/registers"), 403),
    *(Screen("register_list", name, "desk_supervisor", at(f"/registers/{name}")) for name in REGISTERS),
    Screen("register_list", "none found", "desk_officer", at("/registers/contracts?q=沒有")),
    Screen("register_list", "expiring", "desk_officer", at("/registers/certificates?show=expiring")),
    *(Screen("register_record", name, "desk_supervisor", at(f"/registers/{name}/new")) for name in REGISTERS),
    Screen("register_record", "refused", "desk_officer", sent("/registers/contracts/new", "新增",
           institution_code=world.CLINIC, starts_on="114/1/1"), 422),
    Screen("register_record", "not allowed", "desk_officer", at("/registers/extensions/new"), 403),
    Screen("register_show", "institution with a new code", "desk_officer", at("{details}")),
    Screen("register_show", "contract", "desk_officer", at("{contract}")),
    Screen("register_show", "nothing", "desk_officer", at("/registers/contracts/999999"), 404),
    Screen("register_change", "filled", "desk_officer", at("{contract}/change")),
    Screen("register_change", "refused", "desk_officer", sent("{contract}/change", "更正", starts_on="114/2/30"), 422),
    Screen("register_import", "empty", "desk_officer", at("/registers/institutions/import")),
    Screen("register_import", "no file", "desk_officer", sent("/registers/contracts/import", "檢查檔案"), 422),
    Screen("register_import", "looked at", "desk_officer", file_looked_at),
    Screen("register_import", "unreadable", "desk_officer", file_unreadable, 422),
    Screen("finding_list", "some", "desk_officer", at("/registers/findings")),
    Screen("finding_list", "none found", "desk_officer", at("/registers/findings?q=沒有")),
    Screen("course_finding_list", "some", "desk_officer", at("/course-findings"), data=(LONG_NAME,)),
    Screen("audit_trail", "institution", "supervisor", at("/audit"), data=(LONG_NAME,)),
    Screen("audit_trail", "one person", "supervisor", at("/audit?case={long_uid}"), data=(LONG_NAME,)),
    Screen("audit_trail", "one visit", "supervisor", lambda page, scene: goto(page, f"/audit?visit={scene.paths['visit'].rpartition('/')[2]}"), data=(LONG_NAME,)),
    Screen("audit_trail", "nothing found", "supervisor", at("/audit?first=113/01/01&last=113/01/02")),
    Screen("audit_trail", "refused", "supervisor", at("/audit?first=114/2/30&last=xx"), 422),
    Screen("audit_trail", "desk", "desk_officer", at("/audit?kind=seen"), data=(LONG_NAME,)),
    Screen("audit_trail", "not allowed", "recorder", at("/audit"), 403),
    Screen("annual_statistics", "this year", "analyst", at("/statistics/114")),
    Screen("annual_statistics", "nothing recorded", "desk_officer", at("/statistics/91?basis=last_day")),
    Screen("annual_statistics", "refused", "analyst", at("/statistics/114?basis=nonsense"), 422),
    Screen("annual_statistics", "no such year", "analyst", at("/statistics/115"), 404),
    Screen("annual_statistics", "not allowed", "recorder", at("/statistics/114"), 403),
    Screen("annual_breakdown", "by county, hidden", "analyst", at("/statistics/114/by/county")),
    Screen("annual_breakdown", "by institution, hidden", "desk_officer", at("/statistics/114/by/institution"), data=(LONG_NAME,)),
    Screen("annual_breakdown", "staff by institution", "analyst", at("/statistics/114/by/institution?table=staff"), data=(LONG_NAME,)),
    Screen("annual_breakdown", "no such institution", "analyst", at("/statistics/114/by/institution?q=沒有")),
    Screen("annual_breakdown", "by month", "analyst", at("/statistics/114/by/month")),
    Screen("annual_breakdown", "by service, nothing recorded", "analyst", at("/statistics/91/by/service")),
    Screen("annual_breakdown", "nothing recorded", "analyst", at("/statistics/91/by/county?table=staff")),
    Screen("annual_breakdown", "refused", "analyst", at("/statistics/114/by/county?until=114/3/30"), 422),
    Screen("annual_breakdown", "not allowed", "recorder", at("/statistics/114/by/county"), 403),
    Screen("annual_rows", "institutions", "analyst", at("/statistics/114/rows/institution_execution?part=denominator"), data=(LONG_NAME,)),
    Screen("annual_rows", "staff, by what they are", "analyst", at("/statistics/114/rows/staff_execution?part=denominator"), data=(LONG_NAME,)),
    Screen("annual_rows", "staff, by name", "desk_officer", at("/statistics/114/rows/staff_execution?part=denominator"), data=(LONG_NAME,)),
    Screen("annual_rows", "visits", "desk_officer", at("/statistics/114/rows/counselling_visits"), data=(LONG_NAME,)),
    Screen("annual_rows", "visits closed", "analyst", at("/statistics/114/rows/counselling_visits?by=tier&of=clinic&until=114/3/31")),
    Screen("annual_rows", "visits of a month closed", "analyst", at("/statistics/114/rows/persons_served?by=month&of=2025-03-01&until=114/3/31")),
    Screen("annual_rows", "nothing counted", "analyst", at("/statistics/91/rows/institution_execution")),
    Screen("annual_rows", "no such cell", "analyst", at("/statistics/114/rows/staff_execution?by=month&of=2025-03-01"), 404),
    Screen("statistics_publish", "first version", "analyst", at("/statistics/112/publish")),
    Screen("statistics_publish", "with differences", "desk_supervisor", at("/statistics/114/publish")),
    Screen("statistics_publish", "nothing new", "analyst", at("/statistics/113/publish")),
    Screen("statistics_publish", "no reason", "analyst", sent("/statistics/114/publish", "公布 114-3"), 422),
    Screen("statistics_publish", "no such day", "analyst", at("/statistics/114/publish?until=114/4/2"), 422),
    Screen("statistics_publish", "looked at something else", "analyst", looked_at_something_else, 409),
    Screen("statistics_publish", "not allowed", "desk_officer", at("/statistics/113/publish"), 403),
    Screen("publication_list", "filled", "analyst", at("/statistics/publications")),
    Screen("publication_list", "desk", "desk_officer", at("/statistics/publications")),
    Screen("publication_show", "records differ since", "desk_officer", at("{published}")),
    Screen("publication_show", "newest, with differences", "analyst", at("{published_again}")),
    Screen("publication_show", "not allowed", "recorder", at("{published}"), 403),
    Screen("policy_list", "signed out", NOBODY, at("/policies")),
    Screen("policy_show", "with source", "recorder", at("/policies/recording_window_last_day")),
    Screen("policy_show", "with history", NOBODY, at("/policies/weeks_per_visit")),
    Screen("policy_show", "unknown", "recorder", at("/policies/nothing"), 404),
    Screen("component_gallery", "everything", "recorder", at("/components")),
    Screen("help_connection", "signed out", NOBODY, at("/help/connection"), data=("localhost",)),
    Screen("account_login", "empty", NOBODY, at("/accounts/login")),
    Screen("account_login", "nothing typed", NOBODY, sent("/accounts/login", "登入"), 422),
    Screen("account_login", "wrong password", NOBODY, sent("/accounts/login", "登入", login="recorder", password="x"), 422),
    Screen("account_login", "sent there", NOBODY, at("/visits")),
    Screen("mfa_login_webauthn", "opened directly", NOBODY, at("/accounts/login/passkey")),
    Screen("mfa_authenticate", "code", NOBODY, second_step(APP)),
    Screen("mfa_authenticate", "code or passkey", NOBODY, second_step(APP_AND_KEY)),
    Screen("batch_list", "files", "recorder", at("/batches")),
    Screen("batch_list", "empty", "stranger", at("/batches")),
    Screen("batch_upload", "empty", "recorder", at("/batches/new"), data=OF_FILES),
    Screen("batch_upload", "no file", "recorder", sent("/batches/new", "上傳並檢查"), 422, data=OF_FILES),
    *(Screen("batch_show", state, "recorder", at(f"{{batch_{state}}}"), data=OF_FILES)
      for state in ("reading", "at_work", "refused", "given_up", "recorded", "checked", "good", "same", "asking")),
    Screen("batch_show", "all rows", "recorder", at("{batch_checked}?show=all"), data=OF_FILES),
    Screen("batch_show", "somebody else", "stranger", at("{batch_checked}"), 404),
    Screen("batch_columns", "refused", "recorder", sent("{batch_asking}", "記住並檢查"), 422),
    Screen("batch_row", "with problems", "recorder", at("{batch_checked}/rows/3"), data=OF_FILES),
    Screen("batch_row", "several problems", "recorder", at("{batch_checked}/rows/6"), data=OF_FILES),
    Screen("comparison_new", "empty", "recorder", at("/comparisons/new"), data=OF_FILES),
    Screen("comparison_new", "no file", "stranger", sent("/comparisons/new", "開始對照"), 422, data=OF_FILES),
    Screen("comparison_new", "titles asked", "recorder", a_list_without_titles, 422, data=OF_FILES),
    *(Screen("comparison_show", show, "recorder", at(f"{{comparison}}?show={show}"), data=(LONG_NAME,))
      for show in ("listed", "near", "recorded", "both", "elsewhen", "unread")),
    Screen("comparison_show", "nothing", "stranger", at("{comparison_of_nothing}")),
    Screen("correction_choose", "closed", "recorder", at("{old_visit}/correct"), data=(LONG_NAME,)),
    Screen("correction_choose", "open", "recorder", at("{visit}/correct"), data=(LONG_NAME,)),
    *(Screen("correction_visit", kind, "recorder", at(f"{{old_visit}}/correct/{kind}"), data=(LONG_NAME,))
      for kind in ("change", "parked", "overwritten", "void")),
    Screen("correction_visit", "refused", "recorder", sent("{old_visit}/correct/parked", "看更正前後 Ctrl", visit_on="114/4/9"),
           422, data=(LONG_NAME,)),
    Screen("correction_late_entry", "empty", "recorder", at("{woman}/late-entry")),
    Screen("correction_late_entry", "refused", "recorder", sent("{woman}/late-entry", "看更正前後 Ctrl", visit_on="114/2/30"), 422),
    Screen("correction_late_entry", "on paper", "desk_officer", at("{woman}/late-entry")),
    Screen("correction_person", "empty", "recorder", at("{woman}/person/apply")),
    Screen("correction_person", "refused", "recorder", sent("{woman}/person/apply", "看更正前後 Ctrl", birth_on="114/2/30"), 422),
    Screen("correction_person", "on paper", "desk_officer", at("{woman}/person/apply")),
    Screen("correction_show", "of a person", "recorder", at("{correction_person}"), data=(LONG_NAME, *FILE_KINDS)),
    Screen("correction_identity", "whole", "desk_officer", sent("{correction_person_sent}", "顯示完整證號"),
           data=(LONG_NAME, *FILE_KINDS, make_up(101), make_up(941))),
    Screen("correction_list", "institution", "recorder", at("/corrections"), data=(LONG_NAME,)),
    Screen("correction_list", "supervisor", "supervisor", at("/corrections"), data=(LONG_NAME,)),
    Screen("correction_list", "desk", "desk_officer", at("/corrections"), data=(LONG_NAME,)),
    Screen("correction_list", "nothing found", "desk_officer", at("/corrections?view=ended&institution=9900000028")),
    Screen("correction_list", "refused", "desk_officer", at("/corrections?view=nonsense"), 422),
    Screen("correction_numbers", "filled", "desk_officer", at("/corrections/numbers")),
    Screen("correction_numbers", "nothing received", "desk_officer", at("/corrections/numbers?first=113/1&last=113/2")),
    Screen("correction_numbers", "refused", "desk_officer", at("/corrections/numbers?first=114/3&last=114/1"), 422),
    *(Screen("correction_show", state, "recorder", at(f"{{correction_{state}}}"), data=(LONG_NAME, *FILE_KINDS))
      for state in ("draft", "to_sign", "new", "in_review", "waiting", "approved", "rejected", "withdrawn")),
    Screen("correction_show", "to be signed", "supervisor", at("{correction_to_sign}"), data=(LONG_NAME, *FILE_KINDS)),
    Screen("correction_show", "to be claimed", "desk_officer", at("{correction_new}"), data=(LONG_NAME, *FILE_KINDS)),
    Screen("correction_show", "to be decided", "desk_officer", at("{correction_in_review}"), data=(LONG_NAME, *FILE_KINDS)),
    Screen("correction_show", "somebody else", "stranger", at("{correction_new}"), 404),
    Screen("correction_step", "nothing decided", "desk_officer", sent("{correction_in_review}", "送出審核結果"), 422, data=(LONG_NAME, *FILE_KINDS)),
    Screen("correction_step", "nothing asked", "desk_officer", sent("{correction_in_review}", "送出詢問"), 422, data=(LONG_NAME, *FILE_KINDS)),
    Screen("correction_item", "of a draft", "recorder", at("{correction_item}"), data=(LONG_NAME,)),
    Screen("selfcheck_month", "incomplete", "recorder", at("/selfcheck/114-03"), data=(LONG_NAME,)),
    Screen("selfcheck_month", "to be signed", "supervisor", at("/selfcheck/114-03"), data=(LONG_NAME,)),
    Screen("selfcheck_month", "one check", "recorder", at("/selfcheck/114-03?check=check_supply_days"), data=(LONG_NAME,)),
    Screen("selfcheck_month", "as a list", "recorder", at("/selfcheck/114-03?view=list"), data=(LONG_NAME,)),
    Screen("selfcheck_month", "this month", "supervisor", at("/selfcheck/114-04"), data=(LONG_NAME,)),
    Screen("selfcheck_month", "closed", "recorder", at("/selfcheck/2025-02"), data=(LONG_NAME,)),
    Screen("selfcheck_month", "signed", "supervisor", at("/selfcheck/114-01"), data=(LONG_NAME,)),
    Screen("selfcheck_month", "with a draft", "colleague", month_with_draft),
    Screen("selfcheck_month", "empty", "stranger_supervisor", at("/selfcheck/114-02")),
    Screen("selfcheck_month", "changed since it was signed", "stranger_supervisor", at("/selfcheck/114-03")),
    Screen("selfcheck_month", "not yet", "recorder", at("/selfcheck/114-05"), 404),
    Screen("selfcheck_sign", "without a reason", "supervisor", sent("/selfcheck/114-03", "簽核 114 年 3 月"), 422, data=(LONG_NAME,)),
    Screen("selfcheck_signed", "supervisor", "supervisor", at("{signed}"), data=(LONG_NAME,)),
    Screen("selfcheck_signed", "desk", "desk_officer", at("{signed}"), data=(LONG_NAME,)),
    *(Screen("selfcheck_review", show, "desk_officer", at(f"/selfcheck/114-03/review?show={show}&state=all"))
      for show in ("institutions", "idle", "staff")),
    Screen("selfcheck_review", "signed", "desk_officer", at("/selfcheck/114-01/review?state=signed")),
    Screen("selfcheck_review", "refused", "desk_officer", at("/selfcheck/114-03/review?state=nonsense"), 422),
    Screen("reminder_address", "empty", "supervisor", at("/reminders")),
    Screen("reminder_address", "refused", "recorder", sent("/reminders", "設定收信地址", address="x"), 422, data=("name", "example.org")),
    Screen("mfa_authenticate", "wrong code", NOBODY, second_step_refused, 422),
    Screen("account_inactive", "inactive", NOBODY, at("/accounts/inactive")),
    Screen("account_logout", "asked", "recorder", at("/accounts/logout")),
    Screen("account_reauthenticate", "empty", NO_FACTOR, at("/accounts/confirm/password")),
    Screen("account_reauthenticate", "refused", NO_FACTOR, sent("/accounts/confirm/password", "確認", password="x"), 422),
    Screen("mfa_reauthenticate", "empty", APP, at("/accounts/confirm/code")),
    Screen("mfa_reauthenticate_webauthn", "empty", APP_AND_KEY, at("/accounts/confirm/passkey")),
    Screen("account_change_password", "empty", NO_FACTOR, at("/accounts/password")),
    Screen("account_change_password", "refused", NO_FACTOR, sent("/accounts/password", "變更密碼", oldpassword="x",
           password1="abc", password2="abd"), 422),
    Screen("mfa_index", "nothing set up", NO_FACTOR, at("/accounts/security"), data=(NO_FACTOR,)),
    Screen("mfa_index", "all set up", APP_AND_KEY, at("/accounts/security"), data=(APP_AND_KEY,)),
    Screen("account_sessions", "this one alone", NO_FACTOR, at("/accounts/security/sessions")),
    Screen("mfa_activate_totp", "empty", NO_FACTOR, at("/accounts/security/app/add")),
    Screen("mfa_activate_totp", "refused", NO_FACTOR, sent("/accounts/security/app/add", "啟用", code="1"), 422),
    Screen("mfa_deactivate_totp", "asked", APP, at("/accounts/security/app/remove")),
    Screen("mfa_view_recovery_codes", "filled", APP_AND_KEY, at("/accounts/security/recovery-codes")),
    Screen("mfa_generate_recovery_codes", "again", APP_AND_KEY, at("/accounts/security/recovery-codes/new")),
    Screen("mfa_list_webauthn", "empty", NO_FACTOR, at("/accounts/security/passkeys")),
    Screen("mfa_list_webauthn", "filled", APP_AND_KEY, at("/accounts/security/passkeys")),
    Screen("mfa_add_webauthn", "empty", NO_FACTOR, at("/accounts/security/passkeys/add")),
    Screen("mfa_edit_webauthn", "filled", APP_AND_KEY, at("{passkey}/rename")),
    Screen("mfa_remove_webauthn", "asked", APP_AND_KEY, at("{passkey}/remove")),
    Screen("correction_attach", "with evidence", "recorder", at("{correction_draft}/evidence"), data=(LONG_NAME, *FILE_KINDS)),
    Screen("correction_attach", "refused", "recorder", no_document, 422, data=(LONG_NAME, *FILE_KINDS)),
    Screen("404", "signed out", NOBODY, at("/nothing/here"), 404),
    Screen("404", "signed in", "recorder", at("/nothing/here"), 404),
    Screen("400", "too many fields", "recorder", too_many_fields, 400),
    Screen("403 csrf", "form too old", "recorder", without_token, 403),
    Screen("403 signed out", "and what was typed is kept", "recorder", sent_too_late, 403),
    Screen("resume", "signed in again", "recorder", signed_in_again),
    Screen("403 signed out", "signed out meanwhile", "recorder", signed_out_meanwhile, 403),
    Screen("409", "changed meanwhile", NOBODY, answered(refusals.conflict)),
    Screen("429", "too many tries", NOBODY, answered(refusals.too_many)),
    Screen("429 busy", "page refused", NOBODY, busy("GET"), 429),
    Screen("429 busy", "form refused", NOBODY, busy("POST"), 429),
    Screen("429 busy", "password refused", NOBODY, busy("POST", "/accounts/login"), 429),
    Screen("500", "broken", NOBODY, answered(refusals.server_error)),
]  # fmt: skip

NO_SCREEN = {
    "case_sheet", "correction_form", "correction_evidence", "batch_sample", "batch_download",  # files
    "batch_record", "batch_give_up", "comparison_remove",  # buttons of other screens
    "correction_detach", "correction_attach_sheet",  # buttons of other screens
    "favicon",  # the way to a picture
    "healthz",  # one word for whoever watches the server
    "switch_language", "person_unlock", "person_confirm",  # buttons of other screens
    "selfcheck_index", "statistics",  # the ways to a month, a year
    "selfcheck_download", "register_download", "register_sample", "finding_download", "audit_download", "correction_download", "correction_numbers_download", "annual_download", "annual_breakdown_download",  # files
    "annual_dictionary", "publication_download", "publication_dictionary",  # files
}  # fmt: skip


def all_addresses() -> set[str]:
    """The names of all addresses that the site answers."""

    def names(patterns: list[URLPattern | URLResolver]) -> list[str]:
        return [
            name
            for each in patterns
            for name in (
                names(each.url_patterns) if isinstance(each, URLResolver) else [each.name or str(each.pattern)]
            )
        ]

    return set(names(get_resolver().url_patterns))


# --- The records that the screens show --------------------------------------------------------------------------------


def build_scene(site: Site) -> Scene:
    """People with few and many visits, an extension, accounts with an authenticator app."""
    scene = Scene(site)
    physician, counsellor = staff_uid(site, "示範丑"), staff_uid(site, "示範子")
    long = given.a_person(site, LONG_NAME, 101, sex="female")
    first = world.TODAY - timedelta(days=60)
    for number in range(12):
        day = first + timedelta(days=5 * number)
        case_visit = given.a_visit(
            site, long, day,
            medication=Medication(physician, (Line(world.PATCH, 2), Line(world.GUM, 1)))
            if day > world.TODAY - timedelta(days=20) else None,
            note="晚上睡不好，改為早上貼；下次帶家屬一起來。" if number % 3 == 0 else "",
        )  # fmt: skip
        scene.paths["visit" if number else "old_visit"] = f"/visits/{case_visit.uid}"
    for number in range(20):
        person = given.a_person(site, f"示範人{number:02}", 200 + number)
        given.a_visit(site, person, date(2025, 3, 1 + number), medication=None,
                      counselling=Counselling(counsellor, "telephone"))  # fmt: skip
    with given.the_owner(site):
        scene.paths |= {
            "long": f"/cases/{long.uid}", "long_uid": str(long.uid),
            "woman": f"/cases/{world.case('示範乙').uid}", "minor": f"/cases/{world.case('示範丙').uid}",
            "no_intake": f"/cases/{world.case('示範丁').uid}",
        }  # fmt: skip
        extend_window(
            month=date(2025, 3, 1), reach="all", closes_at=datetime(2025, 4, 26, tzinfo=TAIPEI), reason="全國網路中斷",
            moment=world.NOW, by=world.actor("desk_supervisor"),
        )  # fmt: skip
    given.a_visit(
        site,
        given.a_person(site, "示範缺", 240),
        date(2025, 3, 25),
        medication=Medication(physician, (Line(world.PATCH, 2, 15),)),
    )
    scene.paths |= given.applications(site, scene.paths["old_visit"].rpartition("/")[2])
    scene.paths |= given.two_of_one(site, long)
    scene.paths |= given.batches(site)
    desk_lists(site, scene)
    people_and_accounts(site, scene)
    scene.paths |= given.months_signed(site)
    scene.paths |= given.publications(site)
    given.an_account(site, NO_FACTOR)
    for username in (APP, APP_AND_KEY):
        scene.secrets[username] = given.a_secret()
        given.an_account(site, username, totp_secret=scene.secrets[username])
    return scene


def staff_uid(site: Site, name: str) -> Any:
    """The uid of a staff member of the world."""
    with given.the_owner(site):
        return world.staff(name).uid


def people_and_accounts(site: Site, scene: Scene) -> None:
    """Somebody who left and left drafts behind, somebody with a draft, and somebody who was reset."""
    for name in ("recorder", "supervisor"):
        scene.paths[name] = f"/people/{world.uid(f'place of {name} {world.CLINIC}')}"
    for name in ("leaver", "drafter"):
        given.an_account(site, name)
        scene.paths[name] = f"/people/{given.a_place(site, name)}"
        given.a_draft(site, name)
    given.who_left(site, "leaver")
    given.who_has_not_signed_in_for_long(site, "drafter")
    given.a_notice(site, "colleague")


def desk_lists(site: Site, scene: Scene) -> None:
    """An institution with a new code and a branch, a contract ended in retrospect, a certificate about to expire."""
    scene.paths |= given.lists_of_the_desk(site)
