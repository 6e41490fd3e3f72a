"""When a job that must not run twice has to be over, as its process knows it."""

import pytest

from farm_worker.pool import expiry
from farm_worker.pool.expiry import HOST_FIRST_SECONDS, Expiry


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    signals: list[int] = []
    monkeypatch.setattr(expiry.os, "killpg", lambda group, number: signals.append(number))
    return signals


def test_only_a_job_that_must_not_run_twice_is_ended(ended: list[int]) -> None:
    one = Expiry()
    one.begin(0)
    one.move(expiry.clock() - 10)
    one.enforce()
    assert ended == []
    one.end()
    one.begin(expiry.clock() - 10)
    assert len(ended) == 1, "its host may have been given up before it began"


def test_a_renewal_gives_time_that_an_older_word_does_not_take_away(ended: list[int]) -> None:
    one = Expiry()
    one.begin(expiry.clock() + 5)
    one.move(expiry.clock() + 100)
    one.end()
    one.begin(expiry.clock() - 5)  # it waited in the pipe behind a long job
    one.enforce()
    left = one.left()
    assert ended == []
    assert left is not None
    assert 90 < left <= 100 + HOST_FIRST_SECONDS


def test_there_is_nothing_to_wait_for_before_the_first_such_job_and_after_the_time_is_over() -> None:
    one = Expiry()
    assert one.left() is None
    one.move(expiry.clock() - 10)
    assert one.left() is None
