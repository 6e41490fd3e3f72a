"""Leaders that are killed one after the other while jobs are deferred: none is lost, and they keep their order."""

import time
from pathlib import Path

import psutil
import pytest

from farm.keys import Keys
from tests.support.farm import Farm
from tests.support.waiting import wait_until

KEYS = Keys()

JOBS, LEADERS, TAKEOVER_SECONDS = 150, 6, 5.0


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_deferred_jobs_keep_their_order_whoever_leads(farm: Farm, tmp_path: Path) -> None:
    load = tmp_path / "load"
    load.write_text("0.1")
    farm.environment["LOAD_FILE"] = str(load)
    coordinators = {member.pid: member for member in (farm.coordinator(), farm.coordinator())}
    farm.host("one", app="load_from_file", standby_coordinator=False)
    jobs = farm.enqueue_many("note", [(str(number), 0.05) for number in range(JOBS)])

    for number in range(LEADERS):
        load.write_text("1.0" if number % 2 == 0 else "0.1")
        if number % 2 == 0:
            wait_until(lambda: farm.redis.exists(KEYS.deferral("default")), "the queue is deferred", 20)
        leader = farm.wait_for_leader()
        coordinators.pop(_pid_of(leader)).kill_tree()
        since = time.monotonic()
        wait_until(lambda old=leader: farm.redis.get(KEYS.coordinator) not in (None, old.encode()), "another leads", 15)
        assert time.monotonic() - since < TAKEOVER_SECONDS
        new = farm.coordinator()
        coordinators[new.pid] = new

    load.write_text("0.1")
    farm.wait_for(*jobs, timeout=60)
    assert farm.notes() == [str(number) for number in range(JOBS)]
    assert farm.count("finished") == JOBS


def _pid_of(leader: str) -> int:
    """The process of the coordinator with this value: its name ends in it."""
    pid = int(leader.rpartition("-")[2])
    assert psutil.pid_exists(pid)
    return pid
