"""`farm demo`: the main job on real input. It runs for real, with everything that takes part."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from farm.demo import sources
from farm.demo.report import Report
from farm.demo.results import IndexedFile, Results
from farm.demo.stage import HOSTS
from tests.support import leaks
from tests.support.terminal_command import TerminalCommand, running
from tests.support.waiting import wait_until

FARM_DEMO = [sys.executable, "-m", "farm", "demo"]
LAST_LINE = re.compile(
    r"demo: enqueued=(\d+) finished=(\d+) failed=(\d+) lost=(\d+) deferred=(\d+) recovered=(\d+)", re.ASCII
)

Demo = Callable[..., AbstractContextManager[TerminalCommand]]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Of a user with settings of his own, which the demo leaves alone, and a temporary folder that is watched."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", leaks.SESSION_MARK) if name in os.environ}
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    own = {"FARM_REDIS_URL": "redis://nowhere.invalid:1", "FARM_PREFIX": "other", "FARM_THRESHOLD": "0.05"}
    return kept | own | {"HOME": str(tmp_path), "TMPDIR": str(temporary), "RQ_KEY_PREFIX": "other"}


@pytest.fixture
def demo(environ: dict[str, str], user_folder: Path) -> Demo:
    """The command with its output in a file."""

    @contextmanager
    def start() -> Iterator[TerminalCommand]:
        with running(FARM_DEMO, environ, user_folder) as command:
            yield command

    return start


def left_in_temporary_folder(environ: dict[str, str]) -> list[str]:
    return os.listdir(environ["TMPDIR"])


def host_process(command: TerminalCommand, name: str) -> psutil.Process | None:
    for process in psutil.Process(command.process.pid).children(recursive=True):
        with suppress(psutil.Error):
            if "farm_worker" in process.cmdline() and process.environ().get("FARM_NAME") == name:
                return process
    return None


@pytest.mark.timeout(240)
@pytest.mark.parametrize("most_files", [250, pytest.param(sources.MOST_FILES, marks=pytest.mark.slow)])
def test_every_file_is_indexed_though_hosts_were_full_and_one_was_killed(
    environ: dict[str, str], user_folder: Path, most_files: int
) -> None:
    few_files = f"from farm.demo import sources; sources.MOST_FILES = {most_files}"
    program = f"{few_files}; from farm.cli.demo import command; command()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=environ,
        cwd=user_folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=230,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    found = LAST_LINE.fullmatch(done.stdout.splitlines()[-1])
    assert found, done.stdout
    enqueued, finished, failed, lost, deferred, recovered = map(int, found.groups())
    assert enqueued == finished == min(most_files, len(sources.standard_library()))
    assert (failed, lost) == (0, 0)
    assert 0 < deferred < enqueued
    assert 0 < recovered < enqueued
    table = dict(line.split("\t") for line in done.stdout.splitlines() if line.count("\t") == 1)
    assert sum(int(table[f"ran on {host}"]) for host in HOSTS) == finished
    assert left_in_temporary_folder(environ) == []


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_request_to_end_leaves_nothing_behind(demo: Demo, environ: dict[str, str], number: int) -> None:
    with demo() as command:
        command.wait_for_line("A service enqueues", timeout=50)
        command.send(number)
        assert command.wait() == 1
    assert left_in_temporary_folder(environ) == []


def test_no_process_survives_it_when_it_is_killed(demo: Demo) -> None:
    with demo() as command:
        command.wait_for_line("A service enqueues", timeout=50)
        command.send(signal.SIGKILL)
        command.wait()


def test_a_host_that_ends_by_itself_is_told_with_what_it_said_last(demo: Demo, environ: dict[str, str]) -> None:
    with demo() as command:
        command.wait_for_line("A service enqueues", timeout=50)
        host = wait_until(lambda: host_process(command, HOSTS[0]), "the first host runs")
        host.send_signal(signal.SIGKILL)
        assert command.wait() == 1
    assert f"Error: {HOSTS[0]} was killed by SIGKILL" in command.text
    assert f"{HOSTS[0]} said last:" in command.text
    assert left_in_temporary_folder(environ) == []


FINE = IndexedFile(Path("one.py"), HOSTS[0], {"nodes": 1})


@pytest.mark.parametrize(
    ("report", "problem"),
    [
        (Report(1, 5, 2, Results((FINE,), (), ()), 1.0), None),
        (Report(2, 5, 2, Results((FINE,), ("two.py: boom",), ()), 1.0), "1 jobs failed, as two.py: boom"),
        (Report(2, 5, 2, Results((FINE,), (), ("two.py: gone",)), 1.0), "1 jobs have no outcome, as two.py: gone"),
        (Report(2, 5, 2, Results((FINE,), (), ()), 1.0), "2 jobs were enqueued, and 1 are accounted for"),
        (Report(1, 0, 2, Results((FINE,), (), ()), 1.0), "no job was seen deferred while both hosts were full"),
        (Report(1, 5, 0, Results((FINE,), (), ()), 1.0), "no job was given back from the killed host"),
    ],
)
def test_what_was_promised_and_did_not_happen_is_a_problem(report: Report, problem: str | None) -> None:
    assert report.problems() == ([problem] if problem else [])
