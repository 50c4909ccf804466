"""Signing in: password, authenticator app, recovery code, passkey; and what is said to whoever fails."""

import re

from playwright.sync_api import Page, expect

from tests import world

from . import given
from .given import code_of
from .served import Site
from .signing_in import add_passkey, confirm_by_password, enter_code, sign_in, virtual_authenticator

TRIES = 6  # one more than five in five minutes for one account
TRIES_OF_A_MACHINE = 60  # in one minute from one address


def given_a_new_account(site: Site, username: str) -> None:
    given.forgotten_attempts(site)
    given.an_account(site, username)


def when_an_app_is_set_up(page: Page) -> str:
    """Follow the page; the key that the app keeps."""
    page.goto("/accounts/security/app/add")
    confirm_by_password(page)
    secret = page.locator("code").inner_text()
    page.get_by_label("代碼", exact=True).fill(code_of(secret))
    page.get_by_role("button", name="啟用").click()
    page.wait_for_load_state()
    return secret


def when_signing_out(page: Page) -> None:
    page.get_by_role("button", name="登出").click()
    page.wait_for_url("**/accounts/login")


def then_somebody_is_in(page: Page) -> None:
    expect(page.get_by_role("banner")).to_contain_text("登錄人員 示範申")


def then_nobody_is_in(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_role("heading", name="登入", exact=True)).to_be_visible()


def test_a_wrong_password_says_nothing_of_whether_the_account_exists(site, visitor):
    given_a_new_account(site, "known")
    page = visitor()
    told = []
    for username in ("known", "unknown"):
        sign_in(page, username, "not-the-password")
        summary = page.get_by_role("alert")
        expect(summary).to_be_focused()
        expect(page.get_by_label("帳號", exact=True)).to_have_value(username)
        told.append(page.inner_text("main"))
    assert "帳號或密碼不正確。" in told[0]
    assert told[0] == told[1]
    then_nobody_is_in(page)


def test_too_many_tries_are_slowed_down_in_words_and_nobody_is_locked_out_for_good(site, visitor):
    given_a_new_account(site, "hasty")
    page = visitor()
    for _ in range(TRIES):
        sign_in(page, "hasty", "not-the-password")
    expect(page.get_by_role("alert")).to_contain_text(re.compile(r"嘗試的次數太多，請等 \d+ 分鐘再試。帳號沒有被鎖定"))
    sign_in(page, "hasty")  # the right one helps no more
    expect(page.get_by_role("alert")).to_contain_text("嘗試的次數太多")

    given.forgotten_attempts(site)  # five minutes later
    sign_in(page, "hasty")
    then_somebody_is_in(page)


def test_a_machine_that_tries_without_end_gets_the_page_that_tells_how_long_to_wait(site, visitor):
    given.forgotten_attempts(site)
    page = visitor()
    page.goto("/accounts/login")
    token = page.locator("main [name=csrfmiddlewaretoken]").first.input_value()
    for _ in range(TRIES_OF_A_MACHINE):
        page.request.post("/accounts/login", form={"csrfmiddlewaretoken": token})
    sign_in(page, "recorder")
    expect(page.get_by_role("heading", name="嘗試的次數太多")).to_be_visible()
    expect(page.locator("main")).to_contain_text(re.compile(r"請等 \d+ 分鐘再試。帳號沒有被鎖定"))
    given.forgotten_attempts(site)


def test_an_authenticator_app_is_set_up_and_asked_for_and_a_recovery_code_replaces_it_once(site, visitor):
    given_a_new_account(site, "careful")
    page = visitor()
    sign_in(page, "careful")
    secret = when_an_app_is_set_up(page)
    page.goto("/accounts/security/recovery-codes")
    recovery = page.locator("main li code").first.inner_text()
    when_signing_out(page)
    given.forgotten_attempts(site)  # a code serves once: as if the next one were already shown

    sign_in(page, "careful")
    expect(page.get_by_role("heading", name="登入的第二步")).to_be_visible()
    wrong = f"{(int(code_of(secret)) + 1) % 1_000_000:06}"
    page.get_by_label("代碼", exact=True).fill(wrong)
    page.get_by_role("button", name="登入", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("代碼不正確或已過期，請輸入最新的一組")
    enter_code(page, secret)
    then_somebody_is_in(page)
    when_signing_out(page)

    sign_in(page, "careful")
    page.get_by_label("代碼", exact=True).fill(recovery)
    page.get_by_role("button", name="登入", exact=True).click()
    page.wait_for_load_state()
    then_somebody_is_in(page)
    page.goto("/accounts/security/recovery-codes")
    confirm_by_password(page)
    expect(page.get_by_role("heading", name="尚餘 9 組，共 10 組")).to_be_visible()
    when_signing_out(page)

    sign_in(page, "careful")
    page.get_by_label("代碼", exact=True).fill(recovery)
    page.get_by_role("button", name="登入", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("代碼不正確")


def test_a_passkey_alone_signs_in(site, visitor):
    given_a_new_account(site, "modern")
    page = visitor()
    virtual_authenticator(page)
    sign_in(page, "modern")
    page.goto("/accounts/security/passkeys/add")
    confirm_by_password(page)
    add_passkey(page, "辦公室電腦")
    page.goto("/accounts/security/passkeys")
    expect(page.get_by_role("listitem").filter(has_text="辦公室電腦")).to_contain_text("還沒用過")
    when_signing_out(page)

    page.get_by_role("button", name="用密碼金鑰登入").click()
    page.wait_for_url(f"{site.url}/")
    then_somebody_is_in(page)
    page.goto("/accounts/security/passkeys")
    expect(page.get_by_role("listitem").filter(has_text="辦公室電腦")).to_contain_text("上次使用")


def test_without_a_passkey_on_the_device_the_page_says_so_and_the_password_still_works(site, visitor):
    given_a_new_account(site, "hopeful")
    page = visitor()
    virtual_authenticator(page)
    page.goto("/accounts/login")
    page.get_by_role("button", name="用密碼金鑰登入").click()
    expect(page.get_by_text("沒有讀到密碼金鑰。請再試一次，或改用密碼登入。")).to_be_focused()
    sign_in(page, "hopeful")
    then_somebody_is_in(page)


def test_a_changed_password_is_the_only_one_that_works(site, visitor):
    given_a_new_account(site, "changed")
    page = visitor()
    sign_in(page, "changed")
    page.goto("/accounts/password")
    page.get_by_label("目前的密碼").fill(world.PASSWORD)
    page.get_by_label("新密碼", exact=True).fill("maple-leaf-88-mountain")
    page.get_by_label("再輸入一次新密碼").fill("maple-leaf-88-mountain")
    page.get_by_role("button", name="變更密碼").click()
    expect(page.get_by_role("status")).to_contain_text("密碼")
    then_somebody_is_in(page)  # this sign-in goes on
    when_signing_out(page)

    sign_in(page, "changed")
    expect(page.get_by_role("alert")).to_contain_text("帳號或密碼不正確。")
    sign_in(page, "changed", "maple-leaf-88-mountain")
    then_somebody_is_in(page)


def test_after_signing_in_one_arrives_where_one_wanted_to_go(site, visitor):
    given_a_new_account(site, "purposeful")
    page = visitor()
    page.goto("/visits?first=114/03/01&sort=name")
    page.get_by_label("帳號", exact=True).fill("purposeful")
    page.get_by_label("密碼", exact=True).fill(world.PASSWORD)
    page.get_by_role("button", name="登入", exact=True).click()
    page.wait_for_url("**/visits?first=114/03/01&sort=name")
