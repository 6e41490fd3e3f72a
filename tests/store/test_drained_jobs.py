"""Jobs that are handed back while they ran, as their host stops: counted on the job, and told when it happens often."""

import redis
from rq import Queue

from farm.keys import Keys, RqKeys
from tests.store.test_execution import Bench, run

KEYS, RQ_KEYS = Keys(), RqKeys()


def test_the_third_drain_of_a_job_is_an_event_and_each_run_is_the_same_attempt(
    redis_url: str, redis_client: redis.Redis
) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(bench: Bench) -> None:
        for times in (1, 2, 3, 4):
            bench.place(job)
            (started,) = (await bench.start()).started
            assert started.attempt == 1, "no attempt is counted"
            leases = [(started.job_id, started.token)]
            assert await bench.store.hand_back(bench.who, leases, 0, "drained") == 1
            assert await bench.store.hand_back(bench.who, leases, 0, "drained") == 0, "a repeat counts nothing"
            assert redis_client.hget(job.key, "farm_drains") == str(times).encode()
            assert len(told(redis_client)) == max(0, times - 2)

    run(redis_url, redis_client, body)
    assert told(redis_client)[0] == {"job": job.id, "queue": "default", "host": "one", "times": "3"}
    assert redis_client.hget(KEYS.counts("default"), "drained") == b"4"
    assert redis_client.lrange(RQ_KEYS.queue("default"), 0, -1) == [job.id.encode()]


def test_a_recalled_job_is_not_counted_as_drained_and_nonsense_in_the_count_is_put_right(
    redis_url: str, redis_client: redis.Redis
) -> None:
    queue = Queue("default", connection=redis_client)
    recalled, odd = queue.enqueue("time.time"), queue.enqueue("time.time")
    redis_client.hset(odd.key, "farm_drains", "often")

    async def body(bench: Bench) -> None:
        bench.place(recalled, odd)
        first, second = (await bench.start()).started
        await bench.store.hand_back(bench.who, [(first.job_id, first.token)], 0, "recalled")
        await bench.store.hand_back(bench.who, [(second.job_id, second.token)], 0, "drained")

    run(redis_url, redis_client, body)
    assert redis_client.hget(recalled.key, "farm_drains") is None
    assert redis_client.hget(odd.key, "farm_drains") == b"1"


def told(client: redis.Redis) -> list[dict[str, str]]:
    """Events of jobs that were drained often, without the time."""
    entries = [
        {key.decode(): value.decode() for key, value in fields.items()} for _, fields in client.xrange(KEYS.events)
    ]
    return [
        {key: value for key, value in entry.items() if key not in ("event", "at")}
        for entry in entries
        if entry["event"] == "job.drained"
    ]
