"""Reports: what they say, their one text and fingerprint, and what differs between two."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from hashlib import sha256

import pytest
from hypothesis import given

from quitledger.statistics.annual import AnnualTables, as_printed
from quitledger.statistics.measures import HIDDEN, Basis, Period
from quitledger.statistics.reports import Difference, Report, compare

from .made import PRINTED, a_report, printed_tables, tables, with_clinics


def said(report: Report, table: str) -> dict[str, list[str]]:
    """What is printed of a table, by the label of the row."""
    (found,) = (one for one in report.tables if one.name == table)
    return {str(row.label): [figure.said for figure in figures] for row, figures in found.printed_rows}


def test_the_tables_are_those_that_were_printed() -> None:
    report = a_report()
    first, second, third = (
        said(report, name) for name in ("table_1_institutions", "table_2_staff", "table_3_services")
    )
    assert first["西醫診所"] == ["1,375", "1,031", "74.98"]
    assert second["合計（不重複）"] == ["11,477", "6,695", "58.33"]
    assert third["藥局"] == ["49,040", "48,194", "4.2", "4.1"]
    assert list(first) == [row["tier_zh"] for row in PRINTED["table_1_institutions"]["rows"]] + ["合計"]
    assert said(report, "persons_served") == {"合計": ["116,996"]}
    assert "服務人員" in str(report.tables[1].title)


@given(tables())
def test_the_report_says_what_the_tables_say_and_reads_back_from_its_text(counted: AnnualTables) -> None:
    report, printed = a_report(counted), as_printed(counted)
    assert Report.read(report.text) == report
    assert Report.read(report.text).fingerprint == report.fingerprint
    for name in ("table_1_institutions", "table_2_staff"):
        rows = [list(row.values())[2:] for row in printed[name]["rows"]] + [list(printed[name]["total"].values())]
        assert list(said(report, name).values()) == [[f"{a:,}", f"{b:,}", rate] for a, b, rate in rows]
    third = [list(row.values())[2:] for row in printed["table_3_services"]["rows"]]
    assert list(said(report, "table_3_services").values())[:7] == [[f"{a:,}", f"{b:,}", c, d] for a, b, c, d in third]


def test_its_text_is_json_in_one_form_and_its_fingerprint_is_that_of_the_text() -> None:
    report = a_report()
    found = json.loads(report.text)
    assert report.text == json.dumps(found, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert report.fingerprint == sha256(report.text.encode()).hexdigest()
    assert found["tables"][0]["rows"][0]["figures"][0] == {"count": 24, "said": "24"}
    assert (found["roc_year"], found["first"], found["last"], found["basis"]) == (
        113,
        "2024-01-01",
        "2024-12-31",
        "any_day",
    )
    assert found["data_at"] == "2025-03-15T09:30:01.000250+08:00"
    assert found["definitions"][0]["statement"].strip()


def test_the_same_moment_in_another_zone_is_the_same_report() -> None:
    report = a_report()
    assert a_report(data_at=report.data_at.astimezone(UTC)).fingerprint == report.fingerprint


def test_whether_it_says_what_was_looked_at_does_not_hang_on_the_moment_and_does_on_all_else() -> None:
    report = a_report()
    later = replace(report, data_at=datetime(2025, 4, 1, tzinfo=UTC))
    assert later.looked_at == report.looked_at
    assert later.fingerprint != report.fingerprint
    others = [
        a_report(number=2), a_report(previous=(1, "0" * 64)), a_report(basis=Basis.LAST_DAY), a_report(database="demo"),
        a_report(with_clinics(printed_tables(), 1_032, 1_375)), replace(report, definitions=report.definitions[1:]),
        replace(report, last=date(2024, 12, 30)),
    ]  # fmt: skip
    assert len({report.looked_at, *(other.looked_at for other in others)}) == len(others) + 1


def test_what_stands_in_no_tier_is_told_of_only_where_there_is_any() -> None:
    counted = printed_tables()
    assert "不明" not in said(a_report(counted), "table_3_services")
    stray = replace(counted.medication.total, group=None, numerator=3, denominator=2)
    counted = replace(counted, medication=replace(counted.medication, cells=(*counted.medication.cells, stray)))
    third = said(a_report(counted), "table_3_services")
    assert third["不明"] == ["3", "0", "1.5", "—"]
    assert list(third)[-2:] == ["不明", "合計"]
    assert "不明" not in said(a_report(counted), "table_1_institutions")


def test_a_count_that_is_not_told_stays_untold() -> None:
    """Cells may come hidden: neither the figure nor the text says more."""
    counted = printed_tables()
    total = counted.persons.total
    report = a_report(replace(counted, persons=replace(counted.persons, total=replace(total, numerator=None))))  # type: ignore[arg-type]
    (row,) = report.tables[3].rows
    assert (row.figures[0].said, row.figures[0].count) == (HIDDEN, None)
    assert "116" not in json.dumps(json.loads(report.text)["tables"][3]["rows"])


def test_a_part_of_a_year_is_no_whole_one() -> None:
    part = Period.year(2024, date(2024, 6, 30))
    counted = replace(printed_tables(), period=part)
    assert [a_report().is_whole, a_report(counted).is_whole] == [True, False]


# --- Comparing -------------------------------------------------------------------------------------------------------


@given(tables())
def test_a_report_does_not_differ_from_itself(counted: AnnualTables) -> None:
    assert compare(a_report(counted), a_report(counted, number=2)).is_same


@given(tables(), tables())
def test_exactly_the_cells_that_say_something_else_differ(one: AnnualTables, other: AnnualTables) -> None:
    before, after = a_report(one), a_report(other)
    was, now = (
        [(t.name, r.name, f.said) for t in report.tables for r in t.rows for f in r.figures]
        for report in (before, after)
    )
    differing = [(a[2], b[2]) for a, b in zip(was, now, strict=True) if a != b]
    assert [(found.before, found.after) for found in compare(before, after).figures] == differing
    assert [(found.after, found.before) for found in compare(after, before).figures] == differing


def test_a_changed_figure_is_told_with_table_row_column_before_and_after() -> None:
    found = compare(a_report(), a_report(with_clinics(printed_tables(), 1_032, 1_375)))
    assert found.figures == (
        Difference("表 1", "西醫診所", "執行特約機構數", "1,031", "1,032"),  # type: ignore[arg-type]
        Difference("表 1", "西醫診所", "執行率", "74.98", "75.05"),  # type: ignore[arg-type]
    )
    assert not found.is_same
    assert not found.is_other_period


def test_cells_that_only_one_of_them_has_are_told() -> None:
    counted = printed_tables()
    stray = replace(counted.institutions.total, group=None, numerator=0, denominator=1)
    more = replace(counted, institutions=replace(counted.institutions, cells=(*counted.institutions.cells, stray)))
    come = compare(a_report(), a_report(more)).figures
    gone = compare(a_report(more), a_report()).figures
    assert [(one.row, one.column, one.before, one.after) for one in come] == [
        ("不明", "合約特約機構數", None, "1"), ("不明", "執行特約機構數", None, "0"), ("不明", "執行率", None, "0.00"),
    ]  # fmt: skip
    assert [(one.before, one.after) for one in gone] == [(one.after, one.before) for one in come]


@pytest.mark.parametrize("other", [
    a_report(basis=Basis.LAST_DAY), replace(a_report(), last=date(2024, 6, 30)), replace(a_report(), first=date(2024, 2, 1)),
])  # fmt: skip
def test_another_period_or_basis_is_told(other: Report) -> None:
    found = compare(a_report(), other)
    assert (found.figures, found.definitions, found.is_other_period, found.is_same) == ((), (), True, False)


def test_indicators_that_are_defined_otherwise_are_named() -> None:
    report = a_report()
    first, *rest = report.definitions
    changed = replace(report, definitions=(replace(first, statement="SELECT 1"), *rest))
    assert compare(report, changed).definitions == (first.title,)
    assert not compare(report, changed).is_same
    fewer = replace(report, definitions=tuple(rest))
    assert compare(report, fewer).definitions == compare(fewer, report).definitions == (first.title,)
