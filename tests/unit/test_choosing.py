"""Which processes get jobs: several are dealt as they would be one after another."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from farm_worker.pool.assignment import Assignment
from farm_worker.pool.assignments import Assignments
from farm_worker.pool.choosing import choose
from farm_worker.pool.state import State


def job(*, is_long: bool = False) -> Assignment:
    return Assignment(b"a", "t" * 32, "default", 1, "rerun", None, b"", is_long=is_long)


@dataclass(eq=False)
class Process:
    """What counts of a process. It closes after its last job, and a watch is taken back before a job is sent."""

    held: int
    state: State
    solitary: bool
    has_watch: bool
    jobs_left: int
    runs_long_job: bool
    assignments: Assignments = field(init=False)

    def __post_init__(self) -> None:
        self.assignments = Assignments(1.0, 1)
        self.assignments.extend(job(is_long=self.runs_long_job) for _ in range(self.held))
        self.has_watch = self.has_watch and not self.held

    @property
    def watch(self) -> Any:
        return SimpleNamespace(lent="a watch" if self.has_watch else None)

    def give(self) -> None:
        self.assignments.append(job())
        self.has_watch = False
        self.jobs_left -= 1
        if not self.jobs_left:
            self.state = State.CLOSING


def choose_one(processes: list[Process], slots: int, depth: int) -> Process | None:
    """The rule for one job, said once more: an idle one, else that with the fewest jobs."""
    ready = [one for one in processes if one.state is State.READY and not one.solitary]
    busy = sum(bool(one.assignments) for one in processes)
    idle = [one for one in ready if not one.assignments]
    if idle and busy < slots and depth > 0:
        return next((one for one in idle if not one.has_watch), idle[0])
    room = [one for one in ready if 0 < len(one.assignments) < depth and not one.assignments.is_long]
    return min(room, key=lambda one: len(one.assignments), default=None)


process = some.builds(
    Process,
    held=some.integers(0, 12) | some.just(0),
    state=some.sampled_from([State.READY, State.READY, State.READY, State.STARTING, State.CLOSING]),
    solitary=some.sampled_from([False, False, False, True]),
    has_watch=some.booleans(),
    jobs_left=some.integers(1, 20) | some.just(1000),
    runs_long_job=some.sampled_from([False, False, True]),
)


@given(some.lists(process, max_size=40), some.integers(0, 40), some.integers(-1, 20), some.integers(0, 300))
def test_several_jobs_go_where_they_would_go_one_after_another(
    processes: list[Process], slots: int, depth: int, count: int
) -> None:
    handles: Any = processes
    together: Any = choose(handles, slots, depth, count)
    apart: list[Process] = []
    while len(apart) < count and (chosen := choose_one(processes, slots, depth)) is not None:
        chosen.give()
        apart.append(chosen)
    assert [processes.index(one) for one in together] == [processes.index(one) for one in apart]


def test_idle_processes_get_the_first_jobs_and_all_get_as_many() -> None:
    handles: Any = [Process(held, State.READY, False, False, 1000, False) for held in (3, 0, 1, 0)]
    assert [handles.index(one) for one in choose(handles, 4, 4, 20)] == [1, 3, 1, 2, 3, 1, 2, 3, 0, 1, 2, 3]
    assert [handles.index(one) for one in choose(handles, 3, 2, 20)] == [1, 1, 2]
