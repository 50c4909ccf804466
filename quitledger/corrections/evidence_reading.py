"""Looks at a file that somebody sent as evidence: a program of its own, given the bytes and nothing else.

What parses strangers' files may loop, swell or fall over. So this runs apart from the site, with limits on memory and
time, without the site's environment (no key, no address of the database), and answers in one line what it found, followed
by the bytes to be kept. What a file is, it says by its content alone; name and header are never asked.

    python -m quitledger.corrections.evidence_reading < file > answer
"""

import json
import resource
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any

MOST_MEMORY = 1 << 30  # bytes of address space
MOST_SECONDS = 15  # of the processor
MOST_PIXELS = 50_000_000  # of a picture: A4 at 600 dots an inch has 35 million
JPEG_QUALITY = 92  # of 100: small print of a scan stays as it was
_SIGNATURES = {b"%PDF-": "pdf", b"\xff\xd8\xff": "jpeg", b"\x89PNG\r\n\x1a\n": "png"}
# Actions and things in a PDF that do something, or bring something along. (Names of ISO 32000, 7.7, 7.11, 12.6, 13.)
_ACTIONS = {
    "/JavaScript", "/Launch", "/ImportData", "/SubmitForm", "/GoToE", "/Rendition", "/Movie", "/Sound", "/GoTo3DView",
    "/RichMediaExecute",
}  # fmt: skip
_SUBTYPES = {"/RichMedia", "/FileAttachment", "/Screen", "/Movie", "/Sound", "/3D"}
_KEYS = {"/JS", "/JavaScript", "/EmbeddedFiles", "/EF", "/XFA", "/RichMediaContent"}
_AFTER_THE_END = b"\x00\t\n\x0c\r \x1a"  # what scanners leave there


@dataclass(frozen=True)
class Look:
    """What a file is: pdf, jpeg or png; `pages` of a PDF, `width` and `height` of a picture, in pixels as it is shown."""

    kind: str
    pages: int | None = None
    width: int | None = None
    height: int | None = None


class NotTaken(Exception):
    """Why a file is not taken: a code of evidence.REFUSALS."""


def look(content: bytes) -> tuple[Look, bytes]:
    """What a file is, and the bytes to be kept: a PDF's as they are, a picture's made anew. Raises NotTaken."""
    kind = next((kind for start, kind in _SIGNATURES.items() if content.startswith(start)), None)
    if kind is None:
        raise NotTaken("kind-unknown")
    return _pdf(content) if kind == "pdf" else _picture(content, kind)


# --- Pictures --------------------------------------------------------------------------------------------------------


def _picture(content: bytes, kind: str) -> tuple[Look, bytes]:
    """The pixels alone, turned as they are to be seen: no position, no camera, no thumbnail, nothing behind the end."""
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = None  # ours is asked before anything is unpacked
    try:
        with Image.open(BytesIO(content), formats=["JPEG", "PNG"]) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise NotTaken("picture-too-large")
            if kind == "png" and getattr(opened, "is_animated", False):
                raise NotTaken("picture-moves")
            plain = _in_plain_colours(ImageOps.exif_transpose(opened), kind)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise NotTaken("unreadable") from None
    plain.info = {}
    kept = BytesIO()
    options: dict[str, Any] = {"quality": JPEG_QUALITY} if kind == "jpeg" else {}
    plain.save(kept, format=kind, **options)
    return Look(kind, width=plain.width, height=plain.height), kept.getvalue()


def _in_plain_colours(image: Any, kind: str) -> Any:
    """A mode that its format keeps without profiles."""
    if image.mode.startswith(("I", "F")):  # sixteen bits a grey
        return image.point(lambda level: level / 256).convert("L")
    if kind == "jpeg":
        return image if image.mode in ("L", "RGB") else image.convert("RGB")
    if image.mode in ("1", "L", "LA", "RGB", "RGBA") and "transparency" not in image.info:
        return image
    if image.mode == "P" and "transparency" not in image.info:
        return image
    return image.convert("RGBA")


# --- PDF -------------------------------------------------------------------------------------------------------------


def _pdf(content: bytes) -> tuple[Look, bytes]:
    """A PDF that is one to its end, is not encrypted, and holds nothing that acts or is carried along, as far as is seen."""
    from pypdf import PdfReader
    from pypdf.errors import LimitReachedError, PyPdfError
    from pypdf.generic import IndirectObject

    end = content.rfind(b"%%EOF")
    if end < 0:
        raise NotTaken("unreadable")
    if content[end + len(b"%%EOF") :].strip(_AFTER_THE_END):
        raise NotTaken("pdf-more")
    try:
        reader = PdfReader(BytesIO(content), strict=False)
        if reader.is_encrypted:
            raise NotTaken("pdf-encrypted")
        for number, generation in _numbers(reader):
            _refuse_active(reader.get_object(IndirectObject(number, generation, reader)))
        _refuse_active(reader.trailer)
        pages = len(reader.pages)
    except LimitReachedError:
        raise NotTaken("too-much") from None
    # What cannot be read through and through is not taken: it could hold anything.
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, OSError):
        raise NotTaken("unreadable") from None
    if not pages:
        raise NotTaken("unreadable")
    return Look("pdf", pages=pages), content


def _numbers(reader: Any) -> set[tuple[int, int]]:
    """Every object that a table of the file names, used or not: (number, generation)."""
    plain = {(number, generation) for generation, numbers in reader.xref.items() for number in numbers if number}
    return plain | {(number, 0) for number in reader.xref_objStm}


def _refuse_active(found: Any) -> None:
    """Raises NotTaken where an object, or what lies within it, does something or carries something along."""
    waiting = [found]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            named = {str(part.raw_get(key)) if hasattr(part, "raw_get") else str(part[key]) for key in ("/S", "/Subtype", "/Type") if key in part}  # fmt: skip
            if named & (_ACTIONS | _SUBTYPES | {"/EmbeddedFile"}) or _KEYS & part.keys():
                raise NotTaken("pdf-active")
            waiting += dict.values(part)
        elif isinstance(part, list):
            waiting += list.__iter__(part)


# --- The program -----------------------------------------------------------------------------------------------------


def main() -> None:
    """Read a file, answer in a line of JSON and, where it is taken, with the bytes to be kept."""
    for limit, most in ((resource.RLIMIT_CPU, MOST_SECONDS), (resource.RLIMIT_AS, MOST_MEMORY)):
        with suppress(ValueError, OSError):  # a system may know none
            resource.setrlimit(limit, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        found, kept = look(sys.stdin.buffer.read())
        answer, kept = json.dumps(asdict(found)), kept
    except NotTaken as reason:
        answer, kept = json.dumps({"refused": str(reason)}), b""
    except (MemoryError, RecursionError):
        answer, kept = json.dumps({"refused": "too-much"}), b""
    sys.stdout.buffer.write(answer.encode() + b"\n" + kept)


if __name__ == "__main__":
    main()
