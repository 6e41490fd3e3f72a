"""A pool whose idle processes wait at Redis: who does, and what becomes of it when the process is needed or ends."""

import asyncio
import os
import signal
from pathlib import Path

import hiredis
import pytest
import redis

from farm_worker.pool.assignment import Assignment
from farm_worker.pool.lending import LentWatch
from farm_worker.pool.pool import Pool
from farm_worker.pool.reasons import Reason
from tests.pool.conftest import ready, until
from tests.support.outcomes import value
from tests.support.own_pool import OwnPool

BELL = "test:bell"
JOBS = """
def double(number):
    return number * 2

def crash():
    os.kill(os.getpid(), 9)
"""
ANSWER = "return {'ok', #ARGV > 0 and 1 or 0, 0, 0, #ARGV > 0 and ARGV or nil}"
"""As the script that takes and starts jobs answers."""


@pytest.fixture
def own(redis_client: redis.Redis, redis_url: str, tmp_path: Path) -> OwnPool:
    own = OwnPool(redis_client, redis_url, tmp_path)
    own.write(JOBS)
    return own


def request(brings: Assignment | None = None) -> bytes:
    """What a process says to Redis: it waits for the bell of the test; then this job comes, or none."""
    brought: list[bytes | str] = []
    if brings is not None:
        lease = f"{brings.token}|default|1|0|rerun|1"
        brought = [brings.job_id, lease, "180", "", "", brings.packed, ""]
    commands = (("BLPOP", BELL, 60), ("EVAL", ANSWER, 0, *brought))
    return b"".join(hiredis.pack_command(command) for command in commands)


def lend(pool: Pool, brings: Assignment | None = None) -> LentWatch:
    lent = pool.lend(request(brings), lambda _: brings)
    assert lent is not None
    return lent


def test_a_process_that_waits_counts_as_idle_and_gets_a_job_when_no_other_does(own: OwnPool) -> None:
    async def main() -> None:
        async with own.pool(2) as watched:
            await ready(watched, 2)
            pool = watched.pool
            lent = lend(pool)
            (waiting,) = [process for process in pool.processes if process.watch.lent is lent]
            assert pool.idle == 2
            assert waiting.begun is None

            first, second = own.job("double", 1), own.job("double", 2)
            assert pool.dispatch(first, 1)
            assert not lent.over.done()
            assert not waiting.assignments
            assert pool.dispatch(second, 1)
            assert lent.over.result() is None, "it was taken back"
            assert list(waiting.assignments) == [second]
            await until(lambda: len(watched.outcomes) == 2, "both are done")

    asyncio.run(main())


def test_several_jobs_are_given_up_to_the_first_one_for_a_process_that_begins_another(
    own: OwnPool, redis_client: redis.Redis
) -> None:
    async def main() -> None:
        async with own.pool(2) as watched:
            await ready(watched, 2)
            pool, brought = watched.pool, own.job("double", 21)
            lent = lend(pool, brought)
            (waiting,) = [process for process in pool.processes if process.watch.lent is lent]
            await asyncio.sleep(0)
            redis_client.rpush(BELL, "rings")
            while waiting._channel.unread():  # the loop stands still: what the process says of it is not heard
                pass
            jobs = [own.job("double", number) for number in range(4)]
            assert pool.dispatch_many(jobs, 4) == 1
            assert not jobs[1].sequence, "it went nowhere"
            await until(lambda: len(watched.outcomes) == 2, "the job that came is done, and the one that was given")

            assert pool.dispatch_many(jobs[1:], 4) == 3
            await until(lambda: len(watched.outcomes) == 5, "all are done")

    asyncio.run(main())


def test_a_job_that_came_is_known_before_it_is_done_and_counts_like_one_that_was_sent(
    own: OwnPool, redis_client: redis.Redis
) -> None:
    async def main() -> None:
        async with own.pool(1, max_jobs_per_process=1) as watched:
            await ready(watched)
            (process,) = watched.pool.processes
            brought = own.job("double", 21)
            lent = lend(watched.pool, brought)
            redis_client.rpush(BELL, "rings")
            await until(lent.over.done, "it came")
            said = lent.over.result()
            assert said is not None
            assert (said.kind, said.begun, brought.sequence) == ("answered", True, lent.sequence)
            await until(lambda: watched.outcomes, "it is done")

            assert watched.outcomes[0][0] is brought
            assert value(watched.outcomes[0][1]) == 42
            assert (process.jobs_sent, process.jobs_done) == (1, 1)
            await until(lambda: watched.ends, "it has had all its jobs")
            assert watched.ends[0][0].reason is Reason.RECYCLED

    asyncio.run(main())


def test_a_process_that_dies_of_the_job_that_came_is_blamed_on_it(own: OwnPool, redis_client: redis.Redis) -> None:
    async def main() -> None:
        async with own.pool(1) as watched:
            await ready(watched)
            brought = own.job("crash")
            lend(watched.pool, brought)
            redis_client.rpush(BELL, "rings")
            await until(lambda: watched.ends, "it ended")

            end, begun, unbegun = watched.ends[0]
            assert (end.reason, begun, unbegun) == (Reason.CRASHED, brought, [])

    asyncio.run(main())


@pytest.mark.parametrize("how", ["killed", "recycled"])
def test_a_watch_ends_with_its_process(own: OwnPool, how: str) -> None:
    async def main() -> None:
        async with own.pool(1) as watched:
            await ready(watched)
            lent = lend(watched.pool)
            (process,) = watched.pool.processes
            if how == "killed":
                os.kill(process.pid, signal.SIGKILL)
            else:
                process.close(Reason.RECYCLED)
                assert lent.over.done()
            await until(lambda: watched.ends, "it ended")

            assert lent.over.result() is None
            end, begun, unbegun = watched.ends[0]
            assert (begun, unbegun) == (None, [])
            assert end.reason is (Reason.CRASHED if how == "killed" else Reason.RECYCLED)

    asyncio.run(main())


def test_a_job_that_is_not_this_hosts_any_more_ends_with_its_process(own: OwnPool, redis_client: redis.Redis) -> None:
    async def main() -> None:
        async with own.pool(1) as watched:
            await ready(watched)
            lent = watched.pool.lend(request(own.job("double", 1)), lambda _: None)
            assert lent is not None
            redis_client.rpush(BELL, "rings")
            await until(lambda: watched.ends, "it ended")

            end, begun, unbegun = watched.ends[0]
            assert (end.reason, begun, unbegun) == (Reason.HOST_LOST, None, [])
            assert not watched.outcomes

    asyncio.run(main())


def test_a_process_that_waits_learns_that_the_lease_is_good_for_longer(own: OwnPool) -> None:
    async def main() -> None:
        async with own.pool(2) as watched:
            await ready(watched, 2)
            lent = lend(watched.pool)
            watched.pool.renew(1e9)

            (waiting,) = [process for process in watched.pool.processes if process.watch.lent is lent]
            assert waiting.expires_at == 1e9

    asyncio.run(main())


def test_no_process_has_two_watches_and_none_more_than_there_are_processes(own: OwnPool) -> None:
    async def main() -> None:
        async with own.pool(2) as watched:
            await ready(watched, 2)
            pool = watched.pool
            lend(pool)
            lend(pool)
            assert not pool.lender.can_lend
            assert pool.lend(request(), lambda _: None) is None

    asyncio.run(main())


def test_no_watch_is_lent_where_processes_cant_use_it(own: OwnPool) -> None:
    async def main() -> None:
        for settings in ({"process_mode": "fresh"}, {"executor": "thread"}):
            async with own.pool(1, **settings) as watched:
                await ready(watched)
                assert not watched.pool.lender.can_lend
        async with own.pool(1) as watched:
            await ready(watched)
            watched.pool.lender.refuse()
            assert watched.pool.lend(request(), lambda _: None) is None

    asyncio.run(main())
