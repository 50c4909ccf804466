"""Every screen in its states, at 1280 and at 360 px, for the role that owns it."""

from urllib.parse import urlsplit

import pytest
from django.urls import resolve
from playwright.sync_api import Browser, Page, Response

from .conftest import NARROW, WIDE
from .reading import axe_findings, chinese_words, in_place, latin_words, outline, resize, too_wide, unseen_focus
from .screens import (
    APP,
    APP_AND_KEY,
    NO_FACTOR,
    NO_SCREEN,
    SCREENS,
    Scene,
    Screen,
    all_addresses,
    build_scene,
)
from .served import Site
from .signing_in import add_passkey, confirm_by_password, enter_code, sign_in, virtual_authenticator
from .watched import IDENTITY_NUMBER

IN_CHINESE = {"409", "429", "429 busy", "500"}  # answers put in place of a page, made in Chinese
ALONE = {"429 busy", "500"}  # made without a database
# Whose pages ask for the password again five minutes after the scene was made comes first.
SOON_FIRST = sorted(SCREENS, key=lambda screen: screen.username not in (NO_FACTOR, APP, APP_AND_KEY))

FIRST_STATES = set({screen.name: screen for screen in reversed(SOON_FIRST)}.values())


@pytest.fixture(scope="module")
def scene(site: Site, browser: Browser, sessions: dict[str, object]) -> Scene:
    """The records that the screens show; whoever has a second factor has signed in with it."""
    made = build_scene(site)
    for username in (NO_FACTOR, APP, APP_AND_KEY):
        context = browser.new_context(base_url=site.url)
        page = context.new_page()
        sign_in(page, username)
        if username in made.secrets:
            enter_code(page, made.secrets[username])
        page.goto("/accounts/confirm/password?next=/accounts/security")
        confirm_by_password(page)
        if username == APP_AND_KEY:
            virtual_authenticator(page)
            add_passkey(page, "辦公室電腦")
            page.goto("/accounts/security/passkeys")
            rename = page.get_by_role("link", name="改名").get_attribute("href") or ""
            made.paths["passkey"] = rename.removesuffix("/rename")
        sessions[username] = context.storage_state()
        context.close()
    return made


@pytest.fixture(scope="module")
def titles() -> dict[str, str]:
    """Title of a page → name of its address."""
    return {}


def test_every_address_of_the_site_has_a_screen_here():
    assert {screen.name for screen in SCREENS if screen.name[0].isalpha()} | NO_SCREEN == all_addresses()


def test_text_that_is_hard_to_read_is_found_on_each_page(site, seen_by):
    page = seen_by("")
    page.goto("/healthz")
    for told in ([], ["#grey", "#ground", "#lit"]), ([], ["#grey", "#ground", "#lit"]):
        for poor, expected in zip((False, True), told, strict=True):
            grey, lit = ("#aaa", "#ccc") if poor else ("#555", "#000")
            page.set_content(
                f"<main style='background: #fff'><p id=first>可以讀</p><p id=grey style='color: {grey}'>灰字</p>"
                f"<div style='background: {'#111' if poor else '#eee'}'><p id=ground>深色底</p></div>"
                f"<input id=lit value=字 aria-label=字 style='color: {lit}; background: #fff'></main>"
            )
            found = [line.split(":")[0] for line in axe_findings(page) if line.startswith("color-contrast")]
            assert found == [f"color-contrast {name}" for name in expected]


@pytest.mark.parametrize("screen", SOON_FIRST, ids=str)
def test_a_screen_can_be_read_and_used_by_everybody(screen: Screen, scene, seen_by, titles):
    page: Page = seen_by(screen.username)
    answers: list[tuple[str, int]] = []

    def answered(answer: Response) -> None:
        if answer.request.is_navigation_request():
            answers.append((answer.request.method, answer.status))

    page.on("response", answered)
    screen.open(page, scene)

    method, status = answers[-1]
    assert status == screen.status
    page.remove_listener("response", answered)
    found = outline(page)
    assert (found["language"], found["headings"], found["titles"]) == ("zh-Hant-TW", 1, 1)
    if screen.status == 200 and screen.name in all_addresses():  # two pages with one title cannot be told apart
        here = resolve(urlsplit(page.url).path).url_name
        assert titles.setdefault(page.title(), here) == here
    assert not found["unlabelled"]
    assert not found["twice"]
    assert not found["described"]
    if screen.name not in ALONE:  # those pages must not fail as well: they ask nobody anything
        assert "測試資料" in found["strip"]
        assert "現在時間 114/04/01（二）09:" in found["foot"]
    assert not latin_words(found["texts"], data=screen.data)
    if screen.name not in ("case_identity", "correction_identity"):
        numbers = {number for text in (*found["texts"], found["markup"]) for number in IDENTITY_NUMBER.findall(text)}
        assert not numbers - {screen.typed}

    for size in (WIDE, NARROW):
        resize(page, size)
        assert not too_wide(page), size
        # Each kind of page at both sizes; its other states where it is tight.
        if screen in FIRST_STATES or size == NARROW:
            assert not axe_findings(page), size
    assert not unseen_focus(page)
    if screen.name not in IN_CHINESE:
        page.context.add_cookies([{"name": "language", "value": "en", "url": page.url}])
        try:
            # Of each kind of page once as a browser opens it; a form that was refused is sent again: the same form twice is one.
            if screen in FIRST_STATES or method != "GET":
                page.reload()
            else:
                assert in_place(page) == status
            assert page.evaluate("document.documentElement.lang") == "en"
            assert not chinese_words(page, data=screen.data)
            for size in (NARROW, WIDE):  # as it is already, first
                resize(page, size)
                assert not too_wide(page), size
        finally:
            page.context.clear_cookies(name="language")
