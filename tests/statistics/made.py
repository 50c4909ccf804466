"""Reports of made-up figures: what the agency printed for 113, and whatever Hypothesis thinks of."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from quitledger.institutions.models import Tier
from quitledger.policy import TAIPEI
from quitledger.statistics.annual import AnnualTables
from quitledger.statistics.indicators import Grouping, Measure, indicators
from quitledger.statistics.measures import Basis, Cell, Measured, Period
from quitledger.statistics.reports import Report, draw_up

PRINTED = json.loads((Path(__file__).parents[1] / "annual-statistics-113.json").read_text(encoding="utf-8"))
YEAR = Period.year(2024)
MARCH_15 = datetime(2025, 3, 15, 9, 30, 1, 250, tzinfo=TAIPEI)
Counts = Sequence[tuple[int | None, int | None]]


def measured(name: str, rows: Counts, total: tuple[int | None, int | None], period: Period = YEAR) -> Measured:
    """An indicator by tier."""
    about = indicators()[name]
    cells = (
        Cell(tier.value, str(tier.label), *row, about.measure) for tier, row in zip(Tier, rows, strict=True)  # type: ignore[arg-type]
    )  # fmt: skip
    return Measured(about, period, Grouping.TIER, tuple(cells), Cell(None, "合計", *total, about.measure))  # type: ignore[arg-type]


def printed_tables() -> AnnualTables:
    """The tables of 113 as they were printed; of persons, of whom only means were printed, as many as give these."""
    first, second, third = (PRINTED[name] for name in ("table_1_institutions", "table_2_staff", "table_3_services"))
    return AnnualTables(
        YEAR, _rates("institution_execution", first), _rates("staff_execution", second),
        _means("medication_visits", third), _means("counselling_visits", third),
        measured("persons_served", [(number, None) for number in range(7)], (116_996, None)),
    )  # fmt: skip


def _total(table: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = table.get("total") or table["total_as_printed"]
    return found


def _rates(name: str, table: Mapping[str, Any]) -> Measured:
    rows = [(row["executing"], row["contracted"]) for row in (*table["rows"], _total(table))]
    return measured(name, rows[:-1], rows[-1])


def _means(name: str, table: Mapping[str, Any]) -> Measured:
    rows = [
        (row[name], round(row[name] / float(row[f"mean_{name}_per_person"]))) for row in (*table["rows"], _total(table))
    ]
    return measured(name, rows[:-1], rows[-1])


def a_report(tables: AnnualTables | None = None, **said: Any) -> Report:
    """A report of what was printed, or of these tables."""
    return draw_up(
        tables or printed_tables(),
        **{"basis": Basis.ANY_DAY, "data_at": MARCH_15, "database": "test", "number": 1} | said,
    )


def with_clinics(report_tables: AnnualTables, executing: int | None, contracted: int | None) -> AnnualTables:
    """The tables with other figures for the clinics of table 1."""
    changed = tuple(
        replace(cell, numerator=executing, denominator=contracted) if cell.group == "clinic" else cell
        for cell in report_tables.institutions.cells
    )
    return replace(report_tables, institutions=replace(report_tables.institutions, cells=changed))


@st.composite
def tables(draw: st.DrawFn) -> AnnualTables:
    """Tables of any counts; of some cells neither a row nor a denominator."""
    numbers = st.integers(0, 10**7)

    def one(name: str) -> Measured:
        about = indicators()[name]
        counts = [(draw(numbers), None if about.measure is Measure.COUNT else draw(numbers)) for _ in range(8)]
        whole = measured(name, counts[:7], counts[7])
        kept = draw(st.sets(st.integers(0, 6)))
        return replace(whole, cells=tuple(cell for place, cell in enumerate(whole.cells) if place in kept))

    names = ("institution_execution", "staff_execution", "medication_visits", "counselling_visits", "persons_served")
    return AnnualTables(YEAR, *map(one, names))
