"""The unit files for systemd fit the settings' defaults and what the commands can do."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from farm.cli.exit_codes import USAGE
from farm_settings import load
from farm_worker.drain import ENDING_SECONDS
from farm_worker.service_report import BEAT_STALLS_SECONDS
from tests.support.wheel import ROOT

UNITS = ("farm-worker", "farm-coordinator")
UNITS_OF_TIME = {"": 1, "s": 1, "min": 60, "h": 3600}


def options(unit: str) -> dict[str, str]:
    """Option → value of all sections. Options that may stand twice do not occur here."""
    lines = (ROOT / "worker" / f"{unit}.service").read_text().splitlines()
    found = [line.partition("=")[::2] for line in lines if "=" in line and not line.startswith("#")]
    assert len(found) == len(dict(found)), "an option stands twice"
    return dict(found)


def seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)(\w*)", text)
    assert found is not None, text
    return int(found[1]) * UNITS_OF_TIME[found[2]]


def total_of_a_stop() -> float:
    settings = load(environ={})
    return settings.host.drain_timeout + settings.pool.close_timeout + ENDING_SECONDS


def test_a_host_has_all_the_time_that_its_stop_can_take() -> None:
    stop = seconds(options("farm-worker")["TimeoutStopSec"])

    assert total_of_a_stop() + 10 <= stop <= total_of_a_stop() + 60


def test_the_drain_is_the_hosts_affair_and_what_is_left_is_killed() -> None:
    worker = options("farm-worker")

    assert (worker["KillMode"], worker["KillSignal"]) == ("mixed", "SIGTERM")
    assert worker["OOMPolicy"] == "continue", "one process without memory must not end its host"


@pytest.mark.parametrize("unit", UNITS)
def test_a_command_tells_that_it_is_ready_and_alive_and_is_started_again_unless_its_settings_are_wrong(
    unit: str,
) -> None:
    found = options(unit)

    assert (found["Type"], found["NotifyAccess"]) == ("notify", "main")
    assert seconds(found["WatchdogSec"]) > BEAT_STALLS_SECONDS
    assert found["Restart"] == "on-failure"
    assert found["RestartPreventExitStatus"] == str(USAGE)
    assert found["ExecStart"].split()[1:] == [unit.removeprefix("farm-")]


def test_a_host_may_take_as_long_to_start_as_its_settings_allow() -> None:
    pool = load(environ={}).pool

    assert seconds(options("farm-worker")["TimeoutStartSec"]) > pool.preload_timeout + 2 * pool.initialize_timeout


def test_the_page_on_stopping_names_the_same_time() -> None:
    page = (ROOT / "docs/stopping.md").read_text()

    assert f"{total_of_a_stop():g} s" in page
    assert f"`TimeoutStopSec={options('farm-worker')['TimeoutStopSec']}`" in page


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_understands_a_unit_file(unit: str, tmp_path: Path) -> None:
    text = (ROOT / "worker" / f"{unit}.service").read_text()
    copy = tmp_path / f"{unit}.service"
    copy.write_text(re.sub(r"^(User|WorkingDirectory)=.*$", "", text, flags=re.MULTILINE).replace("/opt/farm", "/usr"))
    copy.write_text(re.sub(r"/usr/bin/farm", "/bin/true", copy.read_text()))

    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False, timeout=60
    )

    complaints = [line for line in checked.stderr.splitlines() if copy.name in line or "Unknown" in line]
    assert complaints == []
