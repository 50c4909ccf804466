"""Makes the environment that settings.py reads: data folder, keys, secret, and the database (embedded by default)."""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Literal

import psycopg

from quitledger.accounts.keys import KeysUnavailable, create_keys_file, keys, keys_path
from quitledger.audit.private_files import write_new

from .postgres import Cluster, PostgresError, data_folder


def uses_own_server() -> bool:
    """True when DATABASE_URL names a server of the user's own: then no PostgreSQL is embedded."""
    return bool(os.environ.get("DATABASE_URL")) and os.environ.get("QUITLEDGER_EMBEDDED") != "1"


def prepare(role: Literal["app", "owner"] = "app", *, reading: bool = False) -> None:
    """Fill the environment and set Django up, connected as the application role or as the owner.

    With `reading` a replica will do, where nothing can be written; else it is refused.

    Starts the embedded PostgreSQL unless DATABASE_URL names another. Makes keys and secret on the first start of an
    embedded installation, while its database is empty; with a server of one's own, missing keys are an error (a second machine needs the same ones).
    Raises PostgresError, KeysUnavailable.
    """
    folder = data_folder()
    folder.mkdir(parents=True, exist_ok=True)
    _check_urls(role)
    os.environ["QUITLEDGER_DATA"] = str(folder)
    if not uses_own_server():
        cluster = Cluster(folder)
        if not reading:
            cluster.refuse_replica()
        cluster.ensure_running()
        urls = cluster.urls() if reading and cluster.is_replica else cluster.ensure_database()
        os.environ.update(DATABASE_URL=urls.app_url, DATABASE_OWNER_URL=urls.owner_url, QUITLEDGER_EMBEDDED="1")
        if not os.environ.get("QUITLEDGER_KEYS") and not keys_path().exists() and _is_empty(urls.owner_url):
            create_keys_file(keys_path())
    if not os.environ.get("QUITLEDGER_SECRET_KEY"):
        os.environ["QUITLEDGER_SECRET_KEY"] = _secret(folder / "secret")
    os.environ["QUITLEDGER_ROLE"] = role
    os.environ["DJANGO_SETTINGS_MODULE"] = "quitledger.settings"
    import django

    django.setup()


def make_first_keys() -> Path | None:
    """Make the keys file of a server of one's own that holds no table yet; its path where that was done.

    In an empty database nothing is encrypted, so that no key can be missing. Later, missing keys stay an error.
    """
    from django.db import connection

    if os.environ.get("QUITLEDGER_KEYS") or keys_path().exists() or connection.introspection.table_names():
        return None
    create_keys_file(keys_path())
    return keys_path()


def require_keys() -> set[str]:
    """The ids of the keys that this database needs, all of which are there. As the owner; asked before serving.

    A key that is lost is told now, not when somebody first reads a number. Raises KeysUnavailable.
    """
    from .keys_export import needed_key_ids

    needed = needed_key_ids()
    missing = sorted(needed - set(keys().ids))
    if missing:
        raise KeysUnavailable(
            f"金鑰檔缺少資料庫需要的金鑰 {'、'.join(missing)}，有些證號將讀不到。請以 quitledger keys import 放回匯出的金鑰。"
        )
    return needed


def _is_empty(owner_url: str) -> bool:
    """True for a database without any table of ours: nothing in it is encrypted, so that no key can be missing."""
    with psycopg.connect(owner_url) as connection:
        row = connection.execute("SELECT to_regclass('audit_database') IS NULL").fetchone()
    return bool(row and row[0])


def _check_urls(role: str) -> None:
    """A server of one's own is named by its application URL and, for what only the owner may do, by both."""
    own, owner_url = uses_own_server(), os.environ.get("DATABASE_OWNER_URL")
    if own and role == "owner" and not owner_url:
        raise PostgresError(
            "這個指令要以資料庫擁有者執行：除了 DATABASE_URL，請再設定 DATABASE_OWNER_URL。",
            "This command runs as the owner of the database: set DATABASE_OWNER_URL beside DATABASE_URL.",
        )
    if owner_url and not own and os.environ.get("QUITLEDGER_EMBEDDED") != "1":
        raise PostgresError(
            "已設定 DATABASE_OWNER_URL，但沒有 DATABASE_URL（應用程式角色），請兩個都設定。",
            "DATABASE_OWNER_URL is set without DATABASE_URL, the application role's: set both.",
        )


def _secret(path: Path) -> str:
    """The secret that signs cookies, made once, readable by its owner alone."""
    if not path.exists():
        with suppress(FileExistsError):  # another process was first
            write_new(path, secrets.token_urlsafe(48).encode())
    return path.read_text()
