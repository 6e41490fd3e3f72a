"""The load of a real host: what its start uses, what others see of it, in its log and by `farm host`."""

import json
import sys
from pathlib import Path

import pytest

from tests.support.farm import Farm
from tests.support.waiting import wait_until

HEAVY = """
import time
import farm

app = farm.App()

@app.prewarm
def burn(process):
    end = time.process_time() + 1.5
    while time.process_time() < end:
        pass
"""


def test_what_the_start_of_a_host_uses_is_not_its_first_load(farm: Farm, user_folder: Path) -> None:
    (user_folder / "heavy.py").write_text(HEAVY)
    farm.host(ready=False, app="heavy", processes=2, idle_processes=2)

    wait_until(lambda: farm.published("one").get("state") in ("available", "full"), "it has begun", 40)

    published = farm.published("one")
    assert float(published["own_load"]) < 0.1, published
    assert float(published["load"]) - float(published["others_load"]) < 0.1, published


@pytest.mark.parametrize("form", ["text", "json"])
def test_with_log_load_each_beat_says_its_numbers(farm: Farm, form: str) -> None:
    host = farm.host(log_format=form, flags=["--log-load"])

    def lines() -> list[str]:
        return [line for line in host.says.splitlines() if "threshold=1.00" in line and "available (" not in line]

    line = wait_until(lambda: len(lines()) > 2 and lines(), "some beats are logged")[-1]
    if form == "text":
        assert "slots=0/1 load=" in line
        return
    fields = json.loads(line)
    assert fields["logger"] == "farm.load"
    assert (fields["slots"], fields["busy"], fields["threshold"]) == (1, 0, 1.0)
    assert 0 <= fields["load"] <= 1
    assert fields["memory_total"] > fields["memory"] > 0
    assert fields["cores"] == float(farm.published("one")["cpu_count"])


def test_without_log_load_only_changes_of_state_are_said(farm: Farm) -> None:
    host = farm.host()
    beat = farm.published("one")["beat_at"]
    wait_until(lambda: farm.published("one")["beat_at"][:19] > beat[:19], "another beat")
    assert farm.command("drain", "one").returncode == 0
    farm.wait_for_state("one", "draining")
    wait_until(lambda: " draining: takes no new jobs" in host.says, "the change is said")

    with_numbers = [line for line in host.says.splitlines() if "threshold=1.00" in line]
    assert len(with_numbers) == 2, "available, then draining"
    assert all("cpu=" in line and "slots=0/1" in line for line in with_numbers)


def test_farm_host_shows_each_number_with_its_source(farm: Farm) -> None:
    farm.host()
    shown = farm.command("host", "one")
    assert shown.returncode == 0, shown.stderr
    block = next(part for part in shown.stdout.split("\n\n") if part.startswith("number\tvalue\tsource"))
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in block.splitlines()}

    names = {"load", "CPU, last interval", "CPUs allowed", "own load", "others' load", "memory", "memory left", "slots"}
    assert rows.keys() >= names
    if sys.platform == "linux":
        assert "/proc/stat" in rows["load"][1]
        assert all(source not in ("", "-") for _, source in rows.values())

    details = json.loads(farm.command("host", "one", "--json").stdout)
    assert details["sources"]["load"] == rows["load"][1]
    assert 0 <= details["own_load"] <= 1
    assert 0 <= details["others_load"] <= 1
    assert details["memory_left"] > 0
    if Path("/proc/pressure/cpu").exists():
        assert 0 <= details["pressure_cpu"] <= 1
        assert rows["pressure, CPU"][1].endswith(("/proc/pressure/cpu", "/cpu.pressure"))
