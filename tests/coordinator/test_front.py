"""The front of a queue: what is read of it, and that jobs that fit nowhere are passed over wherever they stand."""

import json
from collections.abc import Callable
from itertools import chain

from hypothesis import given, settings
from hypothesis import strategies as st

from farm.aside import MOST_ASIDE
from farm.coordinator.front import OFFERED, PAGE, Front
from farm.coordinator.waiting import WaitingJob
from farm.store.front import Look, Seen, SeenJob


class Queue:
    """A list as Redis has it: ids with what each requires, the first next."""

    def __init__(self) -> None:
        self.ids: list[bytes] = []
        self.requires: dict[bytes, str] = {}
        self.declined: dict[bytes, str] = {}

    def add(self, job_id: str, requires: str = "", *, at_front: bool = False) -> None:
        self.requires[job_id.encode()] = requires
        self.ids.insert(0 if at_front else len(self.ids), job_id.encode())

    def read(self, look: Look) -> Seen:
        ids = self.ids[: look.ids]
        ranked = self.ids[look.first : look.last + 1] if look.last >= look.first else []
        return Seen(tuple(ids), tuple(map(self._job, ranked)), tuple(map(self._job, look.others)))

    def _job(self, job_id: bytes) -> SeenJob:
        return SeenJob(job_id, "shop.bill", self.requires.get(job_id, ""), "", self.declined.get(job_id, ""))


def turn(front: Front, queue: Queue, now: float, fits: Callable[[WaitingJob], bool], room: int = PAGE) -> list[str]:
    """One look and what a placer does with it: jobs that fit are placed while there is room. Returns their ids."""
    dealt = front.see(queue.read(front.look(now)), now)
    placed = [job.job_id for job in dealt if fits(job) and job.job_id in queue.ids][:room]
    for job_id in placed:
        queue.ids.remove(job_id)
    has_room_left = len(placed) < room
    passed = {job.job_id for job in dealt if not fits(job)} if has_room_left else set()
    front.settle(dealt, placed, passed)
    return [job_id.decode() for job_id in placed]


def needs_nothing(job: WaitingJob) -> bool:
    return not job.requires


def everything(job: WaitingJob) -> bool:
    return True


def aside(front: Front) -> list[str]:
    return [job.job_id.decode() for job in front.aside]


def test_jobs_behind_those_that_fit_nowhere_are_dealt() -> None:
    front, queue = Front("default"), Queue()
    for number in range(250):
        queue.add(f"gpu {number}", "gpu")
    queue.add("plain")

    placed = [turn(front, queue, now, needs_nothing) for now in (0.0, 0.01, 0.02)]

    assert placed == [[], [], ["plain"]], "a page with each look"
    assert aside(front) == [f"gpu {number}" for number in range(250)]


def test_they_are_offered_again_first_and_in_their_order() -> None:
    front, queue = Front("default"), Queue()
    for number in range(5):
        queue.add(f"gpu {number}", "gpu")
    turn(front, queue, 0.0, needs_nothing)
    queue.add("late")

    placed = [turn(front, queue, 0.1 * number, everything, room=3) for number in range(1, 5)]

    assert placed[0] == ["gpu 0", "gpu 1", "gpu 2"]
    assert list(chain.from_iterable(placed)) == [*(f"gpu {number}" for number in range(5)), "late"]
    assert not front.aside


def test_of_many_with_the_same_needs_only_the_first_are_offered_with_each_look() -> None:
    front, queue = Front("default"), Queue()
    for number in range(OFFERED + 50):
        queue.add(f"gpu {number}", "gpu")
    queue.add("large", "large")
    for now in (0.0, 0.01, 0.02):
        turn(front, queue, now, needs_nothing)

    offered = front.see(queue.read(front.look(0.03)), 0.03)

    assert [job.job_id for job in offered] == [*(f"gpu {number}".encode() for number in range(OFFERED)), b"large"]


def test_what_is_given_back_to_the_head_is_dealt_before_the_others() -> None:
    front, queue = Front("default"), Queue()
    queue.add("gpu", "gpu")
    turn(front, queue, 0.0, needs_nothing)
    queue.add("back", at_front=True)

    placed = [turn(front, queue, 0.01 * number, needs_nothing) for number in range(1, 5)]

    assert list(chain.from_iterable(placed)) == ["back"]
    assert aside(front) == ["gpu"]
    assert not front.is_restless


def test_what_left_the_queue_is_forgotten_and_nothing_behind_it_is_missed() -> None:
    front, queue = Front("default"), Queue()
    for number in range(40):
        queue.add(f"gpu {number}", "gpu")
    turn(front, queue, 0.0, needs_nothing)
    del queue.ids[10:30]  # canceled
    queue.add("plain")

    placed = [turn(front, queue, 0.01 * number, needs_nothing) for number in range(1, 5)]

    assert list(chain.from_iterable(placed)) == ["plain"]
    assert aside(front) == [f"gpu {number}" for number in (*range(10), *range(30, 40))]


def test_an_id_that_stands_there_twice_hides_nothing_behind_it() -> None:
    front, queue = Front("default"), Queue()
    for job_id in ("gpu", "other", "gpu"):
        queue.add(job_id, "gpu")
    queue.add("plain")

    placed = [turn(front, queue, 0.6 * number, needs_nothing) for number in range(5)]

    assert list(chain.from_iterable(placed)) == ["plain"]
    assert aside(front) == ["gpu", "other"]
    assert not front.is_restless


def test_a_job_that_was_declined_is_read_anew_as_that_ends() -> None:
    front, queue = Front("default"), Queue()
    queue.add("declined")
    queue.declined[b"declined"] = json.dumps({"one|1-a": {"until": 100.0, "reason": "busy"}})

    def accepts(job: WaitingJob) -> bool:
        return not job.declined_by

    assert turn(front, queue, 90.0, accepts) == []
    assert next(iter(front.aside)).declined_by == {"one|1-a"}
    turn(front, queue, 101.5, accepts)
    assert turn(front, queue, 101.6, accepts) == ["declined"] or not queue.ids


def test_so_many_step_aside_and_no_more() -> None:
    front, queue = Front("default"), Queue()
    for number in range(MOST_ASIDE + PAGE):
        queue.add(f"gpu {number}", "gpu")
    queue.add("plain")

    for number in range(MOST_ASIDE // PAGE + 5):
        assert turn(front, queue, 0.001 * number, needs_nothing) == []
    assert len(front.aside) == MOST_ASIDE


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_whatever_happens_to_the_queue_all_that_fits_is_dealt_soon(data: st.DataObject) -> None:
    """Jobs come at both ends, leave, need this or that, and hosts for them come and go; then what fits is gone."""
    front, queue = Front("default"), Queue()
    now, number = 0.0, 0
    labels: set[str] = set()

    def fits(job: WaitingJob) -> bool:
        return job.requires <= labels

    for _ in range(data.draw(st.integers(1, 12))):
        action = data.draw(st.sampled_from(["add", "front", "leave", "host", "look", "twice"]))
        if action in ("add", "front"):
            for _ in range(data.draw(st.integers(1, 5))):
                queue.add(f"{number}", data.draw(st.sampled_from(["", "gpu", "large"])), at_front=action == "front")
                number += 1
        elif action == "leave" and queue.ids:
            queue.ids.pop(data.draw(st.integers(0, len(queue.ids) - 1)))
        elif action == "twice" and queue.ids:
            queue.ids.insert(data.draw(st.integers(0, len(queue.ids))), data.draw(st.sampled_from(queue.ids)))
        elif action == "host":
            labels ^= {data.draw(st.sampled_from(["gpu", "large"]))}
        now += data.draw(st.sampled_from([0.01, 0.3, 2.0]))
        turn(front, queue, now, fits, room=data.draw(st.integers(0, 4)))

    for _ in range(60):
        now += 0.05
        turn(front, queue, now, fits)

    assert all(queue.requires[job_id] and queue.requires[job_id] not in labels for job_id in queue.ids)
    assert not front.is_restless
    assert [job.job_id for job in front.aside] == list(dict.fromkeys(queue.ids))
