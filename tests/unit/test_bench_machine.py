"""What a benchmark says of the machine that it ran on."""

from typing import NamedTuple

import psutil
import pytest

from tests.bench.machine import StolenTime, nanoseconds_of_memory


def test_the_time_that_memory_takes_is_one_of_a_machine() -> None:
    assert 1 < nanoseconds_of_memory() < 100_000


class LinuxTimes(NamedTuple):
    user: float
    system: float
    idle: float
    steal: float


class MacTimes(NamedTuple):
    user: float
    system: float
    idle: float


def test_what_neighbours_took_is_a_share_of_the_time_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    times = LinuxTimes(user=100, system=50, idle=900, steal=5)
    monkeypatch.setattr(psutil, "cpu_times", lambda: times)
    stolen_time = StolenTime()
    assert stolen_time.share() == 0

    times = LinuxTimes(user=120, system=60, idle=1000, steal=15)

    assert stolen_time.share() == pytest.approx(10 / 40)
    assert stolen_time.share() == 0, "since it was last asked"


def test_where_no_system_tells_of_neighbours_they_took_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    times = MacTimes(user=100, system=50, idle=900)
    monkeypatch.setattr(psutil, "cpu_times", lambda: times)
    stolen_time = StolenTime()

    times = MacTimes(user=120, system=60, idle=1000)

    assert stolen_time.share() == 0
