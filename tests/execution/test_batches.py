"""How many outcomes go to Redis at once: so many, and so many bytes, as one value must hold them all."""

from types import SimpleNamespace
from typing import cast

from farm.ending import Ending
from farm_worker.outcomes import FULL_BATCH_BYTES, MAX_BATCH, Outcomes
from farm_worker.pool.result import MAX_BYTES
from farm_worker.spool import Spool

LARGEST_VALUE = 512 << 20
"""Redis takes no longer ones, unless told otherwise."""


class Weighty(bytes):
    """Bytes that say they are many."""

    size = 0

    def __len__(self) -> int:
        return self.size


def of(size: int) -> Ending:
    packed = type("Packed", (Weighty,), {"size": size})()
    return Ending(job_id=b"1", token="1", kind="finished", packed=packed)


def batches(*sizes: int) -> list[int]:
    """How many outcomes of these sizes each batch takes."""
    outcomes = Outcomes(cast("Spool", SimpleNamespace(clear=lambda: None)))
    outcomes.add(*map(of, sizes))
    taken = []
    while batch := outcomes.next_batch():
        taken.append(len(batch.endings))
        outcomes.answered()
    return taken


def test_small_outcomes_go_a_hundred_at_a_time() -> None:
    assert batches(*[100] * (2 * MAX_BATCH + 1)) == [MAX_BATCH, MAX_BATCH, 1]


def test_large_outcomes_go_one_by_one() -> None:
    assert batches(FULL_BATCH_BYTES, 100, FULL_BATCH_BYTES, 100) == [1, 2, 1]


def test_the_largest_result_fits_behind_a_batch_that_is_almost_full() -> None:
    assert batches(FULL_BATCH_BYTES - 1, MAX_BYTES) == [2]
    assert FULL_BATCH_BYTES + MAX_BYTES < LARGEST_VALUE - (4 << 20)
