"""Why jobs fit nowhere, and what is written of them."""

import asyncio

import pytest
import redis
import redis.asyncio

from farm.aside import AsideGroup, from_field, group_of, to_field
from farm.coordinator.aside import groups, key, why_aside
from farm.coordinator.aside_recorder import AsideRecorder
from farm.coordinator.needs import NONE, Needs, needs_of_queues
from farm.coordinator.placer import Placer
from farm.coordinator.waiting import WaitingJob
from farm.store.aside import AsideStore
from farm.store.placement import PlacementStore
from farm.store.raw_fields import declines
from farm.store.survey import HostView
from tests.support.coordinated import KEYS, RQ_KEYS, call, event_names, lead, leader, plant_host, plant_jobs
from tests.support.host_views import host_view

MB = 1_000_000


def job(job_id: str = "1", *, requires: str = "", memory_mb: int = 0, declined_by: str = "") -> WaitingJob:
    return WaitingJob(
        job_id.encode(),
        "default",
        requires=frozenset(filter(None, requires.split(","))),
        memory_mb=memory_mb,
        declined_by=frozenset(filter(None, declined_by.split(","))),
    )


def host(name: str, labels: str = "", **fields: object) -> HostView:
    return host_view(name, labels=frozenset(filter(None, labels.split(","))), identity=f"1-{name}", **fields)


@pytest.mark.parametrize(
    ("waiting", "hosts", "reason"),
    [
        (job(requires="gpu"), [host("a")], "no host has the label gpu"),
        (job(requires="gpu,large"), [host("a", "gpu"), host("b", "large")], "no host has the labels gpu and large"),
        (job(requires="gpu"), [host("a", "gpu"), host("b")], None),
        (job(requires="gpu"), [host("a", "gpu", state="full"), host("b")], "every host with the label gpu is full"),
        (
            job(requires="gpu"),
            [host("a", "gpu", state="full"), host("b", "gpu", state="draining")],
            "every host with the label gpu is full or draining",
        ),
        (job(requires="gpu"), [host("a", "gpu", state="starting")], None),
        (
            job(memory_mb=100),
            [host("a", memory_left=90 * MB), host("b", memory_left=99 * MB)],
            "no host has 100 MB left: 99 MB is the most",
        ),
        (job(memory_mb=100), [host("a", memory_left=99 * MB), host("b", memory_left=100 * MB)], None),
        (job(memory_mb=100), [host("a", memory_left=None)], "no host has 100 MB left: 0 MB is the most"),
        (
            job(requires="gpu", memory_mb=100),
            [host("a", "gpu", memory_left=0), host("b", memory_left=999 * MB)],
            "no host with the label gpu has 100 MB left: 0 MB is the most",
        ),
        (job(declined_by="a|1-a,b|1-b"), [host("a"), host("b")], "every host declined"),
        (job(declined_by="a|1-a"), [host("a"), host("b", state="full")], "every host that did not decline is full"),
        (job(declined_by="a|0-a"), [host("a")], None),
    ],
)
def test_the_reason_names_what_is_lacking(waiting: WaitingJob, hosts: list[HostView], reason: str | None) -> None:
    assert why_aside(waiting, hosts) == reason


def test_jobs_of_a_queue_are_told_of_in_groups_by_what_they_need() -> None:
    waiting = [job("1", requires="gpu"), job("2", memory_mb=9), job("3", requires="gpu"), job("4", declined_by="a|1-a")]
    before = AsideGroup(("gpu",), 0, False, False, 50.0, "as it was", 1)

    found = groups(waiting, [host("a", memory_left=0)], NONE, {key(before): before}, 99.0)

    assert list(found.values()) == [
        (AsideGroup(("gpu",), 0, False, False, 50.0, "no host has the label gpu", 2), [b"1", b"3"]),
        (AsideGroup((), 9, False, False, 99.0, "no host has 9 MB left: 0 MB is the most", 1), [b"2"]),
        (AsideGroup((), 0, True, False, 99.0, "every host declined", 1), [b"4"]),
    ]


def test_a_job_finds_its_group_by_its_fields() -> None:
    special = AsideGroup(("gpu", "large"), 0, False, False, 1.0, "one", 1)
    of_queue = AsideGroup(("queue",), 512, False, True, 1.0, "two", 1)
    declined = AsideGroup((), 0, True, False, 1.0, "three", 1)
    written = from_field(to_field([special, of_queue, declined]))

    assert written == (special, of_queue, declined)
    assert group_of(written, "gpu,large", "", "") == special
    assert group_of(written, "", "", "") == of_queue
    assert group_of(written[:1], "", "", "") is None
    assert group_of((special, declined), "", "", '{"a|1-a":{}}') == declined
    assert from_field("no JSON") == from_field(b'[{"requires":1}]') == from_field(None) == ()


def test_what_apps_say_of_a_queue_is_needed_together() -> None:
    hosts = [
        host("a", needs='{"calls":{"requires":["gpu"]},"other":{"memory_mb":5}}'),
        host("b", needs='{"calls":{"requires":["large"],"memory_mb":7}}'),
        host("c", needs="no JSON"),
        host("d"),
    ]

    assert needs_of_queues(hosts) == {
        "calls": Needs(frozenset({"gpu", "large"}), 7),
        "other": Needs(frozenset(), 5),
    }


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "3", '{"a|1":3}', '{"a|1":{"until":"soon"}}', '{"a|1":{}}'])
def test_what_is_no_record_of_declines_declines_nothing(text: str) -> None:
    assert declines(text, 0.0) == {}


def test_only_declines_whose_time_is_not_over_count() -> None:
    text = '{"a|1-a":{"until":10,"reason":"busy"},"b|1-b":{"until":9,"reason":"no"}}'

    assert declines(text, 9.5) == {"a|1-a": (10.0, "busy")}


def test_the_record_is_written_while_there_is_something_to_tell_and_outlives_a_change_of_leaders(
    redis_url: str, redis_client: redis.Redis
) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", dequeue_strategy="default")
    plant_jobs(redis_client, "default", "1", "2", farm_requires="gpu")

    async def turn(client: redis.asyncio.Redis) -> None:
        placer = Placer(PlacementStore(client, KEYS, RQ_KEYS), 3.0)
        recorder = AsideRecorder(AsideStore(client, KEYS), placer, 3.0)
        await placer.run_once(leader(client))
        record = asyncio.ensure_future(recorder.run_once(leader(client)))
        await asyncio.sleep(0)
        await placer.run_once(leader(client))
        await record

    call(redis_url, turn)
    (first,) = from_field(redis_client.hget(KEYS.aside, "default"))
    assert (first.requires, first.count, first.reason) == (("gpu",), 2, "no host has the label gpu")
    assert 0 < redis_client.ttl(KEYS.aside) <= 60
    assert redis_client.zrange(KEYS.deferred("default"), 0, -1) == [b"1", b"2"]
    assert redis_client.hget(KEYS.counts("default"), "deferred") == b"2"
    assert event_names(redis_client) == ["deferral.began"]

    call(redis_url, turn)
    (second,) = from_field(redis_client.hget(KEYS.aside, "default"))
    assert second.since == first.since, "another leader goes on with it"
    assert event_names(redis_client) == ["deferral.began"]
