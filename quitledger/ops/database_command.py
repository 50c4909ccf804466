"""`quitledger db`: the database from the command line."""

import os

import click

from .environment import make_first_keys, prepare
from .faults import told
from .postgres import Cluster, data_folder


@click.group("db")
def db() -> None:
    """\b
    資料庫：內嵌的 PostgreSQL，或 DATABASE_URL 所指的伺服器。
    The database: the embedded PostgreSQL, or the server that DATABASE_URL names.
    """


@db.command()
def start() -> None:
    """\b
    啟動資料庫，第一次會先建立。
    Start the database, making it the first time.
    """
    with told():
        cluster = Cluster(data_folder())
        cluster.ensure_database()
        _tell(cluster)


@db.command()
def stop() -> None:
    """\b
    停止資料庫。
    Stop the database.
    """
    with told():
        cluster = Cluster(data_folder())
        cluster.stop()
        _tell(cluster)


@db.command()
def status() -> None:
    """\b
    資料庫是否在執行、資料在哪裡。沒有執行時結束碼為 3。
    Whether the database runs and where its data is. Exits with 3 when it does not run.
    """
    with told():
        if not _tell(Cluster(data_folder())):
            raise SystemExit(3)


@db.command()
@click.option("--owner", is_flag=True, help="擁有者角色，用於改變資料表。 The owner role, which changes tables.")
def url(owner: bool) -> None:
    """\b
    印出連線網址（含密碼），必要時先啟動資料庫。
    Print the connection URL (with its password), starting the database if needed.
    """
    with told():
        set_by_hand = os.environ.get("DATABASE_OWNER_URL" if owner else "DATABASE_URL")
        if set_by_hand:
            click.echo(set_by_hand)
            return
        urls = Cluster(data_folder()).ensure_database()
        click.echo(urls.owner_url if owner else urls.app_url)


@db.command()
@click.option(
    "--purpose",
    type=click.Choice(["production", "demo", "test"]),
    default="production",
    show_default=True,
    help="資料庫的用途，只在第一次建立時決定，之後不能改。 / What the database is for, settled when it is first made.",
)
def migrate(purpose: str) -> None:
    """\b
    建立或更新資料表、權限、登錄期限月曆與稽核分割區。以擁有者角色執行。
    Bring tables, rights, calendar and partitions up to this version. Runs as the owner role.
    """
    with told():
        prepare("owner")
        from quitledger.audit.database import purpose as purpose_of_database

        from .database import migrate as migrate_database

        tell_first_keys()
        migrate_database(app_url=os.environ["DATABASE_URL"], purpose=purpose)
        click.echo(f"資料庫已是最新，用途：{purpose_of_database()}。 / Up to date; purpose: {purpose_of_database()}.")


@db.command()
def maintain() -> None:
    """\b
    補足登錄期限月曆與稽核分割區；每年至少一次，quitledger run 每天自動執行。
    Fill the calendar and the journal's partitions ahead: once a year at least; quitledger run does it daily.
    """
    with told():
        prepare("owner")
        from .database import maintain as maintain_database

        made = maintain_database()
        click.echo(
            f"新增 {made['months']} 個月份、{made['partitions']} 個分割區。"
            f" / New: {made['months']} months, {made['partitions']} partitions."
        )


def tell_first_keys() -> None:
    """Make the keys of an empty database where there are none, and say where they are."""
    if made := make_first_keys():
        click.echo(
            f"已建立金鑰檔 {made}，請另行備份。 / Made the keys file {made}: back it up, apart from the database."
        )


def _tell(cluster: Cluster) -> bool:
    """Print where the cluster is and whether it runs; the answer to the latter."""
    known = cluster.status()
    if known.running:
        click.echo(f"執行中 running: PostgreSQL {known.version}, 127.0.0.1:{known.port}, pid {known.pid}")
    elif known.version is None:
        click.echo("尚未建立 not made yet")
    else:
        click.echo(f"未執行 not running: PostgreSQL {known.version}")
    if known.version is not None and cluster.is_replica:
        click.echo("唯讀的複本 a replica, read-only: quitledger replica status")
    if cluster.successor:
        click.echo(f"已由 {cluster.successor} 接替 its place was taken by {cluster.successor}")
    click.echo(f"資料 data: {known.cluster_folder}")
    click.echo(f"訊息 log: {known.log_file}")
    if known.system_user:
        click.echo(f"系統使用者 system user: {known.system_user}")
    return known.running
