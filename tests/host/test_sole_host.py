"""A host whose queues no other serves takes their jobs by itself, also while it is busy."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rq import Queue

from farm.keys import Keys
from tests.host.test_reserved_queues import coordinator_of, standing_still, wait_for_reserved, wait_for_watched
from tests.support.effects import jobs_begun, wait_for_runs
from tests.support.farm import Farm
from tests.support.waiting import wait_until

KEYS = Keys()


def wait_for_sole(farm: Farm, *names: str) -> None:
    expected = {name.encode() for name in names}
    wait_until(lambda: set(farm.redis.hkeys(KEYS.sole)) == expected, f"these hosts are sole: {names}")


@contextmanager
def without_coordinator(farm: Farm, *queues: str) -> Iterator[None]:
    """It stands still once the queues are watched: it gives an idle host its first jobs until then."""
    for queue in queues:
        wait_for_reserved(farm, queue)
    wait_for_watched(farm, len(queues))
    with standing_still(coordinator_of(farm)):
        yield


def test_a_backlog_is_worked_off_while_the_coordinator_stands_still(farm: Farm) -> None:
    farm.host("one", processes=2)
    wait_for_sole(farm, "one")

    with without_coordinator(farm, "default"):
        jobs = farm.enqueue_many("note", [(str(number),) for number in range(500)])
        farm.wait_for(*jobs, timeout=40)

    assert sorted(map(int, farm.notes())) == list(range(500))


def test_long_jobs_follow_one_another_while_the_coordinator_stands_still(farm: Farm) -> None:
    farm.host("one", processes=1)
    wait_for_sole(farm, "one")

    with without_coordinator(farm, "default"):
        first, second = farm.enqueue("wait_for_go"), farm.enqueue("add", 1, 2)
        farm.pid_of(first)
        assert farm.waiting() == [second.id], "nothing is taken behind a job of which nothing is known"
        farm.go()
        assert farm.wait_for(second).return_value() == 3


def test_a_second_host_takes_its_share_of_the_backlog(farm: Farm) -> None:
    farm.host("one", processes=2)
    wait_for_sole(farm, "one")
    jobs = farm.enqueue_many("pause", [(0.02,)] * 800)

    farm.host("two", processes=2)

    wait_for_sole(farm)
    farm.wait_for(*jobs, timeout=60)
    assert {str(farm.fetch(job).worker_name) for job in jobs} == {"one", "two"}
    for name in ("one", "two"):
        assert not farm.redis.hlen(KEYS.running(name, farm.published(name)["identity"]))


def test_each_host_with_queues_of_its_own_is_sole(farm: Farm) -> None:
    farm.host("one", queues="p,q")
    farm.host("two", queues="r")
    wait_for_sole(farm, "one", "two")

    with without_coordinator(farm, *"pqr"):
        jobs = [job for queue in "pqr" for job in farm.enqueue_many("add", [(1, 2)] * 30, queue=queue)]
        farm.wait_for(*jobs, timeout=40)


def test_coroutine_jobs_that_come_while_others_sleep_begin_soon(farm: Farm, effects: Path) -> None:
    """No end of a job brings them, and no process idles."""
    farm.host("one", async_concurrency=40)
    wait_for_sole(farm, "one")

    for more in (10, 30):
        begun = jobs_begun(effects)
        call = Queue.prepare_data("coroutine_jobs.pause_once", (str(effects),))
        farm.queue().enqueue_many([call] * more)
        wait_for_runs(effects, begun + more)
