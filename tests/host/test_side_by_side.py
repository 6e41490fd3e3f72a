"""Many coroutine jobs run in one process when something fails: none is lost, none runs twice, their order stays."""

import json
import signal
from pathlib import Path

import psutil
import pytest
from rq.job import Job

import farm as library
from farm.keys import Keys, RqKeys
from farm.redis_server import RedisServer
from tests.support.effects import runs, wait_for_runs
from tests.support.farm import SHORT_TIMES, Farm
from tests.support.killed_redis import standing_still
from tests.support.waiting import wait_out, wait_until

KEYS = Keys()
RQ_KEYS = RqKeys()
COUNT = 20
SIDE_BY_SIDE = {"processes": 1, "async_concurrency": COUNT}


def enqueue(farm: Farm, function: str, *arguments: object, **options: object) -> Job:
    """A job of `coroutine_jobs`."""
    return farm.queue().enqueue(f"coroutine_jobs.{function}", *arguments, **options)


@pytest.mark.parametrize("first_is", ["slow", "quick"])
def test_a_stop_interrupts_all_and_gives_them_back_in_order(farm: Farm, effects: Path, first_is: str) -> None:
    """Whatever the order in which they have cleaned up."""
    host = farm.host("one", drain_timeout=0.5, **SIDE_BY_SIDE)
    seconds = [number / 20 for number in range(COUNT)]
    if first_is == "slow":
        seconds.reverse()
    jobs = [enqueue(farm, "pause_once", str(effects), each) for each in seconds]
    wait_for_runs(effects, COUNT)
    waiting = enqueue(farm, "pause", 0, str(effects))

    assert host.stop() == 0

    assert f"takes no new jobs, still running: {COUNT}\n" in host.says
    assert farm.waiting() == [job.id for job in [*jobs, waiting]]
    assert [farm.count(what) for what in ("drained", "crashed", "failed", "recovered")] == [COUNT, 0, 0, 0]
    farm.host("one", **SIDE_BY_SIDE)
    farm.wait_for(*jobs, waiting)
    assert farm.notes() == 2 * [job.id for job in jobs] + [waiting.id]
    assert sorted(runs(effects)) == [1] + [2] * COUNT


def test_those_that_end_in_time_are_done_and_those_that_refuse_go_back_in_order(farm: Farm, effects: Path) -> None:
    """Which of them is overdue first says nothing about who goes first."""
    host = farm.host("one", drain_timeout=0.5, close_timeout=1, **SIDE_BY_SIDE)
    timeouts = [500, 500, 500, 100, 500]
    refusing = [enqueue(farm, "refuse_once", str(effects), job_timeout=timeout) for timeout in timeouts]
    ending = [enqueue(farm, "pause_once", str(effects)) for _ in range(10)]
    short = [enqueue(farm, "pause", 0.1, str(effects)) for _ in range(5)]
    wait_for_runs(effects, COUNT)

    assert host.stop() == 0

    assert farm.waiting() == [job.id for job in [*refusing, *ending]]
    assert set(farm.statuses(short)) == {"finished"}
    assert [farm.count(what) for what in ("drained", "crashed", "failed")] == [15, 0, 0]


def test_a_stop_amid_a_job_that_holds_up_the_loop_gives_all_back_in_order(
    farm: Farm, effects: Path, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    host = farm.host("one", drain_timeout=0.5, close_timeout=1, **SIDE_BY_SIDE)
    jobs = [enqueue(farm, "pause_once", str(effects)) for _ in range(9)]
    jobs.append(enqueue(farm, "block_until", str(go), str(effects), job_timeout=100))
    jobs += [enqueue(farm, "pause_once", str(effects)) for _ in range(10)]
    wait_for_runs(effects, COUNT)

    go.touch()
    assert host.stop() == 0

    assert farm.waiting() == [job.id for job in jobs]
    assert [farm.count(what) for what in ("drained", "crashed", "failed")] == [COUNT, 0, 0]


def test_jobs_run_on_while_redis_does_not_answer_and_each_outcome_arrives_once(
    own_farm: Farm, own_redis: RedisServer, effects: Path
) -> None:
    host = own_farm.host("one", **SIDE_BY_SIDE)
    jobs = [enqueue(own_farm, "pause", 2.0, str(effects)) for _ in range(COUNT)]
    wait_for_runs(effects, COUNT)
    identity = own_farm.published("one")["identity"]

    with standing_still(own_redis):
        wait_until(lambda: "Redis is away" in host.says, "the host notices")
        wait_until(lambda: "outcomes are kept in" in host.says, "jobs ended")

    own_farm.wait_for(*jobs, timeout=30)
    assert runs(effects) == [1] * COUNT
    assert [own_farm.count(what) for what in ("finished", "refused", "recovered")] == [COUNT, 0, 0]
    assert own_farm.published("one")["identity"] == identity


@pytest.mark.slow
def test_outcomes_arrive_once_after_redis_was_away_for_longer_than_a_host_may_be_silent(
    own_farm: Farm, own_redis: RedisServer, effects: Path
) -> None:
    host = own_farm.host("one", **SIDE_BY_SIDE, **SHORT_TIMES)
    jobs = [enqueue(own_farm, "pause", 4.0, str(effects)) for _ in range(COUNT)]
    wait_for_runs(effects, COUNT)

    own_redis.stop()
    wait_until(lambda: "outcomes are kept in" in host.says, "jobs ended")
    wait_out(SHORT_TIMES["host_timeout"])
    own_redis.start()

    own_farm.wait_for(*jobs, timeout=30)
    assert runs(effects) == [1] * COUNT
    assert [own_farm.count(what) for what in ("finished", "refused", "recovered")] == [COUNT, 0, 0]
    assert [own_farm.redis.xlen(RQ_KEYS.results(job.id)) for job in jobs] == [1] * COUNT


@pytest.mark.slow
def test_one_that_is_others_by_now_ends_alone(farm: Farm, effects: Path) -> None:
    """As Redis comes back without its start, and another has it: see tests/host/test_audit.py."""
    host = farm.host("one", **SIDE_BY_SIDE)
    jobs = [enqueue(farm, "pause", 10.0, str(effects)) for _ in range(COUNT)]
    wait_for_runs(effects, COUNT)
    lost = jobs.pop(7)
    farm.redis.hdel(KEYS.running("one", farm.published("one")["identity"]), lost.id)
    farm.redis.hset(RQ_KEYS.worker("another"), "state", "busy")
    farm.redis.expire(RQ_KEYS.worker("another"), 60)
    farm.redis.hset(lost.key, mapping={"status": "started", "worker_name": "another"})

    wait_until(lambda: "Redis lost the start of 1 jobs" in host.says, "the host notices", 20)
    farm.wait_for(*jobs, timeout=30)

    assert farm.status(lost) == "started", "it is the other's"
    assert runs(effects) == [1] * COUNT
    assert [farm.count(what) for what in ("finished", "failed", "crashed", "recovered")] == [COUNT - 1, 0, 0, 0]
    assert farm.events("process.ended") == []
    farm.redis.delete(lost.key)


def test_jobs_of_a_host_that_was_given_up_end_there_and_run_elsewhere_once(farm: Farm, effects: Path) -> None:
    host = farm.host("one", **SIDE_BY_SIDE, **SHORT_TIMES)
    jobs = [enqueue(farm, "pause_once", str(effects)) for _ in range(COUNT)]
    wait_for_runs(effects, COUNT)
    before = farm.published("one")["identity"]
    pid = farm.pid_of(jobs[0])

    host.send(signal.SIGSTOP)
    farm.host("two", **SIDE_BY_SIDE, **SHORT_TIMES)
    farm.wait_for(*jobs, timeout=30)
    host.send(signal.SIGCONT)

    farm.wait_for_identity_after(before, timeout=20)
    farm.wait_for_state("one", "available")
    wait_until(lambda: not psutil.pid_exists(pid), "the process with the jobs is gone")
    assert runs(effects) == [2] * COUNT
    assert [farm.count(what) for what in ("finished", "crashed", "recovered")] == [COUNT, 0, COUNT]


def test_each_job_is_shown_with_its_process(farm: Farm, effects: Path) -> None:
    farm.host("one", **SIDE_BY_SIDE)
    jobs = [enqueue(farm, "pause_once", str(effects)) for _ in range(COUNT)]
    wait_for_runs(effects, COUNT)
    pid = farm.pid_of(jobs[0])

    with library.host("one", farm.url) as host:
        wait_until(lambda: all(host.job(job.id) for job in jobs), "the host tells of all")
        (process,) = host.processes
        assert (host.details().host.number("busy"), host.details().host.number("jobs")) == (1, COUNT)
        last = host.job(jobs[-1].id)

    assert last is not None
    assert (process.pid, last.pid, last.job_id, last.queue) == (pid, pid, jobs[-1].id, "default")
    assert [job.job_id for job in process.running] == [job.id for job in jobs]
    assert f"\t1/1, {COUNT} jobs\t" in farm.command("status").stdout
    told = json.loads(farm.command("drain", "one", "--json").stdout)["running"]
    assert [job["job_id"] for job in told] == [job.id for job in jobs]


def test_one_that_blocks_the_loop_is_killed_and_those_beside_it_run_again_in_order_unblamed(
    farm: Farm, effects: Path, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    farm.host("one", close_timeout=1, **SIDE_BY_SIDE)
    before = [enqueue(farm, "pause_once", str(effects)) for _ in range(9)]
    blocking = enqueue(farm, "block_until", str(go), str(effects), job_timeout=6)
    after = [enqueue(farm, "pause_once", str(effects)) for _ in range(10)]
    wait_for_runs(effects, COUNT)
    farm.redis.delete("test:notes")

    go.touch()

    farm.wait_for(blocking, status="failed", timeout=30)
    assert "exceeded maximum timeout" in farm.error_of(blocking)
    farm.wait_for(*before, *after)
    assert [farm.count(what) for what in ("finished", "failed", "crashed", "drained")] == [19, 1, 0, 0]
    assert not any(farm.redis.hexists(job.key, "farm_crashes") for job in [*before, *after])
    assert farm.notes() == [job.id for job in [*before, *after]], "in order, once each"
    assert sorted(runs(effects)) == [1] + [2] * 19
