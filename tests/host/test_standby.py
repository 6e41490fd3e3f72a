"""The coordinator that a host starts: one that hangs does not keep a farm of one host from its jobs."""

from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def running(environment: dict[str, str], patience: float) -> Iterator[StandbyCoordinator]:
    standby = StandbyCoordinator(environment | {"FARM_LEADER_TTL": "1"}, patience)
    standby.start()
    try:
        yield standby
    finally:
        standby.stop()


def test_one_that_hangs_is_replaced_when_nobody_leads(
    farm_environment: dict[str, str], redis_client: redis.Redis
) -> None:
    with running(farm_environment, patience=1.0) as standby:
        first = standby.pid
        assert first is not None
        wait_until(lambda: leader(redis_client) == first, "it leads")
        psutil.Process(first).suspend()
        wait_until(lambda: leader(redis_client) is None, "it is silent for too long")

        standby.start()
        assert standby.pid == first
        wait_out(1.1)
        standby.start()

        assert standby.pid != first
        wait_until(lambda: leader(redis_client) == standby.pid, "the next one leads")
        assert not psutil.pid_exists(first)


def test_one_that_only_begins_is_left_alone(farm_environment: dict[str, str]) -> None:
    with running(farm_environment, patience=30.0) as standby:
        first = standby.pid
        standby.start()
        standby.start()
        assert standby.pid == first


def test_a_time_in_which_nobody_could_tell_who_leads_does_not_count(farm_environment: dict[str, str]) -> None:
    with running(farm_environment, patience=1.0) as standby:
        first = standby.pid
        standby.somebody_leads()
        wait_out(1.1)  # no beat was answered: Redis was away
        standby.start()
        assert standby.pid == first


def test_it_has_its_time_anew_once_somebody_led(farm_environment: dict[str, str]) -> None:
    with running(farm_environment, patience=1.0) as standby:
        first = standby.pid
        standby.start()
        wait_out(1.1)
        standby.somebody_leads()
        standby.start()
        assert standby.pid == first


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
