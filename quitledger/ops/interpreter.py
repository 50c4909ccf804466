"""The interpreter of a process that stays and works: web workers, the worker, whoever makes a nation."""

import gc
import sys

_GARBAGE = (50_000, 20, 20)  # objects made until rings of them are looked for; how often what was left is, too
_TURN = 0.0005  # seconds after which a thread that computes lets in one whose database has answered; ten times that by default


def settle() -> None:
    """Called once when everything is loaded: that is never looked through for garbage again, and threads take short turns.

    A part of a file is judged while the one before it is written (audit.staging.Aside), four requests are worked on at once:
    after each of its dozens of statements whoever writes would else wait for the others' whole turns.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE)
    sys.setswitchinterval(_TURN)
