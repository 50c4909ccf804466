"""The catalogue of the English pages: gathers our texts, keeps quitledger/locale/en in step, compiles it.

    python .ci/messages.py           gather, merge into the .po, compile the .mo
    python .ci/messages.py --check   say what is missing, no longer used or not compiled; exit 1

Texts are those of templates ({% translate %}, {% blocktranslate %}), of gettext calls, of Sentence, Words and Problem, and
of the policy files, whose own English (title_en, subject_en) goes into the catalogue as it stands there.
"""

import ast
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import yaml
from babel.messages import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation.template import templatize

PACKAGE = Path(__file__).resolve().parents[1] / "quitledger"
PO = PACKAGE / "locale" / "en" / "LC_MESSAGES" / "django.po"
FIRST_ARGUMENT = {"_", "gettext", "gettext_lazy", "Words", "Sentence"}
CHINESE = re.compile("[一-鿿：，、；（）「」。]")
FIRST = datetime(2025, 1, 1, tzinfo=UTC)  # a date that moved at every run would be a change at every run
PLACES = re.compile(r"%\(\w+\)s|\{\w+\}")
Message = str | tuple[str, str]


def of_templates() -> Iterator[Message]:
    """Texts of the templates, plurals as pairs."""
    keywords = {"gettext": None, "_": None, "ngettext": (1, 2)}
    for path in sorted(PACKAGE.rglob("templates/**/*.html")):
        source = BytesIO(templatize(path.read_text(encoding="utf-8")).encode())
        for _line, message, _comments, _context in extract("python", source, keywords=keywords):
            yield message


def of_python() -> Iterator[Message]:
    """Texts of the code: what is given to FIRST_ARGUMENT, to ngettext, and the second argument of Problem."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "migrations" in path.parts or "ops" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            texts = [text.value for text in node.args if isinstance(text, ast.Constant) and isinstance(text.value, str)]
            if name in FIRST_ARGUMENT and texts and node.args[0] in node.args[:1]:
                yield texts[0]
            elif name == "ngettext":
                yield texts[0], texts[1]
            elif name == "Problem" and len(texts) > 1:
                yield texts[1]


def of_data() -> Iterator[tuple[str, str]]:
    """Texts of the policy files and of the questions, with their English where it stands there."""
    for path in sorted(PACKAGE.glob("policy/data/*.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        yield content["subject"], content["subject_en"]
        for entry in content["parameters"]:
            yield entry["title"], entry["title_en"]
            yield from (
                (text, "") for text in (entry["unit"], entry["when_broken"]["explanation"], entry.get("note")) if text
            )
            yield from ((text, "") for text in (entry.get("words") or {}).values())
            yield from ((value["note"], "") for value in entry["values"] if value.get("note"))
    for path in (*sorted(PACKAGE.glob("cases/data/*.yaml")), PACKAGE / "policy" / "countries.yaml"):
        yield from ((text, "") for text in _chinese(yaml.safe_load(path.read_text(encoding="utf-8"))))


def _chinese(content: object) -> Iterator[str]:
    if isinstance(content, dict):
        for part in content.values():
            yield from _chinese(part)
    elif isinstance(content, list):
        for part in content:
            yield from _chinese(part)
    elif isinstance(content, str) and CHINESE.search(content):
        yield content


def gathered() -> Catalog:
    """All texts, once each, in the order of their Chinese: so that a change moves nothing else."""
    english: dict[Message, str] = {}
    for message in [*of_templates(), *of_python()]:
        if CHINESE.search(message[0] if isinstance(message, tuple) else message):
            english.setdefault(message, "")
    for text, own in of_data():
        english[text] = own or english.get(text, "")
    plurals = {message[0] for message in english if isinstance(message, tuple)}
    catalog = Catalog(locale="en", charset="utf-8", fuzzy=False, creation_date=FIRST, revision_date=FIRST)
    for message in sorted(english, key=lambda message: message if isinstance(message, str) else message[0]):
        if isinstance(message, tuple):
            catalog.add(message, ("", ""))
        elif message not in plurals:
            catalog.add(message, english[message])
    return catalog


# Chinese that is no text of a page: what is parsed or stored, files' titles, messages of commands, names of columns, the
# agency's forms.
NOT_ON_PAGES = {
    "corrections/diagram.py",  # a page of the documentation
    "batches/columns.py",  # titles and cells of files
    "accounts/keys.py", "accounts/services.py", "audit/signing.py", "interop/annual_file.py", "interop/case_sheet.py", "interop/correction_form.py", "policy/command.py", "policy/pages.py", "policy/roc_dates.py",
    "policy/reader.py", "policy/roc_formats.py", "portal/downloads.py", "portal/query.py", "settings.py", "visits/command.py", "visits/written.py",
}  # fmt: skip
NO_TEXTS = {"示範甲", "編號", "版本", "筆數", " 月"}  # a made-up name, titles of files' columns, part of a Chinese date
HAN = re.compile("[一-鿿]")


def unmarked(marked: set[str]) -> Iterator[str]:
    """Chinese of the rooms that nobody marked as a text, so that it would stay Chinese on an English page."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if "migrations" in path.parts or name.startswith("ops/") or name in NOT_ON_PAGES or name.endswith("models.py"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and id(node) not in told and HAN.search(text) and text not in marked | NO_TEXTS:
                yield f"{name}:{node.lineno}: not marked as a text: {text}"


def merged() -> tuple[Catalog, Catalog]:
    """The texts with the English that the .po has for them; and the .po as it stands."""
    old = read_po(PO.open("rb"), locale="en") if PO.exists() else Catalog(locale="en")
    new = gathered()
    for message in new:
        known = old.get(message.id if isinstance(message.id, str) else message.id[0])
        if message.id and known is not None and not any(_texts(message.string)):
            message.string = known.string
    return new, old


def _texts(string: object) -> list[str]:
    return list(string) if isinstance(string, tuple | list) else [str(string or "")]


def faults() -> list[str]:
    """What keeps the catalogue from being in step."""
    new, old = merged()
    found = []
    for message in new:
        chinese = message.id if isinstance(message.id, str) else message.id[0] if message.id else ""
        if not chinese:
            continue
        if not all(_texts(message.string)):
            found.append(f"no English: {chinese}")
        for english in filter(None, _texts(message.string)):
            if chinese[-1] in "。：" and english[-1] != " ":
                found.append(f"no space at the end, which English needs before what follows: {chinese}")
            if set(PLACES.findall(english)) - set(PLACES.findall(chinese)):
                found.append(f"other places to fill in: {chinese} / {english}")
    ids = {message.id if isinstance(message.id, str) else message.id[0] for message in new if message.id}
    found += [f"no longer used: {one}" for one in sorted(_ids(old) - ids)]
    found += [f"not in the .po: {one}" for one in sorted(ids - _ids(old))]
    found += unmarked(ids)
    if not found and PO.with_suffix(".mo").read_bytes() != compiled(old):
        found.append("the .mo is not that of the .po")
    return found


def _ids(catalog: Catalog) -> set[str]:
    return {message.id if isinstance(message.id, str) else message.id[0] for message in catalog if message.id}


def compiled(catalog: Catalog) -> bytes:
    """The .mo of a catalogue."""
    packed = BytesIO()
    write_mo(packed, catalog)
    return packed.getvalue()


def main() -> int:
    settings.configure()
    if "--check" in sys.argv:
        found = faults()
        print("\n".join(found[:50]) if found else "The English catalogue is in step.")
        return 1 if found else 0
    new, _old = merged()
    PO.parent.mkdir(parents=True, exist_ok=True)
    with PO.open("wb") as file:
        write_po(file, new, width=0, omit_header=False, no_location=True, ignore_obsolete=True)
    PO.with_suffix(".mo").write_bytes(compiled(read_po(PO.open("rb"), locale="en")))
    missing = [one for one in faults() if one.startswith("no English")]
    print(f"{len(_ids(new))} texts, {len(missing)} without English.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
