"""Proof and the way back: checkpoints over the whole nation, their verification, backup, and restore elsewhere."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from psycopg import sql

from .nation import Nation, as_if_recorded

AIM = 60.0  # seconds: backup, restore elsewhere and verification together
PASSPHRASE = "for the bench alone"


def measure(nation: Nation, *, tell: Callable[[str], None]) -> dict[str, Any]:
    """By the commands, as an operator would. Raises RuntimeError where the copy differs in any row of any table."""
    from quitledger.ops.postgres import Cluster

    as_if_recorded(nation.superuser_url)
    with TemporaryDirectory(prefix="quitledger-bench-") as name:
        top = Path(name)
        top.chmod(0o711)
        there = top / "there"
        seconds = {"checkpoint": command(nation.folder, "audit", "checkpoint")[0]}
        seconds["verification"], said = command(nation.folder, "audit", "verify", "--json")
        report = json.loads(said)
        for folder, verb in ((nation.folder, "export"), (there, "import")):
            command(folder, "keys", verb, str(top / "keys"), "--passphrase-stdin", typed=PASSPHRASE + "\n")
        try:
            seconds["backup"], said = command(nation.folder, "backup", str(top / "backup"))
            megabytes = int(re.search(r"([\d,]+) MB", said)[1].replace(",", ""))  # type: ignore[index]
            seconds["restore_and_verification"], _ = command(there, "restore", str(top / "backup"))
            restored = Cluster(there).ensure_running().url("quitledger")
            # The drill itself leaves an entry in the journal of the copy, its checkpoints one more in the source's.
            differing = _differing(nation.superuser_url, restored)
        finally:
            Cluster(there).remove()
    if differing:
        raise RuntimeError(f"the copy differs in {differing}")
    drill = round(seconds["backup"] + seconds["restore_and_verification"], 1)
    result = {
        "rows": report["rows"], "checkpoints": report["checkpoints"], "megabytes": megabytes, "seconds": seconds,
        "rows_verified_a_second": round(report["rows"] / seconds["verification"]),
        "drill": {"seconds": drill, "minutes": round(drill / 60, 2), "aim_in_seconds": AIM, "met": drill <= AIM},
        "met": drill <= AIM,
    }  # fmt: skip
    tell(f"proof: {result}")
    return result


def command(data: Path, *words: str, typed: str = "") -> tuple[float, str]:
    """How long a command took, in seconds, and what it said."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_", "QUITLEDGER_"))
    }
    begin = time.perf_counter()
    outcome = subprocess.run(
        [sys.executable, "-m", "quitledger.ops.command", *words],
        input=typed, capture_output=True, text=True, check=False, env=environment | {"QUITLEDGER_DATA": str(data)},
    )  # fmt: skip
    if outcome.returncode:
        raise RuntimeError(outcome.stdout + outcome.stderr)
    return round(time.perf_counter() - begin, 2), outcome.stdout


def _differing(one: str, other: str) -> list[str]:
    """The tables whose rows are not the same in both; entries written after the backup do not count."""
    sums = []
    for url in (one, other):
        with psycopg.connect(url, autocommit=True) as connection:
            tables = connection.execute(
                "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
                " WHERE nspname = 'public' AND relkind = 'r' AND relname NOT LIKE 'audit_journal%' ORDER BY 1"
            ).fetchall()
            sums.append({name: _sum(connection, name) for (name,) in tables})
            entries = "SELECT count(*), sum(hashtextextended(j::text, 0)::numeric) FROM audit_journal j WHERE id <= %s"
            last = (
                psycopg.connect(other)
                .execute("SELECT max(id) FROM audit_journal WHERE action = 'keys.export'")
                .fetchone()
            )
            assert last
            sums[-1]["audit_journal"] = connection.execute(entries, last).fetchone()
    return [name for name in sums[0] | sums[1] if sums[0].get(name) != sums[1].get(name)]


def _sum(connection: psycopg.Connection, table: str) -> Any:
    statement = sql.SQL("SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM {} t")
    return connection.execute(statement.format(sql.Identifier(table))).fetchone()
