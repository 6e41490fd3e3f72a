"""`farm capacity`: how many jobs fit, on this machine, a given one, or that of a live host."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from click.testing import CliRunner, Result

from farm.cli import command_line
from farm.cli.trial import Trial, run_trial
from farm.store.process_view import ProcessView, to_line
from tests.support.planted import KEYS, now, plant_host

Ask = Callable[..., Result]
GB, MB = 10**9, 10**6
JOB = ("--cpu-seconds", "0.4", "--wall", "2s", "--job-memory", "300M")
BUSY = """
import time

def burn(seconds, pause=0.0):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
    time.sleep(pause)

def hold(megabytes):
    block = bytearray(b"1") * (megabytes * 1_000_000)
    time.sleep(0.2)

def hold_in_a_child(megabytes):
    import subprocess, sys
    code = "import sys, time; block = bytearray(b'1') * (int(sys.argv[1]) * 1_000_000); time.sleep(0.5)"
    subprocess.run([sys.executable, "-c", code, str(megabytes)], check=True)

def fail():
    raise ValueError("no such bill")
"""


@pytest.fixture(scope="module")
def trial_of_machine() -> Trial:
    """What this machine has and what a host takes of it, measured once."""
    return run_trial({})


@pytest.fixture
def answer_from(monkeypatch: pytest.MonkeyPatch, trial_of_machine: Trial) -> None:
    """Where that is not the subject, it is not measured again for each question."""
    monkeypatch.setattr("farm.cli.capacity.run_trial", lambda flags, call, others: trial_of_machine)


@pytest.fixture
def ask(redis_url: str, tmp_path: Path) -> Ask:
    """Runs `farm capacity` with arguments, in a folder with the module `busy`."""
    (tmp_path / "busy.py").write_text(BUSY)

    def run(*arguments: str) -> Result:
        environ = {"FARM_REDIS_URL": redis_url, "FARM_PATH": str(tmp_path)}
        return CliRunner(env=environ).invoke(command_line, ["capacity", *arguments])

    return run


def facts(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def plant_usage(client: redis.Redis, function: str, queue: str = "default", **usage: float) -> None:
    """One function that hosts have measured, in the form in which they keep it."""
    told = {"cpu": 0.4, "wall": 2.0, "memory": 300 * MB, "jobs": 10.0} | usage
    entry = {
        "at": now(client),
        "jobs": told["jobs"],
        "counted": int(told["jobs"]),
        "weight": 1.0,
        "user": told["cpu"],
        "system": 0.0,
        "children": 0.0,
        "wall": told["wall"],
        "wait": 0.0,
        "waits": 0.0,
        "memory": told["memory"],
        "memory_buckets": {str(bucket(told["memory"])): 1.0},
        "wall_buckets": {},
        "cpu_buckets": {},
    }
    client.hset(KEYS.usage(queue), function, json.dumps(entry))
    client.expire(KEYS.usage(queue), 60)


def bucket(value: float) -> int:
    from farm.histogram import bucket_of

    return bucket_of(value)


@pytest.mark.usefixtures("answer_from")
def test_a_given_machine_and_given_numbers_are_answered_on_one_screen(ask: Ask) -> None:
    run = ask("--cores", "4", "--memory", "16G", *JOB, "--hosts", "3", "--rate", "50/s")

    assert run.exit_code == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) < 80
    text = " ".join(run.stdout.split())
    assert "as given: 4 CPUs, 16 GB" in text
    assert "15 jobs below the threshold; the CPU binds" in text  # (3 - 0.02) / 0.2 = 14.9, and they wait for CPUs
    assert "per second 7.23 jobs, as each waits 73.6 ms for a CPU beside the others" in text
    assert "3 hosts 45 at once, 21.7 per second" in text
    assert "needs 7 hosts" in text
    assert "farm worker --processes 15" in text
    assert "one on a machine" in text


@pytest.mark.usefixtures("answer_from")
def test_a_job_bigger_than_the_machine_is_said_not_to_fit(ask: Ask) -> None:
    run = ask("--cores", "4", "--memory", "16G", "--cpu-seconds", "1", "--wall", "2", "--job-memory", "20G")

    assert run.exit_code == 0
    assert "does not fit: needs 20.1 GB of 14.4 GB" in run.stdout
    assert "farm worker" not in run.stdout


def test_this_machine_has_the_cpus_and_memory_that_a_host_would_count(trial_of_machine: Trial) -> None:
    machine = trial_of_machine.machine

    assert 0 < machine.cores <= psutil.cpu_count()
    assert 0 < machine.memory <= psutil.virtual_memory().total
    assert 0 < machine.memory_others < machine.memory


def test_the_hosts_own_memory_is_measured_with_its_template_and_processes(trial_of_machine: Trial) -> None:
    host = trial_of_machine.host

    assert 20 * MB < host.memory < 400 * MB
    assert 1 * MB < host.process_memory < 60 * MB


def test_measured_cpu_time_is_what_the_function_took(ask: Ask) -> None:
    job = facts(ask("--measure", "busy.burn", "0.05", "--kwargs", '{"pause": 0.1}', "--runs", "3", "--json"))["job"]

    assert job["cpu_seconds"] == pytest.approx(0.05, rel=0.3)
    assert job["wall_seconds"] > 0.15 * 0.9


@pytest.mark.parametrize("function", ["busy.hold", "busy.hold_in_a_child"])
def test_measured_memory_is_what_the_function_had_at_most(ask: Ask, function: str) -> None:
    said = facts(ask("--measure", function, "150", "--runs", "2", "--side-by-side", "1", "--json"))

    assert said["job"]["memory"] == pytest.approx(150 * MB, rel=0.1)
    assert said["source"] == "measured here: 2 runs, each alone"


def test_runs_side_by_side_are_told_and_leave_no_process_behind(ask: Ask) -> None:
    before = {process.pid for process in psutil.Process().children(recursive=True)}

    said = facts(ask("--measure", "busy.burn", "0.01", "--runs", "2", "--side-by-side", "3", "--json"))

    assert said["source"] == "measured here: 2 runs, 3 side by side"
    assert {process.pid for process in psutil.Process().children(recursive=True)} <= before


def test_as_many_run_side_by_side_as_bring_the_load_to_the_threshold(ask: Ask) -> None:
    pauses = ["--kwargs", '{"pause": 0.1}']
    ran = ask("--measure", "busy.burn", "0.05", *pauses, "--runs", "2", "--threshold", "0.5", "--json")
    said = facts(ran)

    share = said["job"]["cpu_seconds"] / said["job"]["wall_seconds"]
    ran_beside = int(said["source"].split(", ")[1].split()[0])
    assert ran_beside == pytest.approx(0.5 * said["machine"]["cores"] / share, rel=0.5, abs=1)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (("busy.fail",), "busy.fail did not return: ValueError: no such bill"),
        (("busy.missing",), "busy.missing did not return"),
        (("os._exit", "3"), "exited with code 3 while running"),
    ],
)
def test_a_call_that_does_not_return_cannot_be_measured(ask: Ask, call: tuple[str, ...], error: str) -> None:
    run = ask("--measure", *call, "--runs", "1")

    assert run.exit_code == 1
    assert error in run.stderr
    assert run.stdout == ""


@pytest.mark.usefixtures("answer_from")
def test_what_hosts_have_measured_counts(ask: Ask, redis_client: redis.Redis) -> None:
    plant_host(redis_client, "worker-1")
    plant_usage(redis_client, "shop.bill")

    said = facts(ask("--cores", "4", "--memory", "16G", "--function", "shop.bill", "--json"))

    assert said["job"]["name"] == "shop.bill"
    assert said["job"]["memory"] == pytest.approx(300 * MB, rel=0.05)
    assert (said["result"]["at_once"], said["result"]["binding"]) == (14, "cpu")
    assert "as hosts measured 10 jobs" in said["source"]


@pytest.mark.usefixtures("answer_from")
def test_a_queue_is_the_mix_of_its_functions(ask: Ask, redis_client: redis.Redis) -> None:
    plant_usage(redis_client, "shop.bill", queue="high", cpu=0.1, wall=1.0, jobs=30)
    plant_usage(redis_client, "shop.report", queue="high", cpu=0.9, wall=5.0, jobs=10)

    job = facts(ask("--cores", "4", "--memory", "16G", "--queue", "high", "--json"))["job"]

    assert job["cpu_seconds"] == pytest.approx(0.3)
    assert job["wall_seconds"] == pytest.approx(2.0)


@pytest.mark.usefixtures("answer_from")
def test_a_function_that_no_host_has_measured_is_said_with_those_that_are_known(
    ask: Ask, redis_client: redis.Redis
) -> None:
    plant_host(redis_client, "worker-1")
    plant_usage(redis_client, "shop.bill")

    run = ask("--cores", "4", "--memory", "16G", "--function", "shop.pay")

    assert run.exit_code == 4
    assert "no host has measured jobs of shop.pay. Measured are: shop.bill." in run.stderr


@pytest.mark.usefixtures("answer_from")
def test_a_live_host_answers_for_its_machine(ask: Ask, redis_client: redis.Redis) -> None:
    plant_host(redis_client, "worker-1", others_load=0.5, threshold=0.5, slots=40)
    idle = ProcessView(number=1, pid=4711, state="ready", age=65.0, jobs_done=12, memory=500 * MB)
    redis_client.hset(KEYS.processes("worker-1"), "1", to_line(idle))
    redis_client.expire(KEYS.processes("worker-1"), 60)

    said = facts(ask("--host", "worker-1", *JOB, "--json"))

    assert (said["machine"]["cores"], said["machine"]["memory"]) == (4, 16 << 30)
    assert said["host"]["process_memory"] == 500 * MB
    assert (said["settings"]["threshold"], said["settings"]["slots"]) == (0.5, 40)
    assert said["result"]["at_once"] == 9  # (0.5 · 4 - 0.02) / 0.2
    assert said["beside_others"]["at_once"] == 1


@pytest.mark.usefixtures("answer_from")
def test_a_host_that_is_not_there_is_said(ask: Ask) -> None:
    run = ask("--host", "worker-9", *JOB)

    assert run.exit_code == 4
    assert "no host worker-9" in run.stderr


@pytest.mark.usefixtures("answer_from")
def test_two_hosts_on_one_machine_are_a_warning(ask: Ask, redis_client: redis.Redis) -> None:
    for name, boot_id in (("worker-1", "a"), ("worker-2", "a"), ("worker-3", "b")):
        plant_host(redis_client, name, boot_id=boot_id)

    (warning,) = facts(ask("--host", "worker-1", *JOB, "--json"))["warnings"]

    assert "the hosts worker-1 and worker-2 run on one machine" in warning


@pytest.mark.usefixtures("answer_from")
def test_without_redis_this_machine_is_answered_all_the_same(tmp_path: Path) -> None:
    environ = {"FARM_REDIS_URL": "redis://127.0.0.1:1/0", "FARM_PATH": str(tmp_path)}

    run = CliRunner(env=environ).invoke(command_line, ["capacity", *JOB])

    assert run.exit_code == 0, run.stderr
    assert "at once" in run.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("--cores", "4"),
        ("--cores", "4", "--memory", "16Q"),
        ("--cores", "0", "--memory", "16G"),
        ("--cpu-seconds", "1"),
        ("--cpu-seconds", "1", "--wall", "0"),
        (*JOB, "--function", "shop.bill"),
        (*JOB, "--measure", "shop.bill"),
        ("--host", "worker-1", "--cores", "4", "--memory", "16G"),
        ("7",),
        ("--measure", "bill"),
        ("--measure", "shop.bill", "--kwargs", "7"),
        (*JOB, "--rate", "fast"),
    ],
)
def test_options_that_make_no_question_are_refused(ask: Ask, words: tuple[str, ...]) -> None:
    run = ask(*words)

    assert run.exit_code == 2, run.stdout
    assert "Error" in run.stderr


def test_the_settings_of_the_app_hold(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "calls.py").write_text("import farm\napp = farm.App(threshold=0.5, processes=7)\n")

    said = facts(ask("--app", "calls", "--cores", "4", "--memory", "16G", *JOB, "--json"))

    assert (said["settings"]["threshold"], said["settings"]["slots"]) == (0.5, 7)
    assert said["result"]["binding"] == "slots"
