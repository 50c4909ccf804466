"""`quitledger synthesize`: a made-up nation that counts to the printed tables."""

import os
import re
import time
from datetime import date
from decimal import Decimal, InvalidOperation

import click

from quitledger.policy import PolicyGap, format_roc
from quitledger.policy.command import RocDate
from quitledger.policy.roc_formats import ROC_EPOCH

from .database_command import tell_first_keys
from .environment import prepare
from .faults import Fault, told
from .running import is_running

SEED = 113
_LEAST_SCALE = Decimal("0.01")


class RocYears(click.ParamType):
    """ROC years, 113 or 104-113, as years AD in order."""

    name = "years"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """Refuses what is no year, and years that go backwards."""
        found = re.fullmatch(r"([0-9]{2,3})(?:-([0-9]{2,3}))?", str(value))
        years = range(int(found[1]), int(found[2] or found[1]) + 1) if found else range(0)
        if not years:
            self.fail(f"{value}：請填民國年，例如 113 或 104-113。 / ROC years, such as 113 or 104-113.", param, ctx)
        return [year + ROC_EPOCH for year in years]


class Scale(click.ParamType):
    """A number from 0.01 to 1."""

    name = "scale"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Refuses what is no such number: in less, a tier has too few visits for its mean."""
        try:
            scale = Decimal(str(value))
        except InvalidOperation:
            scale = Decimal(0)
        if not _LEAST_SCALE <= scale <= 1:
            self.fail(f"{value}：請填 {_LEAST_SCALE} 到 1 的數。 / A number from {_LEAST_SCALE} to 1.", param, ctx)
        return scale


@click.command()
@click.option(
    "--year", "years", type=RocYears(), metavar="YEAR", help="民國年，例如 113。 / The ROC year, such as 113."
)
@click.option(
    "--years", "several", type=RocYears(), metavar="FIRST-LAST", help="好幾年，例如 104-113。 / Several years."
)
@click.option("--seed", type=int, default=SEED, show_default=True, help="亂數種子。 / The seed of chance.")
@click.option(
    "--scale", type=Scale(), default="1", show_default=True,
    help="所有人數與次數乘以這個數；1 與公布的表完全相同。 / Every count times this; with 1 exactly those published.",
)  # fmt: skip
@click.option(
    "--today", type=RocDate(), metavar="DATE", help="把程式的今天設為這一天。 / Make this the programme's today."
)
@click.option(
    "--again", is_flag=True, help="刪除內嵌的示範資料庫，重新建立。 / Drop the embedded demo database and make it anew."
)
def synthesize(
    years: list[int] | None, several: list[int] | None, seed: int, scale: Decimal, today: date | None, again: bool
) -> None:
    """\b
    在空的示範資料庫造一整個虛構的國家：機構、人員、戒菸者與一年（或數年）的就醫資料，逐筆算得出公布的年度統計表。
    Make a whole made-up nation in an empty demo database: institutions, staff, people and a year (or several) of visits,
    which counted record by record give the published annual tables. Runs as the owner role.
    """
    with told():
        if (years is None) == (several is None):
            raise Fault("請給 --year 或 --years。", "Give --year or --years.")
        prepare("owner")
        tell_first_keys()
        from .demo_command import remake, sign_ins

        if again:
            if is_running():
                raise Fault("網站正在執行，請先停止它。", "The site runs; stop it first.")
            remake()
        _fill(years or several or [], seed, scale, today)
        for line in sign_ins():
            click.echo(line)


def _fill(years: list[int], seed: int, scale: Decimal, today: date | None) -> None:
    """Raises Fault where the database is no demo or test one, or holds anything already but a nation."""
    from quitledger.audit.database import purpose

    from . import demo_data, synthesis
    from .database import maintain, migrate, set_clock
    from .synthesis_plan import PlanFails
    from .synthesis_steps import MakerEnds

    migrate(app_url=os.environ["DATABASE_URL"], purpose="demo")
    if purpose() == "production":
        raise Fault(
            "這個資料庫的用途是 production，不能載入虛構的資料。",
            "The purpose of this database is production: no made-up data.",
        )
    if synthesis.is_loaded():
        click.echo("虛構的國家已載入，資料不變。 / The nation is loaded already; the data stay as they are.")
        return
    if demo_data.holds_other_data():
        raise Fault(
            "資料庫裡已有其他資料，虛構的國家只載入空的資料庫；內嵌的示範資料庫可加 --again 重新建立。",
            "The database holds other data; a nation goes into an empty one only. --again makes an embedded demo database anew.",
        )
    if today is not None:
        set_clock(today)
        maintain()
    _require_past(years[-1])
    click.echo("一年約需一到數分鐘… / A year takes a minute or a few…")
    began = time.perf_counter()
    try:
        loaded = synthesis.load(years, seed=seed, scale=scale, tell=click.echo)
    except PolicyGap as gap:
        raise Fault(gap.reason, f"{gap.name} is not known on {gap.day}.") from gap
    except PlanFails as fails:
        raise Fault(f"做不出這樣的國家：{fails}", f"No nation counts to this: {fails}") from fails
    except MakerEnds as ended:
        raise Fault(
            f"製作資料的程序中途被終止（{ended.status}），什麼都沒有載入；可能是記憶體不足，請再試一次。",
            f"The process that makes the rows was ended ({ended.status}); nothing was loaded. Was memory short? Try again.",
        ) from None
    click.echo(
        f"已載入機構 {loaded.institutions}、人員 {loaded.staff}、戒菸者 {loaded.persons}、就醫資料 {loaded.visits} 筆、"
        f"服務 {loaded.services} 次，{time.perf_counter() - began:.0f} 秒。"
        f" / {loaded.institutions} institutions, {loaded.staff} staff, {loaded.persons} people, {loaded.visits} visits,"
        f" {loaded.services} services."
    )


def _require_past(year: int) -> None:
    """Raises Fault while the year goes on: a visit cannot lie in the future."""
    from . import demo_data

    today = demo_data.one("SELECT programme_today()")
    if today.year <= year:
        raise Fault(
            f"程式的今天是 {format_roc(today)}，{year - ROC_EPOCH} 年還沒有過完；請用 --today 設定之後的日子。",
            f"The programme's today is {today}, and {year} is not over; set a later day with --today.",
        )
