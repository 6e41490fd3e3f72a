"""How a host ends: drained, at once, by its limits, and what it leaves: nothing."""

import signal
import socket

from rq import Worker

from farm.keys import Keys, RqKeys
from tests.support.farm import Farm, Member
from tests.support.waiting import wait_until

KEYS = Keys()
RQ_KEYS = RqKeys()


def left_by_hosts(farm: Farm) -> set[str]:
    """Keys of single hosts, and members of the sets of hosts."""
    found = {key.decode() for key in farm.redis.scan_iter(match="farm:host:*", count=1000)}
    for key in (KEYS.hosts, KEYS.load, KEYS.lost):
        found |= {f"{key} {member.decode()}" for member in farm.redis.zrange(key, 0, -1)}
    found |= {f"{KEYS.identities} {name.decode()}" for name in farm.redis.hkeys(KEYS.identities)}
    found |= {f"{RQ_KEYS.workers} {name.decode()}" for name in farm.redis.smembers(RQ_KEYS.workers)}
    return found


def running_and_waiting(farm: Farm) -> tuple[Member, list[str]]:
    """A host that runs the first of six jobs. Returns the ids in order."""
    host = farm.host("one")
    jobs = [farm.enqueue("wait_for_go"), *(farm.enqueue("note", str(number)) for number in range(5))]
    farm.pid_of(jobs[0])
    return host, [job.id for job in jobs]


def test_a_drained_host_ends_what_runs_and_leaves_the_rest_to_a_stock_worker(farm: Farm) -> None:
    host, order = running_and_waiting(farm)

    host.send(signal.SIGTERM)
    wait_until(lambda: farm.waiting() == order[1:], "what waited is back in RQ's queue, in order")
    farm.wait_for_state("one", "draining")
    assert farm.status(order[0]) == "started"
    farm.go()

    assert host.wait() == 0
    assert farm.status(order[0]) == "finished"
    assert farm.waiting() == order[1:]
    assert left_by_hosts(farm) == set()
    assert [event["host"] for event in farm.events("host.left")] == ["one"]
    stock = farm.stock_worker()
    assert stock.returncode == 0, stock.stderr
    assert farm.notes() == ["0", "1", "2", "3", "4"]
    assert Worker.count(connection=farm.redis) == 0


def test_a_second_request_gives_running_jobs_back_at_once_and_blames_nobody(farm: Farm) -> None:
    host, order = running_and_waiting(farm)

    host.send(signal.SIGTERM)
    farm.wait_for_state("one", "draining")
    host.send(signal.SIGTERM)

    assert host.wait() == 0
    assert farm.waiting() == order
    assert {farm.status(job_id) for job_id in order} == {"queued"}
    assert not farm.redis.hexists(RQ_KEYS.job(order[0]), "farm_crashes")
    assert [farm.count(what) for what in ("crashed", "recovered", "failed", "finished")] == [0, 0, 0, 0]
    assert farm.events("process.ended") == []
    assert left_by_hosts(farm) == set()


def test_a_drain_that_takes_too_long_gives_running_jobs_back(farm: Farm) -> None:
    host = farm.host("one", drain_timeout=1)
    job = farm.enqueue("wait_for_go")
    farm.pid_of(job)

    assert host.stop() == 0

    assert farm.waiting() == [job.id]
    assert farm.count("crashed") == 0
    assert left_by_hosts(farm) == set()


def test_a_burst_ends_with_everything_done(farm: Farm) -> None:
    jobs = farm.enqueue_many("add", [(number, 1) for number in range(30)])
    low = farm.enqueue_many("add", [(number, 2) for number in range(5)], queue="low")

    host = farm.host(None, ready=False, flags=["default", "low", "--burst", "--name", "burst", "--processes", "2"])

    assert host.wait(40) == 0, host.says
    assert set(farm.statuses([*jobs, *low])) == {"finished"}
    assert [farm.fetch(job).return_value() for job in low] == [2, 3, 4, 5, 6]
    assert {farm.fetch(job).worker_name for job in jobs} == {"burst"}
    assert left_by_hosts(farm) == set()


def test_a_host_ends_after_max_jobs_and_the_rest_waits(farm: Farm) -> None:
    jobs = farm.enqueue_many("add", [(number, number) for number in range(50)])

    host = farm.host("one", ready=False, max_jobs=7)

    assert host.wait(40) == 0
    assert farm.statuses(jobs).count("finished") == 7
    assert farm.waiting() == [job.id for job in jobs[7:]]
    assert left_by_hosts(farm) == set()


def test_a_shutdown_command_of_rq_drains_a_host(farm: Farm) -> None:
    from rq.command import send_shutdown_command

    host = farm.host("one")
    send_shutdown_command(farm.redis, "one")
    assert host.wait() == 0
    assert left_by_hosts(farm) == set()


def test_a_name_in_use_is_an_error_and_a_dead_one_is_taken_over_at_once(farm: Farm) -> None:
    first = farm.host("one")

    second = farm.host("one", ready=False)
    assert second.wait(40) == 1
    assert f"a host named one is alive: process {first.pid} on {socket.gethostname()}" in second.says
    assert "Choose another --name" in second.says

    job = farm.enqueue("wait_for_go")
    farm.pid_of(job)
    first.kill_tree()
    farm.go()
    before = farm.published("one")["identity"]
    farm.host("one", ready=False)
    farm.wait_for_identity_after(before, timeout=8)
    farm.wait_for(job)
    assert farm.count("finished") == 1


def test_hosts_without_a_name_choose_different_ones(farm: Farm) -> None:
    for _ in range(2):
        farm.host(None, ready=False)
    names = wait_until(lambda: names if len(names := farm.redis.zrange(KEYS.hosts, 0, -1)) == 2 else None, "two", 30)
    assert len({name.decode() for name in names}) == 2
    assert all(name.decode().startswith(socket.gethostname()) for name in names)
    for name in names:
        farm.wait_for_state(name.decode(), "available")
