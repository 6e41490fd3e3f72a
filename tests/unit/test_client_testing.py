"""farm.testing: what users get for tests of their own services."""

import asyncio
import subprocess
import sys
import threading

import pytest

from farm.client import Call, Client, InvalidCall
from farm.errors import JobFailed
from farm.testing import FakeFarm, inline
from tests.client import sample_jobs


def test_inline_runs_a_job_when_it_is_enqueued() -> None:
    with inline() as client:
        job = client.queue("calls").enqueue(sample_jobs.add, 1, other=2)

        assert job.status().status == "finished"
        assert job.result(timeout=0) == 3


def test_inline_gives_the_job_copies_as_a_host_would() -> None:
    sent = [1]
    with inline() as client:
        (received,), _ = client.queue().enqueue(sample_jobs.give_back, sent).result(timeout=0)

    assert received == sent
    assert received is not sent


def test_inline_refuses_what_a_host_could_not_get() -> None:
    with inline() as client, pytest.raises(InvalidCall):
        client.queue().enqueue(sample_jobs.give_back, threading.Lock())


def test_a_failure_inline_is_told_by_the_result() -> None:
    with inline() as client:
        job = client.queue().enqueue(sample_jobs.fail, "no money")

        with pytest.raises(JobFailed, match="ValueError: no money"):
            job.result(timeout=0)


def test_inline_knows_unique_jobs_json_and_dependencies() -> None:
    with inline() as client:
        first = client.queue(job_id="one", unique=True).enqueue(sample_jobs.add, 1)
        second = client.queue(depends_on=first).enqueue(sample_jobs.add, 2)
        third = client.queue("plain", serializer="json").enqueue(sample_jobs.add, 3)

        assert [job.result(timeout=0) for job in (first, second, third)] == [2, 3, 4]


def test_a_fake_farm_records_and_runs_nothing_by_itself() -> None:
    with FakeFarm() as fake:
        fake.assert_nothing_enqueued()
        job = fake.client.queue("calls", on_lost="fail").enqueue("shop.bill", 7, much=1)
        found = fake.assert_enqueued("shop.bill", 7, much=1)

        assert (found.id, found.queue, found.options.on_lost) == (job.id, "calls", "fail")
        assert job.status().position == 0
        with pytest.raises(
            AssertionError, match=r"not enqueued: shop.bill\(8\).*\n.*\n  shop.bill\(7, much=1\) on calls"
        ):
            fake.assert_enqueued("shop.bill", 8)
        with pytest.raises(AssertionError, match=r"shop\.bill"):
            fake.assert_nothing_enqueued()


def test_a_fake_farm_runs_everything_when_told() -> None:
    with FakeFarm() as fake:
        jobs = fake.client.queue("calls").enqueue_many([Call(sample_jobs.add, (number,)) for number in range(5)])
        last = fake.client.queue("late", depends_on=jobs).enqueue(sample_jobs.nothing)
        fake.run_all()
        fake.assert_enqueued(sample_jobs.add, 4)

        assert [job.result(timeout=0) for job in jobs] == [1, 2, 3, 4, 5]
        assert last.result(timeout=0) is None


def test_an_asynchronous_service_can_be_tested_without_redis() -> None:
    async def serve(fake: FakeFarm) -> list[int]:
        async with fake.async_client as client:
            jobs = [await client.queue().enqueue(sample_jobs.add, number) for number in range(5)]
            return list(await asyncio.gather(*(job.result(timeout=20) for job in jobs)))

    with FakeFarm(run_at_once=True) as fake:
        assert asyncio.run(serve(fake)) == [1, 2, 3, 4, 5]


def test_two_fake_farms_share_nothing() -> None:
    with FakeFarm() as one, FakeFarm() as other:
        one.client.queue().enqueue("shop.bill", 7)

        other.assert_nothing_enqueued()
        assert other.connection.dbsize() == 0


def test_without_fakeredis_the_error_says_what_to_install() -> None:
    code = "import sys; sys.modules['fakeredis'] = None; import farm.testing"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)

    assert "rq-farm[testing]" in run.stderr.splitlines()[-1]


def test_a_connection_that_decodes_answers_is_refused_with_the_reason() -> None:
    import fakeredis

    from farm.errors import SettingsError

    with (
        fakeredis.FakeRedis(decode_responses=True) as connection,
        pytest.raises(SettingsError, match="decode_responses"),
    ):
        Client(connection=connection)
