"""`quitledger statistics`: annual tables, and a look at a published one."""

import json
from datetime import date
from pathlib import Path

import click

from quitledger.policy.command import RocDate, json_option
from quitledger.policy.roc_formats import ROC_EPOCH
from quitledger.statistics.published import TABLES, NoTable, findings

from .environment import prepare
from .faults import Fault, told


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
@json_option
def annual(year: int, until: date | None, last_day: bool, as_json: bool) -> None:
    """
    民國 YEAR 年的三張統計表，由紀錄計算。
    The three tables of the ROC year YEAR, computed from the records.
    """
    with told():
        prepare("app")
        from quitledger.accounts.actors import SYSTEM
        from quitledger.accounts.scope import scoped
        from quitledger.statistics.annual import annual_tables, as_printed
        from quitledger.statistics.measures import Basis, Period

        basis = Basis.LAST_DAY if last_day else Basis.ANY_DAY
        with scoped(SYSTEM):
            tables = annual_tables(Period.year(year + ROC_EPOCH, until), basis=basis, by=SYSTEM)
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
