"""Hosts and coordinators of two versions beside each other: each reads of the other what it knows."""

import redis

from farm.coordinator.placement import takes_jobs
from farm.store.placement import PlacementStore
from tests.store.test_place import place
from tests.support.coordinated import KEYS, RQ_KEYS, call, inbox_ids, lead, plant_host, plant_jobs


def test_a_host_of_a_later_version_gets_jobs_and_what_is_new_about_it_is_ignored(
    redis_client: redis.Redis, redis_url: str
) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", version="99.0.0", protocol=99, mood="good", capacity=1)
    plant_jobs(redis_client, "default", "1", "2")

    assert place(redis_url).on_host == {"a": 1}
    assert inbox_ids(redis_client, "a") == ["1"]


def test_a_host_in_a_state_that_is_not_known_here_gets_nothing(redis_client: redis.Redis, redis_url: str) -> None:
    plant_host(redis_client, "a", state="resting", capacity=1)
    plant_host(redis_client, "b", state="available", capacity=1)

    survey = call(redis_url, lambda client: PlacementStore(client, KEYS, RQ_KEYS).survey())

    assert [host.name for host in survey.hosts if takes_jobs(host, survey.now, suspect_after=3.0)] == ["b"]


def test_a_host_of_an_earlier_version_that_says_less_gets_jobs(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", capacity=1)
    redis_client.hdel(KEYS.host("a"), "prefetch", "labels", "version", "boot_id")
    plant_jobs(redis_client, "default", "1")

    assert place(redis_url).on_host == {"a": 1}
