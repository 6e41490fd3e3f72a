"""What the app's handlers are told of a host: each event, and the reason and facts of each end of a process."""

import json
import os
import signal
import time
from datetime import datetime
from typing import Any

import pytest

from tests.support.farm import Farm
from tests.support.waiting import wait_until

MEGABYTE = 1_000_000


@pytest.fixture
def observed(farm: Farm) -> Farm:
    """A farm whose hosts serve the app `observed`."""
    farm.environment["FARM_APP"] = "observed"
    return farm


def events(farm: Farm, name: str = "") -> list[dict[str, Any]]:
    """Those that handlers were told of, in order; all, or those of one name."""
    found = [json.loads(entry) for entry in farm.redis.lrange("test:events", 0, -1)]
    return [event for event in found if name in ("", event["name"])]


def wait_for_event(farm: Farm, name: str, timeout: float = 30.0) -> dict[str, Any]:
    return wait_until(lambda: events(farm, name), f"handlers were told of {name}", timeout)[0]


def test_the_life_of_a_host_is_told_in_order(observed: Farm) -> None:
    began = time.time()
    host = observed.host()
    job = observed.wait_for(observed.enqueue("add", 1, 2))
    failed = observed.wait_for(observed.enqueue("fail"), status="failed")
    observed.redis.set("test:load", "0.8")
    observed.wait_for_state("one", "full")
    assert host.stop() == 0

    told = events(observed)
    assert [event["name"] for event in told] == [
        "process_created",
        "process_started",
        "process_ready",
        "host_available",
        "job_launched",
        "job_finished",
        "job_launched",
        "job_finished",
        "host_full",
        "host_draining",
        "process_closed",
    ]
    created, started, ready, available, launched, finished, _, second, full, draining, closed = told
    assert {event["host"] for event in told} == {"one"}
    assert all(began - 1 < datetime.fromisoformat(event["at"]).timestamp() < time.time() + 1 for event in told)
    assert (created["process"], created["pid"]) == (1, None)
    assert (started["process"], ready["process"]) == (1, 1)
    assert started["pid"] == ready["pid"] == launched["pid"] == finished["pid"] == closed["pid"] > 0
    assert ready["seconds"] > 0
    assert available["load"] == 0.1
    about = {"job": job.id, "queue": "default", "attempt": 1, "function": "system_jobs.add"}
    assert about.items() <= launched.items()
    assert about.items() <= finished.items()
    assert (finished["outcome"], finished["facts"]) == ("finished", {"error": None, "again": None})
    assert 0 <= finished["seconds"] < 5
    assert (second["job"], second["outcome"]) == (failed.id, "failed")
    assert second["facts"]["error"] == "RuntimeError: boom"
    assert full["load"] == 0.8
    assert "0.80 is at or over the threshold 0.50" in full["reason"]
    assert draining["reason"]
    assert (closed["reason"], closed["facts"]["phase"], closed["facts"]["jobs_done"]) == ("drained", "closing", 2)
    assert (closed["facts"]["exit_code"], closed["facts"]["signal"], closed["facts"]["job"]) == (0, None, None)


def test_a_drain_is_told_before_what_ends_with_it_even_while_the_load_is_awaited(observed: Farm) -> None:
    observed.redis.set("test:load_seconds", "0.9")
    host = observed.host()
    wait_for_event(observed, "host_available")

    assert host.stop() == 0

    names = [event["name"] for event in events(observed)]
    assert names[names.index("host_available") + 1 :] == ["host_draining", "process_closed"]


@pytest.mark.parametrize(
    ("function", "reason", "expected"),
    [
        ("observed.segfault", "crashed", {"signal": "SIGSEGV", "exit_code": None}),
        pytest.param("observed.leave", "exited", {"signal": None, "exit_code": 3}, marks=pytest.mark.slow),
        ("system_jobs.overstay_in_c", "job_timeout", {"signal": "SIGKILL", "exit_code": None}),
        pytest.param("observed.grow", "memory_limit", {"signal": "SIGKILL", "exit_code": None}, marks=pytest.mark.slow),
    ],
)
def test_the_end_of_a_process_in_a_job_is_told_with_its_reason(
    observed: Farm, function: str, reason: str, expected: dict[str, Any]
) -> None:
    observed.host(memory_limit_mb=300, close_timeout=1)

    job = observed.queue().enqueue(function, job_timeout=1 if reason == "job_timeout" else 60)

    killed = wait_for_event(observed, "process_killed")
    assert (killed["reason"], killed["job"], killed["function"]) == (reason, job.id, function)
    assert (killed["queue"], killed["attempt"], killed["process"]) == ("default", 1, 1)
    assert killed["pid"] == wait_for_event(observed, "process_ready")["pid"]
    facts = killed["facts"]
    assert expected.items() <= facts.items()
    assert (facts["phase"], facts["job"], facts["jobs_done"]) == ("job", job.id, 0)
    assert facts["age"] >= facts["job_seconds"] > 0
    if reason == "memory_limit":
        assert facts["peak_memory"] >= facts["memory"] > 300 * MEGABYTE
    observed.wait_for(job, status="failed")
    assert wait_for_event(observed, "process_closed")["reason"] == reason
    assert [event["name"] for event in events(observed)].count("process_killed") == 1


@pytest.mark.parametrize(
    ("behaviour", "reason", "expected"),
    [
        ("raise", "initialize_error", {"signal": None, "exit_code": 3}),
        pytest.param("hang", "initialize_timeout", {"signal": "SIGKILL", "exit_code": None}, marks=pytest.mark.slow),
    ],
)
def test_a_warm_up_that_fails_is_told_with_its_reason(
    observed: Farm, behaviour: str, reason: str, expected: dict[str, Any]
) -> None:
    observed.redis.set("test:prewarm", behaviour)
    observed.host(ready=False, initialize_timeout=4)

    killed = wait_for_event(observed, "process_killed")

    assert (killed["reason"], killed["job"], killed["process"]) == (reason, None, 1)
    facts = killed["facts"]
    assert (expected | {"phase": "initialize", "job": None, "jobs_done": 0}).items() <= facts.items()
    if behaviour == "raise":
        assert "LookupError: no such model" in facts["error"]
    assert not events(observed, "process_ready")


@pytest.mark.slow
def test_a_process_that_does_not_answer_is_told_as_unresponsive(observed: Farm) -> None:
    observed.host(ping_interval=0.5, ping_timeout=2)
    pid = wait_for_event(observed, "process_ready")["pid"]

    os.kill(pid, signal.SIGSTOP)

    killed = wait_for_event(observed, "process_killed")
    assert (killed["reason"], killed["pid"], killed["facts"]["signal"]) == ("unresponsive", pid, "SIGKILL")
    assert killed["facts"]["phase"] == "idle"


@pytest.mark.slow
def test_a_process_killed_to_stop_its_job_is_told(observed: Farm) -> None:
    from rq.command import send_stop_job_command

    observed.host()
    job = observed.enqueue("wait_for_go")
    observed.pid_of(job)

    send_stop_job_command(observed.redis, job.id)

    killed = wait_for_event(observed, "process_killed")
    assert (killed["reason"], killed["job"]) == ("stopped", job.id)


def test_a_handler_that_hangs_and_one_that_dies_cost_the_jobs_nothing(observed: Farm, user_folder: Any) -> None:
    (user_folder / "broken_handlers.py").write_text(
        "import os, time, farm\n"
        "app = farm.App()\n"
        "@app.load\ndef load(): return 0.1\n"
        "@app.on('process_ready')\ndef dies(): os._exit(9)\n"
        "@app.on('job_finished')\ndef hangs(): time.sleep(3600)\n"
    )
    observed.environment["FARM_APP"] = "broken_handlers"
    host = observed.host()

    jobs = observed.enqueue_many("add", [(number, 1) for number in range(200)])

    observed.wait_for(*jobs)
    wait_until(lambda: "exit code 9 in broken_handlers.dies, handler of process_ready" in host.says, "it is logged")
    assert host.stop() == 0
    assert "events were not handled" in host.says
