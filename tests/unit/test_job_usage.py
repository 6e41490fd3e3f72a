"""What a job used, as it is kept and read."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.store.job_usage import JobUsage, parse


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.integers(0, 2**50))
def test_what_was_kept_is_read_to_a_millisecond(seconds: float, cpu_seconds: float, memory: int) -> None:
    read = parse(JobUsage(seconds, cpu_seconds, memory).to_field())

    assert read is not None
    assert (read.seconds, read.cpu_seconds) == pytest.approx((seconds, cpu_seconds), abs=0.001)
    assert read.memory == memory


@given(st.binary() | st.sampled_from([b"", b"null", b"[]", b"{}", b"1e999", b'{"seconds": 1}']) | st.none())
def test_what_is_none_is_read_as_none(value: bytes | None) -> None:
    assert parse(value) is None


@pytest.mark.parametrize("wrong", ["-1", "1e999", "NaN", '"x"', "null", "[]", "1" * 5000])
@pytest.mark.parametrize("name", ["seconds", "cpu_seconds", "memory"])
def test_a_number_that_makes_no_sense_is_not_shown(name: str, wrong: str) -> None:
    told = {"seconds": "1.5", "cpu_seconds": "1", "memory": "7"} | {name: wrong}
    text = ", ".join(f'"{key}": {value}' for key, value in told.items())

    read = parse(f"{{{text}}}".encode())

    assert read is None or all(map(math.isfinite, (read.seconds, read.cpu_seconds, read.memory)))
