"""A host whose app may decline jobs: what it accepts runs, what it declines goes back, what breaks hurts no job."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from farm.keys import Keys, RqKeys
from tests.support.farm import Farm
from tests.support.waiting import wait_until
from tests.support.wheel import ROOT

KEYS, RQ_KEYS = Keys(), RqKeys()

HEAD = """
import os, time
import farm

app = farm.App()
FOLDER = {folder!r}

@app.load
def load():
    return 0.1

@app.accept
"""


@pytest.fixture
def accept(user_folder: Path, tmp_path: Path) -> Any:
    """Writes an app with this accept function; `FOLDER` in it is the test's own."""

    def write(body: str) -> None:
        (user_folder / "choosy.py").write_text(HEAD.format(folder=str(tmp_path)) + body)

    return write


def declined(farm: Farm, job_id: str) -> dict[str, Any]:
    text = farm.redis.hget(RQ_KEYS.job(job_id), "farm_declined")
    return json.loads(text) if text else {}


def test_jobs_that_are_accepted_run(farm: Farm, accept: Any) -> None:
    accept("def accept(job, host): return job.args[1] >= 0 and host.slots == 2\n")
    farm.host(app="choosy", processes=2)
    jobs = farm.enqueue_many("add", [(1, number) for number in range(200)])

    assert farm.wait_for(*jobs).return_value() == 200
    assert farm.count("declined") == 0


def test_a_declined_job_goes_back_with_the_reason_and_runs_once_it_is_accepted(
    farm: Farm, accept: Any, tmp_path: Path
) -> None:
    accept("def accept(job): return os.path.exists(FOLDER + '/well') or 'not ' + job.function + ' today'\n")
    farm.host(app="choosy")
    job = farm.enqueue("add", 1, 2)

    def reason() -> set[str]:
        return {said["reason"] for said in declined(farm, job.id).values()}

    wait_until(lambda: reason() == {"not system_jobs.add today"}, "the reason is with the job")
    assert farm.count("declined") >= 1
    wait_until(lambda: "declined" in farm.members[-1].says, "the host says so")
    identity = farm.published("one")["identity"]
    assert declined(farm, job.id).keys() <= {f"one|{identity}"}
    (tmp_path / "well").touch()

    farm.wait_for(job, timeout=30)
    fields = farm.redis.hmget(job.key, "farm_crashes", "farm_losses")
    assert fields == [None, None]
    assert farm.published("one")["state"] == "available"


def test_who_declined_a_job_is_shown_with_it(farm: Farm) -> None:
    job = farm.enqueue("add", 1, 2)
    until = farm.redis.time()[0] + 100
    said = {"one|1-a": {"until": until, "reason": "no GPU"}}
    farm.redis.hset(job.key, mapping={"farm_declined": json.dumps(said), "farm_requires": "gpu", "farm_memory_mb": 64})

    shown = farm.command("job", job.id)
    assert shown.returncode == 0, shown.stderr
    assert "one: no GPU, until 20" in shown.stdout
    facts = json.loads(farm.command("job", job.id, "--json").stdout)
    assert (facts["requires"], facts["memory_mb"]) == (["gpu"], 64)
    assert [(one["host"], one["reason"]) for one in facts["declined"]] == [("one", "no GPU")]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("1 / 0", "accept function choosy.accept raised ZeroDivisionError"),
        pytest.param("return None", "accept function choosy.accept returned None", marks=pytest.mark.slow),
        ("time.sleep(3600)", "the accept function did not answer within 1 s"),
        pytest.param("os._exit(4)", "the hooks process ended: exit code 4", marks=pytest.mark.slow),
    ],
)
def test_a_broken_function_makes_the_host_unhealthy_and_loses_no_job(
    farm: Farm, accept: Any, tmp_path: Path, broken: str, reason: str
) -> None:
    accept(f"def accept(job):\n    if not os.path.exists(FOLDER + '/well'): {broken}\n    return True\n")
    farm.host(app="choosy")
    jobs = farm.enqueue_many("add", [(1, number) for number in range(5)])

    farm.wait_for_state("one", "unhealthy")
    assert reason in farm.published("one")["reason"]
    wait_until(lambda: set(farm.statuses(jobs)) == {"queued"}, "all jobs went back")
    (tmp_path / "well").touch()

    assert farm.wait_for(*jobs, timeout=40).return_value() == 5
    wait_until(lambda: farm.published("one")["state"] == "available", "the host is well again")


def test_other_jobs_end_while_the_app_thinks_about_one(farm: Farm, accept: Any, tmp_path: Path) -> None:
    accept(
        "def accept(job):\n"
        "    if 'note' not in job.function: return True\n"
        "    open(FOLDER + '/asked', 'w').close()\n"
        "    while not os.path.exists(FOLDER + '/answer'): time.sleep(0.01)\n"
        "    return True\n"
    )
    farm.host(app="choosy", processes=2, heartbeat_interval=8, suspect_after=20, host_timeout=40)
    runs = farm.enqueue("wait_for_go")
    farm.pid_of(runs)
    asked_about = farm.enqueue("note", "late")
    wait_until((tmp_path / "asked").exists, "the app is asked")

    farm.go()
    farm.wait_for(runs)
    assert farm.status(asked_about) == "started"
    assert farm.notes() == []
    (tmp_path / "answer").touch()
    farm.wait_for(asked_about)


def test_a_host_that_stops_while_the_app_thinks_gives_the_job_back(farm: Farm, accept: Any, tmp_path: Path) -> None:
    accept("def accept(job):\n    open(FOLDER + '/asked', 'w').close()\n    time.sleep(3600)\n")
    host = farm.host(app="choosy", heartbeat_interval=3, suspect_after=20, host_timeout=40)
    job = farm.enqueue("add", 1, 2)
    wait_until((tmp_path / "asked").exists, "the app is asked")

    assert host.stop() == 0
    assert farm.waiting() == [job.id]
    assert farm.status(job) == "queued"


def test_a_job_is_canceled_while_the_app_thinks_about_it(farm: Farm, accept: Any, tmp_path: Path) -> None:
    accept(
        "def accept(job):\n"
        "    open(FOLDER + '/asked', 'w').close()\n"
        "    while not os.path.exists(FOLDER + '/answer'): time.sleep(0.01)\n"
        "    return True\n"
    )
    farm.host(app="choosy", heartbeat_interval=8, suspect_after=20, host_timeout=40)
    job = farm.enqueue("note", "never")
    wait_until((tmp_path / "asked").exists, "the app is asked")

    assert farm.command("job", job.id, "--cancel").returncode == 0
    farm.wait_for(job, status="stopped")
    (tmp_path / "answer").touch()
    after = farm.enqueue("note", "after")
    farm.wait_for(after)
    assert farm.notes() == ["after"]


def test_the_example_of_the_page_on_hooks_works(farm: Farm, user_folder: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/hooks.md").read_text(), re.DOTALL)
    (block,) = [block for block in blocks if "@app.accept" in block]
    (user_folder / "choosy.py").write_text(block)
    farm.host(app="choosy", threshold=1)
    assert farm.wait_for(farm.enqueue("add", 1, 2)).return_value() == 3


def test_what_queues_require_is_published_by_hosts_that_say_it(farm: Farm, user_folder: Path) -> None:
    (user_folder / "needy.py").write_text(
        "import farm\napp = farm.App()\napp.queue('calls', requires=['gpu'], memory_mb=4096)\napp.queue('low')\n"
        "@app.load\ndef load(): return 0.1\n"
    )
    farm.host("one", app="needy", labels="gpu,zone=eu")
    farm.host("two", app="calm")
    assert json.loads(farm.published("one")["needs"]) == {"calls": {"requires": ["gpu"], "memory_mb": 4096}}
    assert "needs" not in farm.published("two")
    assert "gpu,zone=eu" in farm.command("host", "one").stdout
    assert "gpu, zone=eu" in farm.command("status").stdout
