"""How many jobs a host is given that has just recovered."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.coordinator.ramp import REMEMBERED_SECONDS, Ramp
from farm.store.survey import HostView
from tests.support.host_views import host_view

SUSPECT_AFTER = 3.0


def looks(*views: tuple[float, HostView]) -> list[dict[str, int]]:
    """What a ramp says at each look; the host has always just beaten."""
    ramp = Ramp()
    return [ramp.limits([replace(view, beat_at=now)], now, SUSPECT_AFTER) for now, view in views]


def host(state: str = "available", **fields) -> HostView:
    return host_view("a", **{"state": state, "slots": 16, "capacity": 16} | fields)


def test_a_host_that_is_new_and_idle_has_no_limit() -> None:
    assert looks((0, host("starting")), (1, host()), (2, host())) == [{}, {}, {}]


@pytest.mark.parametrize("ill", [{"state": "full", "capacity": 6}, {"state": "unhealthy", "capacity": 0}])
def test_a_recovered_host_gets_a_quarter_of_its_slots_and_twice_as_many_each_second(ill: dict[str, object]) -> None:
    before, after = host(**ill, held=1), host(held=1)

    assert looks((0, before), (1, after), (2, after), (3, after), (4, after)) == [
        {},
        {"a": 4},
        {"a": 8},
        {},
        {},
    ]


def test_what_it_was_given_meanwhile_counts() -> None:
    told = looks((0, host("full")), (1, host(held=1)), (1.5, host(held=5)), (2.1, host(held=5)))

    assert told == [{}, {"a": 4}, {"a": 0}, {"a": 4}]


def test_a_small_host_gets_one_job_at_least() -> None:
    small = host(slots=2, capacity=2)

    assert looks((0, replace(small, state="full")), (1, small), (2, small)) == [{}, {"a": 1}, {}]


def test_a_host_whose_beats_come_again_has_recovered() -> None:
    ramp, view = Ramp(), host()

    assert ramp.limits([replace(view, beat_at=10.0)], 10.0, SUSPECT_AFTER) == {}
    assert ramp.limits([replace(view, beat_at=10.0)], 14.0, SUSPECT_AFTER) == {}
    assert ramp.limits([replace(view, beat_at=15.0)], 15.0, SUSPECT_AFTER) == {"a": 4}


def test_a_host_that_registered_anew_has_recovered() -> None:
    assert looks((0, host()), (1, host("starting", identity="2-a")), (2, host(identity="2-a")))[-1] == {"a": 4}


def test_a_host_that_was_away_for_long_is_a_new_one() -> None:
    ramp = Ramp()
    ramp.limits([host(beat_at=0.0)], 0.0, SUSPECT_AFTER)
    later = REMEMBERED_SECONDS + 1
    ramp.limits([], later, SUSPECT_AFTER)

    assert ramp.limits([host(beat_at=later, identity="2-a")], later, SUSPECT_AFTER) == {}


def test_a_host_that_gets_full_again_begins_again_when_it_recovers() -> None:
    told = looks((0, host("full")), (1, host()), (2, host("full")), (9, host()), (10, host()))

    assert told == [{}, {"a": 4}, {}, {"a": 4}, {"a": 8}]


def test_short_jobs_are_not_held_back() -> None:
    assert looks((0, host("full")), (1, host(prefetch=8)), (2, host())) == [{}, {}, {}]


def test_a_host_that_drained_has_no_limit_as_it_resumes() -> None:
    assert looks((0, host()), (1, host("draining")), (2, host())) == [{}, {}, {}]


@given(st.lists(st.tuples(st.sampled_from(["available", "full", "unhealthy", "draining"]), st.integers(0, 16))))
def test_no_limit_lasts_longer_than_the_slots_take_to_double_up(steps: list[tuple[str, int]]) -> None:
    ramp = Ramp()
    now = 0.0
    for now, (state, held) in enumerate(steps):
        limits = ramp.limits([host(state, held=held, beat_at=now)], now, SUSPECT_AFTER)
        assert all(limit >= 0 for limit in limits.values())
        assert not (limits and state == "full")

    for second in range(1, 4):
        limits = ramp.limits([host(beat_at=now + second)], now + second, SUSPECT_AFTER)
    assert limits == {}
