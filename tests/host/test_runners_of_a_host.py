"""A host with runners: jobs call them, and it takes none while they can't be called."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from farm import host as farm_host
from tests.support.farm import Farm, Member
from tests.support.waiting import wait_until

APP = """
import asyncio, os, time
import farm

app = farm.App()
FOLDER = {folder!r}

@app.load
def load(): return 0.1

@app.runner("table", memory_limit_mb=500)
class Table:
    def initialize(self):
        while not os.path.exists(FOLDER + "/go"): time.sleep(0.01)
        if os.path.exists(FOLDER + "/broken"): raise RuntimeError("no table today")
        self.rows = dict.fromkeys(range(1000), 7)

    def run(self, data):
        if data == "die": os.kill(os.getpid(), 9)
        return self.rows[data], os.getpid()

@app.prewarm
def check(process):
    process.userdata["checked"] = farm.runner("table").call(1)[0]

def look_up(key): return farm.runner("table").call(key)

async def look_up_twice(key):
    table = farm.runner("table")
    return await asyncio.gather(table.acall(key), table.acall(key))

def checked(): return farm.current_process().userdata["checked"]
"""


@pytest.fixture
def start(farm: Farm, user_folder: Path) -> Any:
    """Starts a host with the app; its runner waits for the file `go`."""
    (user_folder / "tabled.py").write_text(APP.format(folder=str(user_folder)))

    def run(**settings: Any) -> Member:
        return farm.host(app="tabled", ready=False, **settings)

    return run


def runner_pid(farm: Farm) -> int:
    job = farm.queue().enqueue("tabled.look_up", 3)
    return int(farm.wait_for(job).return_value()[1])


def test_jobs_call_an_object_that_was_made_once(farm: Farm, start: Any, user_folder: Path) -> None:
    (user_folder / "go").touch()
    host = start(processes=2, idle_processes=2)
    farm.wait_for_state("one", "available")
    jobs = [farm.queue().enqueue("tabled.look_up", number) for number in range(20)]
    farm.wait_for(*jobs)
    answers = [job.return_value(refresh=True) for job in jobs]
    both = farm.wait_for(farm.queue().enqueue("tabled.look_up_twice", 3)).return_value()
    assert {value for value, _ in [*answers, *both]} == {7}
    assert len({pid for _, pid in [*answers, *both]}) == 1, "one process holds the table"
    assert farm.wait_for(farm.queue().enqueue("tabled.checked")).return_value() == 7, "prewarm may call it too"
    assert host.stop() == 0


@pytest.mark.parametrize("idle_processes", [0, 1])
def test_a_host_beats_and_takes_no_jobs_until_its_runners_are_there(
    farm: Farm, start: Any, user_folder: Path, idle_processes: int
) -> None:
    start(idle_processes=idle_processes)
    wait_until(lambda: farm.published("one"), "it beats", 30)
    first = farm.published("one")["beat_at"]
    job = farm.queue().enqueue("tabled.look_up", 3)
    wait_until(lambda: farm.published("one")["beat_at"] > first, "it beats again")
    assert farm.published("one")["state"] == "starting"
    assert farm.status(job) == "queued"
    (user_folder / "go").touch()
    assert farm.wait_for(job).return_value()[0] == 7


def test_a_runner_that_cannot_be_initialized_makes_the_host_unhealthy_until_it_can(
    farm: Farm, start: Any, user_folder: Path
) -> None:
    (user_folder / "go").touch()
    (user_folder / "broken").touch()
    start()
    farm.wait_for_state("one", "unhealthy")
    reason = farm.published("one")["reason"]
    assert "runner 'table'" in reason
    assert "RuntimeError: no table today" in reason
    (user_folder / "broken").unlink()
    farm.wait_for_state("one", "available")
    assert runner_pid(farm)
    (event,) = farm.events("process.ended")[-1:]
    assert (event["runner"], event["process"], event["reason"]) == ("table", "0", "initialize_error")


def test_operators_see_the_copies_of_a_runner(farm: Farm, start: Any, user_folder: Path) -> None:
    (user_folder / "go").touch()
    start()
    farm.wait_for_state("one", "available")
    pid = runner_pid(farm)

    with farm_host("one", farm.url) as host:
        wait_until(lambda: any(runner.memory for runner in host.runners), "its memory was measured")
        (runner,) = host.runners

    assert (runner.runner, runner.copy, runner.pid, runner.state, runner.restarts) == ("table", 0, pid, "ready", 0)
    said = farm.command("host", "one").stdout
    (shown,) = (line.split("\t") for line in said.splitlines() if line.startswith("table\t"))
    assert shown[:4] == ["table", "0", str(pid), "ready"]


def test_a_runner_that_dies_fails_the_call_and_comes_back(farm: Farm, start: Any, user_folder: Path) -> None:
    (user_folder / "go").touch()
    start()
    farm.wait_for_state("one", "available")
    (user_folder / "go").unlink()
    job = farm.wait_for(farm.queue().enqueue("tabled.look_up", "die"), status="failed")
    assert "RunnerDied: runner 'table' died during the call" in farm.error_of(job)
    farm.wait_for_state("one", "unhealthy")
    assert "copy 0 of runner 'table'" in farm.published("one")["reason"]
    (user_folder / "go").touch()
    farm.wait_for_state("one", "available")
    event = farm.events("process.ended")[-1]
    assert (event["runner"], event["reason"], event["signal"]) == ("table", "crashed", "SIGKILL")


def test_a_drained_host_lets_its_jobs_call_to_the_end(farm: Farm, start: Any, user_folder: Path) -> None:
    (user_folder / "go").touch()
    (user_folder / "slow.py").write_text(
        "import os, time, tabled\n"
        "def job(gate):\n"
        "    open(gate + '.begun', 'w').close()\n"
        "    while not os.path.exists(gate): time.sleep(0.01)\n"
        "    return tabled.look_up(4)[0]\n"
    )
    host = start()
    farm.wait_for_state("one", "available")
    gate = user_folder / "gate"
    job = farm.queue().enqueue("slow.job", str(gate))
    wait_until((user_folder / "gate.begun").exists, "it runs")
    host.send(signal.SIGTERM)
    farm.wait_for_state("one", "draining")
    gate.touch()
    assert farm.wait_for(job).return_value() == 7
    assert host.wait() == 0


def test_runners_end_with_a_host_that_is_killed(farm: Farm, start: Any, user_folder: Path) -> None:
    (user_folder / "go").touch()
    host = start()
    farm.wait_for_state("one", "available")
    pid = runner_pid(farm)
    tree = {process.pid for process in host.tree()}
    assert pid in tree
    os.kill(next(process.pid for process in host.tree() if "farm_worker" in process.cmdline()), signal.SIGKILL)
    wait_until(lambda: not _lives(pid), "the runner is gone")


def _lives(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
