"""What jobs leave running with a session of its own: found, ended, waited for; and nothing that is ours."""

import asyncio
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

import psutil
import pytest
import redis

from farm_worker.pool import orphans
from farm_worker.pool.left_children import adopt_orphans
from farm_worker.pool.orphans import Orphans
from farm_worker.pool.reasons import Reason
from farm_worker.pool.spawn import note_child, own_children
from tests.pool.conftest import ready, until
from tests.support.own_pool import OwnPool
from tests.support.waiting import wait_until

APP = """
import signal, subprocess, sys

DAEMON = '''
import os, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
with open(sys.argv[1] + ".part", "w") as file:
    file.write(str(os.getpid()))
os.rename(sys.argv[1] + ".part", sys.argv[1])
time.sleep(600)
'''

def leave_daemon(path, then):
    subprocess.run([sys.executable, "-c", DAEMON, path], check=True, close_fds=True)
    while not os.path.exists(path):
        time.sleep(0.005)
    if then == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)
"""


@pytest.fixture
def own(redis_client: redis.Redis, redis_url: str, tmp_path: Path) -> OwnPool:
    own = OwnPool(redis_client, redis_url, tmp_path)
    own.write(APP)
    return own


@dataclass
class Looks:
    """Looks of a host without processes, which has the children that the test process had before."""

    unborn_since: float = inf
    known: list[int] = field(default_factory=list)
    orphans: Orphans = field(init=False)

    def __post_init__(self) -> None:
        self.orphans = Orphans(lambda: self.known, lambda: self.unborn_since)


@pytest.fixture
def looks() -> Looks:
    adopt_orphans()
    return Looks()


@pytest.fixture
def stranger(looks: Looks, tmp_path: Path) -> int:
    """A process that came to this one as an orphan."""
    path = tmp_path / "stranger"
    script = f'sh -c \'echo $$ > "{path}.part"; mv "{path}.part" "{path}"; exec sleep 600\' & exit 0'
    subprocess.run(["setsid", "sh", "-c", script], check=True)
    pid = int(wait_until(lambda: path.exists() and path.read_text(), "it runs"))
    wait_until(lambda: psutil.Process(pid).cmdline() == ["sleep", "600"], "it sleeps")
    return pid


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid)


@pytest.mark.parametrize("start_method", ["template", "spawn"])
def test_a_daemon_of_a_job_whose_process_died_is_ended(own: OwnPool, start_method: str) -> None:
    async def scene() -> None:
        async with own.pool(start_method=start_method) as watched:
            await ready(watched)
            one = Orphans(watched.pids, lambda: watched.pool.unborn_since)
            looking = asyncio.create_task(one.run())
            path = own.folder / "daemon"
            watched.pool.dispatch(own.job("leave_daemon", str(path), "die"), depth=1)
            await until(lambda: watched.ends, "the process has ended")
            one.hurry()
            await until(lambda: is_gone(int(path.read_text())), "its daemon is gone", timeout=10)
            await ready(watched)
            looking.cancel()

    asyncio.run(scene())


def test_a_process_that_the_host_kills_takes_its_daemons_with_it(own: OwnPool) -> None:
    async def scene() -> None:
        async with own.pool() as watched:
            await ready(watched)
            path = own.folder / "daemon"
            job = own.job("leave_daemon", str(path), "stay")
            watched.pool.dispatch(job, depth=1)
            await until(path.exists, "the daemon runs")
            assert watched.pool.kill_job(job.job_id, Reason.STOPPED)
            await until(lambda: watched.ends, "the process has ended")
            pid = int(path.read_text())
            await until(lambda: is_gone(pid) or psutil.Process(pid).status() == "zombie", "its daemon has ended")

    asyncio.run(scene())


def test_an_orphan_is_ended_when_two_looks_do_not_know_it(
    looks: Looks, stranger: int, caplog: pytest.LogCaptureFixture
) -> None:
    one = looks.orphans
    now = time.monotonic()

    assert one.look(now) == []
    assert one.look(now + 0.9 * orphans.CONFIRM_SECONDS) == []
    assert one.look(now + 1.1 * orphans.CONFIRM_SECONDS) == [stranger]
    wait_until(lambda: one.look(now + 2) == [], "it has ended and was waited for")
    assert is_gone(stranger)
    assert caplog.text.count(f"process {stranger} (sleep 600)") == 1


def test_a_child_that_may_be_a_process_being_forked_is_spared(looks: Looks, stranger: int) -> None:
    now = time.monotonic()
    one = looks.orphans
    looks.unborn_since = now - 0.1
    assert one.look(now) == []
    assert one.look(now + 60) == [], "it was not there before the process was asked for"

    looks.unborn_since = now + 30
    assert one.look(now + 60) == [stranger], "it was"
    wait_until(lambda: one.look(now + 61) and is_gone(stranger), "it was waited for")


def test_processes_of_the_pool_and_children_from_before_are_spared(looks: Looks, stranger: int) -> None:
    now = time.monotonic()
    later = Looks().orphans
    assert later.look(now) == later.look(now + 60) == []

    looks.known.append(stranger)
    assert looks.orphans.look(now) == looks.orphans.look(now + 60) == []
    os.kill(stranger, signal.SIGKILL)
    os.waitpid(stranger, 0)


def test_what_this_program_started_is_no_orphan(looks: Looks) -> None:
    child = subprocess.Popen(["sleep", "600"])
    note_child(child)
    try:
        one = looks.orphans
        now = time.monotonic()
        assert one.look(now) == one.look(now + 60) == []
        assert child.pid in own_children()
    finally:
        child.kill()
        child.wait()
    assert child.pid not in own_children()


def test_at_the_end_all_orphans_go(looks: Looks, stranger: int) -> None:
    asyncio.run(looks.orphans.end_all())

    assert is_gone(stranger)


def test_a_process_killed_by_somebody_else_is_no_trouble(looks: Looks, stranger: int) -> None:
    one = looks.orphans
    now = time.monotonic()
    one.look(now)
    os.kill(stranger, signal.SIGKILL)
    os.waitpid(stranger, 0)

    assert one.look(now + 60) == []
