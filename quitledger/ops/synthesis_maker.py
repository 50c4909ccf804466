"""The program that plans a made-up nation and makes its rows: `… MOMENT SEED SCALE YEAR…`. Started by synthesis_steps.making().

It writes the steps to its standard output, pickled; the last one is Loaded or Failed.
"""

import gc
import pickle
import sys
import traceback
from datetime import datetime
from decimal import Decimal
from queue import Queue
from threading import Thread

import django

from .interpreter import settle
from .orphans import leave_with_parent
from .synthesis_steps import Failed, Loaded, Step

_AHEAD = 8  # steps made and not yet taken: about two parts of a year's visits


def main(moment: str, seed: str, scale: str, *years: str) -> None:
    """Make steps in one thread, write them in another: while the reader has no time for one, the next is made."""
    leave_with_parent()
    gc.disable()  # millions of small objects and no rings of them: a sixth of the time of a plan
    steps: Queue[Step | Failed] = Queue(_AHEAD)
    asked = [int(year) for year in years], int(seed), Decimal(scale), datetime.fromisoformat(moment)
    Thread(target=_make, args=(steps, *asked), daemon=True).start()
    step = None
    while not isinstance(step, Loaded | Failed):
        step = steps.get()
        pickle.dump(step, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _make(steps: "Queue[Step | Failed]", years: list[int], seed: int, scale: Decimal, now: datetime) -> None:
    try:
        django.setup()
        from .synthesis_rows import steps_of

        settle()

        for step in steps_of(years, seed=seed, scale=scale, now=now):
            steps.put(step)
    except BaseException as error:
        error.add_note(traceback.format_exc())  # a traceback itself is no text that could be sent
        steps.put(Failed(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
