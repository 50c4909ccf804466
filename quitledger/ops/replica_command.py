"""`quitledger replica`: replicas of the embedded database, read-only, one of which can take the primary's place."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path

import click

from quitledger.policy.command import RocDate, json_option
from quitledger.policy.roc_formats import format_roc

from .backup_command import embedded_only
from .environment import prepare, require_keys
from .faults import Fault, told
from .postgres import Cluster, PostgresError, data_folder
from .running import is_running, only_one
from .server import stoppable

LOOK_EVERY = 1.0  # seconds
LEAVES_WITHIN = 15.0  # seconds that `replica run` is given to notice that it is none any longer


@click.group()
def replica() -> None:
    """\b
    內嵌資料庫的複本：隨時收到每筆變動，唯讀；主資料庫壞了，可以升為主資料庫。
    Replicas of the embedded database: they get every change as it is written and can only be read, until one of them is
    promoted to take a lost primary's place.
    """


# --- At the primary --------------------------------------------------------------------------------------------------


@replica.command()
@click.argument("name")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def invite(name: str, file: Path) -> None:
    """\b
    准許另一台機器的複本 NAME，把它需要的連線與密碼寫到新的檔案 FILE（0600）。帶過去以後刪除：有它的人就能複製整個資料庫。
    Permit the replica NAME of another machine: what it needs, passwords too, is written into the new FILE (mode 600).
    Delete it once it was brought there: whoever has it can copy the whole database.
    \b
    主資料庫只在本機 127.0.0.1 接受連線，內附的 PostgreSQL 也沒有 TLS：兩台機器之間請自備加密通道，例如
    The primary listens on 127.0.0.1 alone, and the PostgreSQL that comes along has no TLS: the way between the machines
    is yours to make and to encrypt, for example
    \b
      ssh -N -L 15432:127.0.0.1:PORT primary-host
      quitledger replica run --invitation FILE --at 127.0.0.1:15432
    """
    with told():
        embedded_only()
        from .replication import invite as permit

        if file.exists():
            raise Fault(f"{file} 已存在，沒有覆寫。", f"{file} exists and was not replaced.")
        invitation = permit(_made(Cluster(data_folder())), name)
        invitation.write(file)
        click.echo(
            f"複本 {name} 的邀請在 {file}；主資料庫在 {invitation.host}:{invitation.port}。"
            f" / The invitation of {name} is in {file}; the primary listens at {invitation.host}:{invitation.port}."
        )


@replica.command()
@click.argument("name")
def synchronous(name: str) -> None:
    """\b
    從現在起，每筆寫入要等複本 NAME 存到磁碟才算完成：主資料庫壞了也不會少。NAME 要正在接收。
    From now on a write is acknowledged only when the replica NAME has it on disk: losing the primary loses nothing.
    NAME must be following.
    \b
    代價：NAME 停了，所有寫入就停住，直到它回來，或執行 quitledger replica asynchronous。
    The price: while NAME is away, every write waits, until it is back or you run quitledger replica asynchronous.
    """
    with told():
        embedded_only()
        from .replication import wait_for

        wait_for(_made(Cluster(data_folder())), name)
        click.echo(f"每筆寫入都等複本 {name}。 / Every write waits for the replica {name}.")


@replica.command()
def asynchronous() -> None:
    """\b
    寫入不再等任何複本；停住的立刻繼續。主資料庫壞了，最後幾筆可能不在複本裡。
    Writes wait for no replica any longer, and those that do go on. If the primary is lost, the last ones may be, too.
    """
    with told():
        embedded_only()
        from .replication import wait_for

        wait_for(_made(Cluster(data_folder())), None)
        click.echo("寫入不等複本。 / Writes wait for no replica.")


@replica.command()
@click.argument("name")
def forget(name: str) -> None:
    """\b
    不再為複本 NAME 保留 WAL；它要先停止。
    Keep no WAL for the replica NAME any longer; it must have been stopped.
    """
    with told():
        embedded_only()
        from .replication import forget as forget_replica

        forget_replica(_made(Cluster(data_folder())), name)
        click.echo(f"已不再保留複本 {name}。 / The replica {name} is forgotten.")


@replica.command()
@click.option("--undo", is_flag=True, help="讓退役的資料庫可以再啟動。 / Let a retired database start again.")
@click.option(
    "--for", "successor", default="?", help="由誰接替，寫給看的人。 / Who takes its place, for whoever reads it."
)
def retire(undo: bool, successor: str) -> None:
    """\b
    計畫中的交接：停止這個主資料庫，最後一筆也送到複本，並且不再啟動；然後在複本執行 quitledger replica promote。
    A planned change-over: stop this primary, which sends its replicas the last change, and let it start no more; then
    run quitledger replica promote at the replica.
    """
    with told():
        embedded_only()
        cluster = _made(Cluster(data_folder()))
        cluster.refuse_replica()
        if undo:
            cluster.reinstate()
            click.echo(
                "可以再啟動了。兩邊都寫過的，不會合併。 / It may start again. What both have written is not merged."
            )
        elif is_running():
            raise Fault("網站還在執行，請先停止 quitledger run。", "The site runs still: stop quitledger run first.")
        else:
            cluster.retire(successor)
            click.echo("已停止，不再啟動。 / Stopped; it will not be started again.")


# --- At the replica --------------------------------------------------------------------------------------------------


@replica.command()
@click.option(
    "--of",
    "of",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="同一台機器上主資料庫的資料夾。 / The data folder of the primary, on this machine.",
)
@click.option(
    "--name", default="replica1", show_default=True, help="複本的名稱，和 --of 一起用。 / Its name, with --of."
)
@click.option(
    "--invitation",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="主資料庫在另一台機器：quitledger replica invite 寫的檔案。 / What quitledger replica invite wrote on another machine.",
)
@click.option("--at", metavar="HOST:PORT", help="從這裡連到主資料庫的位址。 / Where the primary is reached from here.")
@click.option(
    "--synchronous",
    "is_synchronous",
    is_flag=True,
    help="寫入要等這個複本（和 --of 一起用）。 / Let writes wait for this replica (with --of).",
)
@click.option(
    "--anew",
    is_flag=True,
    help="先刪除這裡的舊複本或已退役的主資料庫。 / Remove the old replica, or the retired primary, that is here first.",
)
def run(of: Path | None, name: str, invitation: Path | None, at: str | None, is_synchronous: bool, anew: bool) -> None:
    """\b
    在前景執行複本（QUITLEDGER_DATA 所指的資料夾），第一次先複製整個資料庫；Ctrl-C 停止。之後不需要再給選項。
    Run the replica of QUITLEDGER_DATA in the foreground, copying the whole database the first time; Ctrl-C stops it.
    Later starts need no option.
    """
    if of and invitation:
        raise Fault("--of 與 --invitation 只能擇一。", "--of or --invitation, not both.")
    if is_synchronous and not of:
        raise Fault(
            "--synchronous 要和 --of 一起用；另一台機器的複本，請在主資料庫執行 quitledger replica synchronous。",
            "--synchronous goes with --of; for a replica on another machine run quitledger replica synchronous at the primary.",
        )
    address = _address(at)
    with told(), only_one(), stoppable():
        embedded_only()
        cluster = Cluster(data_folder())
        _make(cluster, of, name, invitation, address, anew)
        try:
            cluster.ensure_running()
            for streaming in _streaming(cluster):
                if streaming and is_synchronous and of:
                    from .replication import wait_for

                    wait_for(Cluster(of), cluster.source.name if cluster.source else name)
                    click.echo("每筆寫入都等這個複本。 / Every write waits for this replica.")
                    is_synchronous = False
        finally:
            if cluster.is_replica:
                click.echo("\n停止中… / Stopping…")
                cluster.stop()


@replica.command()
@json_option
def status(as_json: bool) -> None:
    """\b
    主資料庫：有哪些複本、落後多少、寫入是否在等。複本：是否在接收、落後多少、接替時缺哪些檔案。
    At a primary: its replicas, how far behind they are, whether writes wait. At a replica: whether it follows, how far
    behind it is, and which files it would lack when promoted. Exits with 3 where something is not as it should be.
    """
    with told():
        embedded_only()
        cluster = Cluster(data_folder())
        if not cluster.status().running:
            raise Fault("資料庫沒有執行。", "The database does not run.")
        well = _tell_reception(cluster, as_json) if cluster.is_replica else _tell_standbys(cluster, as_json)
    if not well:
        raise SystemExit(3)


@replica.command()
@click.option(
    "--although-it-answers",
    is_flag=True,
    help="主資料庫還在回應也接替；在同一台機器上會先停止它。 / Even where the primary still answers; on this machine it is stopped.",
)
def promote(although_it_answers: bool) -> None:
    """\b
    讓這個複本接替主資料庫：可以寫入，之後以 quitledger run 執行。
    Let this replica take the primary's place: it is written to from then on, and served by quitledger run.
    \b
    舊的主資料庫在同一台機器上的，不會再啟動。在別的機器上的，請確定它不會再回來，或在那裡執行 quitledger replica retire。
    An old primary on this machine will not start again. One on another machine is yours to keep away: run quitledger
    replica retire there. Once promoted, a database does not follow again: make the old place a replica anew (--anew).
    """
    with told():
        embedded_only()
        cluster = Cluster(data_folder())
        if cluster.source is None:
            raise Fault("這裡沒有複本。", "There is no replica here.")
        from . import replication

        began = time.monotonic()
        if cluster.is_replica and not although_it_answers and replication.primary_answers(cluster):
            raise Fault(
                "主資料庫還在回應：請先在那裡執行 quitledger replica retire（或確定要這樣做，加上 --although-it-answers）。",
                "The primary still answers: run quitledger replica retire there first, or add --although-it-answers.",
            )
        made = replication.promote(cluster)
        click.echo(
            f"已接替，{time.monotonic() - began:.1f} 秒，時間線 {made.timeline}。 / Promoted; timeline {made.timeline}.",
        )
        click.echo(
            "舊的主資料庫已標明不再啟動。 / The old primary is kept from starting again."
            if made.fenced
            else "舊的主資料庫不可再啟動，它若回來，請在那裡執行 quitledger replica retire。"
            " / The old primary must not start again: should it come back, run quitledger replica retire there."
        )
        _wait_until_left()
        _journal()
        _tell_what_to_bring(cluster)


@replica.command()
@click.option(
    "--first", type=RocDate(), metavar="DATE", help="第一個月，預設 11 個月前。 / First month; eleven ago unless given."
)
@click.option(
    "--last", type=RocDate(), metavar="DATE", help="最後一個月，預設本月。 / Last month; this one unless given."
)
def report(first: date | None, last: date | None) -> None:
    """\b
    逐月的就醫筆數，由複本計算，不增加主資料庫的負擔；只有筆數，沒有個人資料。
    Visits by month, counted at the replica and not at the primary: counts alone, no personal data.
    \b
    複本不能寫入，看了誰的資料就無從記錄，所以只提供筆數：不提供網頁，也不給應用程式連線。
    Nothing can be written at a replica, so that no look at somebody's data could be journaled: it serves no page, and
    the application's role cannot connect.
    """
    with told():
        embedded_only()
        prepare("owner", reading=True)
        from quitledger.accounts.actors import SYSTEM
        from quitledger.accounts.scope import scoped
        from quitledger.visits.queries import VisitQuery, totals
        from quitledger.visits.rules import Timeliness

        with scoped(SYSTEM):
            until = last or _today()
            click.echo(
                "月份 month\t就醫 visits\t24 小時內 prompt\t期限內 in window\t逾期 late\t用藥 medication\t衛教 counselling"
            )
            for start, end in _months(first or _eleven_before(until), until):
                counted = totals(VisitQuery(start, end), by=SYSTEM)
                numbers = [counted.visits, *(counted.tags[tag] for tag in Timeliness), *counted.kinds.values()]
                click.echo("\t".join([format_roc(start)[:-3], *map(str, numbers)]))


# --- Running ---------------------------------------------------------------------------------------------------------


def _make(
    cluster: Cluster,
    of: Path | None,
    name: str,
    invitation: Path | None,
    address: tuple[str, int] | None,
    anew: bool,
) -> None:
    """Make the data folder a replica where it is none yet. With `anew` what is there goes when the primary is known."""
    from . import replication

    if cluster.is_replica and not anew:
        if address:
            cluster.follow_at(*address)
        return
    if cluster.status().version is not None and not (anew and (cluster.is_replica or cluster.successor)):
        if cluster.successor:
            raise Fault(
                "這裡是已退役的主資料庫：要改為複本，請加上 --anew（會刪除它）。",
                "This is a retired primary: to make it a replica add --anew, which removes it.",
            )
        raise Fault(
            f"{cluster.data_folder} 已有資料庫，複本要用另一個資料夾（QUITLEDGER_DATA）。",
            f"{cluster.data_folder} holds a database already; a replica has a folder of its own (QUITLEDGER_DATA).",
        )
    if not of and not invitation:
        raise Fault(
            "請以 --of 或 --invitation 說明主資料庫在哪裡。",
            "Say with --of or --invitation where the primary is.",
        )
    cluster.stop()
    if invitation:
        invited = replication.Invitation.read(invitation)
    else:
        assert of is not None
        invited = replication.invite(_made(Cluster(of)), name)
    if cluster.status().version is not None:
        cluster.remove()
    host, port = address or (None, None)
    click.echo("複製資料庫中… / Copying the database …")
    try:
        replication.join(cluster, invited, host=host, port=port)
    except PostgresError:
        if of:
            replication.forget(Cluster(of), name)
        raise


def _streaming(cluster: Cluster) -> Iterator[bool]:
    """Watch the replica until it is promoted; yields, each time it changes, whether it follows."""
    from . import replication

    before: bool | None = None
    while True:
        if not cluster.is_replica:
            click.echo("複本已升為主資料庫。 / The replica was promoted.")
            return
        if not cluster.status().running:
            click.echo("複本已停止，重新啟動。 / The replica stopped; starting it again.", err=True)
        cluster.ensure_running()
        now = None
        with suppress(PostgresError):  # what it was just asked may have been cut off; it is asked again
            replication.keep_up(cluster)
            now = replication.reception(cluster)
        if now is not None and now.streaming is not before:
            before = now.streaming
            click.echo(
                f"複本 {now.name} 正在接收 {now.primary} 的變動，Ctrl-C 停止。 / {now.name} follows {now.primary}; Ctrl-C stops it."
                if before
                else f"複本 {now.name} 連不到 {now.primary}，持續重試。 / {now.name} does not reach {now.primary}; trying on."
            )
            yield before
        time.sleep(LOOK_EVERY)


def _made(cluster: Cluster) -> Cluster:
    """The cluster, which must have been made: asking for a replica makes no database. Raises Fault."""
    if cluster.status().version is None:
        raise Fault(f"{cluster.data_folder} 沒有資料庫。", f"There is no database in {cluster.data_folder}.")
    return cluster


def _address(said: str | None) -> tuple[str, int] | None:
    if said is None:
        return None
    host, _, port = said.rpartition(":")
    if not host or not port.isdigit():
        raise Fault(f"--at {said} 不是 HOST:PORT。", f"--at {said} is not HOST:PORT.")
    return host.strip("[]"), int(port)


# --- Telling ---------------------------------------------------------------------------------------------------------


def _tell_standbys(cluster: Cluster, as_json: bool) -> bool:
    from .replication import standbys, waiting_commits

    known, waiting = standbys(cluster), waiting_commits(cluster)
    if as_json:
        facts = {"waits_for": cluster.waits_for, "waiting": waiting, "replicas": [asdict(one) for one in known]}
        click.echo(json.dumps({"role": "primary", **facts}, ensure_ascii=False, indent=2))
    else:
        for one in known:
            state = "接收中 follows" if one.streaming else "沒有接收 does not follow"
            kind = "同步 synchronous" if one.waited_for else "非同步 asynchronous"
            click.echo(f"{one.name}\t{state}\t{kind}\t{_lag(one.lag_bytes, one.lag_seconds)}")
            if not one.kept:
                click.echo(
                    f"複本 {one.name} 離開太久，缺的變動已不在：請在那裡以 --anew 重做，或在這裡 forget。"
                    f" / {one.name} was away too long and must be made anew (--anew there, or forget here)."
                )
        if not known:
            click.echo("沒有複本。 / There is no replica.")
        if waiting is not None:
            click.echo(
                f"寫入停住：要等的複本 {cluster.waits_for} 沒有在接收，{waiting} 筆在等。接回它，或執行 quitledger replica asynchronous。"
                f" / Writes have stopped: {cluster.waits_for} does not follow, {waiting} wait. Bring it back, or run quitledger"
                " replica asynchronous."
            )
    return waiting is None and all(one.streaming for one in known)


def _tell_reception(cluster: Cluster, as_json: bool) -> bool:
    from .replication import lacking, reception

    now, missing = reception(cluster), lacking()
    assert now is not None
    if as_json:
        facts = asdict(now) | {"lacking": [str(path) for path in missing]}
        click.echo(json.dumps({"role": "replica", **facts}, ensure_ascii=False, indent=2))
    else:
        state = "接收中 follows" if now.streaming else "連不到 does not reach"
        click.echo(f"{now.name}\t{state} {now.primary}\t{_lag(now.lag_bytes, now.lag_seconds)}")
        for path in missing:
            click.echo(f"接替時會缺 {path}。 / Lacking, should it be promoted: {path}")
    return now.streaming


def _lag(lag_bytes: int | None, lag_seconds: float | None) -> str:
    """How far behind, in bytes and seconds; what is not known is a dash."""
    size = "—" if lag_bytes is None else f"{lag_bytes:,}"
    age = "—" if lag_seconds is None else f"{lag_seconds:.1f}"
    return f"落後 behind: {size} 位元組 bytes, {age} 秒 s"


def _tell_what_to_bring(cluster: Cluster) -> None:
    from quitledger.accounts.keys import KeysUnavailable

    from .replication import lacking

    for path in lacking():
        click.echo(
            f"缺 {path}：請由舊的機器或匯出檔帶來。 / {path} is missing: bring it from the old machine or the export."
        )
    with suppress(KeysUnavailable):
        require_keys()
        click.echo("需要的金鑰都在。 / Every key that is needed is here.")
    if cluster.archive is None:
        click.echo(
            "這裡沒有封存 WAL，備份也還沒有：quitledger archive、backup。 / Nothing is archived or backed up here yet."
        )
    click.echo(
        "接著：quitledger audit verify；檢核點檔多於資料庫的（遺失了最後的寫入），執行 quitledger audit continue --reason 原因；"
        "然後 quitledger run。 / Next: quitledger audit verify; where the anchor knows more than the database, quitledger"
        " audit continue --reason WHY; then quitledger run."
    )


# --- Promoting, reporting --------------------------------------------------------------------------------------------


def _wait_until_left() -> None:
    """Return when `replica run` of this data folder, if there is one, has noticed and gone."""
    deadline = time.monotonic() + LEAVES_WITHIN
    while is_running() and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY / 5)


def _journal() -> None:
    prepare("owner")
    from quitledger.accounts.actors import SYSTEM
    from quitledger.accounts.scope import scoped
    from quitledger.audit import journal

    with scoped(SYSTEM):
        journal.record("database.promote", record_type="database")


def _today() -> date:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT programme_today()")
        today: date = cursor.fetchone()[0]
    return today


def _eleven_before(day: date) -> date:
    months = day.year * 12 + day.month - 12
    return date(months // 12, months % 12 + 1, 1)


def _months(first: date, last: date) -> Iterator[tuple[date, date]]:
    """First and last day of every month from that of `first` to that of `last`."""
    start = first.replace(day=1)
    while start <= last:
        after = (start + timedelta(days=31)).replace(day=1)
        yield start, after - timedelta(days=1)
        start = after
