"""Accounts and lists in a real Chromium, by the keyboard alone: from the slip to leaving; a list from a file."""

import re

from playwright.sync_api import Page, expect

from tests import world

PASSWORD = "lantern-cedar-88-wave"
MOST_TABS = 60


def tab_to(page: Page, name: str, role: str = "button") -> None:
    """Press Tab until the control of that name has the focus."""
    wanted = page.locator("main").get_by_role(role, name=name, exact=True).first
    wanted.wait_for()
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"{name} is not reached by Tab")


def press(page: Page, name: str, role: str = "button") -> None:
    """Reach a button or link by Tab and press Enter."""
    tab_to(page, name, role)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def type_into(page: Page, name: str, text: str) -> None:
    """Reach a field by Tab and type."""
    tab_to(page, name, "textbox")
    page.keyboard.type(text)


def given_an_invitation(page: Page, username: str, name: str) -> str:
    """The supervisor invites somebody; the code on the slip."""
    page.goto("/people/new")
    type_into(page, "姓名", name)
    type_into(page, "帳號", username)
    press(page, "邀請")
    expect(page.get_by_role("heading", level=1)).to_have_text("Quitledger 帳號啟用單")
    return page.locator("code.code").inner_text()


def when_the_code_is_accepted(page: Page, username: str, code: str) -> None:
    page.goto("/invitation")
    type_into(page, "帳號", username)
    type_into(page, "一次性代碼", code)
    type_into(page, "新密碼", PASSWORD)
    type_into(page, "再輸入一次新密碼", PASSWORD)
    press(page, "設定密碼")
    expect(page.get_by_role("status")).to_contain_text("密碼已設定")


def when_signed_in(page: Page, username: str) -> None:
    page.goto("/accounts/login")
    type_into(page, "帳號", username)
    type_into(page, "密碼", PASSWORD)
    press(page, "登入")


def test_from_the_slip_to_leaving(signed_in_as, visitor):
    supervisor, newcomer = signed_in_as("supervisor"), visitor()

    code = given_an_invitation(supervisor, "keyboard.one", "示範鍵盤")
    press(supervisor, "印好了，回到這個人", "link")
    person = supervisor.url
    when_the_code_is_accepted(newcomer, "keyboard.one", code)
    when_signed_in(newcomer, "keyboard.one")
    expect(newcomer.locator(".who")).to_contain_text("登錄人員 示範鍵盤")

    # Reset: out at the next click, told at the next sign-in until it was seen.
    supervisor.goto(person)
    press(supervisor, "重設密碼", "link")
    press(supervisor, "重設並顯示單子")
    code = supervisor.locator("code.code").inner_text()
    newcomer.goto("/cases/find")
    expect(newcomer).to_have_url(re.compile("/accounts/login"))
    when_the_code_is_accepted(newcomer, "keyboard.one", code)
    when_signed_in(newcomer, "keyboard.one")
    press(newcomer, "看是誰、什麼時候", "link")
    expect(newcomer.locator("main")).to_contain_text("示範主管")
    press(newcomer, "知道了")
    expect(newcomer.locator("main")).not_to_contain_text("有人變更了您的登入方式")

    # Leaving today: out at the next click.
    supervisor.goto(person)
    press(supervisor, "離職", "link")
    type_into(supervisor, "最後一天", "114/4/1")
    press(supervisor, "登記")
    expect(supervisor.locator("main")).to_contain_text("已離職")
    newcomer.goto("/")
    expect(newcomer).to_have_url(re.compile("/accounts/login"))


def test_a_list_is_looked_at_and_recorded_from_a_file(signed_in_as):
    desk = signed_in_as("desk_officer")
    desk.goto("/registers")
    press(desk, "機構合約", "link")
    press(desk, "由檔案匯入", "link")
    lines = ["醫事機構代碼,合約起日,合約迄日,終止事由", f"{world.HOSPITAL},114/3/1,,", f"{world.CLINIC},114/1/1,,"]
    desk.locator("[name=file]").set_input_files(
        {"name": "list.csv", "mimeType": "text/csv", "buffer": "\r\n".join(lines).encode()}
    )
    press(desk, "檢查檔案")
    expect(desk.get_by_role("row", name="第 3 列")).to_contain_text("重疊")
    press(desk, "只登錄沒有錯的 1 列")
    expect(desk.get_by_role("status")).to_contain_text("新增 1 列")
    expect(desk.locator("main")).to_contain_text("示範醫院")


def test_the_language_is_chosen_by_the_keyboard_and_stays(signed_in_as):
    page = signed_in_as("recorder")
    page.goto("/windows")
    page.get_by_role("button", name="English").focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/windows$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Recording windows")
    page.goto("/")
    expect(page.get_by_role("navigation").first).to_contain_text("Query visits")
