"""The doors of the site, as somebody goes through them: password, code, passkey."""

from playwright.sync_api import CDPSession, Page

from tests import world

from .given import code_of


def sign_in(page: Page, username: str, password: str = world.PASSWORD) -> None:
    """Fill in the sign-in page."""
    page.goto("/accounts/login")
    page.get_by_label("帳號", exact=True).fill(username)
    page.get_by_label("密碼", exact=True).fill(password)
    page.get_by_role("button", name="登入", exact=True).click()
    page.wait_for_load_state()


def enter_code(page: Page, secret: str) -> None:
    """The second step, with the code that an app with this key shows now."""
    page.get_by_label("代碼", exact=True).fill(code_of(secret))
    page.get_by_role("button", name="登入", exact=True).click()
    page.wait_for_load_state()


def confirm_by_password(page: Page, password: str = world.PASSWORD) -> None:
    """Who one is, once more, where the page asks."""
    page.get_by_label("密碼", exact=True).fill(password)
    page.get_by_role("button", name="確認", exact=True).click()
    page.wait_for_load_state()


def virtual_authenticator(page: Page) -> CDPSession:
    """A device that makes and keeps passkeys, and always recognises its owner."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send("WebAuthn.addVirtualAuthenticator", {"options": {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True,
    }})  # fmt: skip
    return session


def add_passkey(page: Page, name: str) -> None:
    """Register a passkey of whoever is signed in; the page must have a virtual authenticator."""
    page.goto("/accounts/security/passkeys/add")
    page.get_by_label("名稱").fill(name)
    page.get_by_role("button", name="新增").click()
    page.wait_for_url(lambda url: not url.endswith("/add"))
