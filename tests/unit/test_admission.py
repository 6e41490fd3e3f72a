import math
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm_worker.admission import AdmissionFacts, AdmissionState, decide


@dataclass(frozen=True)
class Lines:
    threshold: float = 0.75
    memory_threshold: float = 0.9
    resume_margin: float = 0.05
    admission: Literal["hold", "strict"] = "hold"


def facts(load=0.1, **changes):
    values = {"memory_share": 0.1, "others_load": 0.0, "slots": 4, "busy": 0} | changes
    return AdmissionFacts(load=load, **values)


def run(*steps, lines=Lines()):
    """Decides at each `(now, facts)` in turn. Returns all states."""
    states = [AdmissionState.initial(0.0)]
    for now, known in steps:
        states.append(decide(states[-1], known, lines, now))
    return states[1:]


def test_a_host_is_starting_until_a_process_is_ready():
    first, second = run((0, facts(warming=True)), (1, facts()))
    assert (first.state, first.capacity, first.reason) == ("starting", 0, "no process is ready yet")
    assert (second.state, second.capacity, second.reason) == ("available", 4, "")


def test_an_available_host_holds_its_slots_and_the_prefetch():
    assert run((0, facts(prefetch=3)))[0].capacity == 7


def test_a_host_is_full_at_once_at_the_threshold_and_says_why():
    state = run((0, facts()), (0.5, facts(0.75, busy=2)))[-1]
    assert state.state == "full"
    assert state.reason == "load 0.75 is at or over the threshold 0.75"


def test_a_full_host_is_available_after_a_second_below_the_threshold_less_the_margin():
    states = run((0, facts(0.8)), (1, facts(0.69)), (1.9, facts(0.69)), (2.0, facts(0.69)))
    assert [state.state for state in states] == ["full", "full", "full", "available"]


def test_the_second_below_begins_anew_when_the_load_rises_again():
    states = run((0, facts(0.8)), (1, facts(0.6)), (1.5, facts(0.72)), (2.2, facts(0.6)), (3.1, facts(0.6)))
    assert [state.state for state in states] == ["full"] * 5


def test_a_load_between_the_lines_keeps_the_host_full_and_says_what_it_waits_for():
    state = run((0, facts(0.8)), (5, facts(0.72)))[-1]
    assert state.state == "full"
    assert "waits for 1 s below 0.70" in state.reason


def test_a_host_that_became_available_is_not_full_again_for_five_seconds():
    resumed = [(0, facts(0.8)), (1, facts(0.5)), (2, facts(0.5))]
    states = run(*resumed, (3, facts(0.99)), (6.9, facts(0.99)), (7, facts(0.99)))
    assert [state.state for state in states[2:]] == ["available", "available", "available", "full"]


def test_the_apps_own_load_makes_it_full_again_at_once():
    resumed = [(0, facts(0.8, user_load=True)), (1, facts(0.5, user_load=True)), (2, facts(0.5, user_load=True))]
    assert run(*resumed, (2.5, facts(0.8, user_load=True)))[-1].state == "full"


def test_memory_makes_it_full_again_at_once():
    resumed = [(0, facts(memory_share=0.95)), (1, facts(memory_share=0.5)), (2, facts(memory_share=0.5))]
    states = run(*resumed, (2.5, facts(memory_share=0.9)))
    assert [state.state for state in states] == ["full", "full", "available", "full"]


def test_a_host_made_full_by_its_own_jobs_holds_what_it_runs():
    state = run((0, facts(busy=1)), (1, facts(0.6, busy=2)), (1.5, facts(0.9, busy=2, prefetch=1)))[-1]
    assert (state.held, state.capacity, state.running_limit) == (2, 3, 2)


def test_what_ran_long_before_the_host_was_full_is_not_held():
    state = run((0, facts(busy=4)), (1, facts(0.6, busy=1)), (2, facts(0.9, busy=1)))[-1]
    assert state.capacity == 1


def test_a_peak_between_two_decisions_is_held():
    assert run((0, facts()), (1, facts(0.9, busy=1, peak=3)))[-1].capacity == 3


def test_a_place_that_becomes_free_while_full_may_be_taken_again():
    assert run((0, facts(0.6, busy=3)), (1, facts(0.9, busy=3)), (2, facts(0.9, busy=1)))[-1].capacity == 3


def test_a_process_that_is_replaced_does_not_make_less_of_what_is_held():
    steps = (0, facts(busy=4)), (1, facts(1.0, busy=4)), (2, facts(0.9, slots=3, busy=3, pending=1))

    state = run(*steps, (3, facts(0.8, busy=3)))[-1]

    assert (state.state, state.held, state.capacity, state.running_limit) == ("full", 4, 4, 4)


def test_processes_that_warm_up_are_held_if_all_the_others_had_jobs_as_the_host_got_full():
    before, full = (0, facts(0.7, slots=12, busy=12, pending=4)), (1, facts(0.76, slots=12, busy=12, pending=4))
    with_one_idle = (1, facts(0.76, slots=12, busy=11, pending=4))
    ready = (2, facts(0.8, slots=16, busy=12))

    assert [state.capacity for state in run(before, full, ready)] == [12, 12, 16]
    assert run(before, with_one_idle, ready)[-1].capacity == 12
    assert run(before, (1, facts(0.76, slots=16, busy=12)))[-1].capacity == 16


def test_what_begins_to_warm_up_after_the_host_got_full_adds_nothing():
    full = facts(0.9, busy=4)

    assert run((0, full), (1, full), (2, facts(0.9, busy=4, pending=2)), (3, facts(0.9, slots=6, busy=4)))[-1].held == 4


@pytest.mark.parametrize(
    ("known", "lines"),
    [
        (facts(0.9, busy=2, others_load=0.75), Lines()),
        (facts(0.9, busy=2), Lines(admission="strict")),
        (facts(0.9, busy=2, user_load=True), Lines()),
        (facts(0.1, busy=2, memory_share=0.9), Lines()),
        (facts(0.9, busy=0, memory_share=0.95), Lines()),
    ],
    ids=["load of others", "strict", "load of the app", "memory", "memory and nothing running"],
)
def test_a_full_host_takes_nothing_when_its_own_jobs_are_not_what_may_be_held(known, lines):
    state = run((0, facts(busy=2)), (1, known), lines=lines)[-1]
    assert (state.state, state.capacity) == ("full", 0)


def test_a_host_with_nothing_running_takes_one_job_whatever_the_load_of_others():
    for admission in ("hold", "strict"):
        assert run((0, facts(1.0, others_load=1.0)), lines=Lines(admission=admission))[0].capacity == 1


def test_a_host_with_most_of_its_memory_used_by_others_takes_its_first_job():
    assert run((0, facts(memory_share=0.8)))[0].capacity >= 1
    waiting = run((0, facts(memory_share=0.95)), (60, facts(memory_share=0.87)))[-1]
    assert (waiting.state, waiting.capacity) == ("full", 1)


def test_a_load_of_one_by_the_app_means_no_job_at_all():
    assert run((0, facts(1.0, user_load=True)))[0].capacity == 0


def test_a_draining_host_takes_nothing_even_if_its_load_is_unknown():
    state = run((0, facts(draining=True, error="load() raised")))[0]
    assert (state.state, state.capacity) == ("draining", 0)


def test_a_host_that_was_drained_and_stays_names_the_way_out():
    assert "farm resume" in run((0, facts(draining=True, resumable=True)))[0].reason
    assert "farm resume" not in run((0, facts(draining=True)))[0].reason


@pytest.mark.parametrize("load", [math.nan, -0.1, 1.1, math.inf])
def test_a_load_that_is_no_share_makes_the_host_unhealthy_and_is_named(load):
    state = run((0, facts(load, user_load=True)))[0]
    assert (state.state, state.capacity) == ("unhealthy", 0)
    assert str(load) in state.reason
    assert state.load == 1.0


def test_a_failed_source_makes_the_host_unhealthy_until_it_works_again():
    states = run((0, facts()), (1, facts(error="CPU time of the machine cannot be read: gone")), (2, facts()))
    assert [state.state for state in states] == ["available", "unhealthy", "available"]
    assert states[1].reason == "CPU time of the machine cannot be read: gone"


def test_a_short_failure_does_not_shorten_the_way_back_from_full():
    states = run((0, facts(0.8)), (0.5, facts(error="no")), (1, facts(0.72)))
    assert [state.state for state in states] == ["full", "unhealthy", "full"]


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (facts(0.9, others_load=0.88), ["88% of the CPU", "THRESHOLD is 0.75"]),
        (facts(0.9, user_load=True), ["the app's own load says 0.90", "THRESHOLD is 0.75"]),
        (facts(memory_share=0.95), ["95% of the memory", "MEMORY_THRESHOLD is 0.90"]),
    ],
)
def test_a_host_full_and_empty_for_ten_seconds_says_what_uses_the_resource(known, words):
    early, late = run((0, known), (9.9, known), (10, known))[1:]
    assert early.starved is None
    assert all(word in late.starved for word in words)


def test_a_host_that_runs_something_is_not_starved():
    known = facts(0.9, busy=1)
    assert run((0, known), (60, known))[-1].starved is None


def test_a_threshold_below_the_margin_can_still_be_left():
    lines = Lines(threshold=0.03)
    states = run((0, facts(0.05)), (1, facts(0.0)), (2, facts(0.0)), lines=lines)
    assert states[-1].state == "available"


def test_a_state_remembers_when_it_began():
    assert [state.since for state in run((1, facts()), (2, facts()), (3, facts(0.9)), (4, facts(0.9)))] == [1, 1, 3, 3]


shares = st.floats(0, 1)
any_facts = st.builds(
    AdmissionFacts,
    load=st.one_of(shares, st.sampled_from([0.75, 0.7, 1.0, math.nan, -1.0, 2.0])),
    memory_share=shares,
    others_load=shares,
    slots=st.integers(0, 8),
    busy=st.integers(0, 8),
    prefetch=st.integers(0, 8),
    peak=st.integers(0, 12),
    user_load=st.booleans(),
    error=st.sampled_from([None, None, None, "broken"]),
    warming=st.booleans(),
    draining=st.booleans(),
)
any_lines = st.builds(
    Lines,
    threshold=st.floats(0.01, 1),
    memory_threshold=st.floats(0.01, 1),
    resume_margin=st.floats(0, 0.5),
    admission=st.sampled_from(["hold", "strict"]),
)
walks = st.lists(st.tuples(st.floats(0.01, 4), any_facts), min_size=1, max_size=60)


def walked(walk, lines):
    now, state = 0.0, AdmissionState.initial(0.0)
    for seconds, known in walk:
        now += seconds
        previous, state = state, decide(state, known, lines, now)
        yield now, known, previous, state


@settings(deadline=None)
@given(walks, any_lines)
def test_capacity_is_never_negative_nor_more_than_slots_and_prefetch(walk, lines):
    most = 0
    for _, known, _, state in walked(walk, lines):
        most = max(most, known.slots + known.pending)
        assert 0 <= state.capacity <= known.slots + known.prefetch
        assert 0 <= state.held <= most
        assert 0 <= state.running_limit <= known.slots


@settings(deadline=None)
@given(walks, any_lines)
def test_only_available_and_full_hosts_have_room(walk, lines):
    for _, _, _, state in walked(walk, lines):
        assert state.capacity == 0 or state.state in ("available", "full")


@settings(deadline=None)
@given(walks, any_lines)
def test_what_cannot_be_a_load_is_unhealthy_unless_the_host_drains(walk, lines):
    for _, known, _, state in walked(walk, lines):
        if known.error or not 0 <= known.load <= 1:
            assert state.state == ("draining" if known.draining else "unhealthy")


@settings(deadline=None)
@given(walks, any_lines)
def test_at_the_threshold_a_host_is_full_unless_it_became_available_just_now(walk, lines):
    for now, known, previous, state in walked(walk, lines):
        guarded = not known.user_load and now - previous.load_latch.opened_at < 5
        if state.state == "available":
            assert known.memory_share < lines.memory_threshold
            assert known.load < lines.threshold or guarded


@settings(deadline=None)
@given(walks, any_lines)
def test_the_apps_load_of_one_always_means_capacity_none(walk, lines):
    for _, known, _, state in walked(walk, lines):
        if known.user_load and known.load == 1.0:
            assert state.capacity == 0


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 2), shares), min_size=1, max_size=100))
def test_the_measured_load_never_flaps_faster_than_the_rules_allow(walk):
    became_full = became_available = -math.inf
    steps = [(seconds, facts(load, busy=1)) for seconds, load in walk]
    for now, _, previous, state in walked(steps, Lines()):
        if previous.state == "full" and state.state == "available":
            assert now - became_full >= 1 - 1e-9
            became_available = now
        if state.state == "full" and previous.state != "full":
            assert now - became_available >= 5 - 1e-9
            became_full = now


@settings(deadline=None)
@given(walks, any_lines)
def test_every_state_but_available_has_a_reason(walk, lines):
    for _, _, _, state in walked(walk, lines):
        assert state.reason or state.state == "available"


def test_a_threshold_of_one_is_no_line_for_measured_load_and_one_for_the_apps_own() -> None:
    lines = Lines(threshold=1.0)
    measured = decide(AdmissionState(), facts(load=1.0, others_load=1.0), lines, 0.0)
    own = decide(AdmissionState(), facts(load=1.0, user_load=True), lines, 0.0)
    assert (measured.state, own.state, own.capacity) == ("available", "full", 0)
