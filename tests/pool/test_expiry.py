"""When a host's lease may be taken away, as a process knows it: what may begin, and what has to be over."""

import asyncio
import threading
import time
from pathlib import Path

import pytest
import redis

from farm_worker.pool import expiry
from farm_worker.pool.expiry import HOST_FIRST_SECONDS, Expiry, clock
from tests.pool.conftest import ready, until
from tests.support.own_pool import OwnPool
from tests.support.waiting import wait_until


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    signals: list[int] = []
    monkeypatch.setattr(expiry.os, "killpg", lambda group, number: signals.append(number))
    return signals


def test_only_a_job_that_must_not_run_twice_is_ended(ended: list[int]) -> None:
    one = Expiry()
    one.begin(clock() + 60, must_end=False)
    one.move(clock() - 10)
    one.enforce()
    assert ended == []
    one.move(clock() + 60)
    one.begin(clock() + 60, must_end=True)
    one.move(clock() - 10)
    one.enforce()
    one.end()
    one.enforce()
    assert len(ended) == 1


def test_a_renewal_gives_time_that_an_older_word_does_not_take_away(ended: list[int]) -> None:
    one = Expiry()
    one.begin(clock() + 5, must_end=True)
    one.move(clock() + 100)
    one.end()
    one.begin(clock() - 5, must_end=True)  # it waited in the pipe behind a long job
    one.enforce()
    left = one.left()
    assert ended == []
    assert left is not None
    assert 90 < left <= 100 + HOST_FIRST_SECONDS


def test_no_job_begins_under_a_lease_that_may_be_others_until_it_is_renewed(ended: list[int]) -> None:
    one, begun = Expiry(), threading.Event()

    def begin() -> None:
        one.begin(clock() - 10, must_end=True)
        begun.set()

    thread = threading.Thread(target=begin)
    thread.start()
    wait_until(lambda: one.left() is None and thread.is_alive(), "it waits")
    assert not begun.wait(0.05)
    one.move(clock() + 60)
    wait_until(begun.is_set, "it begins")
    thread.join()
    assert ended == []


def test_there_is_nothing_to_wait_for_before_the_first_job_and_after_the_time_is_over() -> None:
    one = Expiry()
    assert one.left() is None
    one.begin(0, must_end=False)
    assert one.left() is None
    one.move(clock() - 10)
    assert one.left() is None


def test_a_process_begins_a_job_only_once_it_hears_of_a_lease_that_is_good(
    redis_client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    own = OwnPool(redis_client, redis_url, tmp_path)
    own.write("def touch(path):\n    open(path, 'w').close()\n")
    begun = tmp_path / "begun"

    async def scene() -> None:
        async with own.pool() as watched:
            await ready(watched)
            watched.pool.renew(clock() - 1)  # as after the host and all its processes were stopped
            assert watched.pool.dispatch(own.job("touch", str(begun)), depth=1)
            (process,) = watched.pool.processes
            await until(lambda: process.begun, "it has read the job")
            process.line.ask(time.monotonic())
            await until(lambda: not process.line.silent_for(time.monotonic()), "it answers meanwhile")
            assert not begun.exists()
            watched.pool.renew(clock() + 60)
            await until(watched.done, "the job ended")
            assert begun.exists()

    asyncio.run(scene())
