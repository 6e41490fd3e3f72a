"""When silent hosts must not be given up yet."""

from farm.coordinator.freeze import Freeze
from farm.store.leadership import ServerLife


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def begun(clock: Clock, uptime: float = 3600.0) -> Freeze:
    freeze = Freeze(host_timeout=10.0, suspect_after=3.0, clock=clock)
    freeze.note_server(ServerLife("one", uptime))
    return freeze


def frozen_at(freeze: Freeze, clock: Clock, *seconds: float) -> list[bool]:
    start, answers = clock.now, []
    for second in seconds:
        clock.now = start + second
        answers.append(freeze.frozen)
    return answers


def test_a_new_coordinator_waits_for_a_few_beats() -> None:
    clock = Clock()

    assert frozen_at(begun(clock), clock, 0, 2.9, 3.0) == [True, True, False]


def test_a_new_coordinator_counts_from_the_first_answer() -> None:
    clock = Clock()
    freeze = Freeze(host_timeout=10.0, suspect_after=3.0, clock=clock)
    clock.now += 60.0
    assert freeze.frozen

    freeze.note_contact()

    assert frozen_at(freeze, clock, 0, 2.9, 3.0) == [True, True, False]


def test_a_young_server_gets_the_whole_time() -> None:
    clock = Clock()

    assert frozen_at(begun(clock, uptime=2.0), clock, 9.9, 10.0) == [True, False]


def test_a_server_that_was_restarted_gets_the_whole_time() -> None:
    clock = Clock()
    freeze = begun(clock)
    clock.now += 1.0
    freeze.note_server(ServerLife("two", 0.0))

    assert frozen_at(freeze, clock, 9.9, 10.0) == [True, False]


def test_a_gap_in_the_contact_gets_the_whole_time() -> None:
    clock = Clock()
    freeze = begun(clock)
    for _ in range(5):
        clock.now += 1.0
        freeze.note_contact()
    assert not freeze.frozen

    clock.now += 2.1
    freeze.note_contact()

    assert frozen_at(freeze, clock, 0, 9.9, 10.0) == [True, True, False]


def test_a_server_that_tells_nothing_is_never_thought_restarted() -> None:
    clock = Clock()
    freeze = Freeze(host_timeout=10.0, suspect_after=3.0, clock=clock)
    freeze.note_server(ServerLife("", float("inf")))
    freeze.note_server(ServerLife("", float("inf")))

    assert frozen_at(freeze, clock, 3.0) == [False]
