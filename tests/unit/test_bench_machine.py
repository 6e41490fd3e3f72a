"""What a benchmark says of the machine that it ran on."""

from tests.bench.machine import nanoseconds_of_memory


def test_the_time_that_memory_takes_is_one_of_a_machine() -> None:
    assert 1 < nanoseconds_of_memory() < 100_000
