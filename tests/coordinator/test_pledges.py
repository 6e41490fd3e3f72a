"""Memory that was promised to jobs and is not used yet."""

from farm.coordinator.pledges import MEGABYTE, PLEDGE_SECONDS, Pledges
from farm.store.survey import HostView
from tests.support.host_views import host_view


def host(name: str = "a", left: int | None = 1000, **fields: object) -> HostView:
    return host_view(name, memory_left=None if left is None else left * MEGABYTE, boot_id="m", **fields)


def left(pledges: Pledges, view: HostView, now: float) -> float | None:
    memory = pledges.applied([view], now)[0].memory_left
    return None if memory is None else memory / MEGABYTE


def test_what_was_promised_is_missing_at_the_next_plan() -> None:
    pledges = Pledges()
    pledges.note(host(), 400, 0.0)
    pledges.note(host(), 400, 0.1)

    assert left(pledges, host(), 0.2) == 200


def test_memory_that_a_job_took_meanwhile_counts_once() -> None:
    pledges = Pledges()
    pledges.note(host(), 400, 0.0)

    assert left(pledges, host(left=600), 1.0) == 600
    assert left(pledges, host(left=500), 1.0) == 500


def test_a_promise_ends() -> None:
    pledges = Pledges()
    pledges.note(host(), 400, 0.0)

    assert left(pledges, host(), PLEDGE_SECONDS) == 1000


def test_hosts_of_one_machine_share_promises() -> None:
    pledges = Pledges()
    pledges.note(host("a"), 400, 0.0)

    assert left(pledges, host("b"), 0.1) == 600
    assert left(pledges, host("b", left=100), 0.1) == 0


def test_memory_that_nobody_knows_stays_unknown() -> None:
    pledges = Pledges()
    pledges.note(host(left=None), 400, 0.0)

    assert left(pledges, host(left=None), 0.1) is None
