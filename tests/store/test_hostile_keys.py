"""Keys that are not what they should be, or are written by others meanwhile: no job is lost, and nobody is held up."""

import pytest
import redis
from rq import Queue
from rq.job import Job

from farm.store.execution import FinishBatch, new_batch_name
from farm_worker.beginnings import acceptance
from tests.store.test_execution import KEYS, RQ_KEYS, Bench, failed, finished, run, status

pytestmark = pytest.mark.every_engine


def jobs_of(client: redis.Redis, count: int, **options: object) -> list[Job]:
    queue = Queue("default", connection=client)
    return [queue.enqueue("time.time", **options) for _ in range(count)]


@pytest.mark.keys_without_ttl("rq:*")
@pytest.mark.parametrize("key", ["rq:wip:default", "farm:counts:default", "rq:worker:one", "farm:bell"])
def test_outcomes_are_written_though_a_key_beside_the_job_is_of_the_wrong_type(
    redis_url: str, redis_client: redis.Redis, key: str
) -> None:
    jobs = jobs_of(redis_client, 2)

    async def body(bench: Bench) -> None:
        bench.place(*jobs)
        started = (await bench.start()).started
        await bench.hosts.record_executions(bench.who, [(job.job_id, job.token) for job in started])
        redis_client.delete(key)
        redis_client.set(key, "text", ex=60)
        batch = FinishBatch(
            1,
            new_batch_name(),
            [finished(jobs[0], started[0].token, recorded=True), finished(jobs[1], started[1].token, recorded=True)],
        )
        for _ in range(2):
            exchange = await bench.store.exchange(bench.who, batch, None, 0)
            assert list(exchange.answers) == ["finished", "finished"]
        assert not redis_client.exists(KEYS.running("one", bench.who.identity))
        assert [status(job) for job in jobs] == ["finished", "finished"]

    run(redis_url, redis_client, body)


def test_a_start_goes_on_though_the_counts_are_of_the_wrong_type(redis_url: str, redis_client: redis.Redis) -> None:
    first, canceled, last = jobs_of(redis_client, 3)
    redis_client.set(KEYS.counts("default"), "text", ex=60)

    async def body(bench: Bench) -> None:
        bench.place(first, canceled, last)
        canceled.cancel()
        started = (await bench.start()).started
        assert [job.job_id.decode() for job in started] == [first.id, last.id]
        await bench.finish(finished(first, started[0].token), finished(last, started[1].token))

    run(redis_url, redis_client, body)


def test_a_start_sent_again_goes_on_though_a_job_was_overwritten_meanwhile(
    redis_url: str, redis_client: redis.Redis
) -> None:
    first, second = jobs_of(redis_client, 2)

    async def body(bench: Bench) -> None:
        bench.place(first, second)
        name = new_batch_name()
        await bench.start(name=name)
        redis_client.set(first.key, "text", ex=60)
        started = (await bench.start(name=name)).started
        assert second.id.encode() in [job.job_id for job in started]
        await bench.finish(finished(second, next(job.token for job in started if job.job_id == second.id.encode())))

    run(redis_url, redis_client, body)


def test_a_crashed_job_whose_queue_is_of_the_wrong_type_is_in_quarantine(
    redis_url: str, redis_client: redis.Redis
) -> None:
    (job,) = jobs_of(redis_client, 1)

    async def body(bench: Bench) -> None:
        bench.place(job)
        token = (await bench.start()).started[0].token
        redis_client.set(RQ_KEYS.queue("default"), "text", ex=60)
        assert await bench.finish(failed(job, token, kind="crashed")) == ["unreadable"]
        assert redis_client.zrange(KEYS.quarantine, 0, -1) == [job.id.encode()]
        assert bench.lease(job) is None

    run(redis_url, redis_client, body)


@pytest.mark.parametrize("key", ["rq:wip:default", "rq:queues", "farm:counts:default"])
def test_what_is_handed_back_is_in_its_queue_though_a_key_beside_it_is_of_the_wrong_type(
    redis_url: str, redis_client: redis.Redis, key: str
) -> None:
    running, waiting = jobs_of(redis_client, 2)

    async def body(bench: Bench) -> None:
        bench.place(running, waiting)
        token = (await bench.start(limit=1)).started[0].token
        redis_client.delete(key)
        redis_client.set(key, "text", ex=60)
        await bench.store.hand_back(bench.who, [(running.id.encode(), token)], 10, "recalled")
        assert redis_client.lrange(RQ_KEYS.queue("default"), 0, -1) == [running.id.encode(), waiting.id.encode()]
        assert [status(job) for job in (running, waiting)] == ["queued", "queued"]

    run(redis_url, redis_client, body)


@pytest.mark.parametrize("key", ["rq:wip:default", "rq:worker:one:executions"])
def test_execution_records_do_not_stop_the_beat(redis_url: str, redis_client: redis.Redis, key: str) -> None:
    (job,) = jobs_of(redis_client, 1)

    async def body(bench: Bench) -> None:
        bench.place(job)
        token = (await bench.start()).started[0].token
        redis_client.set(key, "text", ex=60)
        await bench.hosts.record_executions(bench.who, [(job.id.encode(), token)])
        await bench.finish(finished(job, token))

    run(redis_url, redis_client, body)


@pytest.mark.parametrize("ending", [finished, failed])
def test_a_job_enqueued_anew_while_it_runs_is_not_ended_by_the_older_run(
    redis_url: str, redis_client: redis.Redis, ending
) -> None:
    queue = Queue("default", connection=redis_client)
    job = queue.enqueue("time.time", job_id="nightly")

    async def body(bench: Bench) -> None:
        bench.place(job)
        (begun,) = (await bench.start()).started
        again = queue.enqueue("time.time", job_id="nightly")
        await bench.finish(ending(job, begun.token, accepted=acceptance(begun.fields)))
        assert (status(again), queue.get_job_ids()) == ("queued", ["nightly"])
        assert redis_client.ttl(again.key) == -1
        bench.place(again)
        started = (await bench.start()).started
        assert [one.job_id for one in started] == [b"nightly"]
        assert await bench.finish(finished(again, started[0].token)) == ["finished"]
        assert status(again) == "finished"

    run(redis_url, redis_client, body)


def test_a_job_that_its_owner_saves_while_it_runs_is_ended(redis_url: str, redis_client: redis.Redis) -> None:
    (job,) = jobs_of(redis_client, 1)

    async def body(bench: Bench) -> None:
        bench.place(job)
        (begun,) = (await bench.start()).started
        job.save()
        assert status(job) == "queued", "that is what the owner's copy says"
        assert await bench.finish(finished(job, begun.token, accepted=acceptance(begun.fields))) == ["finished"]
        assert status(job) == "finished"

    run(redis_url, redis_client, body)
