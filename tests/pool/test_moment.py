"""How a moment of an attempt is written."""

from datetime import UTC, datetime

import pytest

from farm_worker.pool.moment import written


@pytest.mark.parametrize(
    "date",
    [
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 12, 31, 23, 59, 59, 999_999, UTC),
        datetime(2026, 12, 31, 23, 59, 59, 7, UTC),
        datetime(1999, 2, 28, 1, 2, 3, 40, UTC),
        datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC),
    ],
)
def test_a_moment_is_written_as_rq_writes_it_and_to_the_microsecond(date: datetime) -> None:
    seconds, text = written(date.timestamp())

    assert text.decode() == date.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert seconds.decode() == f"{date.timestamp():.6f}"


def test_moments_of_several_seconds_do_not_get_mixed_up() -> None:
    moments = [1_700_000_000.5, 1_700_000_001.25, 1_700_000_000.75]

    assert [written(moment)[1][-10:] for moment in moments] == [b"20.500000Z", b"21.250000Z", b"20.750000Z"]


def test_a_moment_that_is_rounded_to_the_next_second_belongs_to_it() -> None:
    assert written(1_700_000_000.9999997) == (b"1700000001.000000", b"2023-11-14T22:13:21.000000Z")
