"""Processes of a real host: forked from its template, refilled when killed, gone with the host."""

import signal
from pathlib import Path

import psutil
import pytest

from farm import host as farm_host
from tests.support.farm import Farm, Member
from tests.support.waiting import wait_until

APP = """
import farm, os
app = farm.App()

@app.preload
def load(process):
    process.userdata["template"] = os.getpid()

def who():
    return [os.getpid(), os.getppid(), farm.current_process().userdata["template"]]
"""


@pytest.fixture
def app(user_folder: Path) -> str:
    (user_folder / "birthapp.py").write_text(APP)
    return "birthapp"


def children(host: Member) -> dict[int, psutil.Process]:
    return {child.pid: child for child in psutil.Process(host.pid).children()}


@pytest.mark.parametrize("start_method", ["template", pytest.param("spawn", marks=pytest.mark.slow)])
def test_when_all_idle_processes_are_killed_the_next_job_runs_and_the_pool_fills_up(
    farm: Farm, app: str, start_method: str
) -> None:
    host = farm.host(threshold=1, app=app, processes=3, idle_processes=3, start_method=start_method)
    wait_until(lambda: farm.published("one").get("idle") == "3", "three are idle")
    farm.wait_for(farm.queue().enqueue("birthapp.who"))
    with farm_host("one", farm.url) as handle:
        pids = [process.pid for process in handle.processes]
    assert len(pids) == 3
    assert set(pids) < children(host).keys()
    for pid in pids:
        psutil.Process(pid).send_signal(signal.SIGKILL)

    second = farm.wait_for(farm.queue().enqueue("birthapp.who")).return_value()
    assert second[0] not in pids
    wait_until(lambda: farm.published("one").get("idle") == "3", "the pool is full again")
    wait_until(lambda: len(farm.events("process.ended")) == 3, "three events")
    assert {(event["reason"], event["signal"]) for event in farm.events("process.ended")} == {("crashed", "SIGKILL")}


def test_forked_processes_end_with_a_host_that_is_killed(farm: Farm, app: str) -> None:
    host = farm.host(threshold=1, app=app, processes=3, idle_processes=3)
    wait_until(lambda: farm.published("one").get("idle") == "3", "three are idle")
    running = farm.enqueue("wait_for_go")
    farm.pid_of(running)
    tree = host.tree()[1:]
    assert len([process for process in tree if "template_child" in " ".join(process.cmdline())]) >= 4
    psutil.Process(host.pid).send_signal(signal.SIGKILL)
    farm.go()

    def are_gone() -> bool:
        return not [one for one in tree if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]

    wait_until(are_gone, "all processes of the host are gone", timeout=5)


def test_a_daemon_of_a_job_ends_with_its_process(farm: Farm, user_folder: Path, app: str) -> None:
    (user_folder / "daemons.py").write_text("""
import os, subprocess, time

def leave():
    started = subprocess.Popen(["setsid", "sh", "-c", "sleep 600 & echo $!"], stdout=subprocess.PIPE, text=True)
    pid = int(started.stdout.readline())
    from rq import get_current_job
    job = get_current_job()
    first = not job.meta.get("pid")
    if first:
        job.meta["pid"] = pid
        job.save_meta()
        os.kill(os.getpid(), 9)
    return job.meta["pid"]
""")
    host = farm.host(threshold=1, app=app)
    pid = farm.wait_for(farm.queue().enqueue("daemons.leave")).return_value()

    wait_until(lambda: not psutil.pid_exists(pid), "the daemon of the first attempt is gone")
    wait_until(lambda: f"ended what a job left running: process {pid} (sleep 600)" in host.says, "the host says so")


def test_the_template_counts_as_the_hosts_own_load_and_ends_with_it(farm: Farm, app: str) -> None:
    host = farm.host(threshold=1, app=app)
    template = farm.wait_for(farm.queue().enqueue("birthapp.who")).return_value()[2]
    assert template in children(host)

    assert host.stop() == 0
    assert not psutil.pid_exists(template)


def test_a_host_of_threads_runs_jobs_side_by_side(farm: Farm, app: str) -> None:
    host = farm.host(threshold=1, app=app, executor="thread", processes=4, idle_processes=4)
    jobs = [farm.enqueue("wait_for_go") for _ in range(4)]
    pids = {farm.pid_of(job) for job in jobs}
    farm.go()
    farm.wait_for(*jobs)

    assert len(pids) == 1
    assert host.stop() == 0


def test_a_host_of_fresh_processes_runs_many_short_jobs(farm: Farm, app: str) -> None:
    host = farm.host(threshold=1, app=app, process_mode="fresh", processes=2)
    jobs = [farm.queue().enqueue("birthapp.who") for _ in range(40)]
    farm.wait_for(*jobs, timeout=60)

    assert len({farm.fetch(job).return_value()[0] for job in jobs}) == 40
    assert not farm.events("process.ended")
    assert host.stop() == 0
