"""docs/security/asvs.md stays whole and true: every requirement once, a verdict each, and tests that are there."""

import ast
import csv
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "security" / "asvs.md"
NUMBERS = ROOT / "docs" / "security" / "asvs-5.0.0.csv"  # number and level of every requirement of level 1 and 2

HOLDS, GAP, NOT_HERE = "holds", "gap", "does not apply"
WHO = re.compile(r"\b(?:we|operator|agency): ?", re.IGNORECASE)  # does something about a gap
TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")
FILE = re.compile(r"`((?:docs|quitledger|tests)/[\w./-]+|pyproject\.toml|requirements\.txt)`")
LINK = re.compile(r"\]\(([^)#]+)(?:#([\w-]+))?\)")


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    number: str
    level: str
    words: str
    verdict: str
    shown: str


def rows_of(text: str) -> list[Row]:
    """The rows of all tables of a page."""
    cells = [
        [cell.strip() for cell in line.strip("|\n ").split(" | ")]
        for line in text.splitlines()
        if line.startswith("| ")
    ]
    return [Row(*row) for row in cells if row[0][0].isdigit()]


ROWS = rows_of(TABLE.read_text(encoding="utf-8"))


@cache
def found_in(path: Path) -> set[str]:
    """The tests of a file."""
    if not path.exists():
        return set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def faults_of(row: Row) -> list[str]:
    """What is wrong with a row."""
    named = TEST.findall(row.shown)
    found = [f"no test {test} in {file}" for file, test in named if test not in found_in(ROOT / "tests" / file)]
    files = FILE.findall(row.shown)
    found += [f"no file {file}" for file in files if not (ROOT / file).exists()]
    found += [f"no page {page}" for page, _place in LINK.findall(row.shown) if not (TABLE.parent / page).exists()]
    if row.verdict not in (HOLDS, GAP, NOT_HERE):
        found.append("no verdict")
    if row.verdict == HOLDS and not named and not files:
        found.append("holds, and nothing shows it")
    if row.verdict == GAP and not WHO.search(row.shown):
        found.append("a gap, and nobody does anything about it")
    if not row.words or not row.shown:
        found.append("no words")
    return found


def test_every_requirement_of_level_1_and_2_stands_in_the_table_once_and_in_order() -> None:
    with NUMBERS.open(encoding="utf-8", newline="") as file:
        listed = [(number, level) for number, level in csv.reader(file)]
    assert [sum(level == one for _, level in listed) for one in "12"] == [70, 183]
    assert [(row.number, row.level) for row in ROWS] == listed


@pytest.mark.parametrize("row", ROWS, ids=[row.number for row in ROWS])
def test_a_row_has_a_verdict_and_what_it_names_is_there(row: Row) -> None:
    assert faults_of(row) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("| 1.1.1 | 2 | words | holds | `test_house_rules.py::test_that_is_not_there` |", "no test"),
        ("| 1.1.1 | 2 | words | holds | `no/test_file.py::test_rooms_only_look_down` |", "no test"),
        ("| 1.1.1 | 2 | words | holds | everybody knows |", "nothing shows it"),
        ("| 1.1.1 | 2 | words | holds | `docs/security/gone.md` |", "no file"),
        ("| 1.1.1 | 2 | words | gap | somebody might |", "nobody does anything"),
        ("| 1.1.1 | 2 | words | does not apply | as [there](gone.md) |", "no page"),
        ("| 1.1.1 | 2 | words | perhaps | `test_house_rules.py::test_rooms_only_look_down` |", "no verdict"),
    ],
)
def test_a_row_that_is_not_true_is_found(line: str, fault: str) -> None:
    (row,) = rows_of(line)
    assert fault in " ".join(faults_of(row))


def test_the_counts_said_above_the_table_are_those_of_the_table() -> None:
    said = re.search(r"(\d+) hold, (\d+) are gaps, (\d+) do not apply", TABLE.read_text(encoding="utf-8"))
    assert said
    assert [int(number) for number in said.groups()] == [
        sum(row.verdict == verdict for row in ROWS) for verdict in (HOLDS, GAP, NOT_HERE)
    ]
    assert len(ROWS) == int(re.search(r"Each of the (\d+) requirements", TABLE.read_text(encoding="utf-8"))[1])  # type: ignore[index]


def test_every_place_that_the_table_leads_to_is_there() -> None:
    headings = re.findall(r"^## (.+)$", (TABLE.parent / "decisions.md").read_text(encoding="utf-8"), re.MULTILINE)
    places = {heading.lower().replace(" ", "-") for heading in headings}
    led = {place for row in ROWS for page, place in LINK.findall(row.shown) if page == "decisions.md" and place}
    named = {name for row in ROWS for name in re.findall(r"`docs/security/decisions\.md` \(([^)]+)\)", row.shown)}
    assert led <= places
    assert named <= set(headings)


def test_every_exception_from_the_security_rules_says_why() -> None:
    """`# noqa: S608 - reason` (or the reason in the line before)."""
    bare = []
    for path in [*(ROOT / "quitledger").rglob("*.py"), *(ROOT / ".ci").glob("*.py")]:
        lines = path.read_text(encoding="utf-8").splitlines()
        for before, line in zip(["", *lines], lines, strict=False):
            excused = re.search(r"# noqa: S\d+(.*)", line)
            if excused and not excused[1].startswith(" - ") and not before.strip().startswith("#"):
                bare.append(f"{path.relative_to(ROOT)}: {line.strip()}")
    assert bare == []
