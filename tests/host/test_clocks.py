"""The wall clock of a host is wrong, or jumps: nothing that is decided hangs on it."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.farm import Farm
from tests.support.shifted_clock import ShiftedClock, build_library
from tests.support.waiting import wait_until

HOUR = 3600
NOW = int(datetime.now(UTC).timestamp())

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the clock is shifted by LD_PRELOAD")


def start(farm: Farm, name: str, clock: ShiftedClock) -> None:
    before = farm.environment
    farm.environment = {**before, **clock.environment}
    try:
        farm.host(name, processes=2)
    finally:
        farm.environment = before


@pytest.mark.slow
def test_a_clock_that_jumps_ends_no_job_and_gives_up_no_host(farm: Farm, tmp_path: Path) -> None:
    clock = ShiftedClock(tmp_path, "one", build_library(tmp_path))
    start(farm, "one", clock)
    identity = farm.published("one")["identity"]
    running = farm.enqueue("wait_for_go", job_timeout=300)
    farm.pid_of(running)

    for shift in (
        HOUR,
        -HOUR,
        -NOW + 60,
        int(datetime(2038, 1, 19, 3, 14, tzinfo=UTC).timestamp()) - NOW,
        5 * 10**9,
        0,
    ):
        clock.shift(shift)
        beat = farm.published("one")["beat_at"]
        wait_until(lambda beat=beat: farm.published("one")["beat_at"] != beat, "it beats on")
        soon = farm.queue().enqueue_in(timedelta(seconds=0), "system_jobs.add", 1, 2)
        assert farm.wait_for(farm.enqueue("add", 1, 2), soon).return_value() == 3

    farm.go()
    farm.wait_for(running)
    assert farm.published("one")["identity"] == identity
    assert (farm.count("recovered"), farm.count("crashed"), farm.count("failed")) == (0, 0, 0)


@pytest.mark.slow
def test_hosts_whose_clocks_differ_share_the_work(farm: Farm, tmp_path: Path) -> None:
    library = build_library(tmp_path)
    for name, minutes in (("one", 10), ("two", -10)):
        start(farm, name, ShiftedClock(tmp_path, name, library, minutes * 60))

    jobs = farm.enqueue_many("count_and_pause", [(0.02,)] * 60)

    farm.wait_for(*jobs)
    assert {farm.fetch(job).worker_name for job in jobs} == {"one", "two"}
    assert farm.redis.hvals("test:effects") == [b"1"] * 60
    assert farm.count("recovered") == 0
    shown = farm.command("status")
    assert shown.returncode == 0
    assert "silent" not in shown.stdout
