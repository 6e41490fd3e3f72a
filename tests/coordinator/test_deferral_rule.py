"""When a queue counts as deferred."""

from dataclasses import replace

import pytest

from farm.coordinator.deferral import NO_HOST, describe_hosts, is_deferred, why_nothing_can_be_placed
from tests.support.host_views import IDLE


def hosts(*states: str):
    return [replace(IDLE, name=f"h{number}", state=state) for number, state in enumerate(states)]


@pytest.mark.parametrize(
    ("waiting", "states", "expected"),
    [
        (1, ["full"], "every host is full"),
        (1, ["full", "draining", "full"], "every host is full or draining"),
        (1, ["unhealthy"], "every host is unhealthy"),
        (1, ["full", "available"], None),
        (1, ["full", "starting"], None),
        (0, ["full"], None),
        (-1, ["full"], None),
        (1, [], NO_HOST),
    ],
)
def test_why_nothing_can_be_placed(waiting: int, states: list[str], expected: str | None) -> None:
    assert why_nothing_can_be_placed(waiting, hosts(*states), served_elsewhere=False) == expected


def test_a_queue_that_stock_workers_serve_is_not_deferred_for_want_of_hosts() -> None:
    assert why_nothing_can_be_placed(1, [], served_elsewhere=True) is None


def test_a_deferral_begins_after_a_second_without_placing_and_survives_replacements() -> None:
    assert not is_deferred(False, blocked_for=0.9, placed_ago=99)
    assert not is_deferred(False, blocked_for=99, placed_ago=0.5)
    assert is_deferred(False, blocked_for=1.0, placed_ago=1.0)
    assert is_deferred(True, blocked_for=0.0, placed_ago=0.0)


def test_hosts_are_named_with_their_loads() -> None:
    assert describe_hosts([replace(IDLE, name="a", load=0.91234), replace(IDLE, name="b", load=1)]) == "a=0.912,b=1.000"
