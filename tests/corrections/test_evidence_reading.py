"""What a file is, and what of it is kept: attacks one by one, through the program that the site runs."""

import os
import subprocess
import sys
from io import BytesIO

import pytest
from PIL import Image

from quitledger.corrections.evidence import REFUSALS, looked_at
from quitledger.corrections.evidence_reading import Look
from quitledger.policy.problem import Problem

from . import files


def taken(content: bytes) -> tuple[Look, bytes]:
    found = looked_at(content)
    assert not isinstance(found, Problem), found
    return found


def refused(content: bytes) -> str:
    found = looked_at(content)
    assert isinstance(found, Problem), found[0]
    assert found.field == "file"
    return found.code.removeprefix("evidence-")


def test_a_pdf_is_kept_as_it_is_with_its_pages_counted():
    content = files.a_pdf(3)
    assert taken(content) == (Look("pdf", pages=3), content)


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_a_picture_is_made_anew(kind):
    found, kept = taken(files.a_picture(kind))
    assert found == Look(kind, width=40, height=30)
    assert Image.open(BytesIO(kept)).format == kind.upper()


def test_a_photograph_is_turned_and_says_neither_where_nor_with_what_it_was_taken():
    content = files.a_photograph()
    assert files.CAMERA.encode() in content
    found, kept = taken(content)
    assert (found.width, found.height) == (40, 80)
    image = Image.open(BytesIO(kept))
    assert dict(image.getexif()) == {}
    assert not {"exif", "comment", "icc_profile", "photoshop", "xmp"} & image.info.keys()
    assert files.CAMERA.encode() not in kept
    assert b"taken at home" not in kept
    assert image.getpixel((20, 10))[0] > 200, "the red half is above now"
    assert image.getpixel((20, 70))[2] > 200


def test_the_text_of_a_png_is_not_kept():
    content = files.a_scan_with_text()
    assert files.CAMERA.encode() in content
    assert files.CAMERA.encode() not in taken(content)[1]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_png_of_every_kind_of_colour_is_taken(mode):
    file = BytesIO()
    Image.new(mode, (12, 9)).save(file, format="png")
    assert taken(file.getvalue())[0] == Look("png", width=12, height=9)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_jpeg_of_every_kind_of_colour_is_taken(mode):
    file = BytesIO()
    Image.new(mode, (12, 9)).save(file, format="jpeg")
    assert taken(file.getvalue())[0].kind == "jpeg"


def test_what_stands_behind_a_picture_is_not_kept():
    """A picture and an archive (or a page with a script) in one."""
    for content in (files.a_picture("jpeg"), files.a_picture("png")):
        _found, kept = taken(content + files.a_zip() + b"<script>alert(1)</script>")
        assert b"PK\x03\x04" not in kept
        assert b"<script" not in kept


REFUSED = {
    "a page": (b"<!DOCTYPE html><script>alert(1)</script>", "kind-unknown"),
    "a drawing with a script": (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "kind-unknown"),
    "an archive": (files.a_zip(), "kind-unknown"),
    "a program": (b"MZ\x90\x00" + b"\x00" * 100, "kind-unknown"),
    "a GIF": (files.a_picture("gif"), "kind-unknown"),
    "a TIFF": (files.a_picture("tiff"), "kind-unknown"),
    "a PDF that does not begin as one": (b"<html>" + files.a_pdf(), "kind-unknown"),
    "a PDF after a blank": (b"\n" + files.a_pdf(), "kind-unknown"),
    "a PDF and an archive": (files.a_pdf() + files.a_zip(), "pdf-more"),
    "half a PDF": (files.a_pdf()[:300], "unreadable"),
    "a PDF that is none": (b"%PDF-1.7\n" + files.noise(5_000) + b"\n%%EOF", "unreadable"),
    "a PDF that is empty": (b"%PDF-1.7\n%%EOF\n", "unreadable"),
    "half a JPEG": (files.a_picture("jpeg", (800, 600))[:1_500], "unreadable"),
    "a JPEG that is none": (b"\xff\xd8\xff\xe0" + files.noise(5_000), "unreadable"),
    "half a PNG": (files.a_picture("png", (800, 600))[:300], "unreadable"),
    "a picture that swells": (files.a_swelling_picture(), "picture-too-large"),
    "a moving picture": (files.a_moving_picture(), "picture-moves"),
    "an encrypted PDF": (files.encrypted(), "pdf-encrypted"),
    "a restricted PDF": (files.restricted(), "pdf-encrypted"),
    "a script on opening": (files.with_script(), "pdf-active"),
    "a script of a field": (files.with_script_of_a_field(), "pdf-active"),
    "a script in disguise": (files.with_name_in_disguise(), "pdf-active"),
    "a packed script": (files.with_script_in_object_stream(), "pdf-active"),
    "a program started": (files.with_action("Launch", F="cmd.exe"), "pdf-active"),
    "a form sent off": (files.with_action("SubmitForm", F="https://evil.example"), "pdf-active"),
    "a file within": (files.with_file(), "pdf-active"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(name):
    content, code = REFUSED[name]
    assert refused(content) == code


def test_a_pdf_that_swells_is_refused_and_takes_no_memory_of_the_site():
    content = files.a_swelling_pdf()
    assert len(content) < 1_000_000
    assert refused(content) == "too-much"


def test_a_look_that_takes_too_long_or_too_much_ends(monkeypatch):
    def run(words, **options):
        raise subprocess.TimeoutExpired(words, options["timeout"])

    monkeypatch.setattr(subprocess, "run", run)
    assert refused(b"x") == "too-much"
    monkeypatch.setattr(subprocess, "run", lambda words, **_: subprocess.CompletedProcess(words, -9, b"", b""))
    assert refused(b"x") == "too-much", "the system ended it"


def test_links_bookmarks_and_a_first_page_to_open_are_no_harm():
    assert taken(files.with_action("URI", URI="https://example.org"))[0].kind == "pdf"
    assert taken(files.with_action("GoTo", D="first"))[0].kind == "pdf"


def test_every_refusal_says_what_to_do():
    assert {code for _content, code in REFUSED.values()} | {"too-much"} == REFUSALS.keys()


def test_the_program_is_given_no_key_and_no_address_of_the_database(monkeypatch):
    seen = {}

    def run(words, **options):
        seen.update(options)
        return subprocess.CompletedProcess(words, 0, b'{"kind": "pdf", "pages": 1}\n%PDF', b"")

    monkeypatch.setattr(subprocess, "run", run)
    looked_at(b"x")
    assert seen["env"] == {}
    assert os.environ["QUITLEDGER_KEYS_FILE"]


def test_the_program_knows_no_django():
    code = "import sys, quitledger.corrections.evidence_reading; print('django' in sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, env={}, check=True)
    assert done.stdout == "False\n"
