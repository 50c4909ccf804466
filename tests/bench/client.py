"""The clients, in a process of their own: sockets kept open, requests made ready beforehand, nothing parsed but lengths.

As a program it reads one JSON document (port; for each client its session and its requests) and writes one: seconds
from the first request to the last answer, and each answer's milliseconds, status, address led to and length in bytes.
"""

import json
import re
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(rb'name="csrfmiddlewaretoken" value="(\w+)"')
_COOKIE = re.compile(rb"(?mi)^set-cookie: *csrftoken=(\w+)")
_LENGTH = re.compile(rb"(?mi)^content-length: *(\d+)")
_LOCATION = re.compile(rb"(?mi)^location: *(\S+)")


def clients_sent(port: int, clients: list[dict[str, Any]]) -> dict[str, Any]:
    """Let a process of clients send all requests.

    A client is {"session", "requests"}, a request {"path"} with "body" for a POST and "session" where not the client's.
    """
    job = json.dumps({"port": port, "clients": clients})
    done = subprocess.run([sys.executable, "-m", __name__], input=job, stdout=subprocess.PIPE, check=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@dataclass
class Rate:
    """How fast answers came: seconds of sending, and each answer's milliseconds."""

    seconds: float = 0
    milliseconds: list[float] = field(default_factory=list)

    def add(self, sent: dict[str, Any]) -> None:
        """Add what `clients_sent` gave."""
        self.seconds += sent["seconds"]
        self.milliseconds += [answer["milliseconds"] for answer in sent["answers"]]

    @property
    def a_second(self) -> float:
        """Answers a second."""
        return len(self.milliseconds) / self.seconds

    def as_json(self) -> dict[str, Any]:
        """Counts, duration, rate and percentiles in milliseconds."""
        return {
            "requests": len(self.milliseconds), "seconds": round(self.seconds, 2), "a_second": round(self.a_second, 1),
            "milliseconds": percentiles(self.milliseconds),
        }  # fmt: skip


def percentiles(milliseconds: list[float]) -> dict[str, float]:
    """p50, p95, p99 and the longest."""
    ordered = sorted(milliseconds)
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1}
    return {name: round(ordered[min(int(len(ordered) * share), len(ordered) - 1)], 2) for name, share in shares.items()}


class Client:
    """One browser: one connection, one session, one request after the other."""

    def __init__(self, port: int, session: str, requests: list[dict[str, str]]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.host, self.session, self.cookie, token = f"127.0.0.1:{port}", session, "", ""
        first = next((request for request in requests if "body" in request), None)
        if first:  # a form is opened before it is sent: its hidden token, and the cookie that goes with it
            head, page = self.ask({"path": first["path"]})
            if (form := _TOKEN.search(page)) and (cookie := _COOKIE.search(head)):
                token = f"&csrfmiddlewaretoken={form[1].decode()}"
                self.cookie = f"; csrftoken={cookie[1].decode()}"
        self.requests = [self._bytes(request, token) for request in requests]
        self.answers: list[dict[str, Any]] = []

    def _bytes(self, request: dict[str, str], token: str = "") -> bytes:
        method = "POST" if "body" in request else "GET"
        cookie = f"sessionid={request.get('session', self.session)}{self.cookie}"
        head = f"{method} {request['path']} HTTP/1.1\r\nHost: {self.host}\r\nCookie: {cookie}\r\n"
        if method == "GET":
            return f"{head}\r\n".encode()
        body = f"{request['body']}{token}"
        head += f"Origin: http://{self.host}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    def ask(self, request: dict[str, str]) -> tuple[bytes, bytes]:
        """Head and body of the answer to one request besides."""
        return self.send(self._bytes(request))

    def send(self, request: bytes) -> tuple[bytes, bytes]:
        """Head and body of the answer."""
        self.socket.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._receive()
        head, _, body = received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        while len(body) < int(length[1] if length else 0):
            body += self._receive()
        return head, body

    def _receive(self) -> bytes:
        part = self.socket.recv(1 << 18)
        if not part:
            raise ConnectionError("the server hung up")
        return part

    def run(self) -> None:
        """Send all requests, one after the other, and note the answers."""
        for request in self.requests:
            begin = time.perf_counter()
            head, body = self.send(request)
            milliseconds = (time.perf_counter() - begin) * 1000
            location = _LOCATION.search(head)
            self.answers.append({
                "milliseconds": milliseconds, "status": int(head[9:12]), "length": len(body),
                "location": location[1].decode() if location else "",
            })  # fmt: skip


def run(port: int, clients: list[dict[str, Any]]) -> dict[str, Any]:
    """All clients at once, a thread each."""
    browsers = [Client(port, **client) for client in clients]
    threads = [threading.Thread(target=browser.run) for browser in browsers]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begin
    answers = [answer for browser in browsers for answer in browser.answers]
    return {"seconds": seconds, "answers": answers}


if __name__ == "__main__":
    json.dump(run(**json.load(sys.stdin)), sys.stdout)
