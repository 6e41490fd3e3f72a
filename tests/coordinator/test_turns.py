"""In which order a host is asked for its queues, where that changes from job to job."""

from farm.coordinator.turns import Turns
from farm.store.placement import Placed
from farm.store.survey import HostView
from tests.support.host_views import host_view


def host(strategy: str) -> HostView:
    return host_view(slots=1, capacity=1, queues=("one", "two", "three"), dequeue_strategy=strategy)


def placed(queue: str) -> Placed:
    return Placed(on_host={"a": 1}, from_queue={queue: 1}, unreadable=())


def test_queues_take_turns_after_the_one_that_the_last_job_came_from() -> None:
    turns = Turns()
    assert turns.facing(host("round_robin")).queues == ("one", "two", "three")
    turns.note("a", placed("one"))
    assert turns.facing(host("round_robin")).queues == ("two", "three", "one")
    turns.note("a", placed("three"))
    assert turns.facing(host("round_robin")).queues == ("one", "two", "three")


def test_a_job_that_was_not_placed_is_nobodys_turn() -> None:
    turns = Turns()
    turns.note("a", placed("one"))
    turns.note("a", Placed({}, {}, ()))
    assert turns.facing(host("round_robin")).queues == ("two", "three", "one")


def test_the_first_queue_comes_before_the_others_unless_asked_otherwise() -> None:
    turns = Turns()
    turns.note("a", placed("one"))
    assert turns.facing(host("default")).queues == ("one", "two", "three")


def test_random_order_is_another_one_now_and_then() -> None:
    orders = {Turns().facing(host("random")).queues for _ in range(200)}
    assert len(orders) > 1
    assert all(sorted(order) == ["one", "three", "two"] for order in orders)
