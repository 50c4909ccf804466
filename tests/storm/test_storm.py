"""kill -9 of every part of a site under write load: 10 times here, 200 times by `make torture` (KILLS=, SEED=)."""

import os
import random
import signal
import time
from collections.abc import Iterator

import pytest

from .storm import Storm, folder

KILLS = int(os.environ.get("KILLS") or 10)
SEED = int(os.environ.get("SEED") or random.randrange(1_000_000))


@pytest.fixture
def storm() -> Iterator[Storm]:
    """A site with clerks at work, before the first kill."""
    with folder() as data:
        begun = time.monotonic()
        storm = Storm(data, KILLS, SEED)
        try:
            storm.begin()
            storm.summary.seconds["to prepare"] = round(time.monotonic() - begun, 1)
            yield storm
        finally:
            print(storm.summary)
            for one in (*storm.clerks, storm.errands):
                one.ended.set()
            if storm.run.process.poll() is None:
                storm.run.process.send_signal(signal.SIGTERM)
                storm.run.process.wait()


def test_what_was_answered_is_there_once_and_whole_whoever_was_killed_and_the_proof_holds(storm):
    storm.rage()
    storm.wait_for_the_worker()
    storm.stop()
    assert storm.prove() == []
    assert storm.summary.sent_again, "the kills came when nobody was writing"
