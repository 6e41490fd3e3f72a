"""Sampling in a thread: what fails is named, what hangs holds up nobody, and both are over by themselves."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm_worker.load.sampler import Sampler
from farm_worker.load.sampling import FAILURES_ALLOWED, Sampling
from tests.support.kernel_files import machine, stat, version_2, write
from tests.support.waiting import wait_until


class Watched:
    """A tree of kernel files that is sampled, and looked at as by beats that are a second apart."""

    def __init__(self, root: Path) -> None:
        self.root = write(root, machine() | version_2())
        self.news = 0
        self.now = 0.0
        self.samples = 0
        self.sampling = Sampling(Sampler(root), [], self._hear)

    def _hear(self, is_news: bool) -> None:
        self.samples += 1
        self.news += is_news

    def look(self) -> str | None:
        """A beat, without any patience."""
        self.now += 1.0
        self.sampling.ask(self.now)
        return self.sampling.error

    def beat(self) -> str | None:
        """One that waits for its sample."""
        before = self.samples
        self.look()
        wait_until(lambda: self.samples > before, "the sample is there")
        return self.sampling.error


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    yield made
    made.sampling.close()


def test_the_first_sample_and_the_first_load_are_news(watched: Watched) -> None:
    wait_until(lambda: watched.sampling.facts and watched.sampling.facts.measured, "a load is measured")
    wait_until(lambda: watched.news == 2, "both were told")
    assert watched.look() is None


def test_a_source_that_fails_three_times_in_a_row_is_named_until_it_can_be_read(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    wait_until(lambda: watched.news == 2, "a load is measured")
    write(watched.root, {"proc/stat": "nonsense"})

    errors = [watched.beat() for _ in range(3)]
    assert errors[:2] == [None, None]
    error = errors[2]
    assert error is not None
    assert error.startswith("CPU time of the machine cannot be read:")
    watched.beat()
    assert watched.news == 3
    assert len([line for line in caplog.messages if "cannot be read" in line]) == 1, "not one line for each sample"

    write(watched.root, {"proc/stat": stat([0] * 4)})
    assert watched.beat() is None
    assert "the load can be read again" in caplog.messages
    assert watched.news == 4


def test_one_failure_is_lived_through(watched: Watched) -> None:
    wait_until(lambda: watched.news == 2, "a load is measured")
    facts = watched.sampling.facts
    watched.sampling._fail("once")
    assert watched.beat() is None
    assert watched.sampling.facts is not facts, "the next one is good"
    assert watched.sampling._failures == 0


def test_a_source_that_hangs_holds_up_nobody_and_is_named_within_three_beats(watched: Watched) -> None:
    wait_until(lambda: watched.news == 2, "a load is measured")
    file = watched.root / "proc/self/cgroup"
    text = file.read_text()
    file.unlink()
    os.mkfifo(file)  # opening it for reading waits for who writes
    watched.sampling._sampler._limits_read_at -= 100.0
    watched.look()
    wait_until(lambda: watched.sampling._sampler.reading == "the cgroup's limits", "the thread is held")

    began = time.monotonic()
    answers = [watched.look() for _ in range(3)]
    assert time.monotonic() - began < 1
    assert answers[2] is not None
    assert answers[2].startswith("the cgroup's limits cannot be read: no answer for 3 beats")
    assert answers[:2] == [None, None], "a sample that is under way is nothing yet"

    other = file.with_name("other")
    other.write_text(text)
    writer = os.open(file, os.O_WRONLY)
    other.rename(file)
    os.close(writer)
    wait_until(lambda: watched.look() is None, "it is well again")


def test_what_goes_wrong_in_unforeseen_ways_is_a_failure_as_well(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sample(*_: object, **__: object) -> None:
        raise KeyError("odd")

    wait_until(lambda: watched.news == 2, "a load is measured")
    monkeypatch.setattr(watched.sampling._sampler, "sample", sample)
    assert [watched.beat() for _ in range(FAILURES_ALLOWED + 1)][-1] == "the load cannot be read: KeyError: 'odd'"


def test_looks_that_are_close_together_count_once(watched: Watched) -> None:
    wait_until(lambda: watched.news == 2, "a load is measured")
    watched.beat()
    samples = watched.samples
    watched.sampling._is_under_way = True
    for each in range(50):
        watched.sampling.ask(watched.now + each / 1000)
    assert watched.sampling.error is None
    assert watched.samples == samples
