"""What neighbours on a shared machine take from a turn of the benchmark, and turns that they disturbed."""

import math
import threading
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import psutil
import pytest

from tests.bench import neighbours
from tests.bench.neighbours import Neighbours, SpeedSamples, nanoseconds_of_memory, undisturbed, watched

QUIET = Neighbours(stolen=0.01, nanoseconds=50.0)
LOUD = Neighbours(stolen=0.3)
LOUDER = Neighbours(nanoseconds=5000.0)


class LinuxTimes(NamedTuple):
    user: float
    system: float
    idle: float
    steal: float


class MacTimes(NamedTuple):
    user: float
    system: float
    idle: float


T = TypeVar("T")


def scripted(monkeypatch: pytest.MonkeyPatch, *seen: Neighbours) -> Callable[[], int]:
    """A turn that returns how often it was measured. In these its neighbours are as given; all looks see quiet ones."""
    moods = iter(seen)
    count = 0

    def turn() -> int:
        nonlocal count
        count += 1
        return count

    monkeypatch.setattr(
        neighbours, "watched", lambda measured: (measured(), next(moods) if measured is turn else QUIET)
    )
    monkeypatch.setattr(neighbours, "CHECK_SECONDS", 0)
    return turn


def test_the_time_that_memory_takes_is_one_of_a_machine() -> None:
    assert 1 < nanoseconds_of_memory() < 100_000


def test_cpu_time_that_neighbours_took_is_a_share_of_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([LinuxTimes(100, 50, 900, steal=5), LinuxTimes(120, 60, 1000, steal=15)])
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(readings))

    result, seen = watched(lambda: "result")

    assert result == "result"
    assert seen.stolen == pytest.approx(10 / 40)


def test_where_no_system_tells_of_neighbours_they_took_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([MacTimes(100, 50, 900), MacTimes(120, 60, 1000)])
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(readings))

    assert watched(lambda: None)[1].stolen == 0


def test_a_turn_beside_quiet_neighbours_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert undisturbed(scripted(monkeypatch, QUIET), 3) == (1, QUIET)


def test_a_turn_that_neighbours_disturbed_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert undisturbed(scripted(monkeypatch, LOUD, QUIET), 3) == (2, QUIET)


def test_of_turns_that_were_all_disturbed_the_least_disturbed_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert undisturbed(scripted(monkeypatch, LOUDER, LOUD, LOUDER), 3) == (2, LOUD)


def test_a_cpu_is_slowed_in_samples_that_take_longer_than_the_quickest(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = iter([1.0, 1.5, 1.7, 2.0])
    over = threading.Event()

    def sample() -> float:
        seconds = next(taken, None)
        if seconds is None:
            over.set()
        return seconds or 1.0

    monkeypatch.setattr(neighbours, "_seconds_of_work", sample)
    monkeypatch.setattr(neighbours, "SAMPLE_SECONDS", 0)
    monkeypatch.setattr(SpeedSamples, "quickest", math.inf)
    with SpeedSamples() as samples:
        assert over.wait(10)

    assert round(samples.slowed * len(samples)) == 2


def test_a_turn_that_takes_long_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "LONG_SECONDS", -1)
    assert undisturbed(scripted(monkeypatch, LOUD), 3) == (1, LOUD)


def test_with_one_try_the_first_turn_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert undisturbed(scripted(monkeypatch, LOUD), 1) == (1, LOUD)
