"""Files that somebody might attach: good ones, and those that are made to harm. Made here, byte by byte."""

import struct
import zlib
from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from PIL import Image
from pypdf import PdfWriter
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    NameObject,
    TextStringObject,
)

TAIPEI_101 = (25.033964, 121.564468)  # a position that must not be kept
CAMERA = "Example Camera 9"


def a_pdf(pages: int = 1, words: str = "") -> bytes:
    """Empty pages; `words` make one differ from another."""
    writer = PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(595, 842)
    writer.add_metadata({"/Title": words or "test"})
    return written(writer)


def written(writer: PdfWriter) -> bytes:
    file = BytesIO()
    writer.write(file)
    return file.getvalue()


def with_action(action: str, **entries: Any) -> bytes:
    """A PDF that does something when it is opened."""
    writer = PdfWriter()
    writer.add_blank_page(595, 842)
    values = {NameObject("/Type"): NameObject("/Action"), NameObject("/S"): NameObject(f"/{action}")}
    values |= {NameObject(f"/{name}"): TextStringObject(text) for name, text in entries.items()}
    writer._root_object[NameObject("/OpenAction")] = DictionaryObject(values)
    return written(writer)


def with_script() -> bytes:
    return with_action("JavaScript", JS="app.alert(1)")


def with_script_of_a_field() -> bytes:
    """Not on opening, but deep in an annotation of a page."""
    writer = PdfWriter()
    page = writer.add_blank_page(595, 842)
    script = DictionaryObject({NameObject("/S"): NameObject("/JavaScript"), NameObject("/JS"): TextStringObject("x()")})
    field = DictionaryObject({
        NameObject("/Type"): NameObject("/Annot"), NameObject("/Subtype"): NameObject("/Widget"),
        NameObject("/AA"): DictionaryObject({NameObject("/K"): script}),
    })  # fmt: skip
    page[NameObject("/Annots")] = ArrayObject([writer._add_object(field)])
    return written(writer)


def with_name_in_disguise() -> bytes:
    """/JavaScript written as /J#61vaScript, which is the same name."""
    return with_script().replace(b"/JavaScript", b"/J#61vaScript").replace(b"/JS", b"/J#53")


def with_file() -> bytes:
    writer = PdfWriter()
    writer.add_blank_page(595, 842)
    writer.add_attachment("tool.exe", b"MZ")
    return written(writer)


def with_script_in_object_stream() -> bytes:
    """The action lies packed in an object stream: no word of it is in the bytes of the file."""
    action = b"<</Type/Action/S/JavaScript/JS(x)>>"
    packed = zlib.compress(b"4 0 " + action)
    parts = [
        b"1 0 obj\n<</Type/Catalog/Pages 2 0 R/OpenAction 4 0 R>>\nendobj\n",
        b"2 0 obj\n<</Type/Pages/Kids[3 0 R]/Count 1>>\nendobj\n",
        b"3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>\nendobj\n",
        b"5 0 obj\n<</Type/ObjStm/N 1/First 4/Filter/FlateDecode/Length %d>>\nstream\n" % len(packed)
        + packed + b"\nendstream\nendobj\n",
    ]  # fmt: skip
    return with_xref_stream(parts, in_stream={4: (5, 0)})


def a_swelling_pdf(bytes_unpacked: int = 300_000_000) -> bytes:
    """An object stream that swells to a thousandfold when it is unpacked."""
    packer, packed = zlib.compressobj(9), BytesIO()
    packed.write(packer.compress(b"4 0 <</Type/Action/S/None>>"))
    block = b" " * 50_000_000
    for _ in range(bytes_unpacked // len(block)):
        packed.write(packer.compress(block))
    packed.write(packer.flush())
    content = packed.getvalue()
    parts = [
        b"1 0 obj\n<</Type/Catalog/Pages 2 0 R/OpenAction 4 0 R>>\nendobj\n",
        b"2 0 obj\n<</Type/Pages/Kids[3 0 R]/Count 1>>\nendobj\n",
        b"3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>\nendobj\n",
        b"5 0 obj\n<</Type/ObjStm/N 1/First 4/Filter/FlateDecode/Length %d>>\nstream\n" % len(content)
        + content + b"\nendstream\nendobj\n",
    ]  # fmt: skip
    return with_xref_stream(parts, in_stream={4: (5, 0)})


def with_xref_stream(parts: list[bytes], in_stream: dict[int, tuple[int, int]]) -> bytes:
    """A PDF of these objects, with the table as a stream: `in_stream` number → (object stream, place)."""
    body, places = b"%PDF-1.7\n", {}
    for part in parts:
        places[int(part.split()[0])] = len(body)
        body += part
    number, start = 6, len(body)
    places[number] = start
    rows = b""
    for one in range(number + 1):
        if one in places:
            rows += struct.pack(">BIH", 1, places[one], 0)
        elif one in in_stream:
            rows += struct.pack(">BIH", 2, *in_stream[one])
        else:
            rows += struct.pack(">BIH", 0, 0, 65535)
    packed = zlib.compress(rows)
    head = b"%d 0 obj\n<</Type/XRef/Size %d/W[1 4 2]/Root 1 0 R/Filter/FlateDecode/Length %d>>\nstream\n" % (
        number, number + 1, len(packed)
    )  # fmt: skip
    return body + head + packed + b"\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % start


def encrypted(password: str = "secret") -> bytes:
    writer = PdfWriter()
    writer.add_blank_page(595, 842)
    writer.encrypt(user_password=password, owner_password="owner", algorithm="AES-256")
    return written(writer)


def restricted() -> bytes:
    """Opens without a password, but says that it may not be printed."""
    return encrypted("")


def a_picture(
    kind: str = "jpeg", size: tuple[int, int] = (40, 30), colour: Any = (200, 30, 30), **options: Any
) -> bytes:
    file = BytesIO()
    Image.new("RGB", size, colour).save(file, format=kind, **options)
    return file.getvalue()


def a_photograph() -> bytes:
    """Taken with the camera turned by a quarter, with position, camera and a comment; left half red, right half blue."""
    image = Image.new("RGB", (80, 40), (250, 0, 0))
    image.paste((0, 0, 250), (40, 0, 80, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it right
    exif[0x010F] = CAMERA
    degrees = [(25.0, 2.0, 2.27), (121.0, 33.0, 52.1)]
    exif[0x8825] = {1: "N", 2: degrees[0], 3: "E", 4: degrees[1]}
    file = BytesIO()
    image.save(file, format="jpeg", exif=exif, comment=b"taken at home", quality=95)
    return file.getvalue()


def a_scan_with_text() -> bytes:
    """A PNG with a text chunk."""
    from PIL.PngImagePlugin import PngInfo

    told = PngInfo()
    told.add_text("Author", CAMERA)
    return a_picture("png", pnginfo=told)


def a_moving_picture() -> bytes:
    file = BytesIO()
    frames = [Image.new("RGB", (10, 10), (shade, 0, 0)) for shade in (0, 90, 180)]
    frames[0].save(file, format="png", save_all=True, append_images=frames[1:], duration=50)
    return file.getvalue()


def a_swelling_picture(side: int = 40_000) -> bytes:
    """A PNG of 1.6 thousand million pixels in a few kilobytes."""
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\x00" * 1_000_000, 9)

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def a_zip() -> bytes:
    """A file that swells."""
    file = BytesIO()
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        archive.writestr("0", b"\x00" * 5_000_000)
    return file.getvalue()


def noise(length: int) -> bytes:
    """Bytes that no program packs."""
    import random

    return random.Random(7).randbytes(length)
