"""Work for the worker: ended sessions, each left with a job that clears it away."""

import threading
import time
from collections.abc import Callable
from itertools import count

import psycopg

PAUSE = 0.1  # seconds between two

ENDED_SESSION = "INSERT INTO accounts_session (session_key, session_data, expire_date) VALUES (%s, '', '2020-01-01')"
JOB = (
    "INSERT INTO procrastinate_jobs (queue_name, task_name, args)"
    " VALUES ('default', 'quitledger:clear_expired', '{\"timestamp\": 0}')"
)


class Errands:
    """Leaves errands by SQL, as the application role, until told to stop."""

    def __init__(self, connect: Callable[[], psycopg.Connection]) -> None:
        self.connect = connect
        self.left: list[str] = []  # the sessions whose commit was acknowledged
        self.ended = threading.Event()

    def work(self) -> None:
        """One errand after the other; where the database is away, on another connection."""
        serials = count()
        while not self.ended.is_set():
            try:
                with self.connect() as connection:
                    while not self.ended.is_set():
                        name = f"storm-{next(serials)}"
                        with connection.transaction():
                            connection.execute(ENDED_SESSION, [name])
                            connection.execute(JOB)
                        self.left.append(name)
                        time.sleep(PAUSE)
            except psycopg.Error:
                time.sleep(PAUSE)
