"""docs/scaling.md says what is so: its command and its loop are run, and its manifests name what there is."""

import os
import re
import shlex
import signal
import subprocess
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from farm.cli import command_line
from tests.support.farm import COMMANDS, KEYS, Farm
from tests.support.waiting import wait_until
from tests.support.wheel import ROOT

PAGE = (ROOT / "docs/scaling.md").read_text()


def blocks(language: str) -> list[str]:
    """What stands between back-ticks in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_example_prints_what_the_page_says(farm: Farm) -> None:
    farm.host("worker-1", processes=2, queues="calls")
    jobs = [farm.queue("calls").enqueue("system_jobs.wait_for_go") for _ in range(8)]
    for job in jobs[:2]:
        farm.pid_of(job)
    wait_until(lambda: len(farm.waiting("calls")) == 6, "six jobs wait in the queue")
    ((command, expected),) = (block.removeprefix("$ ").split("\n", 1) for block in blocks("console"))
    oldest = farm.fetch(jobs[2]).enqueued_at
    wait_until(lambda: farm.redis.time()[0] > oldest.timestamp() + 2, "the oldest waits for a while")

    result = CliRunner(env={"FARM_REDIS_URL": farm.url}).invoke(command_line, shlex.split(command)[1:])

    pattern = re.escape(" ".join(expected.split())).replace("…", ".*?")
    assert re.fullmatch(pattern, " ".join(result.stdout.split())), result.output
    farm.go()
    farm.wait_for(*jobs)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_shell_loop_starts_hosts_for_what_waits_and_they_leave_when_nothing_does(farm: Farm) -> None:
    farm.coordinator()
    jobs = farm.enqueue_many("note", [(str(number), 0.5) for number in range(24)], queue="calls")
    (loop,) = blocks("bash")
    settings = {"FARM_PROCESSES": "2", "FARM_THRESHOLD": "1", "FARM_STANDBY_COORDINATOR": "false"}
    path = os.pathsep.join([str(COMMANDS), farm.environment["PATH"]])
    log = farm.folder / "loop.log"
    with log.open("wb") as stream:
        shell = subprocess.Popen(
            ["bash", "-c", loop],
            env=farm.environment | settings | {"PATH": path},
            cwd=farm.folder,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        farm.wait_for(*jobs, timeout=120)
        ran_on = {farm.fetch(job).worker_name for job in jobs}
        assert 1 <= len(ran_on) <= 3
        wait_until(lambda: not farm.redis.zcard(KEYS.hosts), "all hosts have left", 60)
        assert len(farm.events("host.left")) == len(farm.events("host.joined")) <= 3
        assert shell.poll() is None

        late = farm.queue("calls").enqueue("system_jobs.note", "late")
        farm.wait_for(late, timeout=60)
    finally:
        shell.send_signal(signal.SIGTERM)
        shell.wait(40)
        print(log.read_text()[-6000:])


def test_the_manifests_ask_for_a_field_and_options_that_there_are() -> None:
    container, scaled = (yaml.safe_load(block) for block in blocks("yaml"))
    (trigger,) = scaled["spec"]["triggers"]

    signal_fields = _fields()
    assert trigger["metadata"]["valueLocation"] in signal_fields
    assert trigger["metadata"]["targetValue"] == "1"
    port = container["args"][container["args"].index("--listen") + 1]
    assert trigger["metadata"]["url"].endswith(f":{port}/")
    assert int(container["args"][container["args"].index("--max") + 1]) == scaled["spec"]["maxReplicaCount"]
    options = {word for word in container["args"] if word.startswith("--")}
    command: Any = command_line.get_command(None, container["args"][0])  # type: ignore[attr-defined, arg-type]
    assert options <= {option for parameter in command.params for option in parameter.opts}
    (section,) = re.findall(r"^## Fields of the JSON\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"`([a-z_]+)`", section)) == signal_fields


def _fields() -> set[str]:
    """Of the JSON, by what the command says of it."""
    command: Any = command_line.get_command(None, "scale")  # type: ignore[attr-defined, arg-type]
    (listed,) = re.findall(r"one flat object: (.*?)\.\n\n", command.help, re.DOTALL)
    return {name.split()[0] for name in re.sub(r"\([^)]*\)", "", listed).split(",")}
