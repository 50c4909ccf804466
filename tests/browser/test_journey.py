"""The whole journey in a real Chromium: find or register somebody, record a visit, find it again, be told why not."""

import csv
import io
import re
import zipfile
from datetime import date
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from quitledger.cases.models import Case
from quitledger.policy.identity import make_up, mask
from tests import world

from . import given
from .served import Site
from .signing_in import sign_in

TODAY, PATCH = "114/04/01", "尼古丁貼片（示範品項甲）"
MOST_KEYS_FOR_A_REPEATED_VISIT = 14  # from the home page to the record, the chart number's six included
MOST_KEYS_FOR_A_FIRST_VISIT = 40

given_a_person = given.a_person
given_a_visit = given.a_visit


def given_somebody_new_registers(page: Page) -> None:
    page.goto("/cases/new")


def given_the_record_page(page: Page, case: Case) -> None:
    page.goto(f"/cases/{case.uid}/visits/new")


# --- when ---------------------------------------------------------------------------------------------------------------


def when_looking_for(page: Page, text: str) -> None:
    page.goto("/cases/find")
    page.get_by_label("身分證字號、病歷號或姓名").fill(text)
    page.get_by_role("button", name="找人").click()
    page.wait_for_load_state()


def when_a_person_is_typed(page: Page, number: str, name: str, chart_no: str) -> None:
    page.get_by_label("證號", exact=True).fill(number)
    page.get_by_label("出生日期").fill("69/2/3")
    page.get_by_label("男", exact=True).check()
    page.get_by_label("姓名").fill(name)
    page.get_by_label(re.compile("病歷號")).fill(chart_no)
    page.get_by_role("button", name="收案").click()
    page.wait_for_load_state()


def when_the_intake_is_answered(page: Page) -> None:
    page.get_by_role("group", name="健保在保").get_by_label("是", exact=True).check()
    page.get_by_label("平均每日支數").fill("25")
    for question, answer in (
        ("第一支菸", "5 分鐘以內"), ("難以忍受", "是"), ("最難放棄", "早上第一支"), ("最多吸幾支", "31 支以上"),
        ("起床後幾小時內", "是"), ("生病臥床", "否"),
    ):  # fmt: skip
        page.get_by_role("group", name=re.compile(question)).get_by_label(answer, exact=True).check()
    page.get_by_role("button", name="登錄收案評估").click()
    page.wait_for_load_state()


def when_a_visit_is_typed(
    page: Page, day: str = TODAY, *, weeks: str = "2", note: str = "", staff: str = "衛教師 示範子"
) -> None:
    page.get_by_label("就醫日期").fill(day)
    page.get_by_label("用藥", exact=True).check()
    page.get_by_label("衛教", exact=True).check()
    page.get_by_label("藥品").first.select_option(label=PATCH)
    page.get_by_label("週數").first.fill(weeks)
    page.get_by_label("衛教人員").select_option(label=staff)
    page.get_by_label("平均每日支數").fill("8")
    page.get_by_label(re.compile("備註")).fill(note)


def when_it_is_sent(page: Page) -> None:
    the_submit_button(page).click()
    page.wait_for_load_state()


def when_the_session_ends(page: Page) -> None:
    page.context.clear_cookies(name="sessionid")


def the_submit_button(page: Page) -> Locator:
    return page.locator("main .submit").get_by_role("button", name="登錄就醫資料")


class Keyboard:
    """Hands that never touch the mouse, and count."""

    def __init__(self, page: Page) -> None:
        self.page, self.presses = page, 0

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.presses += 1

    def press_access_key(self, key: str) -> None:
        """Alt and a key as a real keyboard sends it: with its letter, so that the browser knows its own access keys."""
        session = self.page.context.new_cdp_session(self.page)
        event = {
            "modifiers": 1, "key": key, "code": f"Key{key.upper()}", "unmodifiedText": key,
            "windowsVirtualKeyCode": ord(key.upper()),
        }  # fmt: skip
        session.send("Input.dispatchKeyEvent", {"type": "keyDown", **event})
        session.send("Input.dispatchKeyEvent", {"type": "keyUp", **event})
        self.presses += 1

    def type(self, text: str) -> None:
        self.press(*text)

    def reach(self, name: str) -> None:
        """Tab on until the control with this label has the focus."""
        for _ in range(30):
            self.press("Tab")
            if name in self.page.evaluate(
                "() => (document.activeElement.labels?.[0] || document.activeElement).innerText"
            ):
                return
        raise AssertionError(f"{name} cannot be reached with the Tab key")


# --- then ---------------------------------------------------------------------------------------------------------------


def then_one_is_found(page: Page, name: str) -> None:
    expect(page.get_by_role("heading", name="找到 1 位")).to_be_visible()
    expect(page.get_by_role("rowheader", name=name)).to_be_visible()
    assert page.url.endswith("/cases/find")


def then_it_is_recorded(page: Page, name: str, day: str = TODAY) -> None:
    expect(page.get_by_role("status")).to_contain_text(f"已登錄 {name} {day} 的就醫資料。可修改至 ")


def then_it_is_refused(page: Page, *words: str) -> None:
    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    expect(summary.get_by_role("heading")).to_contain_text("還沒登錄：有 ")
    for word in words:
        expect(summary).to_contain_text(word)


def then_what_was_typed_is_still_there(page: Page, day: str, *, weeks: str = "2", note: str = "") -> None:
    expect(page.get_by_label("就醫日期")).to_have_value(day)
    expect(page.get_by_label("用藥", exact=True)).to_be_checked()
    expect(page.get_by_label("衛教", exact=True)).to_be_checked()
    expect(page.get_by_label("藥品")).to_have_value(world.PATCH)
    expect(page.get_by_label("週數")).to_have_value(weeks)
    expect(page.get_by_label("平均每日支數")).to_have_value("8")
    expect(page.get_by_label(re.compile("備註"))).to_have_value(note)


def then_the_database_holds(site: Site, case: Case, *days: date) -> None:
    assert given.visits_of(site, case) == list(days)


# --- the journey ----------------------------------------------------------------------------------------------------------


def test_somebody_is_found_by_chart_number_part_of_the_name_and_exact_identity_number(signed_in_as):
    page = signed_in_as("recorder")
    for text in ("T-0001", "範甲", make_up(1), make_up(1).lower()):
        when_looking_for(page, text)
        then_one_is_found(page, "示範甲")
    when_looking_for(page, make_up(1)[:-1])
    expect(page.get_by_role("status")).to_contain_text("找不到符合的戒菸者。")
    expect(page.get_by_role("status").get_by_role("link", name="新收個案")).to_be_visible()


def test_a_new_person_is_registered_assessed_recorded_and_found_again(site, visitor):
    page = visitor()
    sign_in(page, "recorder")
    expect(page.get_by_role("heading", name="114 年 4 月 1 日，星期二")).to_be_visible()

    # a slip in the number is explained before anything is kept
    given_somebody_new_registers(page)
    right = make_up(31)
    wrong = right[:-1] + str((int(right[-1]) + 1) % 10)
    when_a_person_is_typed(page, wrong, "示範辛", "J-31")
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_role("alert")).to_contain_text("檢查碼不符")
    expect(page.get_by_label("證號", exact=True)).to_have_value(wrong)
    expect(page.get_by_label("姓名")).to_have_value("示範辛")
    when_a_person_is_typed(page, right, "示範辛", "J-31")
    expect(page.get_by_role("status")).to_contain_text("已收案：示範辛。")
    expect(page.get_by_role("heading", name=mask(right))).to_be_visible()

    # the intake computes its score
    page.get_by_role("link", name="新增評估").click()
    when_the_intake_is_answered(page)
    expect(page.get_by_role("status")).to_contain_text("已登錄 示範辛 的收案評估，尼古丁成癮度 9 分。")
    expect(page.get_by_text("可接受補助用藥")).to_be_visible()

    # the first visit
    page.get_by_role("link", name="登錄就醫資料").last.click()
    page.wait_for_url("**/visits/new")
    when_a_visit_is_typed(page)
    when_it_is_sent(page)
    then_it_is_recorded(page, "示範辛")
    expect(page.get_by_text("24 小時內").first).to_be_visible()

    # found again, with its tag, the totals and the files
    page.get_by_role("link", name="就醫資料查詢").first.click()
    page.get_by_label(re.compile("戒菸者（")).fill("J-31")
    page.get_by_role("button", name="查詢").click()
    page.wait_for_url("**/visits?**case=**")
    expect(page.get_by_role("heading", name="查得 1 筆")).to_be_visible()
    row = page.get_by_role("row", name=re.compile("示範辛"))
    for words in ("114/04/01（二）", "A00****", "用藥 2 週", "醫師 示範丑", "24 小時內", "114/05/20 24:00"):
        expect(row).to_contain_text(words)
    expect(page.locator("dl.strip")).to_contain_text("1／1 次")
    then_the_files_hold_the_visit(page, right)

    # the timeline of the person
    row.get_by_role("link", name="示範辛", exact=True).click()
    expect(page.get_by_role("listitem").filter(has_text=TODAY)).to_contain_text("用藥 2 週、衛教")


def then_the_files_hold_the_visit(page: Page, number: str) -> None:
    for name in ("CSV", "ODS"):
        with page.expect_download() as waiting:
            page.get_by_role("link", name=name, exact=True).click()
        path = Path(waiting.value.path())
        assert re.fullmatch(rf"visits-\d{{8}}-\d{{8}}\.{name.lower()}", waiting.value.suggested_filename)
        if name == "CSV":
            text = path.read_text(encoding="utf-8-sig")
            rows = list(csv.reader(io.StringIO(text)))
            assert rows[0][0].startswith("測試資料")
            assert [row[3] for row in rows[2:]] == ["示範辛"]
        else:
            with zipfile.ZipFile(path) as ods:
                text = ods.read("content.xml").decode()
            assert "示範辛" in text
        assert number not in text
        assert PATCH in text


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_a_repeated_visit_takes_a_handful_of_keys_and_no_mouse(site, signed_in_as, script):
    case = given_a_person(site, "示範壬", 32 + 30 * script, chart_no="T-0032" if script else "T-0062")
    given_a_visit(site, case, date(2025, 3, 20))
    page = signed_in_as("recorder", java_script_enabled=script)
    page.goto("/")
    keys = Keyboard(page)

    keys.press("Tab", "Enter", "Tab")  # to the content, to its first field
    keys.type(case.chart_no)
    keys.press("Enter")
    page.wait_for_url("**/visits/new")
    keys.press_access_key("r")
    expect(page.get_by_label("用藥", exact=True)).to_be_checked()
    keys.press("Control+Enter" if script else "Enter")
    page.wait_for_url(re.compile("/visits/[0-9a-f-]{36}$"))

    then_it_is_recorded(page, "示範壬")
    then_the_database_holds(site, case, date(2025, 3, 20), world.TODAY)
    assert keys.presses <= MOST_KEYS_FOR_A_REPEATED_VISIT


def test_a_first_visit_with_two_medicines_is_recorded_by_keyboard_alone(site, signed_in_as):
    case = given_a_person(site, "示範癸", 33)
    page = signed_in_as("recorder")
    given_the_record_page(page, case)
    keys = Keyboard(page)

    keys.press("Tab", "Enter")  # to the content
    keys.reach("用藥")
    keys.press("Space", "Tab", "Space")
    keys.reach("藥品")
    keys.press("ArrowDown", "Tab", "2")
    keys.reach("再加一項藥品")
    keys.press("Enter")
    page.wait_for_load_state()
    expect(page.get_by_label("用藥", exact=True)).to_be_checked()
    expect(page.get_by_label("藥品").nth(1)).to_be_focused()
    keys.press("ArrowDown", "ArrowDown", "Tab", "1")
    keys.reach("衛教人員")
    keys.press("ArrowDown", "ArrowDown", "Control+Enter")
    page.wait_for_url(re.compile("/visits/[0-9a-f-]{36}$"))

    then_it_is_recorded(page, "示範癸")
    expect(page.locator("main")).to_contain_text("尼古丁貼片（示範品項甲） 2 週（14 天）".replace(" 2", "　2"))
    expect(page.locator("main")).to_contain_text("尼古丁咀嚼錠（示範品項乙）　1 週（7 天）")
    assert keys.presses <= MOST_KEYS_FOR_A_FIRST_VISIT


def test_after_the_window_has_closed_the_page_says_so_and_what_to_do_and_keeps_what_was_typed(site, signed_in_as):
    case = given_a_person(site, "示範子丑", 34)
    page = signed_in_as("recorder")
    given_the_record_page(page, case)

    when_a_visit_is_typed(page, "114/2/15", note="家屬來電")
    when_it_is_sent(page)

    then_it_is_refused(page, "114 年 2 月的登錄期限 114/03/20 24:00 已過，貴機構不能再自行新增")
    what_now = page.get_by_role("region", name="登錄期限已過，還可以怎麼做")
    expect(what_now.get_by_role("link", name="申請補登")).to_have_attribute("href", f"/cases/{case.uid}/late-entry")
    then_what_was_typed_is_still_there(page, "114/2/15", note="家屬來電")
    expect(page.locator(".submit")).to_contain_text("114 年 2 月登錄期限 114/03/20 24:00，已截止")
    then_the_database_holds(site, case)


def test_four_days_after_another_visit_is_refused_with_the_earliest_day(site, signed_in_as):
    case = given_a_person(site, "示範子寅", 35)
    given_a_visit(site, case, date(2025, 3, 28))
    page = signed_in_as("recorder")
    given_the_record_page(page, case)

    when_a_visit_is_typed(page)
    when_it_is_sent(page)

    then_it_is_refused(page, "就醫日期：用藥與 114/03/28 間隔小於 5 日", "就醫日期：衛教與 114/03/28 間隔小於 5 日")
    expect(page.locator("#id_visit_on_error")).to_contain_text("同項服務最早可登錄 114/04/02")
    then_what_was_typed_is_still_there(page, TODAY)
    then_the_database_holds(site, case, date(2025, 3, 28))


def test_several_problems_are_told_at_once_and_lead_to_their_fields(site, signed_in_as):
    case = given_a_person(site, "示範子卯", 36)
    page = signed_in_as("recorder")
    given_the_record_page(page, case)

    when_a_visit_is_typed(page, weeks="6", staff="衛教師 示範寅（合約到 114/03/31）")
    when_it_is_sent(page)

    then_it_is_refused(
        page, "週數：每次用藥最多 4 週，您填了 6 週", "衛教人員：衛教師 示範寅 的人員合約到 114/03/31 為止"
    )
    for field, link in (("週數", "每次用藥最多 4 週"), ("衛教人員", "的人員合約到")):
        page.get_by_role("alert").get_by_role("link", name=link).first.click()
        expect(page.get_by_label(field)).to_be_focused()
        expect(page.get_by_label(field)).to_have_attribute("aria-invalid", "true")
    then_what_was_typed_is_still_there(page, TODAY, weeks="6")


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_a_double_click_on_the_button_makes_one_visit(site, signed_in_as, script):
    case = given_a_person(site, f"示範子辰{script:d}", 37 + script)
    page = signed_in_as("recorder", java_script_enabled=script)
    given_the_record_page(page, case)
    when_a_visit_is_typed(page)

    the_submit_button(page).dblclick(no_wait_after=True)
    page.wait_for_url(re.compile("/visits/[0-9a-f-]{36}$"))

    expect(page.get_by_role("status").first).to_contain_text("已登錄 示範子辰")
    then_the_database_holds(site, case, world.TODAY)


def test_going_back_and_sending_again_makes_no_second_visit(site, signed_in_as):
    case = given_a_person(site, "示範子巳", 39)
    page = signed_in_as("recorder")
    given_the_record_page(page, case)
    when_a_visit_is_typed(page)
    when_it_is_sent(page)
    then_it_is_recorded(page, "示範子巳")

    page.go_back()
    page.wait_for_url("**/visits/new")
    when_a_visit_is_typed(page)
    when_it_is_sent(page)

    expect(page.locator("main")).to_contain_text(re.compile("先前已登錄 示範子巳 114/04/01|已登錄過用藥"))
    then_the_database_holds(site, case, world.TODAY)


def test_the_same_person_in_two_tabs_is_recorded_once_and_the_second_tab_says_so(site, signed_in_as):
    case = given_a_person(site, "示範子午", 40)
    one = signed_in_as("recorder")
    other = one.context.new_page()
    for tab in (one, other):
        given_the_record_page(tab, case)
        when_a_visit_is_typed(tab)

    when_it_is_sent(one)
    when_it_is_sent(other)

    then_it_is_recorded(one, "示範子午")
    then_it_is_refused(other, "114/04/01 已登錄過用藥", "114/04/01 已登錄過衛教")
    then_what_was_typed_is_still_there(other, TODAY)
    then_the_database_holds(site, case, world.TODAY)


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_a_session_that_ended_in_the_middle_loses_nothing(site, visitor, script):
    case = given_a_person(site, f"示範子未{script:d}", 41 + 100 * script)
    page = visitor(java_script_enabled=script)
    sign_in(page, "recorder")
    given_the_record_page(page, case)
    when_a_visit_is_typed(page)

    when_the_session_ends(page)
    when_it_is_sent(page)

    expect(page.get_by_role("heading", name="登入已逾時")).to_be_visible()
    expect(page.locator("main")).to_contain_text("登入後不需要重新填寫")
    then_the_database_holds(site, case)

    page.get_by_role("main").get_by_role("link", name="登入").click()
    page.get_by_label("帳號", exact=True).fill("recorder")
    page.get_by_label("密碼", exact=True).fill(world.PASSWORD)
    page.get_by_role("button", name="登入", exact=True).click()
    page.wait_for_url("**/resume")
    page.get_by_role("button", name="繼續送出").click()
    page.wait_for_load_state()
    then_it_is_recorded(page, f"示範子未{script:d}")
    then_the_database_holds(site, case, world.TODAY)


def test_the_desk_extends_a_window_and_the_institution_then_records_the_visit(site, signed_in_as):
    case = given_a_person(site, "示範子申", 42)
    page = signed_in_as("recorder")
    given_the_record_page(page, case)
    when_a_counselling_by_telephone_is_typed(page, "114/1/31")
    when_it_is_sent(page)
    then_it_is_refused(page, "114 年 1 月的登錄期限 114/02/20 24:00 已過")

    desk = signed_in_as("desk_supervisor")
    desk.goto("/windows")
    desk.get_by_role("link", name="延長登錄期限").click()
    desk.get_by_label("就醫月份").fill("114/1")
    desk.get_by_label("單一機構").check()
    desk.get_by_label("機構代碼").fill(world.CLINIC)
    desk.get_by_label("延長至").fill("114/4/10")
    desk.get_by_label("事由").fill("院內網路中斷")
    desk.get_by_role("button", name="延長登錄期限").click()
    expect(desk.get_by_role("status")).to_contain_text("114 年 1 月的登錄期限已延長至 114/04/10 24:00。")
    expect(desk.get_by_role("row", name=re.compile("院內網路中斷"))).to_contain_text("示範戒菸診所")

    page.goto("/windows")
    expect(page.get_by_role("row", name=re.compile("114 年 1 月.*已延長")).first).to_contain_text("114/04/10 24:00")
    given_the_record_page(page, case)
    when_a_counselling_by_telephone_is_typed(page, "114/1/31")
    when_it_is_sent(page)
    then_it_is_recorded(page, "示範子申", "114/01/31")
    expect(page.locator("main")).to_contain_text("期限內")


def when_a_counselling_by_telephone_is_typed(page: Page, day: str) -> None:
    page.get_by_label("就醫日期").fill(day)
    page.get_by_label("衛教", exact=True).check()
    page.get_by_label("衛教人員").select_option(label="衛教師 示範子")
    page.get_by_label("電話").check()


def test_somebody_with_two_institutions_switches_in_the_header(signed_in_as):
    page = signed_in_as("both")
    page.goto("/")
    expect(page.get_by_role("banner")).to_contain_text("示範戒菸診所 9900000019")
    when_looking_for(page, "示範戊")
    expect(page.get_by_role("status")).to_contain_text("找不到符合的戒菸者。")

    page.get_by_role("banner").get_by_role("link", name="切換機構").click()
    page.get_by_role("button", name=re.compile("切換.*示範藥局")).click()

    expect(page.get_by_role("status")).to_contain_text("現在的機構是 示範藥局。")
    expect(page.get_by_role("banner")).to_contain_text("業務主管 示範午")
    when_looking_for(page, "示範戊")
    then_one_is_found(page, "示範戊")


def test_an_analyst_sees_nobody(signed_in_as):
    page = signed_in_as("analyst")
    page.goto("/")
    expect(page.get_by_role("navigation", name="主選單").get_by_role("link")).to_have_text(
        ["首頁", "年度統計", "規定與來源"]
    )
    for address in ("/cases/find", "/cases/new", "/visits", "/visits.csv"):
        assert page.goto(address).status == 403
        expect(page.get_by_role("heading", name="您的角色不能使用這個功能")).to_be_visible()
        assert "示範甲" not in page.content()


def test_whoever_signed_out_is_out_also_by_the_back_button(visitor):
    page = visitor()
    sign_in(page, "recorder")
    page.goto(f"/cases/{world.uid(f'case 示範甲 {world.CLINIC}')}")
    page.get_by_role("button", name="登出").click()
    page.wait_for_url("**/accounts/login")

    page.go_back()
    page.wait_for_load_state()

    expect(page.get_by_role("heading", name="登入", exact=True)).to_be_visible()
    assert "示範甲" not in page.inner_text("body")


def test_without_javascript_everything_on_the_way_works(site, visitor):
    page = visitor(java_script_enabled=False)
    sign_in(page, "recorder")
    given_somebody_new_registers(page)
    when_a_person_is_typed(page, make_up(51), "示範丑寅", "J-51")
    expect(page.get_by_role("status")).to_contain_text("已收案：示範丑寅。")
    page.get_by_role("link", name="新增評估").click()
    when_the_intake_is_answered(page)
    page.get_by_role("link", name="登錄就醫資料").last.click()
    when_a_visit_is_typed(page, weeks="6")
    when_it_is_sent(page)
    expect(page.get_by_role("alert")).to_contain_text("每次用藥最多 4 週")
    page.get_by_role("button", name="再加一項藥品").click()
    page.get_by_label("週數").first.fill("2")
    page.get_by_label("藥品").nth(1).select_option(label="尼古丁咀嚼錠（示範品項乙）")
    page.get_by_label("週數").nth(1).fill("1")
    when_it_is_sent(page)
    then_it_is_recorded(page, "示範丑寅")
    page.get_by_role("link", name="就醫資料查詢").first.click()
    expect(page.get_by_role("row", name=re.compile("示範丑寅"))).to_contain_text("用藥 2 週")
    with page.expect_download():
        page.get_by_role("link", name="CSV").click()
    page.get_by_role("button", name="登出").click()
    expect(page.get_by_role("heading", name="登入", exact=True)).to_be_visible()
