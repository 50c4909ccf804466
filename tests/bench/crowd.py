"""A crowd: requests that arrive when they arrive, whether or not those before them were answered (an open loop).

As a program it reads one JSON document (port; the requests with the second at which each arrives) and writes one: for each
request its milliseconds from that second on, its status (0: no answer), the address led to and the wait it was told.
Each account keeps a connection of its own, as a browser does, and opens another where that one is busy.
"""

import heapq
import json
import re
import resource
import selectors
import socket
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from .client import _LENGTH, _LOCATION

PATIENCE = 30.0  # seconds without an answer; then the request counts as lost
MOST_CONNECTIONS = 8_000
CSRF = "c" * 32  # the cookie and the field of a form must be the same; a browser's were given by an earlier page
_RETRY_AFTER = re.compile(rb"(?mi)^retry-after: *(\d+)")

Request = dict[str, Any]


def crowd_sent(port: int, requests: list[Request]) -> dict[str, Any]:
    """Let a process send the requests: {"at": seconds, "session", "path"} with "body" for a POST."""
    job = json.dumps({"port": port, "requests": requests})
    done = subprocess.run([sys.executable, "-m", __name__], input=job, stdout=subprocess.PIPE, check=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@dataclass
class Asked:
    """A request that was sent: where its answer goes and what has come of it."""

    request: Request
    answer: dict[str, Any]
    due: float
    again: bool  # on a connection that was open before: where it was just being closed, a browser sends it once more
    received: bytearray = field(default_factory=bytearray)
    length: int = -1  # of the whole answer, once its head is there


class Crowd:
    """All connections, in one thread."""

    def __init__(self, port: int) -> None:
        self.port, self.host = port, f"127.0.0.1:{port}"
        self.selector = selectors.DefaultSelector()
        self.idle: dict[str, list[socket.socket]] = defaultdict(list)
        self.asked: dict[socket.socket, Asked] = {}
        self.patience: list[tuple[float, int, socket.socket]] = []
        self.opened = 0

    def send(self, request: Request, due: float) -> dict[str, Any]:
        """Send it on the account's connection, or on a new one; the answer is filled in when it comes."""
        answer = {"status": 0, "milliseconds": PATIENCE * 1000, "location": "", "retry_after": 0, "length": 0}
        self._send(Asked(request, answer, due, again=True))
        return answer

    def _send(self, asked: Asked) -> None:
        body = self._bytes(asked.request)
        idle = self.idle[asked.request["session"]] if asked.again else []
        while idle:
            connection = idle.pop()
            try:
                connection.sendall(body)
            except OSError:  # closed by the server meanwhile
                self._close(connection)
            else:
                break
        else:
            asked.again = False
            if len(self.asked) >= MOST_CONNECTIONS:
                return
            connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(body)
            connection.setblocking(False)
            self.selector.register(connection, selectors.EVENT_READ)
            self.opened += 1
        self.asked[connection] = asked
        heapq.heappush(self.patience, (asked.due + PATIENCE, id(asked), connection))

    def _bytes(self, request: Request) -> bytes:
        method = "POST" if "body" in request else "GET"
        cookie = f"sessionid={request['session']}; csrftoken={CSRF}"
        head = f"{method} {request['path']} HTTP/1.1\r\nHost: {self.host}\r\nCookie: {cookie}\r\n"
        if method == "GET":
            return f"{head}\r\n".encode()
        body = f"{request['body']}&csrfmiddlewaretoken={CSRF}"
        head += f"Origin: http://{self.host}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    def hear(self, seconds: float) -> None:
        """Take in what comes within that time."""
        for key, _ in self.selector.select(max(seconds, 0)):
            self._receive(key.fileobj)  # type: ignore[arg-type]
        now = time.perf_counter()
        while self.patience and self.patience[0][0] < now:
            _, number, connection = heapq.heappop(self.patience)
            if connection in self.asked and id(self.asked[connection]) == number:
                self._close(connection)

    def _receive(self, connection: socket.socket) -> None:
        asked = self.asked.get(connection)
        try:
            part = connection.recv(1 << 18)
        except OSError:
            part = b""
        if not part or asked is None:  # it was closed; or something came that nobody asked for
            self._close(connection)
            if asked and asked.again and not asked.received:
                asked.again = False
                self._send(asked)
            return
        asked.received += part
        if asked.length < 0 and (end := asked.received.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(asked.received, 0, end)
            asked.length = end + 4 + int(length[1] if length else 0)
        if 0 <= asked.length <= len(asked.received):
            self._answered(connection, asked)

    def _answered(self, connection: socket.socket, asked: Asked) -> None:
        head = bytes(asked.received.partition(b"\r\n\r\n")[0])
        location, wait = _LOCATION.search(head), _RETRY_AFTER.search(head)
        asked.answer |= {
            "milliseconds": (time.perf_counter() - asked.due) * 1000, "status": int(head[9:12]),
            "location": location[1].decode() if location else "", "retry_after": int(wait[1]) if wait else 0,
            "length": len(asked.received),
        }  # fmt: skip
        del self.asked[connection]
        self.idle[asked.request["session"]].append(connection)

    def _close(self, connection: socket.socket) -> None:
        asked = self.asked.pop(connection, None)
        if asked is None:
            for idle in self.idle.values():
                if connection in idle:
                    idle.remove(connection)
                    break
        self.selector.unregister(connection)
        connection.close()


def run(port: int, requests: list[Request]) -> dict[str, Any]:
    """All requests at their seconds; ends when the last was answered or given up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard if hard != resource.RLIM_INFINITY else 2 * MOST_CONNECTIONS
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(most, 2 * MOST_CONNECTIONS)), hard))
    crowd, answers, late = Crowd(port), [], 0.0
    begin = time.perf_counter()
    for request in requests:
        due = begin + request["at"]
        while (now := time.perf_counter()) < due:
            crowd.hear(due - now)
        late = max(late, now - due)
        answers.append(crowd.send(request, due))
        crowd.hear(0)
    arrived = time.perf_counter()
    while crowd.asked:
        crowd.hear(0.1)
    end = time.perf_counter()
    return {
        "answers": answers, "seconds": arrived - begin, "seconds_until_the_last_answer": end - arrived,
        "connections": crowd.opened, "latest_milliseconds": round(late * 1000, 1),
    }  # fmt: skip


if __name__ == "__main__":
    json.dump(run(**json.load(sys.stdin)), sys.stdout)
