"""Pulses: what has time happens at the same moments, and none of it more seldom than it wants."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from farm.coordinator.pulse import seconds_to_pulse, sleep_to_pulse


@given(now=st.floats(0, 1e7), seconds=st.floats(1, 60))
def test_a_pause_ends_at_a_whole_second_and_is_no_longer_than_asked_for(now: float, seconds: float) -> None:
    pause = seconds_to_pulse(now, seconds)

    assert max(0.0, seconds - 1) <= pause + 1e-6
    assert pause <= seconds + 1e-6
    assert abs(now + pause - round(now + pause)) < 1e-6


def test_at_a_pulse_the_next_one_is_a_second_away() -> None:
    assert [seconds_to_pulse(now, 1.0) for now in (7.0, 7.25, 7.75)] == [1.0, 0.75, 0.25]


def test_what_is_to_happen_more_often_keeps_its_pause() -> None:
    assert [seconds_to_pulse(now, 0.5) for now in (7.0, 7.25, 7.75)] == [0.5, 0.5, 0.5]


def test_those_who_pause_go_on_together() -> None:
    async def scenario() -> list[int]:
        async def pause(delay: float) -> float:
            await asyncio.sleep(delay)
            await sleep_to_pulse(2.0)
            return asyncio.get_running_loop().time()

        return [round(10 * when) for when in await asyncio.gather(pause(0.0), pause(0.001), pause(0.002))]

    ends = asyncio.run(scenario())
    assert max(ends) - min(ends) in {0, 1, 10}, "or a pulse lies between the beginnings"
