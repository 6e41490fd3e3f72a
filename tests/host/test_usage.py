"""What jobs use is known by function: measured in processes, kept in Redis, shown by `farm usage`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rq import Retry
from rq.job import Job

from farm.keys import Keys
from farm.store.function_usage import FunctionUsage, read_usage
from farm.store.job_usage import FIELD, JobUsage, parse
from tests.support.farm import Farm
from tests.support.waiting import wait_until

KEYS = Keys()
MB = 1_000_000
MODULE = """
import asyncio
import os
import subprocess
import sys
import threading
import time

BURN = "import sys, time\\nwhile time.process_time() < float(sys.argv[1]): pass"


def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def nothing():
    pass


def hold(megabytes, seconds=0.0):
    held = bytearray(megabytes * 1_000_000)
    held[::4096] = b"x" * len(held[::4096])
    time.sleep(seconds)


def nap(seconds):
    time.sleep(seconds)


def ask_a_child(seconds):
    subprocess.run([sys.executable, "-c", BURN, str(seconds)], check=True)


async def wait_and_burn(seconds):
    await asyncio.sleep(seconds)
    burn(seconds)


def fail_once(path, seconds):
    if not os.path.exists(path):
        open(path, "w").close()
        burn(seconds)
        raise RuntimeError("not now")
    time.sleep(30)


def burn_and_die(seconds):
    burn(seconds)
    os.kill(os.getpid(), 9)


def measure():
    import farm

    burn(0.05)
    used = farm.current_job().usage()
    return [used.user_seconds + used.system_seconds, used.children_seconds, used.wait_seconds]


def wait_for_a_kill():
    held = bytearray(60_000_000)
    held[::4096] = b"x" * len(held[::4096])
    while True:
        pass
"""

Known = Callable[[str], FunctionUsage]


@pytest.fixture
def known(farm: Farm, user_folder: Path) -> Known:
    """What the farm knows of a function of `work`, once it knows something."""
    (user_folder / "work.py").write_text(MODULE)

    def find(function: str) -> FunctionUsage | None:
        found = read_usage(farm.redis, KEYS, ["default"])
        return next((usage for usage in found if usage.function == f"work.{function}"), None)

    return lambda function: wait_until(lambda: find(function), f"what {function} uses is told")


def run(farm: Farm, function: str, *arguments: object, jobs: int = 1) -> None:
    farm.wait_for(*[farm.queue().enqueue(f"work.{function}", *arguments) for _ in range(jobs)], timeout=60)


def test_cpu_memory_and_times_of_functions_are_known_when_a_host_has_run_them(farm: Farm, known: Known) -> None:
    host = farm.host("one")
    for function, *arguments in (("burn", 0.1), ("nap", 0.2), ("ask_a_child", 0.3)):
        run(farm, function, *arguments, jobs=3)
    run(farm, "hold", 50, jobs=4)
    run(farm, "nothing", jobs=300)
    host.stop()

    burn, nap, child, hold, nothing = map(known, ("burn", "nap", "ask_a_child", "hold", "nothing"))
    assert 0.1 <= burn.cpu_seconds < 0.15
    assert burn.wall_seconds >= 0.1
    assert nap.wall_seconds >= 0.2
    assert nap.cpus < 0.1
    assert 0.3 <= child.children_seconds < 0.6
    assert child.children_seconds > 10 * (child.cpu_seconds - child.children_seconds)
    assert hold.memory == pytest.approx(50 * MB, rel=0.15)
    assert hold.memory_high == pytest.approx(50 * MB, rel=0.2)
    assert burn.memory < 5 * MB
    assert nothing.cpu_seconds < 0.005
    assert nothing.counted == 300
    assert all(usage.wait_seconds < 60 for usage in (burn, nap, child, hold, nothing))


def used_by(farm: Farm, job: Job) -> JobUsage:
    """By its last run."""
    return wait_until(lambda: parse(farm.redis.hget(f"rq:job:{job.id}", FIELD)), f"what {job.id} used is kept")


def test_a_job_that_took_a_second_says_itself_what_it_used(farm: Farm, known: Known) -> None:
    farm.host("one")
    calls = (("work.burn", 1.1), ("work.hold", 60, 1.1), ("work.nap", 0.3))
    burn, hold, nap = (farm.queue().enqueue(*call) for call in calls)
    farm.wait_for(burn, hold, nap)

    assert used_by(farm, burn).cpu_seconds == pytest.approx(1.1, rel=0.15)
    assert used_by(farm, burn).seconds >= 1.1
    assert used_by(farm, hold).memory == pytest.approx(60 * MB, rel=0.15)
    assert used_by(farm, hold).cpu_seconds < 0.5
    assert farm.redis.hget(f"rq:job:{nap.id}", FIELD) is None


def test_what_a_run_used_is_gone_when_the_next_one_begins(farm: Farm, known: Known, tmp_path: Path) -> None:
    farm.host("one")
    job = farm.queue().enqueue("work.fail_once", str(tmp_path / "tried"), 1.1, retry=Retry(1, interval=1))
    farm.wait_for(job, status="scheduled")
    assert used_by(farm, job).cpu_seconds >= 1.0

    farm.wait_for(job, status="started")
    assert farm.redis.hget(f"rq:job:{job.id}", FIELD) is None


def test_a_job_whose_process_died_says_what_it_had_used_by_the_last_sample(farm: Farm, known: Known) -> None:
    farm.host("one", max_crashes=1)
    job = farm.queue().enqueue("work.burn_and_die", 4.0)
    farm.wait_for(job, status="failed")

    used = used_by(farm, job)
    assert 0.5 < used.cpu_seconds < 4.5
    assert used.seconds >= used.cpu_seconds - 0.1


def test_a_job_that_waited_says_how_long(farm: Farm, known: Known) -> None:
    host = farm.host("one")
    first = farm.queue().enqueue("work.nap", 1.0)
    second = farm.queue().enqueue("work.burn", 0.01)
    farm.wait_for(first, second)
    host.stop()

    assert 0.8 <= known("burn").wait_seconds < 10


def test_a_long_job_is_known_before_it_ends(farm: Farm, known: Known) -> None:
    farm.host("one")
    farm.queue().enqueue("work.hold", 80, 600)

    usage = known("hold")

    assert usage.counted == 0
    assert usage.jobs == 1.0
    assert usage.wall_seconds >= 1.0
    assert usage.memory == pytest.approx(80 * MB, rel=0.25)
    assert usage.cpus < 0.5


def test_a_job_that_is_killed_counts_with_what_was_sampled_of_it(farm: Farm, known: Known) -> None:
    farm.host("one")
    job = farm.queue().enqueue("work.wait_for_a_kill", job_timeout=4)
    farm.wait_for(job, status="failed", timeout=60)

    wait_until(lambda: known("wait_for_a_kill").counted, "its end is told")
    usage = known("wait_for_a_kill")

    assert usage.memory == pytest.approx(60 * MB, rel=0.25)
    assert usage.wall_seconds >= 3
    assert usage.cpu_seconds > 0.3


def test_coroutines_side_by_side_have_equal_parts(farm: Farm, known: Known) -> None:
    host = farm.host("one", async_concurrency=10)
    run(farm, "wait_and_burn", 0.05, jobs=20)
    host.stop()

    usage = known("wait_and_burn")
    assert usage.counted == 20
    assert usage.cpu_seconds == pytest.approx(0.05, rel=0.4)


def test_threads_have_cpu_times_of_their_own(farm: Farm, known: Known) -> None:
    host = farm.host("one", executor="thread", processes=2)
    jobs = [farm.queue().enqueue("work.burn", 0.5), farm.queue().enqueue("work.nap", 0.5)]
    farm.wait_for(*jobs)
    host.stop()

    assert known("burn").cpu_seconds == pytest.approx(0.5, rel=0.2)
    assert known("nap").cpu_seconds < 0.1


def test_a_process_for_each_job_tells_of_short_ones_too(farm: Farm, known: Known) -> None:
    host = farm.host("one", process_mode="fresh")
    run(farm, "nothing", jobs=5)
    host.stop()

    assert known("nothing").counted == 5


def test_a_job_sees_its_parts_and_how_long_it_waited(farm: Farm, known: Known) -> None:
    farm.host("one")
    job = farm.queue().enqueue("work.measure")
    farm.wait_for(job)

    own, children, waited = farm.fetch(job).return_value()
    assert 0.05 <= own < 0.2
    assert children == 0.0
    assert 0 <= waited < 30


def test_the_command_shows_it(farm: Farm, known: Known) -> None:
    host = farm.host("one")
    run(farm, "burn", 0.05, jobs=2)
    run(farm, "nap", 0.05)
    host.stop()
    known("nap")

    shown = farm.command("usage").stdout.splitlines()
    assert shown[0].split("\t")[:3] == ["queue", "function", "jobs"]
    assert [line.split("\t")[1:3] for line in shown[1:]] == [["work.burn", "2"], ["work.nap", "1"]]
    (only,) = json.loads(farm.command("usage", "--queue", "default", "--function", "work.nap", "--json").stdout)
    assert (only["queue"], only["function"], only["counted"]) == ("default", "work.nap", 1)
    assert farm.command("usage", "--queue", "none").stdout.count("\n") == 1
