"""What the experiment runs: a function whose CPU time binds, and one whose memory does."""

import hashlib
import itertools
import os
import time

SPREAD = 0.6
GOLDEN = 0.618034
_calls = itertools.count(os.getpid())


def work(rounds: int, pause: float) -> None:
    """A fixed piece of arithmetic, then a wait."""
    hashlib.pbkdf2_hmac("sha256", b"capacity", b"salt", rounds)
    time.sleep(_around(pause))


def hold(megabytes: int, seconds: float) -> None:
    """Memory that is written to and held."""
    block = bytearray(b"1") * (megabytes * 1_000_000)
    time.sleep(_around(seconds))
    del block


def _around(seconds: float) -> float:
    """Evenly spread around the mean, soon balanced: jobs that began together must not go on in step."""
    return seconds * (1 - SPREAD / 2 + SPREAD * (next(_calls) * GOLDEN % 1))
