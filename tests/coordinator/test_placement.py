"""Which host gets the next job."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.coordinator.forecast import LEAST_COST, cost_of_a_job
from farm.coordinator.placement import plan, takes_jobs
from farm.coordinator.waiting import dealt_blind
from farm.store.survey import HostView
from tests.support.host_views import IDLE, host_view


def host(name: str, **fields) -> HostView:
    return host_view(name, **{"boot_id": f"machine-{name}"} | fields)


def names(hosts: list[HostView], order: list[int]) -> str:
    return "".join(hosts[index].name for index in order)


def test_the_host_with_the_most_headroom_comes_first() -> None:
    hosts = [host("a", load=0.6), host("b", load=0.1)]

    assert names(hosts, plan(hosts, dealt_blind({"default": 3})).order) == "bba"


def test_equal_hosts_take_turns() -> None:
    hosts = [host("a"), host("b")]

    assert names(hosts, plan(hosts, dealt_blind({"default": 4})).order) == "abab"


def test_hosts_of_one_machine_share_what_is_added() -> None:
    hosts = [host("a", boot_id="m"), host("b", boot_id="m"), host("c", boot_id="other")]

    assert Counter(names(hosts, plan(hosts, dealt_blind({"default": 6})).order)) == {"c": 3, "a": 2, "b": 1}


def test_what_was_placed_since_the_last_beat_counts() -> None:
    hosts = [host("a", held=2, assigned=0), host("b", load=0.3)]

    assert names(hosts, plan(hosts, dealt_blind({"default": 1})).order) == "b"


def test_a_free_slot_comes_before_a_place_in_an_inbox() -> None:
    hosts = [host("a", slots=1, capacity=4), host("b", slots=1, capacity=4, load=0.7)]

    assert names(hosts, plan(hosts, dealt_blind({"default": 2})).order) == "ab"


def test_a_host_gets_only_jobs_of_its_own_queues() -> None:
    hosts = [host("a", queues=("high",)), host("b", queues=("low", "high"))]

    assert names(hosts, plan(hosts, dealt_blind({"low": 2, "high": 0, "other": 5})).order) == "bb"


def test_a_broken_queue_is_not_planned_for() -> None:
    assert plan([IDLE], dealt_blind({"default": -1})).order == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"state": "full"}, True),
        ({"state": "draining"}, False),
        ({"state": "unhealthy"}, False),
        ({"state": "starting"}, False),
        ({"beat_at": 1000.0 - 3.0}, False),
        ({"held": 4}, False),
        ({"held": 9}, False),
    ],
)
def test_which_hosts_take_jobs(fields: dict[str, object], expected: bool) -> None:
    assert takes_jobs(replace(IDLE, **fields), now=1000.0, suspect_after=3.0) is expected


def test_a_job_costs_a_slots_share_until_measured_to_cost_less() -> None:
    assert cost_of_a_job(IDLE) == 0.25
    assert cost_of_a_job(replace(IDLE, busy=2, load=0.9)) == 0.25
    assert cost_of_a_job(replace(IDLE, busy=2, load=0.1)) == 0.05
    assert cost_of_a_job(replace(IDLE, busy=2, load=0.0)) == LEAST_COST


host_views = st.builds(
    host,
    st.sampled_from("abcdef"),
    load=st.floats(0, 1),
    slots=st.integers(0, 8),
    busy=st.integers(0, 8),
    held=st.integers(0, 10),
    assigned=st.integers(0, 10),
    capacity=st.integers(0, 10),
    boot_id=st.sampled_from(["", "m1", "m2"]),
    queues=st.lists(st.sampled_from(["q1", "q2", "q3"]), max_size=3, unique=True).map(tuple),
)


@given(
    hosts=st.lists(host_views, max_size=6),
    waiting=st.dictionaries(st.sampled_from(["q1", "q2", "q3"]), st.integers(-1, 20)),
    at_most=st.integers(0, 30),
)
def test_a_plan_fits_and_leaves_nothing_that_would_fit(
    hosts: list[HostView], waiting: dict[str, int], at_most: int
) -> None:
    order = plan(hosts, dealt_blind(waiting), at_most=at_most).order

    given_to = Counter(order)
    assert len(order) <= at_most
    assert all(count <= hosts[index].room for index, count in given_to.items())
    left = {queue: max(0, count) for queue, count in waiting.items()}
    for index in order:
        left[next(queue for queue in hosts[index].queues if left.get(queue, 0) > 0)] -= 1
    if len(order) < at_most:
        for index, view in enumerate(hosts):
            assert given_to[index] >= view.room or not any(left.get(queue) for queue in view.queues)
