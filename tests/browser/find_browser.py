"""Which browser the page tests drive: one that is here already, else one that can be installed.

`python -m tests.browser.find_browser` prints its path; with --install it gets one where there is none.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

# The first is Chromium without its windows, tabs and menus, which nobody sees here: a quarter faster.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_NONE = (
    "No Chromium that starts was found, and the page tests need one. Install the system's own (Debian, Ubuntu: apt-get"
    " install chromium; Fedora: dnf install chromium; macOS: Google Chrome), or run"
    " `.venv/bin/python -m playwright install --with-deps chromium`, or name one in CHROMIUM."
)


class NoBrowser(RuntimeError):
    """No Chromium on this machine; the message says how to get one."""


@cache
def browser_path() -> str:
    """The Chromium to drive: the one named in CHROMIUM, else the system's, else Playwright's own. Raises NoBrowser."""
    for path in _candidates():
        if _starts(path):
            return path
    raise NoBrowser(_NONE)


def _candidates() -> Iterator[str]:
    if named := os.environ.get("CHROMIUM"):
        yield shutil.which(named) or named
        return  # what was meant is not passed over in silence
    yield from filter(None, map(shutil.which, NAMES))
    yield from _MAC
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    yield own


def _starts(path: str) -> bool:
    """Whether the program is there with all its libraries. (Ubuntu's chromium-browser may be a note about snap.)"""
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def install() -> None:
    """Get a browser: as root on Debian or Ubuntu the system's (it brings its libraries), else Playwright's own."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        quietly = {"env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, "stdout": subprocess.DEVNULL}
        subprocess.run(["apt-get", "update", "-qq"], check=False, **quietly)  # type: ignore[call-overload]
        for name in NAMES[:2]:  # Ubuntu has the second alone
            packages = [name, "fonts-noto-cjk"]
            subprocess.run(["apt-get", "install", "-y", "-qq", *packages], check=False, **quietly)  # type: ignore[call-overload]
            if any(_starts(path) for path in filter(None, map(shutil.which, NAMES))):
                return
    waiting = os.environ | {"PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT": "20000"}  # milliseconds
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False, env=waiting)


def main(arguments: list[str]) -> int:
    """Print the path; 1 and the way to get one where there is none."""
    try:
        path = browser_path()
    except NoBrowser as none:
        if "--install" not in arguments:
            print(none, file=sys.stderr)
            return 1
        print("No browser here: getting one …", file=sys.stderr)
        install()
        return main([])
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
