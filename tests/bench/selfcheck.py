"""The self-check of an institution with thousands of visits in a month, and the desk's page over all institutions."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, LiteralString, cast

import psycopg
from psycopg import sql

from .client import Client, Rate, clients_sent
from .nation import Nation, session
from .server import PRODUCT, serving

AIMS = {"month": 150, "desk": 500}  # p95 in milliseconds, one client
VISITS = 3_000
BASE = 1_000_000_000  # keys from here on: above all that were given and will be
MONTH = "/selfcheck/114-03"
SQL = Path(__file__).with_name("selfcheck.sql")


def measure(nation: Nation, *, workers: int, requests: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """`requests` of each page with one client. Django must be set up as the owner. Raises RuntimeError where a page is
    wrong."""
    institution = nation.institutions  # the last, which has few visits of its own and records in no other part
    with psycopg.connect(nation.superuser_url, autocommit=True) as connection:
        values = {"institution": institution, "visits": VISITS, "base": BASE}
        script = sql.SQL(cast(LiteralString, SQL.read_text(encoding="utf-8")))
        begin = time.perf_counter()
        connection.execute(script.format(**{name: sql.Literal(value) for name, value in values.items()}))
        made = round(time.perf_counter() - begin, 1)
        (visits,) = connection.execute(
            "SELECT count(*) FROM visits_visit WHERE institution_id = %s AND visit_on BETWEEN '2025-03-01' AND '2025-03-31'",
            [institution],
        ).fetchone() or (0,)
    asked = {"month": (session(institution), MONTH), "desk": (session(_desk_officer()), f"{MONTH}/review")}
    result: dict[str, Any] = {"visits": visits, "institutions": nation.institutions, "seconds_making": made}
    with serving(PRODUCT, nation, workers) as port:
        _check(port, asked, visits, nation.institutions)
        for name, (cookie, path) in asked.items():
            rate = Rate()
            rate.add(clients_sent(port, [{"session": cookie, "requests": [{"path": path}] * requests}]))
            p95 = rate.as_json()["milliseconds"]["p95"]
            result[name] = rate.as_json() | {"aim": f"p95 <= {AIMS[name]} ms", "met": p95 <= AIMS[name]}
            tell(f"selfcheck {name}: {result[name]}")
    return result | {"met": all(result[name]["met"] for name in AIMS)}


def _desk_officer() -> int:
    from quitledger.accounts.actors import SYSTEM
    from quitledger.accounts.permissions import Role
    from quitledger.accounts.scope import scoped
    from quitledger.accounts.services import add_account

    with scoped(SYSTEM):
        return add_account(
            username="bench-desk", display_name="示範窗口", password="bench-leaf-77-river", agency_role=Role.DESK_OFFICER,
            by=SYSTEM,
        ).pk  # fmt: skip


def _check(port: int, asked: dict[str, tuple[str, str]], visits: int, institutions: int) -> None:
    """The month has that many visits and misses a tenth of its medications' days; the desk sees every institution."""
    words = {"month": [f"逐日登錄 {visits} 筆", "未完整 "], "desk": [f'<td class="num">{institutions}</td>']}
    for name, (cookie, path) in asked.items():
        _, html = Client(port, cookie, []).ask({"path": path})
        missing = [word for word in words[name] if word not in html.decode()]
        if missing:
            raise RuntimeError(f"{path} does not say {missing}")
