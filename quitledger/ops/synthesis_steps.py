"""What is to be done, one thing after the other, to write a made-up nation; and the process of its own that says it.

The maker (synthesis_maker.py) plans and makes rows while whoever asked for them has the database write those before: two
cores are busy where one process could use one. It knows no database. What it says comes through a pipe that holds little
and from a queue that holds few, so that memory does not grow with the nation.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from .orphans import as_parent


@dataclass(frozen=True)
class Line:
    """A line is to be told."""

    text: str


@dataclass(frozen=True)
class Copy:
    """Rows are to be copied into a table: as COPY reads them (audit.staging.as_copied)."""

    table: str
    columns: list[str]
    rows: bytes


@dataclass(frozen=True)
class Months:
    """Service months are to be opened: of an institution each, from a first day."""

    institutions: list[int]
    first_days: list[date]


@dataclass(frozen=True)
class Registered:
    """Every institution is there: whoever works with them can be given an account."""


@dataclass
class Loaded:
    """How much there is when everything is written, over all years: the last step."""

    institutions: int = 0
    staff: int = 0
    persons: int = 0
    visits: int = 0
    services: int = 0


@dataclass(frozen=True)
class Failed:
    """The maker cannot go on; says why."""

    error: BaseException


Step = Line | Copy | Months | Registered | Loaded


class MakerEnds(RuntimeError):
    """The maker's process ended in the midst: somebody killed it, or the system did for want of memory.

    `status`: as subprocess says it, a signal as its negative number.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"the process that makes the rows ended with {status}")
        self.status = status


@contextmanager
def making(years: Sequence[int], *, seed: int, scale: Decimal, now: datetime) -> Iterator[Iterator[Step]]:
    """The steps of synthesis_rows.steps_of, made in a process of its own, which is gone at the end whatever happens.

    It finds the keys as this process does and is told no database. Taking a step raises what the maker raised, and MakerEnds.
    """
    environment = os.environ | as_parent() | {"DATABASE_URL": "", "DATABASE_OWNER_URL": ""}
    command = [sys.executable, "-I", "-m", f"{__package__}.synthesis_maker", now.isoformat(), str(seed), str(scale)]
    with subprocess.Popen(  # noqa: S603 - our own program; the words are numbers
        [*command, *map(str, years)],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us, who end it
    ) as maker:  # fmt: skip
        try:
            yield _steps(maker)
        finally:
            maker.kill()


def _steps(maker: "subprocess.Popen[bytes]") -> Iterator[Step]:
    assert maker.stdout
    step = None
    while not isinstance(step, Loaded):
        try:
            step = pickle.load(maker.stdout)  # noqa: S301 - from our own program
        except (EOFError, pickle.UnpicklingError):
            raise MakerEnds(maker.wait()) from None
        if isinstance(step, Failed):
            raise step.error
        yield step
