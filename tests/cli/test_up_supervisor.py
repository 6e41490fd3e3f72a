"""How `farm up` keeps its children running and ends them, tried with small children of the test's own."""

import os
import signal
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest

from farm.store.connection import connect
from farm.up.child import LONGEST_PAUSE_SECONDS, pause_before_restart
from farm.up.sources import Sources
from tests.support.terminal_command import TerminalCommand, running
from tests.support.waiting import wait_until

SUPERVISE = """
import contextlib, os, pathlib, sys
from farm.redis_server import RedisServer
from farm.up.child import Child
from farm.up.sources import Sources
from farm.up.supervisor import Supervisor
from farm.up.terminal import Terminal

coordinator, *hosts = [
    Child(f"child-{number}", [sys.executable, "-u", "-c", script], os.environ)
    for number, script in enumerate(sys.argv[2:])
]
with contextlib.ExitStack() as stack:
    server = stack.enter_context(RedisServer(pathlib.Path(sys.argv[1]))) if sys.argv[1] else None
    if server:
        print("url", server.url, flush=True)
    supervisor = Supervisor(Terminal(os.environ), coordinator, hosts, Sources([os.getcwd()]), server)
    with supervisor.hears_requests():
        supervisor.run()
"""

GOOD = """
import os, signal, time
def heard(number, _):
    print("got", signal.Signals(number).name)
    if number == signal.SIGTERM:
        os._exit(0)
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, heard)
print("ready", os.getpid())
while True: time.sleep(60)
"""
STUBBORN = (
    "import signal, time; signal.signal(15, lambda *_: print('not yet')); print('ready')\nwhile True: time.sleep(60)"
)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}


def supervised(
    folder: Path, environ: dict[str, str], *scripts: str, redis: str = ""
) -> AbstractContextManager[TerminalCommand]:
    return running([sys.executable, "-c", SUPERVISE, redis, *scripts], environ, folder)


def stopped(command: TerminalCommand) -> None:
    command.send(signal.SIGINT)
    assert command.wait() == 0


def pid_in(line: str) -> int:
    return int(line.rsplit(maxsplit=1)[-1])


def test_each_line_tells_which_child_said_it(user_folder: Path, environ: dict[str, str]) -> None:
    with supervised(user_folder, environ, GOOD, GOOD) as command:
        command.wait_for_line("child-0 |", "ready")
        command.wait_for_line("child-1 |", "ready")
        stopped(command)


def test_a_child_that_ends_is_told_and_started_again(user_folder: Path, environ: dict[str, str]) -> None:
    with supervised(user_folder, environ, GOOD, GOOD) as command:
        first = pid_in(command.wait_for_line("child-1", "ready"))
        os.kill(first, signal.SIGKILL)
        command.wait_for_line("child-1 was killed by SIGKILL", "starting it again in 1 s")
        assert pid_in(command.wait_for_line("child-1", "ready", count=2)) != first
        stopped(command)


def test_the_last_words_of_a_child_are_shown_even_without_an_end_of_line(
    user_folder: Path, environ: dict[str, str]
) -> None:
    with supervised(user_folder, environ, GOOD, "import os; os.write(1, b'famous'); os._exit(3)") as command:
        command.wait_for_line("child-1", "famous")
        command.wait_for_line("child-1 ended with exit code 3")
        stopped(command)


def test_a_child_that_closes_its_output_is_still_supervised(user_folder: Path, environ: dict[str, str]) -> None:
    silent = "import os, time; print('ready', os.getpid()); os.close(1); os.close(2)\nwhile True: time.sleep(60)"
    with supervised(user_folder, environ, GOOD, silent) as command:
        pid = pid_in(command.wait_for_line("child-1", "ready"))
        os.kill(pid, signal.SIGKILL)
        command.wait_for_line("child-1", "ready", count=2)
        stopped(command)


def test_hosts_end_before_the_coordinator(user_folder: Path, environ: dict[str, str]) -> None:
    with supervised(user_folder, environ, GOOD, GOOD, GOOD) as command:
        for number in range(3):
            command.wait_for_line(f"child-{number}", "ready")
        stopped(command)
        ends = [line for line in command.text.splitlines() if "ended with exit code 0" in line]
        assert len(ends) == 3
        assert "child-0" in ends[-1]


def test_the_first_request_waits_and_the_second_ends_at_once(user_folder: Path, environ: dict[str, str]) -> None:
    with supervised(user_folder, environ, GOOD, STUBBORN) as command:
        command.wait_for_line("child-1", "ready")
        command.send(signal.SIGTERM)
        command.wait_for_line("child-1", "not yet")
        assert command.process.poll() is None
        command.send(signal.SIGTERM)
        command.wait_for_line("child-1", "not yet", count=2)
        command.send(signal.SIGTERM)
        command.wait_for_line("child-1 was killed by SIGKILL")
        assert command.wait() == 0


def test_a_saved_python_file_has_the_hosts_replace_their_processes(user_folder: Path, environ: dict[str, str]) -> None:
    with supervised(user_folder, environ, GOOD, GOOD) as command:
        command.wait_for_line("child-0", "ready")
        command.wait_for_line("child-1", "ready")
        (user_folder / "calls.py").write_text("x = 1\n")
        command.wait_for_line("calls.py changed")
        command.wait_for_line("child-1", "got SIGHUP")
        assert not [line for line in command.text.splitlines() if "child-0" in line and "SIGHUP" in line]
        stopped(command)


def test_children_end_with_a_supervisor_that_was_killed(user_folder: Path, environ: dict[str, str]) -> None:
    with supervised(user_folder, environ, GOOD, GOOD) as command:
        children = [psutil.Process(pid_in(command.wait_for_line(name, "ready"))) for name in ("child-0", "child-1")]
        command.send(signal.SIGKILL)
        command.wait()
        wait_until(
            lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children),
            "the children end",
        )


def test_a_redis_that_was_killed_comes_back_at_its_address_with_its_data(
    user_folder: Path, tmp_path: Path, environ: dict[str, str]
) -> None:
    with supervised(user_folder, environ, GOOD, GOOD, redis=str(tmp_path / "redis")) as command:
        url = command.wait_for_line("url").split()[-1]
        command.wait_for_line("child-1", "ready")
        with connect(url) as client:
            client.set("job", "1")
            os.kill(int(client.info("server")["process_id"]), signal.SIGKILL)
        command.wait_for_line("Redis ended, though nobody asked it to")
        with connect(url) as client:
            wait_until(lambda: _answers(client), "Redis is back")
            assert client.get("job") == b"1"
        stopped(command)


def test_pauses_before_restarts_grow_up_to_a_limit() -> None:
    pauses = [pause_before_restart(failures) for failures in range(1, 100)]
    assert pauses[:3] == [1, 2, 4]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_SECONDS


@pytest.fixture
def sources(user_folder: Path) -> Sources:
    (user_folder / "kept.py").touch()
    return Sources([str(user_folder)])


def changed(sources: Sources) -> list[str]:
    sources.next_look = 0.0
    return [path.name for path in sources.changed()]


def test_written_new_and_removed_files_are_noticed_once(user_folder: Path, sources: Sources) -> None:
    assert changed(sources) == []
    (user_folder / "package").mkdir()
    (user_folder / "package" / "new.py").touch()
    assert changed(sources) == ["new.py"]
    os.utime(user_folder / "kept.py", (1, 1))
    (user_folder / "package" / "new.py").unlink()
    assert changed(sources) == ["kept.py", "new.py"]
    assert changed(sources) == []


@pytest.mark.parametrize("folder", [".venv", ".git", "node_modules", "lib/site-packages", "__pycache__", "my_env"])
def test_packages_of_others_are_not_watched(user_folder: Path, sources: Sources, folder: str) -> None:
    (user_folder / folder).mkdir(parents=True)
    if folder == "my_env":
        (user_folder / folder / "pyvenv.cfg").touch()
    (user_folder / folder / "new.py").touch()
    assert changed(sources) == []


def test_a_limit_of_files_is_told(user_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farm.up.sources.FILE_LIMIT", 3)
    for number in range(5):
        (user_folder / f"m{number}.py").touch()
    assert not Sources([str(user_folder)]).complete


def _answers(client: object) -> bool:
    try:
        return bool(client.ping())  # type: ignore[attr-defined]
    except Exception:
        return False
