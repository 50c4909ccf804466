"""The answer while too many ask at once: in words, in the reader's language, with what was typed, with every header."""

import json
import re
from io import BytesIO
from typing import Any

import pytest
from django.test import override_settings

from quitledger.portal.busy import RETRY_AFTER, refusal

from .conftest import FORM

CHINESE = re.compile("[一-鿿：，、；（）「」。]")


def asked(path: str = "/visits", method: str = "GET", body: bytes = b"", **environ: Any) -> tuple[str, dict, str]:
    """Status, headers and text of the answer."""
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "", "CONTENT_TYPE": FORM,
        "wsgi.input": BytesIO(body), **environ,
    }  # fmt: skip
    status, headers, content = refusal()(environ)
    return status, dict(headers), content.decode()


@pytest.mark.parametrize(("method", "said"), [("GET", "這一頁還沒有打開"), ("POST", "這次送出的內容還沒有存入")])
def test_it_says_what_was_not_done_and_what_to_do(method, said):
    status, headers, text = asked(method=method)
    assert status == "429 Too Many Requests"
    assert headers["Retry-After"] == str(RETRY_AFTER)
    assert headers["Cache-Control"] == "no-store"
    assert said in text
    assert f"請等 {RETRY_AFTER} 秒" in text
    assert "先前已登錄的資料都在" in text


def test_it_tells_the_browser_what_every_other_page_tells_it(browse):
    page = browse("recorder").get("/")
    own = {"Content-Length", "Cache-Control", "Retry-After", "Vary", "Expires", "Content-Language", "Set-Cookie"}
    ours = {name: value for name, value in page.headers.items() if name not in own}
    told = {name: value for name, value in asked()[1].items() if name not in own}
    assert "Content-Security-Policy" in ours
    assert told == ours


def test_over_https_it_tells_browsers_to_stay_there():
    https = override_settings(
        SECURE_SSL_REDIRECT=True, SECURE_HSTS_SECONDS=31_536_000, SECURE_HSTS_INCLUDE_SUBDOMAINS=True,
        SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    )  # fmt: skip
    with https:
        assert asked()[1]["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/visits", "/accounts/login"])
def test_it_is_in_english_for_whoever_reads_english(path, method):
    _, _, text = asked(path, method, HTTP_COOKIE="sessionid=x; language=en")
    assert '<html lang="en">' in text
    assert CHINESE.findall(text) == []
    assert "language=en" not in asked(HTTP_COOKIE="my_language=en")[2]


def test_a_page_is_asked_for_again_with_its_question():
    text = asked(QUERY_STRING="first=114%2F3%2F1&tags=on_time&tags=late")[2]
    assert '<form method="get"' in text
    assert '<input type="hidden" name="first" value="114/3/1">' in text
    assert text.count('name="tags"') == 2


def test_what_was_typed_stands_in_it_and_stays_text():
    text = asked(method="POST", body=b"note=%22%3E%3Cscript%3E&empty=")[2]
    assert '<form method="post"' in text
    assert 'name="note" value="&quot;&gt;&lt;script&gt;"' in text
    assert 'name="empty" value=""' in text


@pytest.mark.parametrize("path", ["/accounts/login", "/accounts/password", "/invitation"])
def test_passwords_and_codes_do_not_stand_in_it(path):
    text = asked(path, "POST", b"password=demo-leaf-77-river")[2]
    assert "demo-leaf" not in text
    assert "<form" not in text
    assert "上一頁" in text


def test_a_file_that_was_sent_is_sent_from_its_form_again():
    text = asked(method="POST", body=b"--x", CONTENT_TYPE="multipart/form-data; boundary=x")[2]
    assert "<form" not in text
    assert "上一頁" in text


def test_a_program_is_answered_in_json():
    _, headers, text = asked("/visits.json")
    assert headers["Content-Type"] == "application/json"
    assert headers["Retry-After"] == str(RETRY_AFTER)
    assert json.loads(text) == {"error": "同時使用的人太多，請稍後再試。", "retry_after": RETRY_AFTER}
    assert CHINESE.findall(asked("/visits.json", HTTP_COOKIE="language=en")[2]) == []
