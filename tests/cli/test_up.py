"""`farm up`: everything in one terminal, found by the other commands of the same user."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from rq import Queue
from rq.job import Job

from farm.store.connection import connect
from tests.support.terminal_command import TerminalCommand, running
from tests.support.waiting import wait_until

FARM = [sys.executable, "-m", "farm"]
TASKS = "def double(number):\n    return number * 2\n"

Up = Callable[..., AbstractContextManager[TerminalCommand]]


@pytest.fixture
def environ(farm_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of a user who named no Redis, with a state folder whose path is short enough for a socket."""
    return {name: value for name, value in farm_environment.items() if name != "FARM_REDIS_URL"} | {
        "FARM_PROCESSES": "1",
        "XDG_STATE_HOME": str(tmp_path_factory.mktemp("state")),
    }


@pytest.fixture
def up(environ: dict[str, str], user_folder: Path) -> Up:
    """`farm up` in the user's folder, ended in order."""

    @contextmanager
    def start(*arguments: str, **variables: str) -> Iterator[TerminalCommand]:
        with running([*FARM, "up", *arguments], environ | variables, user_folder) as command:
            command.wait_for_line("In a second terminal")
            yield command
            if command.process.poll() is None:
                command.send(signal.SIGINT)
            assert command.wait() == 0

    return start


def farm(environ: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*FARM, *arguments], env=environ, capture_output=True, text=True, check=False)


def url_of(environ: dict[str, str]) -> str:
    socket = Path(environ["XDG_STATE_HOME"]) / "rq-farm" / "redis" / "redis.sock"
    return f"unix://{socket}?db=0"


def result_of(job: Job) -> object:
    wait_until(lambda: job.get_status(refresh=True) in ("finished", "failed"), f"job {job.id} ends", timeout=30)
    return job.return_value(refresh=True)


def test_ended_as_soon_as_it_has_introduced_itself_it_ends_in_order(
    environ: dict[str, str], user_folder: Path, redis_url: str
) -> None:
    folder = user_folder / "modules"
    folder.mkdir()
    for number in range(4000):  # to look at all of them takes a while
        (folder / f"module_{number}.py").touch()
    with running([*FARM, "up"], environ | {"FARM_REDIS_URL": redis_url}, user_folder) as command:
        while "In a second terminal" not in command.text:
            assert command.process.poll() is None, command.text
        command.send(signal.SIGINT)

        assert command.wait() == 0, command.text


def test_other_commands_find_it_by_themselves_while_it_runs(up: Up, environ: dict[str, str]) -> None:
    with up():
        done = farm(environ, "redis", "SET", "test:a", "1")
        assert (done.returncode, done.stdout) == (0, "OK\n")
        assert done.stderr == f"Redis: {url_of(environ)} (farm up)\n"
    assert "(default)" in farm(environ, "redis", "PING").stderr


@pytest.mark.slow
def test_data_is_kept_between_runs(up: Up, environ: dict[str, str]) -> None:
    with up():
        farm(environ, "redis", "SET", "test:a", "kept")
    with up():
        assert farm(environ, "redis", "GET", "test:a").stdout == "kept\n"


def test_a_second_one_of_the_same_user_is_refused(up: Up, environ: dict[str, str]) -> None:
    with up():
        done = farm(environ, "up")
        assert done.returncode == 1
        assert "Another private Redis uses" in done.stderr


def test_tcp_prints_an_address_for_plain_rq(up: Up, environ: dict[str, str]) -> None:
    with up("--tcp") as command:
        url = command.wait_for_line("Redis.from_url(").split('from_url("')[1].partition('"')[0]
        assert url.startswith("redis://:")
        with connect(url) as client:
            assert client.ping()
        assert "***" in command.wait_for_line("Redis:", "private")


def test_a_redis_that_was_named_is_used_and_none_is_started(up: Up, environ: dict[str, str], redis_url: str) -> None:
    with up(FARM_REDIS_URL=redis_url) as command:
        command.wait_for_line("Redis:", redis_url, "FARM_REDIS_URL")
        assert not Path(environ["XDG_STATE_HOME"], "rq-farm", "redis").exists()


def test_tcp_and_a_named_redis_exclude_each_other(environ: dict[str, str], redis_url: str) -> None:
    done = farm(environ | {"FARM_REDIS_URL": redis_url}, "up", "--tcp")
    assert done.returncode == 2
    assert "--tcp is for a Redis of its own" in done.stderr


def test_a_named_redis_that_does_not_answer_ends_it_with_code_3(environ: dict[str, str]) -> None:
    assert farm(environ | {"FARM_REDIS_URL": "unix:///nowhere/redis.sock"}, "up").returncode == 3


def test_a_job_from_plain_rq_is_run(up: Up, environ: dict[str, str], user_folder: Path) -> None:
    (user_folder / "tasks.py").write_text(TASKS)
    with up(), connect(url_of(environ)) as client:
        job = Queue("default", connection=client).enqueue("tasks.double", 21, result_ttl=60)
        assert result_of(job) == 42


def test_a_job_enqueued_after_a_file_was_saved_runs_the_new_code(
    up: Up, environ: dict[str, str], user_folder: Path
) -> None:
    (user_folder / "tasks.py").write_text(TASKS)
    with up() as command, connect(url_of(environ)) as client:
        queue = Queue("default", connection=client)
        assert result_of(queue.enqueue("tasks.double", 1, result_ttl=60)) == 2
        (user_folder / "tasks.py").write_text(TASKS.replace("* 2", "* 200"))
        command.wait_for_line("tasks.py changed")
        wait_until(
            lambda: result_of(queue.enqueue("tasks.double", 1, result_ttl=60)) == 200, "new code runs", timeout=30
        )


def test_jobs_are_run_by_several_hosts(up: Up, environ: dict[str, str]) -> None:
    with up("--hosts", "2"), connect(url_of(environ)) as client:
        wait_until(lambda: client.zrange("farm:hosts", 0, -1) == [b"up-1", b"up-2"], "both hosts beat", timeout=30)
