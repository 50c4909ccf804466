"""A published table looked at on its own: the agency's of 113, and tables made wrong in every way."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quitledger.statistics.published import NoTable, findings, rate_percent

from ..ops.commands import assert_told, quitledger

# The tables of the agency's notice, section 肆, as printed.
FILE = Path(__file__).parents[1] / "annual-statistics-113.json"
PRINTED: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))


def found(published: Any) -> list[tuple[str, str, str, str]]:
    return [(one.code, one.table, one.row, one.column) for one in findings(published)]


def changed(table: str, row: int | None, **values: Any) -> dict[str, Any]:
    """The printed tables with one thing otherwise, and the one known difference put right. `row` None: the total."""
    given = deepcopy(PRINTED)
    given["table_3_services"]["total_as_printed"]["medication_visits"] = 215500
    total = "total_as_printed" if table == "table_3_services" else "total"
    (given[table][total] if row is None else given[table]["rows"][row]).update(values)
    return given


def test_in_the_printed_tables_one_thing_disagrees() -> None:
    (one,) = findings(PRINTED)
    assert (one.code, one.table, one.column) == ("total-not-sum", "table_3_services", "medication_visits")
    assert one.message == "表 3「合計」用藥人次：公布 217,500，各列相加為 215,500，相差 2,000。"


def test_a_consistent_table_has_nothing_to_tell() -> None:
    assert findings(changed("table_1_institutions", 0)) == []


@pytest.mark.parametrize(
    ("table", "row", "values", "expected"),
    [
        ("table_1_institutions", None, {"contracted": 2777, "execution_rate_percent": "73.86"}, [("total-not-sum", "合計", "contracted")]),
        ("table_1_institutions", 1, {"execution_rate_percent": "97.77"}, [("rate-not-of-counts", "區域醫院", "execution_rate_percent")]),
        ("table_1_institutions", 1, {"execution_rate_percent": "97.8"}, [("rate-not-of-counts", "區域醫院", "execution_rate_percent")]),
        ("table_1_institutions", 1, {"execution_rate_percent": "—"}, [("rate-not-of-counts", "區域醫院", "execution_rate_percent")]),
        ("table_2_staff", None, {"contracted": 12919, "execution_rate_percent": "51.82"}, []),  # nobody in two tiers
        ("table_2_staff", None, {"contracted": 12920, "execution_rate_percent": "51.82"}, [("total-not-distinct", "合計", "contracted")]),
        ("table_2_staff", None, {"executing": 1801, "execution_rate_percent": "15.69"}, []),  # all in one tier
        ("table_2_staff", None, {"executing": 1800, "execution_rate_percent": "15.68"}, [("total-not-distinct", "合計", "executing")]),
        ("table_2_staff", 5, {"executing": 166, "execution_rate_percent": "100.61"}, [("executing-more-than-contracted", "牙科診所", "executing")]),
        ("table_3_services", None, {"counselling_visits": 213017}, [("total-not-sum", "合計", "counselling_visits")]),
        ("table_3_services", 0, {"medication_visits": 17431}, [("total-not-sum", "合計", "medication_visits")]),
    ],
)  # fmt: skip
def test_what_disagrees_is_told_and_nothing_else(table: str, row: int | None, values: Any, expected: Any) -> None:
    assert found(changed(table, row, **values)) == [(code, table, label, column) for code, label, column in expected]


def test_nothing_contracted_has_no_rate() -> None:
    rows = [{"tier": "a", "contracted": 0, "executing": 0, "execution_rate_percent": "—"}]
    assert findings({"table_1_institutions": {"rows": rows, "total": rows[0]}}) == []


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_rate_is_rounded_half_up(executing: int, contracted: int) -> None:
    whole = (20_000 * executing + contracted) // (2 * contracted)  # hundredths of a percent
    assert rate_percent(executing, contracted) == f"{whole // 100}.{whole % 100:02}"


@pytest.mark.parametrize(
    ("published", "words"),
    [
        ([], "任何一張表"), ({}, "任何一張表"), ({"table_1_institutions": {}}, "沒有 rows"),
        ({"table_1_institutions": {"rows": [1], "total": {}}}, "第 1 列 不是一列"),
        ({"table_1_institutions": {"rows": PRINTED["table_1_institutions"]["rows"]}}, "total 或 total_as_printed"),
        (changed("table_1_institutions", 0, contracted="24"), "第 1 列 的 contracted"),
        (changed("table_1_institutions", 0, contracted=True), "第 1 列 的 contracted"),
        (changed("table_1_institutions", None, executing=-1), "合計 的 executing"),
        (changed("table_2_staff", 0, execution_rate_percent=39.56), "execution_rate_percent 不是文字"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_told_where(published: Any, words: str) -> None:
    with pytest.raises(NoTable, match=words):
        findings(published)


def written(folder: Path, content: Any) -> str:
    path = folder / "table.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return str(path)


def test_the_command_needs_no_database_and_ends_with_1_where_something_disagrees(tmp_path: Path) -> None:
    nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    outcome = quitledger("statistics", "check", written(tmp_path, PRINTED), **nowhere)
    assert_told(outcome, "公布 217,500，各列相加為 215,500，相差 2,000", "1 處不符")
    outcome = quitledger("statistics", "check", "--json", written(tmp_path, PRINTED), **nowhere)
    assert [(one["code"], one["column"]) for one in json.loads(outcome.stdout)] == [
        ("total-not-sum", "medication_visits")
    ]
    outcome = quitledger("statistics", "check", written(tmp_path, changed("table_2_staff", 0)), **nowhere)
    assert (outcome.returncode, "全部相符" in outcome.stdout) == (0, True)
    for content in ("{", "[]", '{"table_2_staff": {"rows": []}}'):
        assert_told(quitledger("statistics", "check", written(tmp_path, content), **nowhere))
