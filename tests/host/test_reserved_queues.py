"""An empty queue is reserved for a host: it starts the next jobs by itself, and nobody else has to be there."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from rq.job import Job

from farm.keys import Keys, RqKeys
from tests.support.farm import Farm
from tests.support.waiting import wait_out, wait_until

KEYS = Keys()
RQ_KEYS = RqKeys()
PROMPTLY_SECONDS = 8.0


def reserved_for(farm: Farm, queue: str = "default") -> str:
    """The host that takes the next jobs of the queue, empty if there is none."""
    owner = farm.redis.hget(KEYS.reserved, queue) or b""
    return owner.decode().partition("|")[0]


def wait_for_reserved(farm: Farm, queue: str = "default", host: str = "") -> str:
    """The host that the queue is reserved for, once there is one, or once it is `host`."""
    return wait_until(
        lambda: (found := reserved_for(farm, queue)) and found == (host or found) and found,
        f"{queue} is reserved for {host or 'a host'}",
    )


def wait_for_watched(farm: Farm, queues: int = 1) -> None:
    """Until hosts, or idle processes of theirs, wait for jobs of as many queues."""
    wait_until(lambda: _watchers(farm) == queues, f"{queues} queues are watched by hosts")


def _watchers(farm: Farm) -> int:
    clients = farm.redis.client_list()
    watching = ("farm-host-queue", "farm-process-queue")
    return sum(one["name"] in watching and one["cmd"] == "blmove" for one in clients)


def coordinator_of(farm: Farm) -> psutil.Process:
    return next(
        process
        for member in farm.members
        for process in member.tree()
        if any("farm.coordinator" in word for word in process.cmdline())
    )


@contextmanager
def standing_still(process: psutil.Process) -> Iterator[None]:
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def test_a_job_starts_on_an_idle_farm_while_the_coordinator_stands_still(farm: Farm) -> None:
    farm.host("one", processes=2)
    assert wait_for_reserved(farm) == "one"
    wait_for_watched(farm)

    with standing_still(coordinator_of(farm)):
        for number in range(3):
            assert farm.wait_for(farm.enqueue("add", number, 1)).return_value() == number + 1
            wait_for_watched(farm)
        both = [farm.enqueue("wait_for_go") for _ in range(2)]
        for job in both:
            farm.pid_of(job)
        third = farm.enqueue("add", 1, 2)
        assert farm.waiting() == [third.id], "no process is free, and a job that waits goes elsewhere if it can"
    farm.go()
    farm.wait_for(*both)
    assert farm.wait_for(third).return_value() == 3


def test_a_job_that_another_took_away_does_not_keep_the_next_one_waiting(farm: Farm) -> None:
    farm.host("one")
    wait_for_reserved(farm)
    wait_for_watched(farm)
    queue = RQ_KEYS.queue("default")

    rounds, began = 10, time.monotonic()
    with standing_still(coordinator_of(farm)):
        for _ in range(rounds):
            farm.redis.pipeline(transaction=False).rpush(queue, "gone").lpop(queue).execute()
            farm.wait_for(farm.enqueue("add", 1, 2))

    assert time.monotonic() - began < rounds / 2


def test_one_host_of_two_has_the_queue_and_the_other_goes_on_when_it_dies(farm: Farm) -> None:
    times = {"suspect_after": 2, "host_timeout": 4}
    farm.coordinator(**times)
    hosts = {name: farm.host(name, app="calm", **times) for name in ("one", "two")}  # less load gets the queue
    first = wait_for_reserved(farm)
    other = next(name for name in hosts if name != first)
    assert farm.redis.hlen(KEYS.reserved) == 1
    wait_for_watched(farm)
    assert farm.wait_for(farm.enqueue("add", 1, 2)).worker_name == first

    os.kill(hosts[first].pid, signal.SIGKILL)
    job = farm.enqueue("add", 3, 4)

    assert farm.wait_for(job, timeout=4 + PROMPTLY_SECONDS).worker_name == other
    wait_for_reserved(farm, host=other)


def test_the_next_job_runs_elsewhere_at_once_when_the_host_of_the_queue_is_drained(farm: Farm) -> None:
    for name in ("one", "two"):
        farm.host(name)
    first = wait_for_reserved(farm)
    other = "two" if first == "one" else "one"

    assert farm.command("drain", first).returncode == 0
    farm.wait_for_state(first, "draining")

    assert farm.wait_for(farm.enqueue("add", 1, 2), timeout=PROMPTLY_SECONDS).worker_name == other
    wait_for_reserved(farm, host=other)
    assert farm.wait_for(farm.enqueue("add", 1, 2)).worker_name == other


def test_nothing_starts_while_rq_is_suspended_nobody_asks_all_the_time_and_it_goes_on_afterwards(farm: Farm) -> None:
    farm.host("one")
    wait_for_reserved(farm)
    wait_for_watched(farm)
    assert farm.rq("suspend").returncode == 0

    jobs = farm.enqueue_many("note", [("first",), ("second",)])
    before, seconds = _asked(farm), 3.0
    wait_out(seconds)
    asked = _asked(farm) - before

    assert farm.notes() == []
    assert farm.waiting() == [job.id for job in jobs]
    assert asked < 20 * seconds
    assert farm.rq("resume").returncode == 0
    began = time.monotonic()
    farm.wait_for(*jobs)
    assert time.monotonic() - began < 3
    assert farm.notes() == ["first", "second"]


def _asked(farm: Farm) -> int:
    """How often somebody looked for jobs, or called a script."""
    calls = {name: int(one["calls"]) for name, one in farm.redis.info("commandstats").items()}
    return calls.get("cmdstat_blmove", 0) + calls.get("cmdstat_evalsha", 0)


def test_a_burst_on_two_hosts_starts_in_the_order_of_the_queue(farm: Farm) -> None:
    for name in ("one", "two"):
        farm.host(name)
    wait_for_reserved(farm)
    wait_for_watched(farm)

    jobs = _burst(farm)
    while recalled := farm.count("recalled"):  # of a machine that stood still: these began later than those behind them
        farm.redis.delete("test:notes", KEYS.counts("default"))
        assert recalled < len(jobs), "most jobs waited for too long"
        jobs = _burst(farm)

    by_host: dict[str, list[int]] = {"one": [], "two": []}
    host_of = {number: str(farm.fetch(job).worker_name) for number, job in enumerate(jobs)}
    for text in farm.notes():
        by_host[host_of[int(text)]].append(int(text))
    assert sum(map(len, by_host.values())) == len(jobs)
    for name, numbers in by_host.items():
        assert numbers == sorted(numbers), f"host {name} began jobs out of their order"


def _burst(farm: Farm) -> list[Job]:
    jobs = farm.enqueue_many("note", [(str(number),) for number in range(200)])
    farm.wait_for(*jobs, timeout=40)
    return jobs


def test_of_two_reserved_queues_the_first_of_the_host_comes_first(farm: Farm) -> None:
    farm.host("one", queues="high,low")
    for queue in ("high", "low"):
        wait_for_reserved(farm, queue)
    wait_for_watched(farm, 2)

    with standing_still(coordinator_of(farm)):
        gate = farm.queue("low").enqueue("system_jobs.wait_for_go")
        farm.pid_of(gate)
        low = farm.enqueue_many("note", [("low-1",), ("low-2",)], queue="low")
        high = farm.enqueue_many("note", [("high-1",), ("high-2",)], queue="high")
        farm.go()
        farm.wait_for(gate, *low, *high)

    assert farm.notes() == ["high-1", "high-2", "low-1", "low-2"]


def test_a_queue_whose_reservation_is_gone_from_redis_is_reserved_anew(farm: Farm) -> None:
    farm.coordinator()
    farm.host("one")
    wait_for_reserved(farm)
    farm.redis.delete(KEYS.reserved)
    leader = farm.wait_for_leader()
    coordinator_of(farm).kill()
    farm.coordinator()
    wait_until(lambda: farm.wait_for_leader() != leader, "another leads", 20)

    wait_for_reserved(farm, host="one")
