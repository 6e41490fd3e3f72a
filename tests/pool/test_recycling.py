"""When processes are replaced, and how failing warm-ups are held back."""

from hypothesis import given
from hypothesis import strategies as st

from farm_worker.pool.recycling import LONGEST_DELAY_SECONDS, UNHEALTHY_AFTER, WarmUps, lifespan

fractions = st.floats(0, 1)


@given(st.integers(1, 10**6), st.floats(0.1, 1e6), fractions)
def test_staggering_only_shortens_and_by_a_tenth_at_most(jobs: int, age: float, stagger: float) -> None:
    span = lifespan(jobs, age, None, stagger=stagger)

    assert span.jobs is not None
    assert span.age is not None
    assert max(1, int(jobs * 0.9)) <= span.jobs <= jobs
    assert age * 0.89 <= span.age <= age


@given(st.floats(0, 1e9), st.none() | st.integers(0, 10**12), fractions)
def test_without_limits_a_process_serves_for_ever(age: float, memory: int | None, stagger: float) -> None:
    assert not lifespan(None, None, None, stagger=stagger).is_over(age, memory)
    assert lifespan(0, 0, 0, stagger=stagger).jobs is None


def test_a_process_above_its_memory_line_or_age_is_over() -> None:
    span = lifespan(None, 100, 50, stagger=0)

    assert not span.is_over(99, 49_000_000)
    assert span.is_over(100, None)
    assert span.is_over(1, 50_000_000)


@given(st.lists(st.tuples(st.floats(0, 100), fractions), min_size=1, max_size=40))
def test_delays_grow_and_have_an_end(rounds: list[tuple[float, float]]) -> None:
    now, warm_ups = 1000.0, WarmUps()
    for number, (pause, jitter) in enumerate(rounds, 1):
        spawned_at = now
        now += 0.01 + pause
        warm_ups = warm_ups.after_failure(spawned_at, now, f"error {number}", jitter)

        assert warm_ups.failures == number
        longest = min(2.0 ** (number - 1), LONGEST_DELAY_SECONDS)
        assert longest / 2 - 1e-6 <= warm_ups.retry_at - now <= longest + 1e-6
        assert warm_ups.allowed(0, 4, now) == 0
        assert warm_ups.allowed(1, 4, warm_ups.retry_at) == 0
        assert warm_ups.allowed(0, 4, warm_ups.retry_at) == 1
        assert (warm_ups.unhealthy_reason is not None) == (number >= UNHEALTHY_AFTER)
        now = warm_ups.retry_at


@given(st.integers(1, 8), fractions)
def test_warm_ups_that_fail_together_are_one_failure(together: int, jitter: float) -> None:
    warm_ups = WarmUps()
    for number in range(together):
        warm_ups = warm_ups.after_failure(10.0, 11.0 + number, "no database", jitter)

    assert warm_ups.failures == 1


def test_healthy_warm_ups_run_side_by_side_up_to_the_limit() -> None:
    assert [WarmUps().allowed(starting, 4, 0.0) for starting in range(6)] == [4, 3, 2, 1, 0, 0]
