"""The coordinator that a host starts: one that hangs does not keep a farm of one host from its jobs."""

from collections.abc import Iterator

import psutil
import pytest
import redis

from farm.keys import Keys
from farm_worker.standby import StandbyCoordinator
from tests.host.test_reserved_queues import coordinator_of
from tests.support.farm import Farm
from tests.support.waiting import wait_out, wait_until

KEYS = Keys()


def leader(client: redis.Redis) -> int | None:
    value = client.get(KEYS.coordinator)
    return None if value is None else int(value.decode().rpartition("-")[2])


@pytest.fixture
def standby(farm_environment: dict[str, str]) -> Iterator[StandbyCoordinator]:
    standby = StandbyCoordinator(farm_environment | {"FARM_LEADER_TTL": "1"}, patience=0.0)
    standby.start()
    try:
        yield standby
    finally:
        standby.stop()


def test_one_that_hangs_is_replaced_when_nobody_leads(standby: StandbyCoordinator, redis_client: redis.Redis) -> None:
    first = standby.pid
    wait_until(lambda: leader(redis_client) == first, "it leads")
    psutil.Process(first).suspend()
    wait_until(lambda: leader(redis_client) is None, "it is silent for too long")

    standby.start()

    assert standby.pid != first
    wait_until(lambda: leader(redis_client) == standby.pid, "the next one leads")
    assert first is not None
    assert not psutil.pid_exists(first)


def test_one_that_only_begins_is_left_alone(farm_environment: dict[str, str]) -> None:
    standby = StandbyCoordinator(farm_environment)
    standby.start()
    first = standby.pid
    try:
        standby.start()
        assert standby.pid == first
    finally:
        standby.stop()


def test_it_has_time_from_when_somebody_led_last(farm_environment: dict[str, str]) -> None:
    standby = StandbyCoordinator(farm_environment, patience=2.0)
    standby.start()
    first = standby.pid
    try:
        wait_out(2.1)
        standby.somebody_leads()
        standby.start()
        assert standby.pid == first
    finally:
        standby.stop()


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_host_alone_goes_on_after_its_coordinator_hung(farm: Farm) -> None:
    host = farm.host("one")
    hung = coordinator_of(farm)
    hung.suspend()

    wait_until(
        lambda: f"(pid {hung.pid}) runs, and nobody has led for 30 s: it is killed" in host.says, "it says so", 60
    )

    wait_until(lambda: leader(farm.redis) not in (None, hung.pid), "the next one leads")
    assert farm.wait_for(farm.enqueue("add", 1, 2)).return_value() == 3
