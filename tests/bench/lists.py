"""One institution's month, as page and as JSON, beside the same SQL through bare psycopg and json.dumps."""

import json
import time
from calendar import monthrange
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg

from .client import Client, Rate, clients_sent
from .nation import Nation, session
from .server import PRODUCT, serving

AIMS = {"page": 60, "json": 25}  # p95 in milliseconds, one client


@dataclass(frozen=True)
class InstitutionMonth:
    """What one request asks for; `visits` is what it must answer."""

    institution: int
    month: date
    visits: int

    @property
    def last(self) -> date:
        """The month's last day."""
        return self.month.replace(day=monthrange(self.month.year, self.month.month)[1])

    def path(self, kind: str) -> str:
        """The address, with ROC dates as people type them."""
        first, last = (f"{day.year - 1911}/{day.month}/{day.day}" for day in (self.month, self.last))
        return f"/visits{'.json' if kind == 'json' else ''}?first={first}&last={last}"


def measure(nation: Nation, *, workers: int, requests: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """`requests` of each kind with 1 and with 4 clients. Raises RuntimeError where an answer is wrong."""
    with psycopg.connect(nation.superuser_url, autocommit=True) as connection:
        months = _months(connection, requests)
    sessions = {one.institution: session(one.institution) for one in months}
    largest = max(months, key=lambda one: one.visits)
    results: dict[str, Any] = {
        "sample": "the busiest month of institutions of all sizes, evenly from the largest on",
        "months": len(months), "largest_month_visits": largest.visits,
        "mean_month_visits": round(sum(one.visits for one in months) / len(months), 1),
    }  # fmt: skip
    with serving(PRODUCT, nation, workers) as port:
        _check(port, largest, sessions[largest.institution])
        for kind, aim in AIMS.items():
            asked = [{"path": one.path(kind), "session": sessions[one.institution]} for one in months]
            _rate(port, asked, clients=4)  # warm-up
            by_clients = {clients: _rate(port, asked, clients).as_json() for clients in (1, 4)}
            alone = _rate(
                port, [{"path": largest.path(kind), "session": sessions[largest.institution]}] * 50, clients=1
            )
            p95 = by_clients[1]["milliseconds"]["p95"]
            results[kind] = {
                "by_clients": by_clients, "largest_month": alone.as_json(), "bare": _floor(nation, months, kind).as_json(),
                "aim": f"p95 of 1 client <= {aim} ms", "met": p95 <= aim,
            }  # fmt: skip
            tell(f"{kind}: {results[kind]}")
    return results


def _months(connection: psycopg.Connection, wanted: int) -> list[InstitutionMonth]:
    """The busiest month of institutions of all sizes, evenly from the largest on, in no order."""
    rows = connection.execute(
        "WITH counted AS (SELECT institution_id, date_trunc('month', visit_on)::date AS month, count(*) AS visits"
        "   FROM visits_visit WHERE in_force GROUP BY 1, 2),"
        " busiest AS (SELECT DISTINCT ON (institution_id) * FROM counted ORDER BY institution_id, visits DESC, month),"
        " placed AS (SELECT *, row_number() OVER (ORDER BY visits DESC, institution_id) - 1 AS place,"
        "   greatest(count(*) OVER () / %(wanted)s, 1) AS step FROM busiest)"
        " SELECT institution_id, month, visits FROM placed WHERE place %% step = 0 AND place / step < %(wanted)s"
        " ORDER BY md5(institution_id::text)",
        {"wanted": wanted},
    ).fetchall()
    return [InstitutionMonth(*row) for row in rows]


def _rate(port: int, asked: list[dict[str, str]], clients: int) -> Rate:
    sent = clients_sent(port, [{"session": "", "requests": asked[number::clients]} for number in range(clients)])
    wrong = [answer for answer in sent["answers"] if answer["status"] != 200]
    if wrong:
        raise RuntimeError(f"{len(wrong)} of {len(asked)} were not answered: {wrong[0]}")
    rate = Rate()
    rate.add(sent)
    return rate


def _check(port: int, month: InstitutionMonth, cookie: str) -> None:
    """The page tells the right number, and the JSON has that many visits."""
    page = Client(port, cookie, [])
    _, html = page.ask({"path": month.path("page")})
    _, text = page.ask({"path": month.path("json")})
    if f"{month.visits} 筆" not in html.decode() or len(json.loads(text)["visits"]) != month.visits:
        raise RuntimeError(f"{month} was not answered as it is")


def _floor(nation: Nation, months: list[InstitutionMonth], kind: str) -> Rate:
    """The product's own statements, sent by psycopg as the application role in the same scope."""
    rate = Rate()
    with psycopg.connect(nation.app_url, autocommit=True) as connection:
        for month in months:
            statements = list(_statements(month, kind))
            begin = time.perf_counter()
            with connection.transaction():
                connection.execute("SELECT set_config('quitledger.scope', %s, true)", [str(month.institution)])
                for sql, values in statements:
                    rows = connection.execute(sql, values).fetchall()
                if kind == "json":
                    json.dumps(rows, default=str)
            seconds = time.perf_counter() - begin
            rate.add({"seconds": seconds, "answers": [{"milliseconds": seconds * 1000}]})
    return rate


def _statements(month: InstitutionMonth, kind: str) -> Iterator[tuple[Any, Any]]:
    """What the product asks the database for its rows: caught on the way."""
    from quitledger.accounts.actors import Actor
    from quitledger.accounts.permissions import Role
    from quitledger.accounts.scope import scoped
    from quitledger.portal.query import PAGE_ROWS
    from quitledger.visits.queries import VisitQuery, search, totals

    by = Actor(month.institution, month.institution, Role.RECORDER)
    query = VisitQuery(month.month, month.last)
    with scoped(by), _caught() as caught:
        if kind == "page":
            totals(query, by=by)
        list(search(query, by=by, limit=PAGE_ROWS if kind == "page" else None))
    yield from caught


@contextmanager
def _caught() -> Iterator[list[tuple[Any, Any]]]:
    from django.db import connection

    caught: list[tuple[Any, Any]] = []

    def catch(execute: Callable[..., Any], sql: Any, values: Any, many: bool, context: dict[str, Any]) -> Any:
        caught.append((sql, values))
        return execute(sql, values, many, context)

    with connection.execute_wrapper(catch):
        yield caught
