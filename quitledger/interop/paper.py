"""Paper: a sheet set by typst as PDF/A-2a and PDF/UA-1, its data given as JSON. Text can be selected, fonts are within.

The sheets lie in `paper/` (*.typ); `_frame.typ` is what they share. Noto Sans TC comes as a package; a character that it
lacks is looked for in the fonts of the machine (fonts-cns11643 knows the rare ones of names). One that no font has is
printed as 〓 with its number, never dropped in silence.
"""

import json
import re
from datetime import date, datetime, time
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import pylopdf_fonts_zh_tw
import typst

from quitledger.policy import TAIPEI

SHEETS = Path(__file__).parent / "paper"
_STANDARDS: list[Any] = ["a-2a", "ua-1"]
_MISSING = re.compile(r"the (?:text|character) `\"?(.+?)\"?`")
_ESCAPED = re.compile(r"\\u\{([0-9a-f]+)\}")  # how typst names what cannot be seen
_MOST_MISSING = 50  # characters of one sheet without a font: then something else is wrong
_one_at_a_time = Lock()  # a compiler keeps what it set last


def pdf(sheet: str, data: dict[str, Any], *, day: date) -> bytes:
    """The sheet of that name with `data`. The same data on the same `day` give the same bytes."""
    made_at = datetime.combine(day, time(), TAIPEI)
    text = json.dumps(data, ensure_ascii=False)
    with _one_at_a_time:
        for _ in range(_MOST_MISSING):
            try:
                made = _compiler().compile(
                    SHEETS / f"{sheet}.typ", format="pdf", sys_inputs={"data": text}, pdf_standards=_STANDARDS,
                    timestamp=int(made_at.timestamp()),
                )  # fmt: skip
            except typst.TypstError as error:
                text = _without(text, error)
                continue
            assert isinstance(made, bytes)
            return made
    raise ValueError("too many characters without a font")


@cache
def _compiler() -> typst.Compiler:
    """One for each process: it keeps fonts and sheets."""
    folder = Path(pylopdf_fonts_zh_tw.__file__).parent
    fonts = typst.Fonts(include_system_fonts=True, include_embedded_fonts=False, font_paths=[str(folder)])
    return typst.Compiler(root=str(SHEETS), font_paths=fonts)


def _without(text: str, error: typst.TypstError) -> str:
    """The data without the characters that no font has. Raises the error where it is about something else."""
    found = _MISSING.search(str(error)) if "could not be displayed" in str(error) else None
    signs = _ESCAPED.sub(lambda code: chr(int(code[1], 16)), found[1]) if found else ""
    left = text
    for sign in signs:
        left = left.replace(sign, f"〓(U+{ord(sign):X})")
    if left == text:
        raise error
    return left
