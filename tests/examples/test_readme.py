"""The README taken from the top: its files are written, its commands are run, and a job of one's own runs."""

import ast
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from tests.support.wheel import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]
SHELL = [text for language, text in BLOCKS if language == "sh"]
COMMANDS = Path(sys.executable).parent


@pytest.mark.parametrize("text", PYTHON, ids=lambda text: text.splitlines()[0])
def test_each_block_of_python_is_a_named_file(text: str) -> None:
    assert re.match(r"# \w+\.py\n", text)
    ast.parse(text)


def test_the_two_commands_come_first_and_are_targets_of_make() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    first = [line.split("#")[0].split() for line in SHELL[0].splitlines()]

    assert first == [["make", "demo"], ["make", "test"]]
    assert targets >= {"demo", "test", "check", "bench", "clean"}


def test_the_extra_that_readers_are_told_to_install_is_there() -> None:
    (extra,) = re.findall(r"pip install -e 'path/to/this/checkout\[(\w+)\]'", README)

    assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text()


def test_a_reader_gets_a_job_of_his_own_to_run(user_folder: Path, farm_environment: dict[str, str]) -> None:
    del farm_environment["FARM_REDIS_URL"]  # `farm up` brings its own
    farm_environment["PATH"] = f"{COMMANDS}:{farm_environment['PATH']}"
    for text in PYTHON:
        name, _, body = text.partition("\n")
        (user_folder / name.removeprefix("# ")).write_text(body)
    commands = [shlex.split(line) for text in SHELL for line in text.splitlines() if line.startswith("farm ")]
    first, *others = commands

    assert first == ["farm", "up"]
    with subprocess.Popen(first, cwd=user_folder, env=farm_environment, stdout=subprocess.PIPE, text=True) as up:
        try:
            outputs = [_run(command, user_folder, farm_environment, up) for command in others]
            outputs.append(_run([str(COMMANDS / "python"), "enqueue.py"], user_folder, farm_environment, up))
        finally:
            up.send_signal(signal.SIGINT)
            said, _ = up.communicate(timeout=30)

    assert up.returncode == 0, said
    assert [command[1] for command in others] == ["enqueue", "status"]
    assert outputs[0].strip() == "hello you" or outputs[0].strip() == '"hello you"'
    assert "default" in outputs[1]
    assert outputs[2].strip() == "hello you"


def _run(command: list[str], folder: Path, environment: dict[str, str], up: subprocess.Popen[str]) -> str:
    """Output of a command that works as soon as `farm up` has started."""

    def attempt() -> subprocess.CompletedProcess[str] | None:
        assert up.poll() is None, "farm up ended"
        run = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=40
        )
        return run if run.returncode == 0 else None

    run = wait_until(attempt, f"{shlex.join(command)} works", timeout=30)
    assert run is not None
    return run.stdout
