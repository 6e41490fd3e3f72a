import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from farm.cli import command_line
from tests.support.planted import KEYS


@pytest.fixture
def events(redis_url):
    """Runs `farm events` with arguments."""

    def run(*arguments):
        return CliRunner(env={"FARM_REDIS_URL": redis_url}).invoke(command_line, ["events", *arguments])

    return run


def happen(client, number, **fields):
    client.xadd(KEYS.events, {"event": "process.ended", "at": "2026-01-01T00:00:00Z", "number": number, **fields})


def test_events_are_shown_oldest_first_one_a_line(events, redis_client):
    for number in range(3):
        happen(redis_client, number, reason="memory_limit", facts="signal 9\n1.2 GB")
    lines = events("--last", "2").stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].split(maxsplit=2)[:2] == ["2026-01-01T00:00:00Z", "process.ended"]
    assert lines[0].endswith(r'number=1 reason=memory_limit facts="signal 9\n1.2 GB"')


def test_json_is_one_object_a_line(events, redis_client):
    happen(redis_client, 1)
    (line,) = events("--json").stdout.splitlines()
    event = json.loads(line)
    assert (event["event"], event["at"], event["number"]) == ("process.ended", "2026-01-01T00:00:00Z", "1")


def test_no_events_are_no_failure(events):
    result = events()
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No events yet." in result.stderr


def test_follow_goes_on_with_what_happens_next(redis_client, farm_environment):
    happen(redis_client, 1)
    command = [sys.executable, "-m", "farm", "events", "--follow", "--json"]
    with subprocess.Popen(
        command, env=farm_environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        first = json.loads(process.stdout.readline())
        happen(redis_client, 2)
        second = json.loads(process.stdout.readline())
        process.send_signal(2)
        process.communicate(timeout=10)
    assert (first["number"], second["number"]) == ("1", "2")
    assert process.returncode == 0
