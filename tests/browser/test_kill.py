"""kill -9 of the web process while people record: what was acknowledged is there, whole, and nothing is there by half."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from http.client import HTTPConnection, HTTPException
from http.cookies import SimpleCookie
from urllib.parse import urlencode
from uuid import UUID, uuid4

from quitledger.visits.models import Visit
from tests import world

from . import given
from .served import Site

CLIENTS = 4
PEOPLE_OF_EACH = 10
DAYS = [date(2025, 3, 1) + timedelta(days=5 * number) for number in range(6)]


@dataclass
class Client:
    """Somebody who records visit after visit and, where no answer comes, sends the same form again."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)
    forms: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    acknowledged: list[UUID] = field(default_factory=list)
    unanswered: int = 0
    fault: str = ""

    def ask(self, method: str, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        """Status and Location; keeps the cookies. A connection of its own, so that a kill breaks only what it breaks."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
            body = urlencode({**form, "csrfmiddlewaretoken": self.cookies["csrftoken"]}) if form else None
            if body:
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            for line in answer.headers.get_all("Set-Cookie") or []:
                self.cookies |= {name: one.value for name, one in SimpleCookie(line).items()}
            return answer.status, answer.headers.get("Location", "")
        finally:
            connection.close()

    def sign_in(self) -> None:
        """By password."""
        self.ask("GET", "/accounts/login")
        status, _ = self.ask("POST", "/accounts/login", {"login": "recorder", "password": world.PASSWORD})
        assert status == 302

    def record_all(self) -> None:
        """Send every form until it is answered."""
        for path, form in self.forms:
            while True:
                try:
                    status, location = self.ask("POST", path, form)
                except (OSError, HTTPException):
                    self.unanswered += 1
                    time.sleep(0.05)
                    continue
                if status != 302 or form["uid"] not in location:
                    self.fault = f"{status} {location}"
                    return
                self.acknowledged.append(UUID(form["uid"]))
                break


def forms(site: Site, client: int) -> Iterator[tuple[str, dict[str, str]]]:
    """The visits that one client records."""
    with given.the_owner(site):
        staff = {
            "medication_staff": str(world.staff("示範丑").uid),
            "counselling_staff": str(world.staff("示範子").uid),
        }
    people = [given.a_person(site, f"示範人{client}{number}", 1000 + 100 * client + number)
              for number in range(PEOPLE_OF_EACH)]  # fmt: skip
    for day in DAYS:
        for case in people:
            yield f"/cases/{case.uid}/visits/new", staff | {
                "uid": str(uuid4()), "visit_on": day.isoformat(), "services": "counselling",
                "counselling_mode": "in_person", "lines-TOTAL_FORMS": "1", "lines-INITIAL_FORMS": "0", "co_ppm": "8",
            }  # fmt: skip


def wait_for_visits(clients: list[Client], *, part: float) -> None:
    """Return when this part of all visits is acknowledged and everybody is busy with the next."""
    wanted = part * sum(len(client.forms) for client in clients)
    while sum(len(client.acknowledged) for client in clients) < wanted and not any(one.fault for one in clients):
        time.sleep(0.005)


def test_every_acknowledged_visit_survives_a_kill_with_its_journal_entry_and_history_and_none_is_half_there(site: Site):
    first = Client(site.port)
    first.sign_in()
    clients = [Client(site.port, dict(first.cookies), list(forms(site, number))) for number in range(CLIENTS)]
    threads = [threading.Thread(target=client.record_all, daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    wait_for_visits(clients, part=0.2)
    site.kill_worker()
    assert site.answers(10)  # the server has started another by itself
    wait_for_visits(clients, part=0.5)
    site.kill()
    site.start(site.port)
    for thread in threads:
        thread.join(60)

    assert [client.fault for client in clients] == [""] * CLIENTS
    assert sum(client.unanswered for client in clients) > 0, "the kills came when nobody was recording"
    acknowledged = {uid for client in clients for uid in client.acknowledged}
    assert len(acknowledged) == CLIENTS * PEOPLE_OF_EACH * len(DAYS)

    with given.the_owner(site):
        there = set(Visit.objects.values_list("uid", flat=True))
    assert there == acknowledged
    with site.database.owner() as owner:
        # One transaction wrote the visit, its service, a version of each and one entry: the same number on all of them.
        whole = owner.execute(
            "SELECT v.uid FROM visits_visit v"
            " JOIN visits_service s ON s.visit_id = v.id"
            " JOIN visits_visit_history vh ON vh.id = v.id AND vh.history_change = 'insert'"
            " JOIN visits_service_history sh ON sh.id = s.id AND sh.history_change = 'insert'"
            " JOIN audit_journal j ON j.action = 'visit.record' AND j.record_uids = ARRAY[v.uid]"
            " WHERE vh.history_xid = sh.history_xid AND vh.history_xid = j.xid"
        ).fetchall()
        entries = owner.execute("SELECT count(*) FROM audit_journal WHERE action = 'visit.record'").fetchone()
    assert sorted(uid for (uid,) in whole) == sorted(acknowledged)
    assert entries == (len(acknowledged),)
