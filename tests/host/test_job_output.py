"""What jobs print and log, as the host's log shows it: bound to the job, whole, and never too much."""

import fcntl
import json
import os
import re
import subprocess
import sys
import time
from typing import Any

import psutil
import pytest
from rq.job import Job

from farm_worker.pool.output_lines import MAX_LINE
from tests.support.farm import Farm, Member
from tests.support.waiting import wait_until

GB = 1_000_000_000
SETTINGS = {"threshold": 1, "log_jobs": "failures"}


def say(farm: Farm, function: str, *arguments: Any, status: str = "finished", **named: Any) -> Job:
    job = farm.queue().enqueue_call(f"saying_jobs.{function}", args=arguments, kwargs=named, timeout=60)
    return farm.wait_for(job, status=status, timeout=60)


def lines(host: Member) -> list[str]:
    return host.says.splitlines()


def entries(host: Member) -> list[dict[str, Any]]:
    """All lines of a host that writes JSON: each must be an object."""
    return [json.loads(line) for line in lines(host)]


def of(host: Member, job: Job) -> list[dict[str, Any]]:
    """What the job said."""
    return [entry for entry in entries(host) if entry.get("job") == job.id and entry["logger"] == "farm.job"]


def test_a_text_line_says_which_job_said_it(farm: Farm) -> None:
    host = farm.host(**SETTINGS)
    job = say(farm, "say_twice", "hi")
    wait_until(lambda: "hi 2" in host.says, "it is shown")

    first, second = (line for line in lines(host) if " hi " in line)
    assert first.endswith(f" INFO    host: [default/saying_jobs.say_twice {job.id}] hi 1")
    assert second.endswith(f" INFO    host: [default/saying_jobs.say_twice {job.id[:8]}] hi 2")


def test_a_json_line_has_all_that_is_known_of_the_job(farm: Farm) -> None:
    host = farm.host(**SETTINGS, log_format="json")
    job = say(farm, "say")
    wait_until(lambda: of(host, job), "it is shown")

    (entry,) = of(host, job)
    assert entry.pop("at")
    assert entry.pop("pid") > 0
    assert entry == {
        "level": "info",
        "logger": "farm.job",
        "source": "one",
        "message": "hello",
        "job": job.id,
        "queue": "default",
        "function": "saying_jobs.say",
        "attempt": 1,
        "process": 1,
        "stream": "stdout",
    }


def test_starts_and_ends_name_the_job_in_the_same_words(farm: Farm) -> None:
    host = farm.host(threshold=1, log_format="json")
    job = say(farm, "say_nothing")
    wait_until(lambda: "finished" in host.says, "it is told")

    started, finished = (entry for entry in entries(host) if entry.get("job") == job.id)
    for entry, event in ((started, "started"), (finished, "finished")):
        assert (entry["event"], entry["queue"], entry["attempt"]) == (event, "default", 1)
        assert entry["function"] == "saying_jobs.say_nothing"
    assert finished["seconds"] >= 0


def test_log_records_keep_their_level_logger_traceback_and_fields(farm: Farm) -> None:
    host = farm.host(**SETTINGS, log_format="json")
    job = say(farm, "log", customer=7, job="mine")
    failing = say(farm, "log_an_error")
    bound = say(farm, "bind_and_say")
    wait_until(lambda: of(host, bound), "all is shown")

    (entry,) = of(host, job)
    assert (entry["level"], entry["job_logger"], entry["message"]) == ("warning", "shop.bill", "customer 7 owes")
    assert (entry["customer"], entry["job"]) == (7, job.id)
    (entry,) = of(host, failing)
    assert entry["exception"].endswith("LookupError: no customer 7")
    assert [(entry["message"], entry["call"]) for entry in of(host, bound)] == [("bound", 5)]


def test_what_programs_write_is_shown_before_the_end_of_their_job(farm: Farm) -> None:
    host = farm.host(**SETTINGS, log_format="json")
    job = say(farm, "say_from_below")
    threads, tasks, fork = say(farm, "say_in_threads"), say(farm, "say_in_tasks"), say(farm, "say_in_a_fork")
    wait_until(lambda: len(of(host, fork)) >= 3, "all is shown")

    said = [(entry["message"], entry["stream"]) for entry in of(host, job)]
    assert said == [(text, "pipe") for text in ("from a program", "and its errors", "from C code", "to our stream")]
    assert [entry["message"] for entry in of(host, threads)] == ["in a thread", "in a thread with context"]
    assert [entry["message"] for entry in of(host, tasks)] == ["task 1", "task 2"]


def test_lines_of_two_noisy_processes_are_each_whole(farm: Farm) -> None:
    host = farm.host(processes=2, **SETTINGS, log_format="json")
    jobs = [farm.queue().enqueue_call("saying_jobs.noise", args=(seed, 300), timeout=60) for seed in range(6)]
    farm.wait_for(*jobs)
    wait_until(lambda: all(len(of(host, job)) == 601 for job in jobs), "all is shown")

    for seed, job in enumerate(jobs):
        said = of(host, job)
        printed = [entry["message"] for entry in said if entry["stream"] == "stdout"]
        assert printed == [f"print {seed} {number} " + "y" * (number % 300) for number in range(300)]
        logged = [(entry["message"], entry["seed"]) for entry in said if entry["stream"] == "log"]
        assert logged == [(f"log {seed} {number}", seed) for number in range(300)]
        assert [entry["message"] for entry in said if entry["stream"] == "pipe"] == [f"raw {seed}"]


def test_control_characters_do_nothing_to_the_terminal(farm: Farm) -> None:
    host = farm.host(**SETTINGS)
    say(farm, "say", "\x1b[2Jgone")
    wait_until(lambda: "gone" in host.says, "it is shown")

    assert "\\x1b[2Jgone" in host.says
    assert "\x1b" not in host.says


def test_a_long_line_is_cut(farm: Farm) -> None:
    host = farm.host(**SETTINGS)
    say(farm, "say_long_line", 1_000_000)
    wait_until(lambda: "more characters not shown" in host.says, "it is shown")

    assert f"x … {1_000_000 - MAX_LINE:,} more characters not shown" in host.says
    assert len(host.says) < 3 * MAX_LINE


@pytest.mark.parametrize(
    ("function", "argument"),
    [pytest.param("flood_with_prints", 1000, marks=pytest.mark.slow), ("flood_from_below", "1G")],
    ids=["prints", "pipe"],
)
def test_a_flood_of_a_gigabyte_is_cut_and_hurts_nobody(farm: Farm, function: str, argument: Any) -> None:
    host = farm.host(**SETTINGS)
    memory = psutil.Process(host.pid).memory_info().rss
    begun = time.monotonic()
    job = farm.queue().enqueue_call(f"saying_jobs.{function}", args=(argument,), timeout=60)
    beats: set[str] = set()
    most = 0

    def ended() -> bool:
        nonlocal most
        beats.add(farm.published("one").get("beat_at", ""))
        most = max(most, psutil.Process(host.pid).memory_info().rss)
        return farm.status(job) == "finished"

    wait_until(ended, "the job has ended", timeout=40)
    seconds = time.monotonic() - begun
    say(farm, "say", "the next one")
    wait_until(lambda: "the next one" in host.says, "the next job is heard")
    host.stop()

    assert len(beats) >= seconds // 2
    assert most - memory < 50_000_000
    assert len(host.says) < 10_000_000
    assert sum(_not_shown(line) for line in lines(host)) > 0.9 * GB


def test_jobs_run_on_while_nobody_reads_the_log_of_their_host(farm: Farm) -> None:
    with _unread_host(farm) as host:
        farm.wait_for_state("one", "available")
        jobs = [
            farm.queue().enqueue_call("saying_jobs.say_lines", args=(20, "x" * 100), timeout=60) for _ in range(100)
        ]
        farm.wait_for(*jobs, timeout=40)
        host.terminate()
        assert host.wait(20) == 0
    assert not farm.published("one")


def _not_shown(line: str) -> float:
    """Bytes by the mark on this line, if it is one."""
    found = re.search(r"([0-9.]+) (kB|MB|GB)\)? not shown", line)
    return 0.0 if found is None else float(found[1]) * {"kB": 1e3, "MB": 1e6, "GB": 1e9}[found[2]]


class _unread_host:
    """A host whose stderr is a pipe that takes 4 KB and that nobody reads."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm

    def __enter__(self) -> "subprocess.Popen[bytes]":
        self._read, write = os.pipe()
        fcntl.fcntl(write, 1031, 4096)
        environment = self._farm.environment | {
            "FARM_NAME": "one",
            "FARM_PROCESSES": "2",
            "FARM_THRESHOLD": "1",
            "FARM_LOG_JOBS": "all",
            "FARM_LOG_LEVEL": "debug",
        }
        command = [sys.executable, "-P", "-m", "farm_worker"]
        self._host = subprocess.Popen(command, env=environment, cwd=self._farm.folder, stderr=write, stdout=write)
        os.close(write)
        return self._host

    def __exit__(self, *_: object) -> None:
        self._host.kill()
        self._host.wait()
        os.close(self._read)


def test_the_end_of_a_process_tells_what_it_said_last(farm: Farm) -> None:
    farm.host(**SETTINGS)
    job = say(farm, "say_and_die", "these were its last words", status="failed")

    error = farm.error_of(job)
    assert "these were its last words" in error
    assert "line 29" in error


def test_all_that_a_host_says_is_json_if_that_is_asked_for(farm: Farm) -> None:
    host = farm.host(threshold=1, log_format="json", app="saying_app")
    job = say(farm, "say_from_below")
    assert host.stop() == 0

    said = entries(host)
    assert {entry["source"] for entry in said} >= {"one"}
    assert [entry["message"] for entry in said if entry["logger"] == "farm.job" and "job" not in entry].count(
        "prewarmed"
    )
    assert of(host, job)
