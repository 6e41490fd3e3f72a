"""A process that does not answer: who is waited for, and who is killed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm_worker.pool.silence import Doing, Look, Silence, Verdict, judge

JOBS = (Doing.JOB, Doing.JOB_WITHOUT_TIMEOUT)
kernel_states = st.sampled_from("RSDTtZI")
doings = st.sampled_from(Doing)


def silence(state: str = "S", *, quiet_for: float = 100.0, looks: int = 5, at: float = 1000.0) -> Silence:
    return Silence(Look(at, state, 1.0), at - quiet_for, looks)


@pytest.mark.parametrize(
    ("doing", "state", "quiet_for", "verdict"),
    [
        (Doing.IDLE, "S", 100.0, Verdict.KILL),
        (Doing.IDLE, "R", 0.0, Verdict.KILL),
        (Doing.IDLE, "D", 100.0, Verdict.KILL),
        (Doing.IDLE, "T", 100.0, Verdict.KILL),
        (Doing.JOB, "R", 0.0, Verdict.BUSY),
        (Doing.JOB, "S", 100.0, Verdict.BUSY),
        (Doing.JOB, "T", 0.0, Verdict.KILL),
        (Doing.JOB, "t", 100.0, Verdict.KILL),
        (Doing.JOB, "Z", 100.0, Verdict.KILL),
        (Doing.JOB_WITHOUT_TIMEOUT, "R", 0.0, Verdict.BUSY),
        (Doing.JOB_WITHOUT_TIMEOUT, "S", 59.0, Verdict.BUSY),
        (Doing.JOB_WITHOUT_TIMEOUT, "S", 61.0, Verdict.KILL),
        (Doing.JOB_WITHOUT_TIMEOUT, "D", 61.0, Verdict.KILL),
        (Doing.STARTING, "R", 0.0, Verdict.WAIT),
        (Doing.STARTING, "S", 100.0, Verdict.WAIT),
        (Doing.STARTING, "T", 100.0, Verdict.KILL),
        (Doing.CLOSING, "S", 100.0, Verdict.WAIT),
        (Doing.CLOSING, "T", 100.0, Verdict.KILL),
    ],
)
def test_the_verdict_on_a_process_that_was_silent_for_too_long(
    doing: Doing, state: str, quiet_for: float, verdict: Verdict
) -> None:
    assert judge(61.0, 60.0, silence(state, quiet_for=quiet_for), doing) is verdict


@given(st.floats(0, 59.99), kernel_states, st.floats(0, 1e6), doings)
def test_nobody_is_judged_before_the_timeout(silent_for: float, state: str, quiet_for: float, doing: Doing) -> None:
    assert judge(silent_for, 60.0, silence(state, quiet_for=quiet_for), doing) is Verdict.WAIT


@given(st.floats(0, 1e6), kernel_states, doings)
def test_one_look_is_no_evidence(silent_for: float, state: str, doing: Doing) -> None:
    assert judge(silent_for, 60.0, silence(state, looks=1), doing) is Verdict.WAIT


@given(st.floats(60, 1e6), st.sampled_from("RSDI"), st.floats(0, 59), st.sampled_from(JOBS))
def test_a_job_that_uses_cpu_time_is_never_killed_for_its_silence(
    silent_for: float, state: str, quiet_for: float, doing: Doing
) -> None:
    assert judge(silent_for, 60.0, silence(state, quiet_for=quiet_for), doing) is Verdict.BUSY


@given(st.floats(60, 1e6), st.sampled_from("RSDI"), st.floats(0, 1e6))
def test_a_job_with_a_timeout_of_its_own_is_left_to_it(silent_for: float, state: str, quiet_for: float) -> None:
    assert judge(silent_for, 60.0, silence(state, quiet_for=quiet_for), Doing.JOB) is Verdict.BUSY


@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0, 1)), min_size=1, max_size=20))
def test_work_is_seen_from_the_growth_between_two_looks(steps: list[tuple[float, float]]) -> None:
    now, cpu = 100.0, 5.0
    seen = Silence(Look(now, "R", cpu), 98.0)
    worked_at = 98.0
    for seconds, wanted in steps:
        share = 0.0 if wanted < 0.011 else wanted
        now, cpu = now + seconds, cpu + seconds * share
        worked_at = now if share else worked_at
        seen = seen.after(Look(now, "R", cpu))

        assert seen.worked_at == worked_at

    assert seen.looks == len(steps) + 1
