"""`quitledger demo`: made-up data, and the clock of a demo database."""

import os
from datetime import date

import click

from quitledger.accounts.permissions import Role
from quitledger.policy import format_roc
from quitledger.policy.command import RocDate

from .database_command import tell_first_keys
from .environment import prepare, uses_own_server
from .faults import Fault, told
from .postgres import Cluster, data_folder
from .running import is_running

PERSONS, SEED = 1500, 114


@click.group()
def demo() -> None:
    """\b
    示範資料與示範資料庫的時鐘。
    Made-up data, and the clock of a demo database.
    """


@demo.command()
@click.option(
    "--today", type=RocDate(), metavar="DATE", help="把程式的今天設為這一天。 / Make this the programme's today."
)
@click.option(
    "--persons",
    type=click.IntRange(10, 100_000),
    default=PERSONS,
    show_default=True,
    help="戒菸者人數。 / How many people.",
)
@click.option("--seed", type=int, default=SEED, show_default=True, help="亂數種子。 / The seed of chance.")
@click.option(
    "--again", is_flag=True, help="刪除內嵌的示範資料庫，重新建立。 / Drop the embedded demo database and make it anew."
)
def load(today: date | None, persons: int, seed: int, again: bool) -> None:
    """\b
    載入示範資料：機構、人員、帳號、戒菸者與到昨天為止一年的就醫資料。
    Load made-up institutions, staff, accounts, people and a year of visits up to yesterday.
    """
    with told():
        prepare("owner")
        tell_first_keys()
        if again:
            if is_running():
                raise Fault("網站正在執行，請先停止它。", "The site runs; stop it first.")
            remake()
        fill(today, persons=persons, seed=seed)
        for line in sign_ins():
            click.echo(line)


@demo.command()
@click.argument("today", metavar="DATE", type=RocDate())
def clock(today: date) -> None:
    """\b
    把示範資料庫的今天設為 DATE；已載入的資料不變。
    Make DATE the today of a demo database; the data stay as they are.
    """
    with told():
        prepare("owner")
        _require_demo()
        from .database import maintain, set_clock

        set_clock(today)
        maintain()
        click.echo(f"程式的今天是 {format_roc(today)}。 / The programme's today is {today}.")


def fill(today: date | None = None, *, persons: int = PERSONS, seed: int = SEED) -> None:
    """Make the database a demo one with data for `today` (the owner role is set up). Loaded already: says so.

    Raises Fault where the database holds anything but demo data, or demo data for another day.
    """
    from . import demo_data, synthesis
    from .database import maintain, migrate, set_clock

    migrate(app_url=os.environ["DATABASE_URL"], purpose="demo")
    _require_demo()
    if synthesis.is_loaded():
        click.echo(
            "資料庫裡是虛構的國家，不載入示範資料。 / The database holds a made-up nation: no demo data beside it."
        )
        return
    loaded_on = demo_data.loaded_on()
    if loaded_on is not None and today not in (None, loaded_on):
        raise Fault(
            f"示範資料是為 {format_roc(loaded_on)} 載入的；要換成 {format_roc(today)}，請執行 "
            f"quitledger demo load --again --today {format_roc(today)}（會刪除現有的示範資料）。",
            f"The demo data were loaded for {loaded_on}; quitledger demo load --again --today {today} replaces them.",
        )
    if loaded_on is None and demo_data.holds_other_data():
        raise Fault(
            "資料庫裡已有其他資料，示範資料只載入空的資料庫。",
            "The database holds other data; demo data are loaded into an empty one only.",
        )
    if today is not None:
        set_clock(today)
        maintain()
    if loaded_on is not None:
        _apply(loaded_on)
        click.echo(f"示範資料已載入（{format_roc(loaded_on)}）。 / The demo data are loaded already ({loaded_on}).")
        return
    click.echo("載入示範資料，約半分鐘… / Loading demo data, about half a minute…")
    loaded = demo_data.load(persons=persons, seed=seed)
    loaded_on = demo_data.loaded_on()
    assert loaded_on is not None  # just now
    _apply(loaded_on)
    click.echo(
        f"已載入機構 {loaded.institutions}、人員 {loaded.staff}、戒菸者 {loaded.persons}、就醫資料 {loaded.visits} 筆。"
        f" / {loaded.institutions} institutions, {loaded.staff} staff, {loaded.persons} people, {loaded.visits} visits."
    )


def _apply(today: date) -> None:
    from .database import as_application
    from .demo_applications import apply

    with as_application(os.environ["DATABASE_URL"]):
        apply(today)


def remake() -> None:
    """Drop the embedded demo database with everything in it and make an empty one.

    Raises Fault for any other: it holds somebody's data, or is a server of the user's own.
    """
    from django.db import connection, connections

    if uses_own_server():
        raise Fault(
            "--again 只能用於內嵌的資料庫；自己的伺服器請另建空的資料庫。",
            "--again works on the embedded database only; on a server of your own make a new, empty one.",
        )
    if "audit_database" in connection.introspection.table_names():
        _require_demo()
    connections.close_all()
    cluster = Cluster(data_folder())
    cluster.drop_database("quitledger")
    cluster.ensure_database("quitledger")


def remake_for(today: date | None) -> None:
    """Make the demo database anew where it was loaded for another day than `today`, and say so; None: any day will do."""
    from django.db import connection

    from . import demo_data

    if today is None or "audit_database" not in connection.introspection.table_names():
        return
    _require_demo()
    loaded_on = demo_data.loaded_on()
    if loaded_on not in (None, today):
        click.echo(
            f"示範資料是為 {format_roc(loaded_on)} 載入的，改為 {format_roc(today)} 重新建立。"
            f" / The demo data were loaded for {loaded_on}; making them anew for {today}."
        )
        remake()


def sign_ins() -> list[str]:
    """Who can sign in to the demo, and what to try first."""
    from . import demo_data
    from .demo_story import ACCOUNTS, missing_day

    loaded_on = demo_data.loaded_on()
    lines = [f"密碼都是 / Password of all: {demo_data.PASSWORD}"]
    for username, (name, agency_role, places) in ACCOUNTS.items():
        where = "、".join(f"{code} {role.label}" for code, role in places.items()) or Role(agency_role).label
        lines.append(f"  {username:<22}{name}　{where}")
    if loaded_on is not None:
        lines.append(
            f"試試看 / Try: demo-recorder → DEMO-0002 示範乙："
            f"前一日已登錄，{format_roc(missing_day(loaded_on))} 漏登錄。"
        )
    return lines


def _require_demo() -> None:
    from quitledger.audit.database import purpose

    if purpose() != "demo":
        raise Fault(
            f"這個資料庫的用途是 {purpose()}，不能載入示範資料或調整時鐘。",
            f"The purpose of this database is {purpose()}: no demo data, no shifted clock.",
        )
