"""證明文件 by pages: attach, take out, open; what is too large; what a browser is told; and the paper beside it."""

from io import BytesIO
from typing import Any
from uuid import UUID

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from pypdf import PdfReader

from quitledger.accounts.scope import scoped
from quitledger.corrections.evidence import MEGABYTE, REFUSALS
from quitledger.corrections.models import Application, Evidence
from quitledger.corrections.services import sign_application, submit_application
from quitledger.policy.identity import make_up
from quitledger.portal.evidence import MOST_REQUEST_BYTES

from .. import world
from ..corrections import files
from ..corrections.scene import late, step, written
from .conftest import Browser, journaled

DOTS = "../../etc/秘密的檔名 示範甲.pdf"


@pytest.fixture
def draft(db: Any) -> Application:
    with step("recorder") as by:
        return written([late()], by)


def at_the_desk(draft: Application) -> None:
    """It was signed and sent: what is a draft is the institution's own."""
    with step("recorder") as by:
        version = submit_application(application=draft, version=draft.version, by=by).version
    with step("supervisor") as by:
        sign_application(application=draft, version=version, by=by)


def page_of(application: Application, name: str = "correction_attach", **more: UUID) -> str:
    return reverse(name, kwargs={"uid": application.uid, **more})


def send(browser: Browser, application: Application, content: bytes, name: str = "a.pdf") -> Any:
    return browser.post(page_of(application), {"file": SimpleUploadedFile(name, content)})


def pieces() -> list[Evidence]:
    with scoped(world.SYSTEM):
        return list(Evidence.objects.all())


def test_a_file_is_attached_listed_and_opened(draft, browse):
    browser = browse("recorder")
    answer = send(browser, draft, files.a_pdf(2), DOTS)
    assert (answer.status_code, answer["Location"]) == (302, page_of(draft, "correction_show"))
    page = browser.get(answer["Location"]).text
    for words in ("已附上：證明文件 1。", "PDF，2 頁", "1 份", "開啟文件會留下查閱紀錄", "示範子"):
        assert words in page
    for secret in ("秘密的檔名", "etc", "passwd"):
        assert secret not in page.partition("<main")[2]
    (evidence,) = pieces()
    with journaled() as entries:
        opened = browser.get(page_of(draft, "correction_evidence", evidence=evidence.uid))
    assert opened.content == files.a_pdf(2)
    assert [(one.action, one.uids[0]) for one in entries] == [("evidence.read", evidence.uid)]


def test_a_browser_takes_a_pdf_away_and_shows_a_picture_without_any_power(draft, browse):
    browser = browse("recorder")
    send(browser, draft, files.a_pdf())
    send(browser, draft, files.a_photograph(), "IMG_0001.HEIC")
    pdf, picture = [browser.get(page_of(draft, "correction_evidence", evidence=evidence.uid)) for evidence in pieces()]
    assert pdf["Content-Type"] == "application/pdf"
    assert pdf["Content-Disposition"] == 'attachment; filename="evidence-1.pdf"'
    assert picture["Content-Type"] == "image/jpeg"
    assert picture["Content-Disposition"] == 'inline; filename="evidence-2.jpeg"'
    assert files.CAMERA.encode() not in picture.content
    for answer in (pdf, picture):
        policy = [part.strip() for part in answer["Content-Security-Policy"].split(";")]
        assert ("sandbox" in policy) is (answer is pdf)
        assert ("script-src 'none'" in policy) is (answer is picture)
        assert "default-src 'none'" in policy
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Cache-Control"] == "no-store"
        assert answer["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (files.a_zip(), "kind-unknown"),
        (files.with_script(), "pdf-active"),
        (files.encrypted(), "pdf-encrypted"),
        (files.a_pdf() + files.a_zip(), "pdf-more"),
    ],
)
def test_why_a_file_is_not_taken_stands_beside_the_field_and_above(draft, browse, content, code):
    answer = send(browse("recorder"), draft, content)
    assert answer.status_code == 422
    page = answer.text.partition("<main")[2]
    assert "還沒附上：有 1 項需要修正" in page
    assert str(REFUSALS[code]) in page
    assert pieces() == []


def test_no_file_and_an_empty_one(draft, browse):
    browser = browse("recorder")
    answer = browser.post(page_of(draft), {})
    assert answer.status_code == 422
    assert "請填檔案。" in answer.text
    assert "這個檔案是空的" in send(browser, draft, b"").text


@pytest.mark.parametrize(
    "name",
    [DOTS, "..", "/", "C:\\temp\\a.exe", "a.pdf.exe", "\u202efdp.exe", "x" * 300, "a\r\nX-Evil: 1.pdf", "<script>.pdf"],
)
def test_the_name_of_a_file_means_nothing(draft, browse, name):
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="'
        + name.replace("\r\n", "%0D%0A").encode() + b'"\r\nContent-Type: text/html\r\n\r\n' + files.a_pdf() + b"\r\n--x--\r\n"
    )  # fmt: skip
    answer = browse("recorder").generic("POST", page_of(draft), body, content_type="multipart/form-data; boundary=x")
    if name in ("..", "/"):  # Django knows no file of such a name
        assert answer.status_code == 422
    else:
        assert answer.status_code == 302
        assert [one.kind for one in pieces()] == ["pdf"]
    assert "X-Evil" not in answer.headers


def test_a_file_above_the_limit_is_refused_in_words(draft, browse):
    answer = send(browse("recorder"), draft, b"%PDF-" + b"\x00" * (10 * MEGABYTE))
    assert answer.status_code == 422
    assert "檔案超過 10 MB" in answer.text
    assert "一份證明文件的大小上限" in answer.text, "the rule behind it"


def test_a_request_of_a_hundred_megabytes_is_refused_and_never_lies_in_memory(draft, browse):
    asked: list[int] = []

    class Endless(BytesIO):
        def read(self, size: int = -1) -> bytes:
            asked.append(size)
            return b"x" * min(size, 100 * MEGABYTE)

    answer = browse("recorder").generic(
        "POST", page_of(draft), b"", content_type="multipart/form-data; boundary=x",
        **{"CONTENT_LENGTH": str(100 * MEGABYTE), "wsgi.input": Endless()},
    )  # fmt: skip
    assert answer.status_code == 413
    assert (set(asked), len(asked)) == ({65_536}, 1600), "heard out, in pieces, so that a browser shows the answer"
    assert "一份檔案最大 10 MB" in answer.text
    assert f'href="{page_of(draft)}"' in answer.text
    assert MOST_REQUEST_BYTES > 10 * MEGABYTE
    elsewhere = browse("recorder").generic("POST", "/cases/find", b"", CONTENT_LENGTH=str(6_000_000))
    assert elsewhere.status_code == 400, "no other page takes so much"


def test_a_file_that_is_sent_never_lies_on_a_disk(settings_of_uploads):
    assert settings_of_uploads == ["django.core.files.uploadhandler.MemoryFileUploadHandler"]


@pytest.fixture
def settings_of_uploads() -> list[str]:
    from django.conf import settings

    assert settings.FILE_UPLOAD_MAX_MEMORY_SIZE > MOST_REQUEST_BYTES, "the handler declines what is longer"
    return list(settings.FILE_UPLOAD_HANDLERS)


def test_taken_out_of_a_draft_it_is_gone_and_after_that_nothing_can_be(draft, browse):
    browser = browse("recorder")
    send(browser, draft, files.a_pdf(1))
    send(browser, draft, files.a_pdf(2))
    first, second = pieces()
    for _ in range(2):
        answer = browser.post(page_of(draft, "correction_detach", evidence=first.uid))
        assert answer.status_code == 302
    assert browser.get(page_of(draft, "correction_evidence", evidence=first.uid)).status_code == 404
    page = browser.get(page_of(draft)).text.partition("<main")[2]
    assert "證明文件 2" in page
    assert "證明文件 1<" not in page.partition("<table")[2]
    with step("recorder") as by:
        submit_application(application=draft, version=1, by=by)
    answer = browser.post(page_of(draft, "correction_detach", evidence=second.uid))
    assert answer.status_code == 422
    assert "送出的證明文件不能移除" in answer.text
    page = browser.get(page_of(draft)).text
    assert "附上檔案" not in page
    assert "移除" not in page.partition("<main")[2]
    answer = send(browser, draft, files.a_pdf(3))
    assert answer.status_code == 422
    assert "這件申請現在是「待簽核」，不能附上文件" in answer.text


def test_of_another_institution_nothing_is_there(draft, browse):
    send(browse("recorder"), draft, files.a_pdf())
    (evidence,) = pieces()
    stranger = browse("stranger")
    for name in ("correction_attach", "correction_form", "correction_show"):
        assert stranger.get(page_of(draft, name)).status_code == 404
    assert send(stranger, draft, files.a_pdf(2)).status_code == 404
    assert stranger.post(page_of(draft, "correction_attach_sheet")).status_code == 404
    assert stranger.get(page_of(draft, "correction_evidence", evidence=evidence.uid)).status_code == 404
    assert stranger.post(page_of(draft, "correction_detach", evidence=evidence.uid)).status_code == 404
    other = Application(uid=world.uid("no application"))
    answer = browse("recorder").get(page_of(other, "correction_evidence", evidence=evidence.uid))
    assert answer.status_code == 404, "it is that application's alone"


def words_of(answer: Any) -> str:
    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Disposition"].startswith("attachment; ")
    return "".join(page.extract_text() for page in PdfReader(BytesIO(answer.content)).pages)


@pytest.mark.parametrize("name", ["case_sheet", "correction_form"])
def test_paper_has_the_whole_number_only_where_the_institution_asks_for_it_by_the_button(draft, browse, name):
    number = make_up(1)
    at_the_desk(draft)
    page = reverse(name, kwargs={"uid": draft.case.uid if name == "case_sheet" else draft.uid})
    action = name.replace("_", ".")
    for username, method, whole in (
        ("recorder", "get", False), ("recorder", "post", True), ("desk_officer", "get", False), ("desk_officer", "post", False)
    ):  # fmt: skip
        with journaled() as entries:
            words = words_of(getattr(browse(username), method)(page))
        assert (number in words) is whole
        assert "示範甲" in words
        shown = ["identity.show"] if whole else []
        assert [one.action for one in entries] == [*shown, action]
        assert all(number not in one.text for one in entries)


def test_the_case_sheet_is_attached_once_masked(draft, browse):
    browser = browse("recorder")
    for _ in range(2):
        answer = browser.post(page_of(draft, "correction_attach_sheet"))
        assert answer.status_code == 302
    (evidence,) = pieces()
    assert evidence.called == "個案紀錄表 1"
    words = words_of(browser.get(page_of(draft, "correction_evidence", evidence=evidence.uid)))
    assert "個案紀錄表" in words
    assert make_up(1) not in words


def test_the_desk_reads_what_the_institution_attached(draft, browse):
    send(browse("recorder"), draft, files.a_pdf())
    (evidence,) = pieces()
    desk = browse("desk_officer")
    assert desk.get(page_of(draft)).status_code == 404
    at_the_desk(draft)
    page = desk.get(page_of(draft)).text
    assert "證明文件 1" in page
    assert "附上檔案" not in page
    assert desk.get(page_of(draft, "correction_evidence", evidence=evidence.uid)).status_code == 200
    assert desk.post(page_of(draft, "correction_detach", evidence=evidence.uid)).status_code == 403
