"""Pulses: what has time happens at the same moments, and none of it more seldom than it wants."""

from hypothesis import given
from hypothesis import strategies as st

from farm.coordinator.pulse import AFTER_WHOLE_SECOND, seconds_to_pulse

TINY = 1e-5


@given(now=st.floats(0, 2e9), seconds=st.floats(1, 60))
def test_a_pause_ends_just_after_a_whole_second_and_is_no_longer_than_asked_for(now: float, seconds: float) -> None:
    pause = seconds_to_pulse(seconds, now)

    assert seconds - 1 - TINY <= pause <= seconds + TINY
    end = now + pause - AFTER_WHOLE_SECOND
    assert abs(end - round(end)) < TINY


def test_at_a_pulse_the_next_one_is_a_second_away() -> None:
    pauses = [seconds_to_pulse(1.0, now + AFTER_WHOLE_SECOND + TINY) for now in (7.0, 7.25, 7.75)]

    assert [round(pause, 3) for pause in pauses] == [1.0, 0.75, 0.25]


def test_what_is_to_happen_more_often_keeps_its_pause() -> None:
    assert [seconds_to_pulse(0.5, now) for now in (7.0, 7.25, 7.75)] == [0.5, 0.5, 0.5]
