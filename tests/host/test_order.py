"""Jobs of one queue begin in its order on a host with one process, however it is held up."""

import random
from contextlib import suppress

import psutil
import pytest

from tests.support.farm import Farm
from tests.support.waiting import wait_out, wait_until

JOBS = 400


@pytest.mark.slow
def test_jobs_begin_in_order_though_host_and_process_stand_still_for_longer_than_a_recall(farm: Farm) -> None:
    """As on a machine that others use up: what was not begun in time goes back, and what stood behind it must wait."""
    chance = random.Random(1)
    host = psutil.Process(farm.host("one").pid)
    jobs = farm.enqueue_many("note", [(str(number), 0.02) for number in range(JOBS)])
    wait_until(lambda: len(farm.notes()) > 10, "jobs run")

    while len(farm.notes()) < JOBS:
        held_up = chance.sample([host, *host.children(recursive=True)], 2)
        with suppress(psutil.NoSuchProcess):
            for process in held_up:
                process.suspend()
            wait_out(chance.uniform(0.05, 0.45))
        for process in held_up:
            with suppress(psutil.NoSuchProcess):
                process.resume()
        wait_out(chance.uniform(0.02, 0.2))

    farm.wait_for(*jobs)
    assert farm.notes() == [str(number) for number in range(JOBS)]
