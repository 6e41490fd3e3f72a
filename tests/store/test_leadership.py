"""Who leads, by Redis alone."""

import pytest
import redis

from farm.store.leadership import SCHEDULER_TOKEN, LeaderScripts, LeadershipStore, NotLeader
from tests.support.coordinated import KEYS, LEADER, RQ_KEYS, call, event_names


def test_the_first_leads_and_the_second_is_told_who(redis_client: redis.Redis, redis_url: str) -> None:
    async def work(client):
        store = LeadershipStore(client, KEYS, RQ_KEYS)
        first = await store.lead("", "a", "one", 3.0)
        second = await store.lead("", "b", "two", 3.0)
        again = await store.lead(first.value, "a", "one", 3.0)
        return first, second, again

    first, second, again = call(redis_url, work)

    assert (first.leads, first.value) == (True, "1:a:one")
    assert (second.leads, second.leader) == (False, "one")
    assert again == first
    assert 0 < redis_client.pttl(KEYS.coordinator) <= 3000
    assert event_names(redis_client) == ["coordinator.elected"]


def test_each_election_has_a_new_epoch_even_of_the_same_coordinator(redis_client: redis.Redis, redis_url: str) -> None:
    async def work(client):
        store = LeadershipStore(client, KEYS, RQ_KEYS)
        first = await store.lead("", "a", "one", 3.0)
        await client.delete(KEYS.coordinator)
        return first, await store.lead(first.value, "a", "one", 3.0)

    first, second = call(redis_url, work)

    assert (first.value, second.value) == ("1:a:one", "2:a:one")


def test_resigning_frees_the_lead_and_only_our_scheduler_locks(redis_client: redis.Redis, redis_url: str) -> None:
    redis_client.set(RQ_KEYS.scheduler_lock("ours"), SCHEDULER_TOKEN, ex=60)
    redis_client.set(RQ_KEYS.scheduler_lock("theirs"), "a-stock-scheduler", ex=60)

    async def work(client):
        store = LeadershipStore(client, KEYS, RQ_KEYS)
        value = (await store.lead("", "a", "one", 3.0)).value
        await store.resign("9:somebody:else", ["ours", "theirs"])
        still = await client.exists(KEYS.coordinator)
        await store.resign(value, ["ours", "theirs", "never"])
        await store.resign(value, ["ours", "theirs", "never"])
        return still

    assert call(redis_url, work) == 1
    assert redis_client.exists(KEYS.coordinator, RQ_KEYS.scheduler_lock("ours")) == 0
    assert redis_client.get(RQ_KEYS.scheduler_lock("theirs")) == b"a-stock-scheduler"


@pytest.mark.parametrize(
    "script",
    [
        "place",
        "fence",
        "recover",
        "defer",
        "prune_deferred",
        "undefer",
        "fail_deferred",
        "release_scheduled",
        "release_ready",
        "expire_registries",
        "release_page",
    ],
)
@pytest.mark.every_engine
def test_a_script_of_the_leader_refuses_everybody_else(redis_client: redis.Redis, redis_url: str, script: str) -> None:
    redis_client.set(KEYS.coordinator, "2:other:two", ex=60)

    with pytest.raises(NotLeader, match="planted leads no more"):
        call(redis_url, lambda client: LeaderScripts(client, KEYS, LEADER).run(script, ["x"] * 12, ["1"] * 12))

    assert redis_client.dbsize() == 1


def test_a_coordinator_that_did_not_hear_that_it_leads_asks_again(redis_client: redis.Redis, redis_url: str) -> None:
    async def work(client):
        store = LeadershipStore(client, KEYS, RQ_KEYS)
        unheard = await store.lead("", "a", "one", 3.0)
        return unheard, await store.lead("", "a", "one", 3.0)

    unheard, heard = call(redis_url, work)

    assert heard == unheard
    assert event_names(redis_client) == ["coordinator.elected"]
