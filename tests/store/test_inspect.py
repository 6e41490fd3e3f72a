import pickle

import pytest

from farm.store.event_log import EventLog
from farm.store.inspect import snapshot
from tests.support.planted import (
    IDENTITY,
    KEYS,
    RQ_KEYS,
    now,
    plant_deferral,
    plant_host,
    plant_leader,
    plant_lease,
    plant_queue,
)


def look(client):
    return snapshot(client, KEYS, RQ_KEYS)


def queue_of(client, name="default"):
    return next(queue for queue in look(client).queues if queue.name == name)


def test_an_empty_redis_is_an_empty_farm(redis_client):
    farm = look(redis_client)
    assert (farm.hosts, farm.queues, farm.leader, farm.suspended, farm.truncated) == ((), (), None, False, False)


def test_a_host_shows_what_it_published_and_what_it_holds(redis_client):
    plant_host(redis_client, "worker-1", state="full", reason="load 0.91 is at or over the threshold 0.75", load=0.91)
    redis_client.rpush(KEYS.inbox("worker-1", IDENTITY), "a", "b")
    plant_lease(redis_client, "worker-1", "c")
    (host,) = look(redis_client).hosts
    assert (host.name, host.standing, host.state) == ("worker-1", "live", "full")
    assert host.reason == "load 0.91 is at or over the threshold 0.75"
    assert host.number("load") == 0.91
    assert (host.queues, host.inbox, host.running) == (("default", "high"), 2, 1)


@pytest.mark.parametrize(("age", "standing"), [(0, "live"), (4, "suspect"), (11, "lost")])
def test_the_age_of_the_beat_tells_how_a_host_stands(redis_client, age, standing):
    plant_host(redis_client, "worker-1", age=age)
    (host,) = look(redis_client).hosts
    assert host.standing == standing
    assert ("no beat" in host.reason) == (standing != "live")


def test_a_host_whose_hash_is_gone_is_shown_all_the_same(redis_client):
    redis_client.zadd(KEYS.hosts, {"worker-1": now(redis_client) - 60})
    (host,) = look(redis_client).hosts
    assert (host.standing, host.state, host.number("load"), host.queues) == ("lost", "unknown", None, ())


def test_the_leader_has_a_name_and_an_epoch(redis_client):
    plant_leader(redis_client, "worker:1", 12)
    assert (look(redis_client).leader.name, look(redis_client).leader.epoch) == ("worker:1", 12)


def test_a_queue_counts_its_jobs_by_where_they_are(redis_client):
    plant_queue(redis_client, "default", 3)
    redis_client.zadd(RQ_KEYS.dependent("default"), {"a": 1})
    redis_client.zadd(RQ_KEYS.scheduled("default"), {"b": 1, "c": 1})
    redis_client.zadd(RQ_KEYS.finished("default"), {"d": 1})
    redis_client.zadd(RQ_KEYS.failed("default"), {"e": 1, "f": 1})
    redis_client.hset(KEYS.counts("default"), mapping={"finished": 9, "recovered": 1})
    queue = queue_of(redis_client)
    assert (queue.queued, queue.dependent, queue.scheduled, queue.finished, queue.failed) == (3, 1, 2, 1, 2)
    assert queue.counts == {"finished": 9, "recovered": 1}
    assert queue.deferral is None


def test_running_jobs_are_the_leases_and_those_of_stock_workers_each_once(redis_client):
    plant_host(redis_client, "worker-1")
    plant_queue(redis_client, "default")
    tokens = {job: plant_lease(redis_client, "worker-1", job) for job in ("a", "b", "c")}
    redis_client.zadd(RQ_KEYS.started("default"), {f"a:{tokens['a']}": 1, "stock:0123": 1})
    assert queue_of(redis_client).running == 4


def test_many_leases_are_all_counted(redis_client):
    plant_host(redis_client, "worker-1")
    leases = {f"job-{number}": f"{number:032x}|high|1|1|rerun|{number}" for number in range(3000)}
    redis_client.hset(KEYS.running("worker-1", IDENTITY), mapping=leases)
    assert queue_of(redis_client, "high").running == 3000


def test_a_deferred_queue_says_since_when_and_why(redis_client):
    plant_queue(redis_client, "default", 5)
    plant_deferral(redis_client, "default", seconds=30, count=9)
    queue = queue_of(redis_client)
    assert queue.deferred == 5, "never more than are queued"
    assert queue.deferral.since == pytest.approx(now(redis_client) - 30, abs=5)
    assert (queue.deferral.reason, queue.deferral.hosts) == ("every host is full", "worker-1=0.91")


def test_queues_that_only_a_host_names_are_shown_too(redis_client):
    plant_host(redis_client, "worker-1", queues="calls,mail")
    assert [queue.name for queue in look(redis_client).queues] == ["calls", "mail"]


def test_a_queue_with_jobs_and_no_live_host_is_unserved(redis_client):
    plant_host(redis_client, "worker-1", queues="default")
    plant_host(redis_client, "worker-2", queues="mail", age=4)
    for name in ("default", "mail", "calls"):
        plant_queue(redis_client, name, 1)
    plant_queue(redis_client, "empty")
    assert [queue.name for queue in look(redis_client).unserved] == ["calls", "mail"]


def test_stock_workers_of_a_queue_are_told_apart_from_hosts(redis_client):
    plant_host(redis_client, "worker-1")
    plant_queue(redis_client, "default", 1)
    redis_client.sadd(RQ_KEYS.queue_workers("default"), RQ_KEYS.worker("worker-1"), RQ_KEYS.worker("stock"))
    assert queue_of(redis_client).other_workers == 1


def test_keys_of_the_wrong_type_are_named_and_nothing_else_suffers(redis_client):
    plant_queue(redis_client, "default", 2)
    redis_client.set(RQ_KEYS.failed("default"), "text")
    redis_client.set(RQ_KEYS.started("default"), "text")
    plant_queue(redis_client, "broken")
    redis_client.set(RQ_KEYS.queue("broken"), "text")
    queue = queue_of(redis_client)
    assert (queue.queued, queue.failed) == (2, None)
    assert queue.unreadable == ("rq:failed:default", "rq:wip:default")
    assert queue_of(redis_client, "broken").queued is None


def test_every_key_of_our_own_may_have_the_wrong_type(redis_client):
    plant_host(redis_client, "worker-1")
    for key in (KEYS.host("worker-1"), KEYS.running("worker-1", IDENTITY), KEYS.deferral("default"), KEYS.quarantine):
        redis_client.delete(key)
        redis_client.set(key, "text", ex=60)
    assert [host.name for host in look(redis_client).hosts] == ["worker-1"]
    for key in (KEYS.hosts, KEYS.identities, RQ_KEYS.queues, KEYS.coordinator):
        redis_client.delete(key)
        redis_client.rpush(key, "text")
        redis_client.expire(key, 60)
    assert look(redis_client).hosts == ()


def test_nothing_is_unpickled_and_names_may_be_any_bytes(redis_client):
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("it was unpickled",)

    plant_queue(redis_client, "default", 1)
    redis_client.hset(RQ_KEYS.job("default-0"), mapping={"data": pickle.dumps(Bomb()), "meta": pickle.dumps(Bomb())})
    redis_client.sadd(RQ_KEYS.queues, b"rq:queue:\xff\xfe")
    assert len(look(redis_client).queues) == 2


def test_suspension_quarantine_and_lost_hosts_are_counted(redis_client):
    redis_client.set(RQ_KEYS.suspended, 1, ex=60)
    redis_client.zadd(KEYS.quarantine, {"a": 1, "b": 2})
    redis_client.zadd(KEYS.lost, {"worker-1:1-ab": 1})
    farm = look(redis_client)
    assert (farm.suspended, farm.quarantined, farm.recovering) == (True, 2, 1)


def test_looking_changes_nothing(redis_client):
    plant_host(redis_client, "worker-1")
    plant_queue(redis_client, "default", 2)
    before = {key: redis_client.dump(key) for key in redis_client.scan_iter()}
    look(redis_client)
    assert {key: redis_client.dump(key) for key in redis_client.scan_iter()} == before


def test_the_last_events_come_oldest_first(redis_client):
    log = EventLog(redis_client, KEYS)
    assert log.last(5) == []
    for number in range(4):
        redis_client.xadd(KEYS.events, {"event": "host.joined", "at": "then", "host": f"worker-{number}"})
    assert [event.fields["host"] for event in log.last(2)] == ["worker-2", "worker-3"]
    assert log.last(0) == []


def test_events_can_be_followed_from_any_point(redis_client):
    log = EventLog(redis_client, KEYS)
    start = log.end()
    for number in range(3):
        redis_client.xadd(KEYS.events, {"event": "host.left", "at": "then", "host": f"worker-{number}"})
    following = log.follow(start)
    assert [next(following).fields["host"] for _ in range(3)] == ["worker-0", "worker-1", "worker-2"]
    assert log.wait(log.end()) == []
