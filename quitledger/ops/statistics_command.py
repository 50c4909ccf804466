"""`quitledger statistics`: annual tables, and a look at a published one."""

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quitledger.policy.command import RocDate, json_option
from quitledger.policy.roc_formats import ROC_EPOCH
from quitledger.statistics.indicators import Grouping, indicators
from quitledger.statistics.published import TABLES, NoTable, findings

from .environment import prepare
from .faults import Fault, told

if TYPE_CHECKING:
    from quitledger.statistics.measures import Cell, Measured


@click.group()
def statistics() -> None:
    """\b
    年度統計。
    Annual statistics.
    """


@statistics.command()
@click.argument("year", metavar="YEAR", type=click.IntRange(91, 300))
@click.option("--until", type=RocDate(), metavar="DATE", help="到哪一天為止。 / Up to which day.")
@click.option(
    "--last-day", is_flag=True, help="以期末當日有合約者為分母。 / Count contracts of the last day, not of any day."
)
@click.option(
    "--by",
    "grouping",
    type=click.Choice([one.value for one in Grouping if one not in (Grouping.TOTAL, Grouping.TIER)]),
    help="依縣市、機構、月份或服務分列；人數少的不顯示。 / Broken down; small counts of people are hidden.",
)
@json_option
def annual(year: int, until: date | None, last_day: bool, grouping: str | None, as_json: bool) -> None:
    """
    民國 YEAR 年的三張統計表，由紀錄計算。
    The three tables of the ROC year YEAR, computed from the records.
    """
    with told():
        prepare("app")
        from quitledger.accounts.actors import SYSTEM
        from quitledger.accounts.scope import scoped
        from quitledger.statistics.annual import annual_tables, as_printed
        from quitledger.statistics.measures import Basis, Period, PeriodOpen, measure_all

        basis, period = Basis.LAST_DAY if last_day else Basis.ANY_DAY, Period.year(year + ROC_EPOCH, until)
        with scoped(SYSTEM, one_snapshot=True):
            if grouping:
                by = Grouping(grouping)
                names = [name for name, one in indicators().items() if by in one.groupings]
                try:
                    figures = measure_all(names, period, grouping=by, basis=basis, by=SYSTEM)
                except PeriodOpen:
                    raise Fault(
                        "依這個分列只算到已經過完的月份，請以 --until 指定月底的日期。",
                        "Broken down so, only months that are over are counted: give the end of one with --until.",
                    ) from None
                _tell_breakdown(figures, as_json=as_json)
                return
            tables = annual_tables(period, basis=basis, by=SYSTEM)
        printed = as_printed(tables)
    if as_json:
        click.echo(json.dumps(printed, ensure_ascii=False, indent=2))
        return
    for name, title in TABLES.items():
        click.echo(title)
        for row in (*printed[name]["rows"], {"tier_zh": "合計"} | printed[name]["total"]):
            cells = [
                f"{one:,}" if isinstance(one, int) else one
                for key, one in row.items()
                if key not in ("tier", "tier_zh")
            ]
            click.echo(f"  {row['tier_zh']}　" + "　".join(cells))
    click.echo(f"服務 {printed['persons_served']:,} 人（不重複） / {printed['persons_served']:,} distinct people")


def _tell_breakdown(figures: "Sequence[Measured]", *, as_json: bool) -> None:
    """Every indicator, a line for each group; in JSON the counts as well, null where they are hidden."""
    if as_json:
        told_figures = [
            {
                "indicator": one.indicator.name, "title": one.indicator.title, "by": one.grouping,
                "period": [one.period.first.isoformat(), one.period.last.isoformat()],
                "suppressed": one.suppressed and vars(one.suppressed),
                "rows": [_cell(cell) for cell in one.cells], "total": _cell(one.total),
            }
            for one in figures
        ]  # fmt: skip
        click.echo(json.dumps(told_figures, ensure_ascii=False, indent=2))
        return
    for one in figures:
        click.echo(one.indicator.title)
        for cell in (*one.cells, one.total):
            counts = [f"{count:,}" for count in (cell.denominator, cell.numerator) if count is not None]
            click.echo("  " + "　".join([str(cell.label), *counts, *([] if cell.said in counts else [cell.said])]))


def _cell(cell: "Cell") -> dict[str, Any]:
    group = cell.group.isoformat() if isinstance(cell.group, date) else cell.group
    return {
        "group": group, "label": str(cell.label), "numerator": cell.numerator, "denominator": cell.denominator,
        "value": cell.said, "hidden": cell.hidden,
    }  # fmt: skip


@statistics.command()
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def check(file: Path, as_json: bool) -> None:
    """\b
    檢查公布的統計表（JSON）：合計與各列、比率與人數是否相符。不需要資料庫；有不符時結束碼為 1。
    Look at a published table (JSON): do its totals agree with its rows, its rates with its counts? Needs no database;
    ends with 1 where something disagrees.
    """
    try:
        published = json.loads(file.read_text(encoding="utf-8-sig"))
        found = findings(published)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise Fault(f"{file} 不是 JSON。", f"{file} is no JSON.") from None
    except NoTable as fault:
        raise Fault(f"{file} 不是統計表：{fault}。", f"{file} holds no published table: {fault}.") from None
    if as_json:
        rows = [vars(one) | {"message": str(one.message), "expected": str(one.expected)} for one in found]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        for one in found:
            click.echo(one.message)
        click.echo(f"{len(found)} 處不符。 / {len(found)} disagree." if found else "全部相符。 / Everything agrees.")
    if found:
        raise SystemExit(1)


@statistics.command()
@click.argument("year", metavar="[YEAR]", type=click.IntRange(91, 300), required=False)
@json_option
def publications(year: int | None, as_json: bool) -> None:
    """\b
    公布版本（民國 YEAR 年或全部），並重新計算每一版的內容指紋；有不符時結束碼為 1。
    What was published (of the ROC year YEAR, or of all), each fingerprint computed anew; ends with 1 where one is wrong.
    """
    with told():
        prepare("app")
        from quitledger.accounts.actors import SYSTEM
        from quitledger.accounts.scope import scoped
        from quitledger.statistics.services import publications

        with scoped(SYSTEM):
            found = list(publications(by=SYSTEM).filter(**({"year": year} if year else {})))
    rows = [
        {
            "version": one.called, "basis": one.basis, "last": one.last_on.isoformat(), "data_at": one.data_at.isoformat(),
            "published_at": one.published_at.isoformat(), "fingerprint": one.fingerprint, "is_intact": one.is_intact,
        }
        for one in found
    ]  # fmt: skip
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    for row in [] if as_json else rows:
        verdict = "指紋相符 / intact" if row["is_intact"] else "指紋不符：內容被改過 / NOT what was published"
        click.echo(
            f"{row['version']}　{row['basis']}　{row['last']}　{row['published_at']}　{row['fingerprint']}　{verdict}"
        )
    if not rows and not as_json:
        click.echo("還沒有公布過。 / Nothing was published yet.")
    if not all(row["is_intact"] for row in rows):
        raise SystemExit(1)
