"""The rules of the house that a reader would otherwise have to check by eye (docs/adr, pyproject.toml)."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from datetime import time
from functools import cache
from pathlib import Path
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext
from importlinter.cli import lint_imports

from quitledger.accounts.scope import scoped
from quitledger.visits import rules
from quitledger.visits.services import record_visit

from . import world

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "quitledger"
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts)
RULES = sorted(PACKAGE.glob("*/rules.py"))
SERVICES = sorted(PACKAGE.glob("*/*services.py"))
ROOMS = sorted({path.parent.name for path in PACKAGE.glob("*/apps.py")} | {"policy", "interop", "files"})


def name_of(path: Path) -> str:
    """A path as it is shown in a test's name."""
    return str(path.relative_to(ROOT))


def test_rooms_only_look_down(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True) == 0


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_says_what_it_is_for_in_half_a_page(room):
    text = (PACKAGE / room / "README.md").read_text(encoding="utf-8")
    assert 200 < len(text) < 4000


NO_NAME = re.compile(r"^_?(utils?|helpers?|common|core|constants?|managers?|handlers?|misc)$")


def test_nothing_is_named_after_nothing():
    names = [
        path for folder in ("quitledger", "tests") for path in (ROOT / folder).rglob("*") if path.suffix in ("", ".py")
    ]
    assert [name_of(path) for path in names if NO_NAME.match(path.stem)] == []


# --- No number of the programme in code ------------------------------------------------------------------------------

# Numbers that no agency decides, and what they are.
NUMBERS = {
    7,  # days of a week
    31,  # days that surely lead from the first of a month into the next
    200, 500, 1000,  # characters: widths of columns
    10,  # items of an application: what its page shows at once
}  # fmt: skip


@pytest.mark.parametrize("path", RULES, ids=name_of)
def test_rules_hold_no_number_of_the_programme(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    numbers = {
        node.value: node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value not in (0, 1)
    }
    assert {value: line for value, line in numbers.items() if value not in NUMBERS} == {}


# --- Writers ---------------------------------------------------------------------------------------------------------


@cache
def functions_of(path: Path) -> list[ast.FunctionDef]:
    """The functions and methods of a module."""
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)]


@cache
def called(node: ast.AST) -> set[str]:
    """The names of what is called in a piece of code: `f` of f(…), `save` of x.save(…), `journal.record`."""
    names = set()
    for call in (part for part in ast.walk(node) if isinstance(part, ast.Call)):
        if isinstance(call.func, ast.Name):
            names.add(call.func.id)
        elif isinstance(call.func, ast.Attribute):
            names |= {call.func.attr, ast.unparse(call.func)}
    return names


WRITES = {"create", "get_or_create", "update_or_create", "bulk_create", "bulk_update", "save", "atomic"}
# Writers of the owner's commands, which fill what policy says and tell of it themselves (ops.database.maintain).
# Whoever sets his password with a one-time code is nobody yet: the code says that he may.
NOT_ON_ANYBODYS_BEHALF = {"fill_calendar", "accept_code"}


@cache
def functions_of_room(path: Path) -> dict[str, ast.FunctionDef]:
    """The functions of all modules of a module's room, by name."""
    return {function.name: function for module in path.parent.glob("*.py") for function in functions_of(module)}


def reached(function: ast.FunctionDef, functions: dict[str, ast.FunctionDef]) -> set[str]:
    """What a function calls, by itself or through other functions of its room."""
    found, waiting = set(), [function]
    while waiting:
        new = called(waiting.pop()) - found
        found |= new
        waiting += [functions[name] for name in new if name in functions]
    return found


def writers() -> Iterator[tuple[Path, ast.FunctionDef]]:
    """Every public function of a …services.py that writes, by itself or through functions of its room."""
    for path in SERVICES:
        for function in functions_of(path):
            if not function.name.startswith("_") and reached(function, functions_of_room(path)) & WRITES:
                yield path, function


WRITERS = [(path, function) for path, function in writers() if function.name not in NOT_ON_ANYBODYS_BEHALF]


def test_writers_are_found():
    assert {"record_visits", "record_visit", "register_case", "record_baseline", "extend_window", "add_account"} <= {
        function.name for _, function in WRITERS
    }


@pytest.mark.parametrize(("path", "writer"), WRITERS, ids=[function.name for _, function in WRITERS])
def test_every_writer_says_for_whom_it_writes_asks_whether_he_may_and_journals_it(path, writer):
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    by = inspect.signature(getattr(module, writer.name)).parameters.get("by")
    assert by is not None, "takes by="
    assert by.kind is inspect.Parameter.KEYWORD_ONLY
    reaches = reached(writer, functions_of_room(path))
    assert "by.require" in reaches
    # An import of many rows is its writer of one row, which journals, many times.
    assert reaches & {"journal.record", "journal.entry", "import_rows"}
    assert ast.get_docstring(writer)


MODELS = {model.__name__ for model in apps.get_models() if model.__module__.startswith("quitledger.")}
BY_ROW = {"save", "delete", "bulk_create", "bulk_update", "get_or_create", "update_or_create"}
BY_QUERY = {"create", "update", "delete"}  # of Model.objects…; dictionaries have an update, too
RAW = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM|TRUNCATE|COPY)\s+(\w*_\w+|\{\})", re.ASCII)
# What writes without being a …services.py, and why.
EXCEPTIONS = {
    "quitledger/visits/written.py": {
        "save",
        "delete",
        "{}",
        "visits_visit",
    },  # the second half of the writers in visits.services
    # the statements of visits.services.recompute_courses
    "quitledger/visits/course_records.py": {"course_of_service", "visits_course", "visits_coursefinding"},
    "quitledger/corrections/evidence_reading.py": {"save"},  # a picture made anew, no row
    "quitledger/interop/correction_form.py": {"save"},  # a QR code, no row
    "quitledger/accounts/sessions.py": {"accounts_session"},  # that one was used: no fact, and at every page
    "quitledger/portal/sign_in.py": {"save"},  # one's own password, through Django's form
    "quitledger/audit/journal.py": {"audit_journal"},
    "quitledger/audit/staging.py": {"{}"},  # of whoever calls it
    "quitledger/audit/checkpoints.py": {"audit_checkpoint"},
    "quitledger/audit/rewriting.py": {"audit_rewriting"},
    "quitledger/ops/database.py": {"audit_database"},  # the clock of a demo database
    "quitledger/ops/jobs.py": {"accounts_session", "accounts_attempt"},
    "quitledger/ops/synthesis.py": {"{}"},  # a made-up nation, copied as the owner into an empty demo or test database
}


def writes_of(path: Path) -> set[str]:
    """How a module writes rows: the methods it calls for it, the tables its SQL names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            model = re.match(r"(\w+)\.objects\b", ast.unparse(node.func))
            if node.func.attr in BY_ROW or (node.func.attr in BY_QUERY and model and model[1] in MODELS):
                found.add(node.func.attr)
        elif isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            found |= set(RAW.findall("".join(parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= set(RAW.findall(node.value))
    return found


@pytest.mark.parametrize("path", [path for path in SOURCES if path not in SERVICES], ids=name_of)
def test_rows_are_written_by_services_alone(path):
    assert writes_of(path) == EXCEPTIONS.get(name_of(path), set())


def test_a_row_is_not_deleted_by_any_service():
    """A visit is voided, staff leave by an end date: what was recorded stays. A draft is no record, nor is a means to
    sign in; of evidence taken out of a draft the row stays, its file goes."""
    deleting = {
        function.name for path in SERVICES for function in functions_of(path) if "delete" in called(function)
    }  # fmt: skip
    assert deleting == {
        "discard_draft", "end_sessions", "reset_second_factor", "remove_evidence",
        "choose_columns", "check_batch", "_check_rows", "_record_all", "_empty", "remove_comparison",  # held, no records
    }  # fmt: skip


# --- Few statements --------------------------------------------------------------------------------------------------

MOST_STATEMENTS = 12


def test_a_visit_is_recorded_with_few_statements(db):
    recorder = world.actor("recorder")
    with scoped(recorder):
        case, staff = world.case(), {name: world.staff(name).uid for name in ("示範丑", "示範子")}
        entry = rules.Entry(
            uuid4(), world.TODAY, time(9, 0), rules.Medication(staff["示範丑"], (rules.Line(world.PATCH, 2),)),
            rules.Counselling(staff["示範子"]),
        )  # fmt: skip
        with CaptureQueriesContext(connection) as captured:
            record_visit(case=case, entry=entry, by=recorder)
    statements = [query["sql"] for query in captured.captured_queries]
    assert 0 < len(statements) <= MOST_STATEMENTS, statements


# --- Indexes that are asked ------------------------------------------------------------------------------------------


def test_no_index_repeats_the_beginning_of_another(db):
    """It would be written with every row and never be needed. What Django and its applications bring is theirs."""
    tables = [model._meta.db_table for model in apps.get_models() if model.__module__.startswith("quitledger.")]
    with connection.cursor() as cursor:
        cursor.execute(_REPEATED, [tables])
        repeated = [name for (name,) in cursor.fetchall()]
        cursor.execute("SELECT count(*) FROM pg_index WHERE indrelid = ANY (%s::regclass[])", [tables])
        assert cursor.fetchone()[0] > len(tables)
    assert not repeated


_REPEATED = """
SELECT one.indexrelid::regclass::text FROM pg_index one JOIN pg_class c ON c.oid = one.indexrelid
JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree' JOIN pg_index other ON other.indrelid = one.indrelid
JOIN pg_class o ON o.oid = other.indexrelid AND o.relam = c.relam
WHERE one.indrelid = ANY (%s::regclass[]) AND NOT one.indisunique AND other.indnkeyatts > one.indnkeyatts
  AND one.indpred IS NULL AND other.indpred IS NULL AND one.indexprs IS NULL AND other.indexprs IS NULL
  AND (one.indkey::int2[])[0:one.indnkeyatts - 1] = (other.indkey::int2[])[0:one.indnkeyatts - 1]
  AND (one.indclass::oid[])[0:one.indnkeyatts - 1] = (other.indclass::oid[])[0:one.indnkeyatts - 1]
"""
