"""The deadline evening: the last half hour of a month whose records are mostly still open, in sixty seconds.

What is meant by it is said in the result. Arrivals are a Poisson process of a fixed seed (so many requests at independent
random moments) and wait for nobody. The same again at ten times the rate: then the site must refuse, not collapse.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import psycopg

from .client import Client, percentiles
from .crowd import crowd_sent
from .nation import Nation, session
from .server import PRODUCT, serving

MONTH, LAST_DAY = date(2025, 3, 1), date(2025, 3, 31)
OPEN = 0.6  # of the month's visits, at the beginning of the evening
LAST = 30  # minutes before the month closes
SHARE = 0.1  # of the open visits, in the last minutes: assumed
BURST = 10  # times as many: with SHARE, all of them
SEED = 1140420
WARM_UP = 8  # seconds
RESENT = 400  # of the refused visits, after the burst
MOST_ROUNDS = 10  # of sending them again
# What else is asked for while one visit is recorded.
PAGES = {
    "record": 1.0,  # the form sent
    "record page": 1.0,  # the form opened
    "change page": 0.2, "change": 0.2,
    "query": 0.6,  # 就醫資料查詢 as it opens: the last two months
    "month": 0.6,  # 每月自行清查: the institution's own month
    "person": 0.4,
}  # fmt: skip
SENDS = {"record", "change"}
AIMS = {"recover_in": 5.0}  # seconds from the last arrival to the first answer for somebody new

MEANING = (
    f"{OPEN:.0%} of the month's visits are open (taken out of the database). {SHARE:.0%} of these are recorded in the last"
    f" {LAST} minutes, in ten_times all of them, and what arrives in these minutes arrives in `seconds`: in real time the rates"
    f" would be `compressed` times lower. Each recording brings {sum(PAGES.values()):g} requests in all, of all institutions."
)

Request = dict[str, Any]


@dataclass(frozen=True)
class OpenVisit:
    """A visit of the month that is not recorded yet, or not changed yet."""

    uid: UUID
    case: UUID
    institution: int
    day: date
    kinds: list[str]
    medicine: str | None
    physician: UUID
    counsellor: UUID

    def body(self, **more: Any) -> str:
        """The form as a browser sends it."""
        typed: dict[str, Any] = {
            "uid": self.uid, "visit_on": f"{self.day.year - 1911}/{self.day.month}/{self.day.day}", "visit_time": "",
            "services": self.kinds, "medication_staff": self.physician, "counselling_staff": self.counsellor,
            "counselling_mode": "in_person", "lines-TOTAL_FORMS": 1, "lines-INITIAL_FORMS": 0,
            "lines-0-medicine": self.medicine or "", "lines-0-supply_weeks": 1 if self.medicine else "",
            "lines-0-supply_days": 7 if self.medicine else "", "cigarettes_per_day": 12, "co_ppm": 9,
            "note": "戒菸第 2 週，食慾增加。",
        }  # fmt: skip
        return urlencode(typed | more, doseq=True)


def measure(nation: Nation, *, workers: int, seconds: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Raises RuntimeError where an acknowledged visit is not there whole, or a refused one is."""
    with psycopg.connect(nation.superuser_url, autocommit=True) as connection:
        evening = Evening(connection, nation, seconds)
        with serving(PRODUCT, nation, workers) as port:
            crowd_sent(port, [one for one in evening.arrivals(1) if one["kind"] not in SENDS and one["at"] < WARM_UP])
            steps = {}
            for times in (1, BURST):
                steps[times] = evening.step(port, times)
                tell(f"evening, {times} times: {steps[times]}")
    ordinary, burst = steps[1], steps[BURST]
    met = (
        ordinary["errors"] == ordinary["refused"] == burst["errors"] == 0
        and burst["recovered_after_seconds"] <= AIMS["recover_in"]
    )
    return {
        "meaning": MEANING, "month": evening.facts, "compressed": round(LAST * 60 / seconds, 1),
        "all_open_ones_in_real_time": {
            "recordings_a_second": round(len(evening.open) / (LAST * 60), 2),
            "requests_a_second": round(len(evening.open) * sum(PAGES.values()) / (LAST * 60), 1),
        },
        "ordinary": ordinary, "ten_times": burst,
        "aim": "no error and no refusal; ten times: no error, all refused with 429, none lost, answers again at once",
        "met": met,
    }  # fmt: skip


class Evening:
    """The month's visits, open and recorded, and who asks for what when."""

    def __init__(self, connection: psycopg.Connection, nation: Nation, seconds: int) -> None:
        self.nation = nation
        self.connection, self.seconds, self.random = connection, seconds, random.Random(SEED)
        visits = open_visits(connection)
        self.random.shuffle(visits)
        count = round(len(visits) * OPEN)
        self.open, self.recorded = visits[:count], visits[count:]
        take_out(connection, [visit.uid for visit in self.open])
        self.facts = {"visits": len(visits), "open": count, "recorded_in_the_last_half_hour": round(count * SHARE)}
        here = sorted({visit.institution for visit in visits})
        self.sessions = {institution: session(institution) for institution in here}
        self._known = iter(self.recorded)

    # --- what arrives

    def arrivals(self, times: int) -> list[Request]:
        """Requests at random moments, `times` as many as there are in the evening; and one a second that watches."""
        self._new = iter(self.open)
        asked = [
            {"at": self.random.uniform(0, self.seconds), "kind": kind, **self._request(kind)}
            for kind, share in PAGES.items()
            for _ in range(round(times * len(self.open) * SHARE * share))
        ]
        asked += [{"at": at, "kind": "healthz", "session": "", "path": "/healthz"} for at in range(self.seconds)]
        return sorted(asked, key=lambda request: request["at"])

    def _request(self, kind: str) -> Request:
        if kind == "record":
            visit = next(self._new)
            form = visit.body(uid=(uid := uuid4()))
            return self._by(visit, f"/cases/{visit.case}/visits/new", body=form, uid=str(uid))
        if kind == "change":
            visit = next(self._known)
            body = visit.body(version=1, reason="補填一氧化碳", co_ppm=self.random.randrange(1, 30), note="補填")
            return self._by(visit, f"/visits/{visit.uid}/change", body=body, uid=str(visit.uid))
        visit = self.random.choice(self.recorded if kind == "change page" else self.open)
        first, last = ("114/3/1", "114/3/31")
        return self._by(visit, {
            "record page": f"/cases/{visit.case}/visits/new", "change page": f"/visits/{visit.uid}/change",
            "query": "/visits", "month": f"/visits?first={first}&last={last}&sort=visit_on", "person": f"/cases/{visit.case}",
        }[kind])  # fmt: skip

    def _by(self, visit: OpenVisit, path: str, **more: str) -> Request:
        return {"session": self.sessions[visit.institution], "path": path, **more}

    # --- what came of it

    def step(self, port: int, times: int) -> dict[str, Any]:
        """The evening at `times` its rate; afterwards: does it answer, is everything acknowledged there, and nothing else?"""
        requests = self.arrivals(times)
        before = self.nation.processor_seconds()
        sent = crowd_sent(port, requests)
        used = self.nation.processor_seconds() - before
        recovered = round(sent["seconds_until_the_last_answer"] + self._answered_after(port), 3)
        outcome = [(request, answer) for request, answer in zip(requests, sent["answers"], strict=True)]
        served = [(request, answer) for request, answer in outcome if _as_expected(request, answer)]
        refused = [(request, answer) for request, answer in outcome if answer["status"] == 429]
        wrong = [
            (request, answer)
            for request, answer in outcome
            if answer["status"] != 429 and not _as_expected(request, answer)
        ]
        recorded = [request["uid"] for request, _ in served if request["kind"] == "record"]
        lost = [request for request, _ in refused if request["kind"] == "record"]
        self._check_recorded(recorded, "visit.record", 1)
        self._check_recorded(
            [request["uid"] for request, _ in served if request["kind"] == "change"], "visit.change", 2
        )
        self._check_absent([request["uid"] for request in lost])
        result: dict[str, Any] = {
            "arrivals": {"seconds": self.seconds, "requests": len(requests), "a_second": round(len(requests) / self.seconds, 1),
                         "recordings_a_second": round(_count(outcome, "record") / self.seconds, 1)},
            "served": len(served), "served_a_second": round(len(served) / (sent["seconds"] + sent["seconds_until_the_last_answer"]), 1),
            "recordings_served_a_second": round(len(recorded) / (sent["seconds"] + sent["seconds_until_the_last_answer"]), 1),
            "refused": len(refused), "share_refused": round(len(refused) / len(requests), 3),
            "errors": len(wrong), "first_errors": [{"kind": request["kind"], **answer} for request, answer in wrong[:3]],
            "kinds": {kind: _of_kind(kind, outcome) for kind in [*PAGES, "healthz"]},
            "recorded_and_found_whole": len(recorded), "refused_and_found_absent": len(lost),
            "recovered_after_seconds": recovered, "connections": sent["connections"],
            "sender_latest_milliseconds": sent["latest_milliseconds"],
            "processor_seconds_of_site_and_database": round(used, 1),
        }  # fmt: skip
        if not refused:
            result["processor_milliseconds_a_request"] = round(used * 1000 / len(served), 1)
        else:
            result["refused_milliseconds"] = percentiles([answer["milliseconds"] for _, answer in refused])
            result["served_milliseconds"] = percentiles([answer["milliseconds"] for _, answer in served])
            result["refused_without_retry_after"] = sum(not answer["retry_after"] for _, answer in refused)
        if lost:
            result["sent_again"] = self._sent_again(port, lost[:RESENT])
            recorded += [request["uid"] for request in lost[:RESENT]]
        take_out(self.connection, [UUID(uid) for uid in recorded])  # open again for the next step
        return result

    def _answered_after(self, port: int) -> float:
        """Seconds until somebody new is answered."""
        begin = time.perf_counter()
        page = Client(port, next(iter(self.sessions.values())), [])
        while not page.ask({"path": "/visits"})[0].startswith(b"HTTP/1.1 200"):
            time.sleep(0.05)
        return time.perf_counter() - begin

    def _sent_again(self, port: int, requests: list[Request]) -> dict[str, int]:
        """The refused visits as they were, until the last is recorded: who is refused once more waits as he is told."""
        left, rounds = requests, 0
        while left and rounds < MOST_ROUNDS:
            rounds += 1
            answers = crowd_sent(port, [{**one, "at": number / 20} for number, one in enumerate(left)])["answers"]
            again = [(one, answer) for one, answer in zip(left, answers, strict=True) if not _as_expected(one, answer)]
            if wrong := [answer for _, answer in again if answer["status"] != 429]:
                raise RuntimeError(f"{len(wrong)} visits could not be sent again: {wrong[0]}")
            if again:
                time.sleep(max(answer["retry_after"] for _, answer in again))
            left = [one for one, _ in again]
        if left:
            raise RuntimeError(f"{len(left)} of {len(requests)} visits were refused {rounds} times")
        self._check_recorded([one["uid"] for one in requests], "visit.record", 1)
        return {"visits": len(requests), "recorded_once": len(requests), "rounds": rounds}

    def _check_recorded(self, uids: list[str], action: str, version: int) -> None:
        row = self.connection.execute(_WHOLE, {"uids": uids, "action": action, "version": version}).fetchone()
        if row is None or row[0] != len(uids):
            raise RuntimeError(f"{len(uids)} were acknowledged ({action}), {row and row[0]} are there whole")

    def _check_absent(self, uids: list[str]) -> None:
        row = self.connection.execute(_ABSENT, {"uids": uids}).fetchone()
        if row is None or row[0]:
            raise RuntimeError(f"{row and row[0]} visits that were refused left something")


def open_visits(connection: psycopg.Connection) -> list[OpenVisit]:
    """The loaded visits of the month."""
    return [OpenVisit(*row) for row in connection.execute(_VISITS, {"first": MONTH, "last": LAST_DAY})]


def _as_expected(request: Request, answer: dict[str, Any]) -> bool:
    if request["kind"] in SENDS:
        return answer["status"] == 302 and answer["location"] == f"/visits/{request['uid']}"
    return answer["status"] == 200


Outcome = list[tuple[Request, dict[str, Any]]]


def _count(outcome: Outcome, kind: str) -> int:
    return sum(request["kind"] == kind for request, _ in outcome)


def _of_kind(kind: str, outcome: Outcome) -> dict[str, Any]:
    """How many of a kind came, what became of them, and how long the served ones took."""
    mine = [(request, answer) for request, answer in outcome if request["kind"] == kind]
    statuses = Counter(str(answer["status"]) for _, answer in mine)
    served = [answer["milliseconds"] for request, answer in mine if _as_expected(request, answer)]
    return {"arrived": len(mine), "statuses": dict(statuses), "milliseconds": percentiles(served) if served else None}


_VISITS = """
SELECT v.uid, c.uid, v.institution_id, v.visit_on, array_agg(s.kind ORDER BY s.kind), max(l.medicine_code),
  p.uid, n.uid
FROM visits_visit v JOIN cases_case c ON c.id = v.case_id JOIN visits_service s ON s.visit_id = v.id
LEFT JOIN visits_medicationline l ON l.service_id = s.id
JOIN institutions_staffmember p ON p.id = 2 * v.institution_id
JOIN institutions_staffmember n ON n.id = 2 * v.institution_id - 1
WHERE v.visit_on BETWEEN %(first)s AND %(last)s AND v.in_force AND v.version = 1 AND v.recorded_at::date = v.visit_on
GROUP BY v.id, c.uid, p.uid, n.uid ORDER BY v.id
"""
# As many of the uids as are in the database with everything that belongs to them.
_WHOLE = """
SELECT count(*) FROM visits_visit v WHERE v.uid = ANY(%(uids)s::uuid[]) AND v.in_force AND v.version = %(version)s
  AND EXISTS (SELECT FROM visits_visit_history h WHERE h.id = v.id AND h.version = v.version)
  AND EXISTS (SELECT FROM visits_service s JOIN visits_service_history h ON h.id = s.id WHERE s.visit_id = v.id)
  AND EXISTS (SELECT FROM audit_journal j WHERE j.action = %(action)s AND v.uid = ANY(j.record_uids))
"""
_ABSENT = """
SELECT (SELECT count(*) FROM visits_visit WHERE uid = ANY(%(uids)s::uuid[]))
  + (SELECT count(*) FROM visits_visit_history WHERE uid = ANY(%(uids)s::uuid[]))
  + (SELECT count(*) FROM audit_journal WHERE action = 'visit.record' AND record_uids && %(uids)s::uuid[])
"""


def take_out(connection: psycopg.Connection, uids: list[UUID]) -> None:
    """Open visits are not recorded: take them out of the loaded nation, past its triggers, as it was loaded."""
    connection.execute("CREATE TEMP TABLE taken AS SELECT id FROM visits_visit WHERE uid = ANY(%s)", [uids])
    connection.execute("ANALYZE taken")
    connection.execute("SET session_replication_role = replica")
    for table, column in (
        ("visits_medicationline", "visit_id"),
        ("visits_coursefinding", "visit_id"),
        ("visits_service", "visit_id"),
        ("visits_visit", "id"),
    ):
        connection.execute(f"DELETE FROM {table} WHERE {column} IN (SELECT id FROM taken)")
    connection.execute("RESET session_replication_role")
    connection.execute("DROP TABLE taken")
    connection.execute("VACUUM ANALYZE visits_visit, visits_service, visits_medicationline")
