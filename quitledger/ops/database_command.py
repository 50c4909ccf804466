"""`quitledger db`: the embedded PostgreSQL from the command line."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from quitledger.ops.postgres import Cluster, PostgresError, data_folder


@click.group("db")
def db() -> None:
    """\b
    內嵌的 PostgreSQL 資料庫。
    The embedded PostgreSQL database.
    """


@db.command()
def start() -> None:
    """\b
    啟動資料庫，第一次會先建立。
    Start the database, making it the first time.
    """
    with _told():
        cluster = Cluster(data_folder())
        cluster.ensure_database()
        _tell(cluster)


@db.command()
def stop() -> None:
    """\b
    停止資料庫。
    Stop the database.
    """
    with _told():
        cluster = Cluster(data_folder())
        cluster.stop()
        _tell(cluster)


@db.command()
def status() -> None:
    """\b
    資料庫是否在執行、資料在哪裡。沒有執行時結束碼為 3。
    Whether the database runs and where its data is. Exits with 3 when it does not run.
    """
    with _told():
        if not _tell(Cluster(data_folder())):
            raise SystemExit(3)


@db.command()
@click.option("--owner", is_flag=True, help="擁有者角色，用於改變資料表。 The owner role, which changes tables.")
def url(owner: bool) -> None:
    """\b
    印出連線網址（含密碼），必要時先啟動資料庫。
    Print the connection URL (with its password), starting the database if needed.
    """
    with _told():
        set_by_hand = os.environ.get("DATABASE_OWNER_URL" if owner else "DATABASE_URL")
        if set_by_hand:
            click.echo(set_by_hand)
            return
        urls = Cluster(data_folder()).ensure_database()
        click.echo(urls.owner_url if owner else urls.app_url)


def _tell(cluster: Cluster) -> bool:
    """Print where the cluster is and whether it runs; the answer to the latter."""
    known = cluster.status()
    if known.running:
        click.echo(f"執行中 running: PostgreSQL {known.version}, 127.0.0.1:{known.port}, pid {known.pid}")
    elif known.version is None:
        click.echo("尚未建立 not made yet")
    else:
        click.echo(f"未執行 not running: PostgreSQL {known.version}")
    click.echo(f"資料 data: {known.cluster_folder}")
    click.echo(f"訊息 log: {known.log_file}")
    if known.system_user:
        click.echo(f"系統使用者 system user: {known.system_user}")
    return known.running


@contextmanager
def _told() -> Iterator[None]:
    """A sentence and exit code 1 instead of a traceback."""
    try:
        yield
    except PostgresError as error:
        raise click.ClickException(str(error)) from error
