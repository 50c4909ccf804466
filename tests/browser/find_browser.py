"""Which browser the page tests drive. `python -m tests.browser.find_browser` prints its path."""

import os
import shutil
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_NONE = (
    "No Chromium was found, and the page tests need one. Install the system's own (Debian, Ubuntu: apt-get install"
    " chromium; Fedora: dnf install chromium; macOS: Google Chrome), or run `python -m playwright install chromium`,"
    " or name one in CHROMIUM."
)


class NoBrowser(RuntimeError):
    """No Chromium on this machine; the message says how to get one."""


def browser_path() -> str:
    """The Chromium to drive: the one named in CHROMIUM, else the system's, else Playwright's own. Raises NoBrowser."""
    named = os.environ.get("CHROMIUM", "")
    found = [shutil.which(name) for name in ([named] if named else NAMES)]
    return next((path for path in [*found, *_elsewhere(named)] if path), None) or _missing()


def _elsewhere(named: str) -> list[str]:
    if named:
        return []
    return [path for path in (*_MAC, _playwrights_own()) if path and Path(path).is_file()]


def _playwrights_own() -> str:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def _missing() -> str:
    raise NoBrowser(_NONE)


if __name__ == "__main__":
    try:
        print(browser_path())
    except NoBrowser as none:
        sys.exit(str(none))
