"""What a host notes of jobs that ended and of those that run, until Redis has it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.store.function_usage import Seen
from farm_worker.function_usage import LONG_SECONDS, MOST_AT_ONCE, FunctionUsages
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.burst import Burst
from farm_worker.pool.outcome import Finished, Outcome, Used

ENQUEUED = b"2026-01-02T03:04:05.000000Z"
AT = 1767323045.0
"""The same moment in Unix seconds."""


def assigned(called: str = "shop.bill", queue: str = "default", attempt: int = 1, token: str = "t") -> Assignment:
    return Assignment(b"id", token, queue, attempt, "rerun", 180.0, b"", called=called.encode())


def finished(seconds: float, used: Used | None = None, waited: float = 0.0) -> Finished:
    accepted, began = ENQUEUED * 2, AT + waited
    return Finished(1, "finished", seconds, b"", used=used, accepted=accepted, started_at=began)


def noted(usages: FunctionUsages) -> dict[tuple[str, str], Seen]:
    note = usages.next_note()
    usages.noted()
    return {} if note is None else dict(note[1])


def test_cpu_time_of_short_jobs_is_shared_by_their_time() -> None:
    usages = FunctionUsages()
    burst = Burst(usages.ended)
    burst.add([(assigned("a"), finished(0.001))])
    burst.add([(assigned("b"), finished(0.003, Used(0.002, 0.002, 0.0, 1000)))])

    seen = noted(usages)

    assert (seen["default", "a"].user, seen["default", "b"].user) == pytest.approx((0.0005, 0.0015))
    assert [seen["default", name].weight for name in "ab"] == [1, 1]
    assert seen["default", "b"].memory == 1000


def test_a_long_job_at_the_end_is_counted_apart_from_short_ones_of_its_function() -> None:
    usages = FunctionUsages()
    burst = Burst(usages.ended)
    burst.add([(assigned(), finished(0.001))])
    burst.add([(assigned(), finished(0.999, Used(1.0, 0.0, 0.0, 5000)))])

    seen = noted(usages)["default", "shop.bill"]

    assert (seen.weight, len(seen.wall_buckets), seen.memory) == (2, 2, 5000)
    assert seen.user == pytest.approx(1.0)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.floats(0, 2), st.none() | st.floats(0, 3)),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 40),
)
def test_all_that_processes_tell_is_shared_and_no_more(
    jobs: list[tuple[str, float, float | None]], at_once: int
) -> None:
    usages = FunctionUsages()
    burst = Burst(usages.ended)
    ended = [
        (assigned(called), finished(seconds, None if cpu is None else Used(cpu, cpu / 2, cpu / 4, 0)))
        for called, seconds, cpu in jobs
    ]
    for first in range(0, len(ended), at_once):
        burst.add(ended[first : first + at_once])
    last = max((place for place, job in enumerate(jobs) if job[2] is not None), default=-1)

    seen = noted(usages).values()

    told = sum(job[2] or 0.0 for job in jobs)
    assert sum(each.weight for each in seen) == last + 1
    assert sum(each.user for each in seen) == pytest.approx(told)
    assert sum(each.children for each in seen) == pytest.approx(told / 4)
    assert sum(each.wall for each in seen) == pytest.approx(sum(job[1] for job in jobs[: last + 1]))
    assert all(sum(each.cpu_buckets.values()) == each.weight for each in seen)


def test_waits_are_those_of_first_attempts() -> None:
    usages = FunctionUsages()
    burst = Burst(usages.ended)
    burst.add([(assigned(), finished(0.001))])
    burst.add([(assigned(), finished(0.001, Used(0.0, 0.0, 0.0, 0), waited=2.0))])
    burst.add([(assigned(attempt=2), finished(0.001, Used(0.0, 0.0, 0.0, 0), waited=900.0))])

    seen = noted(usages)["default", "shop.bill"]

    assert (seen.waits, seen.wait) == (2, pytest.approx(4.0))


def test_jobs_that_will_run_elsewhere_do_not_count() -> None:
    usages = FunctionUsages()
    burst = Burst(usages.ended)
    burst.add([(assigned(), finished(0.001))])
    burst.add([(assigned("other"), Outcome(2, "interrupted", 9.0, b"", used=Used(1.0, 0.0, 0.0, 0)))])

    assert [(name, seen.weight) for (_, name), seen in noted(usages).items()] == [("shop.bill", 1)]


def test_a_job_is_told_of_while_it_runs_and_again_when_it_has_run_half_as_long_again() -> None:
    usages, job = FunctionUsages(), assigned()
    job.begun_at, job.cpu_seconds, job.grown, job.samples = 100.0, 0.5, 7000, 2
    told = []
    for now in (100.1, 100 + LONG_SECONDS, 101.2, 101.6, 102.0, 102.5):
        usages.observe_running([job], now)
        told.append([seen.running.wall for seen in noted(usages).values() if seen.running])

    assert told == [[], [pytest.approx(1.0)], [], [pytest.approx(1.6)], [], [pytest.approx(2.5)]]


def test_a_job_that_ends_with_its_process_counts_with_what_was_sampled() -> None:
    usages, job = FunctionUsages(), assigned()
    job.begun_at, job.cpu_seconds, job.grown, job.samples = 100.0, 30.0, 9000, 2
    usages.broke_off(job, 160.0)

    seen = noted(usages)["default", "shop.bill"]

    assert (seen.weight, seen.wall, seen.user, seen.memory) == (1, 60.0, 30.0, 9000)


def test_a_note_is_repeated_as_it_was_until_redis_has_it() -> None:
    usages = FunctionUsages()
    burst = Burst(usages.ended)
    for number in range(MOST_AT_ONCE + 1):
        burst.add([(assigned(f"function {number}"), finished(0.01, Used(0.01, 0.0, 0.0, 0)))])
    first = usages.next_note()
    burst.add([(assigned("function 0"), finished(0.01, Used(0.01, 0.0, 0.0, 0)))])

    assert usages.next_note() == first
    assert first is not None
    assert len(first[1]) == MOST_AT_ONCE
    usages.noted()
    second = usages.next_note()
    assert second is not None
    assert (second[0], {name for _, name in second[1]}) == (first[0] + 1, {"function 100", "function 0"})
    usages.noted()
    assert usages.next_note() is None
