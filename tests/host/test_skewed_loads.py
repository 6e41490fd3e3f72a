"""Four hosts whose apps say how loaded they are: a burst goes where there is headroom, and none to the full one."""

from collections import Counter
from pathlib import Path

import pytest

from tests.support.farm import Farm
from tests.support.waiting import wait_until
from tests.support.watched_capacity import watched

LOADS = {"idle": 0.1, "light": 0.3, "half": 0.5, "full": 0.9}
SLOTS = 8


@pytest.fixture
def skewed(farm: Farm, tmp_path: Path) -> Farm:
    """One coordinator and the four hosts, each with all its processes warm."""
    farm.coordinator()
    for name, load in LOADS.items():
        file = tmp_path / f"load-{name}"
        file.write_text(str(load))
        farm.environment["LOAD_FILE"] = str(file)
        farm.host(
            name,
            ready=False,
            app="load_from_file",
            processes=SLOTS,
            idle_processes=SLOTS,
            standby_coordinator=False,
        )
    for name, load in LOADS.items():
        wait_until(lambda name=name, load=load: _is_settled(farm, name, load), f"{name} is warm and says {load}", 60)
    return farm


@pytest.mark.timeout(150)
def test_a_burst_goes_to_the_hosts_with_the_most_headroom(skewed: Farm) -> None:
    with watched(skewed.url, LOADS) as seen:
        jobs = skewed.enqueue_many("pause", [(3.0,)] * 12)  # long enough that all are placed before the first one ends
        skewed.wait_for(*jobs, timeout=60)

    got = Counter(skewed.fetch(job).worker_name for job in jobs)
    assert got["full"] == seen.most_held["full"] == 0
    assert got["idle"] >= got["light"] >= got["half"], got
    assert got["idle"] > got["half"], got
    assert seen.excesses == []


@pytest.mark.timeout(150)
@pytest.mark.slow
def test_a_burst_of_more_than_they_can_hold_takes_no_host_over_its_capacity(skewed: Farm) -> None:
    with watched(skewed.url, LOADS) as seen:
        jobs = skewed.enqueue_many("pause", [(0.5,)] * 120)
        skewed.wait_for(*jobs, timeout=90)

    got = Counter(skewed.fetch(job).worker_name for job in jobs)
    assert got["full"] == seen.most_held["full"] == 0
    assert min(got[name] for name in ("idle", "light", "half")) >= SLOTS, got
    assert all(number <= SLOTS for number in seen.most_held.values()), seen.most_held
    assert seen.excesses == []
    assert skewed.count("finished") == 120


def _is_settled(farm: Farm, name: str, load: float) -> bool:
    said = farm.published(name)
    expected = ("full", 0) if load >= 0.75 else ("available", SLOTS)
    is_warm = int(said.get("idle", 0)) == SLOTS
    return is_warm and (said["state"], int(said["capacity"])) == expected and float(said["load"]) == load
