"""Which host may take the next jobs of an empty queue by itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.coordinator.reservation import CLEARLY, MOST_QUEUES, helps_itself, may_take, reservations, sole_hosts
from farm.store.survey import HostView
from tests.support.host_views import host_view


def host(name: str, **fields) -> HostView:
    return host_view(name, **{"slots": 2, "dequeue_strategy": "default"} | fields)


def test_a_queue_is_reserved_for_the_host_with_the_least_load() -> None:
    hosts = [host("a", load=0.5), host("b", load=0.2), host("c", load=0.3)]

    assert reservations(hosts, ["default"], {}) == {"default": "b"}


def test_of_equal_load_the_one_with_fewer_jobs_is_chosen_and_then_the_first_by_name() -> None:
    assert reservations([host("a", held=1), host("b")], ["default"], {}) == {"default": "b"}
    assert reservations([host("b"), host("a")], ["default"], {}) == {"default": "a"}


def test_a_host_keeps_a_queue_until_another_has_clearly_less_load() -> None:
    before = {"default": "b"}

    assert reservations([host("a", load=0.2), host("b", load=0.2 + CLEARLY * 0.9)], ["default"], before) == before
    assert reservations([host("a", load=0.2), host("b", load=0.2 + CLEARLY * 1.1)], ["default"], before) == {
        "default": "a"
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "full"},
        {"state": "draining"},
        {"state": "unhealthy"},
        {"state": "starting"},
        {"held": 2},
        {"capacity": 0},
        {"capacity": 1, "held": 1},
        {"slots": 0},
        {"dequeue_strategy": "round_robin"},
        {"dequeue_strategy": "random"},
    ],
    ids=str,
)
def test_a_host_where_a_job_would_not_begin_at_once_or_in_turn_is_given_nothing_though_it_had_it(
    fields: dict[str, object],
) -> None:
    unable = host("a", **fields)

    assert not may_take(unable)
    assert reservations([unable], ["default"], {"default": "a"}) == {}
    assert reservations([unable, host("b", load=0.7)], ["default"], {"default": "a"}) == {"default": "b"}


def test_a_queue_that_no_host_serves_is_reserved_for_nobody() -> None:
    assert reservations([host("a")], ["other"], {"other": "a"}) == {}
    assert reservations([], ["default"], {"default": "a"}) == {}


def test_a_host_has_so_many_queues_at_most_and_the_next_host_gets_the_others() -> None:
    queues = tuple(f"queue-{number}" for number in range(MOST_QUEUES + 3))

    alone = reservations([host("a", queues=queues)], queues, {})
    both = reservations([host("a", queues=queues), host("b", queues=queues, load=0.5)], queues, {})

    assert list(alone) == list(queues[:MOST_QUEUES])
    assert [both[queue] for queue in queues] == ["a"] * MOST_QUEUES + ["b"] * 3


@given(
    st.lists(
        st.builds(
            host,
            st.sampled_from("abcdef"),
            state=st.sampled_from(["available", "full", "draining"]),
            load=st.floats(0, 1),
            slots=st.integers(0, 3),
            held=st.integers(0, 4),
            capacity=st.integers(0, 4),
            queues=st.sets(st.sampled_from(["p", "q", "r"])).map(tuple),
            dequeue_strategy=st.sampled_from(["default", "random"]),
        ),
        unique_by=lambda one: one.name,
    ),
    st.dictionaries(st.sampled_from(["p", "q", "r"]), st.sampled_from("abcdefg")),
)
def test_each_queue_has_one_able_host_if_there_is_any_and_nothing_moves_while_nothing_changes(
    hosts: list[HostView], before: dict[str, str]
) -> None:
    chosen = reservations(hosts, ["p", "q", "r"], before)

    for queue in ("p", "q", "r"):
        able = {one.name for one in hosts if may_take(one) and queue in one.queues}
        assert chosen.get(queue) in (able or {None})
    assert reservations(hosts, ["p", "q", "r"], chosen) == chosen


def sole_names(*hosts: HostView) -> list[str]:
    return [host.name for host in sole_hosts(hosts)]


def test_a_host_is_sole_as_long_as_no_other_serves_any_of_its_queues() -> None:
    mine, both = host("a", queues=("p", "q")), host("b", queues=("r",))

    assert sole_names(mine, both) == ["a", "b"]
    assert sole_names(mine, host("b", queues=("r", "q"))) == []
    assert sole_names(mine, both, host("c", queues=("r",), state="draining")) == ["a"]


def test_a_host_that_has_the_coordinator_choose_between_its_queues_is_never_sole() -> None:
    assert sole_names(host("a", dequeue_strategy="round_robin"), host("b", queues=("p",), dequeue_strategy="")) == []


def test_a_queue_that_a_host_names_twice_is_its_own() -> None:
    assert sole_names(host("a", queues=("p", "p"))) == ["a"]


@pytest.mark.parametrize(
    ("fields", "waiting", "helps"),
    [
        ({"held": 2, "capacity": 4}, 3, True),
        ({"held": 2, "capacity": 4}, 2, False),
        ({"held": 1, "capacity": 4}, 9, False),
        ({"held": 2, "capacity": 4, "state": "full"}, 9, False),
        ({"held": 2, "capacity": 2}, 1, True),
        ({"held": 2, "capacity": 2}, -1, False),
    ],
    ids=["backlog", "there is room for all", "a process idles", "full", "no room", "unreadable"],
)
def test_a_sole_host_with_a_job_for_each_process_helps_itself_to_what_is_more_than_it_has_room_for(
    fields: dict, waiting: int, helps: bool
) -> None:
    assert helps_itself(host("a", **fields), {"default": waiting, "other": 99}) is helps
