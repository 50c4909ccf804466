"""Files of the desk's lists: one fault a file, the ways in which spreadsheets write the same, and what a trial leaves."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from django.db import connection

from quitledger.accounts.scope import scoped
from quitledger.institutions import imports
from quitledger.institutions.imports import CHANGED, NEW, SAME, ImportReport
from quitledger.institutions.lists import CONTRACT_COLUMNS, QUOTA_COLUMNS
from quitledger.institutions.models import Contract, InstitutionDetails
from quitledger.interop.sheets import ods_file
from quitledger.policy.problem import Refused
from quitledger.portal.register_lists import REGISTERS

from .. import world
from .make_faulty import CLINIC, CONTRACTS, FILES, FOLDER, PHARMACY, QUOTAS, content_of, xlsx


@pytest.fixture
def desk(db: Any) -> Iterator[Any]:
    """The desk supervisor, in the agency's scope, as the application role."""
    actor = world.actor("desk_supervisor")
    with scoped(actor):
        yield actor


def imported(name: str, content: bytes, by: Any, *, good: bool = False, trial: bool = False) -> ImportReport:
    """Import a file of a list."""
    register = REGISTERS[name]
    rows = imports.read_table(content, register.columns, most_rows=100)
    return imports.import_rows(
        rows, register.columns, register.make, register.record, good_rows_only=good, trial=trial, by=by
    )


def csv(*lines: tuple[str, ...], encoding: str = "utf-8") -> bytes:
    """A CSV file."""
    return "".join(",".join(line) + "\r\n" for line in lines).encode(encoding)


def journal_entries() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit_journal")
        return int(cursor.fetchone()[0])


# --- One fault a file ------------------------------------------------------------------------------------------------


def test_the_files_are_those_that_are_described() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(FILES)
    assert [name for name in FILES if (FOLDER / name).read_bytes() != content_of(name)] == []


def test_every_list_has_a_file_with_a_fault() -> None:
    assert {faulty.register for faulty in FILES.values()} == set(REGISTERS)


@pytest.mark.parametrize("name", FILES)
def test_one_fault_is_named_with_its_line_and_nothing_is_recorded(desk: Any, name: str) -> None:
    faulty, content = FILES[name], (FOLDER / name).read_bytes()
    before = journal_entries()
    if faulty.line is None:
        with pytest.raises(Refused) as refused:
            imported(faulty.register, content, desk)
        problems = refused.value.problems
    else:
        report = imported(faulty.register, content, desk)
        assert [line for line, _ in report.refused] == [faulty.line]
        assert report.recorded == 0
        problems = report.refused[0][1]
    assert [problem.code for problem in problems] == [faulty.code]
    assert all(problem.message.endswith("。") for problem in problems)
    assert journal_entries() == before, "all or nothing"


def test_the_good_rows_alone_are_recorded_where_that_was_chosen(desk: Any) -> None:
    content = (FOLDER / "rows_overlap_each_other.csv").read_bytes()
    report = imported("contracts", content, desk, good=True)
    assert (report.recorded, [line for line, _ in report.refused]) == (1, [3])
    assert Contract.objects.get(institution=world.institution(PHARMACY)).ends_on == date(2024, 12, 31)


# --- The same, written otherwise -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        csv(QUOTAS, (CLINIC, "114", "用藥", "120")),
        csv(QUOTAS, (CLINIC, "114", "用藥", "120"), encoding="utf-8-sig"),
        csv(QUOTAS, (CLINIC, "114", "用藥", "120"), encoding="cp950"),
        csv(QUOTAS, (f" {CLINIC} ", "2025", "用藥 ", " 120")),
        csv(("示範資料：人員、機構與就醫紀錄皆為虛構。",), QUOTAS, (CLINIC, "114", "用藥", "120"), ("", "", "", "")),
        csv(("備註", *QUOTAS), ("", CLINIC, "114", "用藥", "120")),
        xlsx((QUOTAS, (CLINIC, 114, "用藥", 120))),
        xlsx((QUOTAS, (int(CLINIC), "114", "用藥", "120"))),
        xlsx((QUOTAS, (CLINIC, "114", "用藥", "120")), formulas={"120": "100+20"}),
        xlsx((("民國 114 年",), (), QUOTAS, (CLINIC, "114", "用藥", "120"))),
        ods_file("人次上限", ["民國 114 年"], QUOTAS, [(CLINIC, 114, "用藥", 120)]),
    ],
)
def test_however_a_spreadsheet_writes_it_it_is_the_same_row(content: bytes) -> None:
    ((_, cells),) = imports.read_table(content, QUOTA_COLUMNS, most_rows=100)
    values, problems = imports.read_cells(cells, QUOTA_COLUMNS)
    assert problems == []
    assert values == {"institution_code": CLINIC, "year": 2025, "kind": "medication", "visits": 120}


def test_a_day_of_a_spreadsheet_is_that_day() -> None:
    row = (CLINIC, date(2025, 4, 1), "114/4/30", "")
    for content in (xlsx((CONTRACTS, row)), ods_file("合約", [], CONTRACTS, [row])):
        ((_, cells),) = imports.read_table(content, CONTRACT_COLUMNS, most_rows=100)
        values, problems = imports.read_cells(cells, CONTRACT_COLUMNS)
        assert (values["starts_on"], values["ends_on"], problems) == (date(2025, 4, 1), date(2025, 4, 30), [])


def test_notes_above_the_titles_do_not_count_as_rows() -> None:
    content = csv(("示範資料",), QUOTAS, *((CLINIC, "114", "用藥", "120"),) * 100)
    assert [line for line, _cells in imports.read_table(content, QUOTA_COLUMNS, most_rows=100)] == [*range(3, 103)]
    with pytest.raises(Refused, match="file-too-many-rows"):
        imports.read_table(content, QUOTA_COLUMNS, most_rows=99)


# --- Trials, repetitions ----------------------------------------------------------------------------------------------


def test_a_trial_says_what_would_be_done_and_does_nothing(desk: Any) -> None:
    content = csv(CONTRACTS, (CLINIC, "113/1/1", "114/2/28", "停業"), (PHARMACY, "113/1/1", "", ""))
    before = journal_entries()
    report = imported("contracts", content, desk, trial=True)
    assert [row.did for row in report.rows] == [CHANGED, SAME]
    assert (report.recorded, report.kept) == (0, False)
    assert journal_entries() == before
    assert Contract.objects.get(institution=world.institution()).ends_on is None


def test_the_same_file_twice_records_nothing_twice(desk: Any) -> None:
    content = csv(CONTRACTS, (CLINIC, "113/1/1", "114/2/28", "停業"), (CLINIC, "114/5/1", "", ""))
    assert [row.did for row in imported("contracts", content, desk).rows] == [CHANGED, NEW]
    before = journal_entries()
    assert [row.did for row in imported("contracts", content, desk).rows] == [SAME, SAME]
    assert journal_entries() == before
    assert Contract.objects.filter(institution=world.institution()).count() == 2


def test_a_file_with_the_old_code_still_finds_the_institution(desk: Any) -> None:
    titles = ("醫事機構代碼", "機構名稱", "層級別", "縣市", "起日", "新代碼")
    change = csv(titles, (CLINIC, "示範戒菸診所", "西醫診所", "臺北市", "114/3/1", "9900000046"))
    assert [row.did for row in imported("institutions", change, desk).rows] == [CHANGED]
    institution = InstitutionDetails.objects.get(code="9900000046").institution
    for code in (CLINIC, "9900000046"):
        report = imported("quotas", csv(QUOTAS, (code, "114", "衛教", code[-2:])), desk)
        assert report.refused == []
    (quota,) = institution.quotas.all()
    assert quota.visits == 46
    assert [row.did for row in imported("institutions", change, desk).rows] == [SAME], "and this file, too"
