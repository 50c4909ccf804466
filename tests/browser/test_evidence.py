"""A real browser sends files to the real server: one that is taken, one that is too large."""

from datetime import date
from pathlib import Path

import pytest
from playwright.sync_api import expect

from quitledger.corrections.evidence import MEGABYTE
from tests import world
from tests.corrections import files
from tests.corrections.scene import late, written

from . import given


@pytest.fixture(scope="module")
def application(site) -> str:
    with given.the_owner(site):
        return f"/corrections/{written([late(date(2025, 1, 9))], world.actor('recorder')).uid}"


def choose(page, application: str, content: bytes, folder: Path, name: str = "病歷.pdf") -> None:
    (folder / name).write_bytes(content)
    page.goto(f"{application}/evidence")
    page.get_by_label("檔案").set_input_files(folder / name)
    page.get_by_role("button", name="附上檔案").click()


def test_a_document_is_attached_and_taken_away(application, signed_in_as, tmp_path):
    page = signed_in_as("recorder")
    choose(page, application, files.a_pdf(2), tmp_path)
    expect(page.get_by_text("已附上：證明文件 1。")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="證明文件 1").click()
    assert download.value.suggested_filename == "evidence-1.pdf"
    with page.expect_download() as download:
        page.get_by_role("link", name="下載更正申請單").click()
    assert download.value.suggested_filename == "correction-form-draft.pdf"


def test_a_photograph_is_shown(application, signed_in_as, tmp_path):
    page = signed_in_as("recorder")
    choose(page, application, files.a_photograph(), tmp_path, "IMG_1.jpg")
    expect(page.get_by_text("已附上：")).to_be_visible()
    page.get_by_role("region", name="證明文件").get_by_role("listitem").get_by_role("link").last.click()
    assert page.evaluate("[document.images[0].naturalWidth, document.images[0].naturalHeight]") == [40, 80]


@pytest.mark.parametrize("megabytes", [11, 45])
def test_whoever_sends_too_much_sees_why_and_comes_back(application, signed_in_as, megabytes, tmp_path):
    page = signed_in_as("recorder")
    choose(page, application, b"%PDF-" + b"\x00" * (megabytes * MEGABYTE), tmp_path)
    expect(page.get_by_role("heading", name="檔案太大")).to_be_visible()
    page.get_by_role("link", name="再選一個檔案").click()
    expect(page.get_by_role("button", name="附上檔案")).to_be_visible()
