"""What was used before is charged at once, and how hosts of one machine share it."""

from collections import Counter
from dataclasses import replace

import pytest

from farm.coordinator.costs import Costs
from farm.coordinator.placement import plan
from farm.coordinator.waiting import WaitingJob, WaitingQueue, dealt_blind
from farm.store.survey import HostView
from tests.coordinator.test_costs import Usage
from tests.support.host_views import host_view

GIGABYTE = 1 << 30
ONE_CPU = Costs([Usage("default", "f", 1, 1.0, 0)])


def host(name: str, **fields) -> HostView:
    return host_view(name, **{"boot_id": f"machine-{name}", "cpu_count": 4.0, "slots": 64, "capacity": 64} | fields)


def names(hosts: list[HostView], order: list[int]) -> str:
    return "".join(hosts[index].name for index in order)


def test_a_burst_spreads_by_what_a_job_used_before() -> None:
    hosts = [host("a", load=0.5, others_load=0.5), host("b")]

    assert Counter(names(hosts, plan(hosts, dealt_blind({"default": 6}), ONE_CPU).order)) == {"b": 4, "a": 2}


def test_a_machine_with_more_cpus_gets_more_of_the_same_jobs() -> None:
    hosts = [host("a", cpu_count=4.0), host("b", cpu_count=16.0)]

    assert Counter(names(hosts, plan(hosts, dealt_blind({"default": 20}), ONE_CPU).order)) == {"b": 16, "a": 4}


def test_jobs_that_a_mean_over_seconds_does_not_show_yet_count() -> None:
    hosts = [host("a", held=3, assigned=3, busy=3, load=0.1), host("b", load=0.3, others_load=0.3)]

    assert names(hosts, plan(hosts, dealt_blind({"default": 1}), ONE_CPU).order) == "b"


def test_jobs_that_turn_out_heavier_than_ever_count_as_the_host_shows() -> None:
    hosts = [host("a", held=1, assigned=1, busy=1, load=0.9), host("b", held=3, assigned=3, busy=3, load=0.75)]

    assert names(hosts, plan(hosts, dealt_blind({"default": 1}), ONE_CPU).order) == "b"


def test_the_load_that_an_app_tells_is_not_counted_in_cpus() -> None:
    hosts = [host("a", held=4, assigned=4, busy=4, load=0.2, load_source="app"), host("b", load=0.4, others_load=0.4)]

    assert names(hosts, plan(hosts, dealt_blind({"default": 4}), ONE_CPU).order) == "aaaa"


def test_hosts_of_one_machine_share_its_cpus() -> None:
    hosts = [host("a", boot_id="m"), host("b", boot_id="m"), host("c", boot_id="n")]

    assert Counter(names(hosts, plan(hosts, dealt_blind({"default": 8}), ONE_CPU).order)) == {"c": 4, "a": 2, "b": 2}


def test_a_host_with_a_small_quota_is_full_of_its_own_jobs_first() -> None:
    hosts = [host("a", boot_id="m", cpu_count=1.0), host("b", boot_id="m", cpu_count=4.0)]

    assert Counter(names(hosts, plan(hosts, dealt_blind({"default": 4}), ONE_CPU).order)) == {"b": 3, "a": 1}


def test_what_a_lost_host_held_does_not_all_land_on_the_host_with_the_least_load() -> None:
    hosts = [host(name, load=0.1 * number, others_load=0.1 * number) for number, name in enumerate("abcd")]

    spread = Counter(names(hosts, plan(hosts, dealt_blind({"default": 8}), ONE_CPU).order))

    assert max(spread.values()) <= 3
    assert spread.keys() == set("abcd")


def test_equal_hosts_take_turns_from_plan_to_plan() -> None:
    hosts = [host("a"), host("b"), host("c", load=0.005)]

    given = [plan(hosts, dealt_blind({"default": 1}), turn=turn).order for turn in range(6)]

    assert given == [[0], [1], [2], [0], [1], [2]]


def test_a_difference_that_is_more_than_noise_decides_before_turns() -> None:
    hosts = [host("a", load=0.1), host("b")]

    assert [plan(hosts, dealt_blind({"default": 1}), turn=turn).order for turn in range(3)] == [[1], [1], [1]]


def test_a_host_whose_memory_would_pass_its_line_comes_last_but_not_never() -> None:
    costs = Costs([Usage("default", "f", 1, 0.1, GIGABYTE)])
    hosts = [host("a", memory_left=2 * GIGABYTE), host("b", load=0.6, memory_left=8 * GIGABYTE, capacity=3)]

    assert names(hosts, plan(hosts, dealt_blind({"default": 7}), costs).order) == "aabbbaa"


def test_memory_is_shared_on_one_machine() -> None:
    costs = Costs([Usage("default", "f", 1, 0.0, GIGABYTE)])
    hosts = [host(name, boot_id="m", memory_left=2 * GIGABYTE) for name in "ab"]
    hosts.append(host("c", load=0.7, memory_left=8 * GIGABYTE))

    assert names(hosts, plan(hosts, dealt_blind({"default": 4}), costs).order) == "abcc"


def test_a_job_is_charged_as_its_own_function_where_that_is_known() -> None:
    costs = Costs([Usage("default", "light", 1, 0.01, 0), Usage("default", "heavy", 1, 3.0, 0)])
    functions = ("heavy", "light", "light", "light")
    jobs = tuple(
        WaitingJob(f"{number}".encode(), "default", function, frozenset({"x"}))
        for number, function in enumerate(functions)
    )
    hosts = [host(name, labels=frozenset({"x"})) for name in "ab"]

    dealt = plan(hosts, {"default": WaitingQueue(4, jobs)}, costs)

    assert [hosts[index].name for _, index in dealt.assigned] == ["a", "b", "b", "b"]


@pytest.mark.parametrize(("ramp", "given"), [(0, 0), (2, 2), (100, 64)])
def test_a_host_that_recovers_is_given_no_more_than_its_ramp_allows(ramp: int, given: int) -> None:
    hosts = [host("a")]

    assert len(plan(hosts, dealt_blind({"default": 100}), ramps={"a": ramp}).order) == given


def test_nothing_is_planned_where_nothing_can_be() -> None:
    assert plan([], dealt_blind({"default": 3}), ONE_CPU).total == 0
    assert plan([replace(host("a"), capacity=0)], dealt_blind({"default": 3}), ONE_CPU).total == 0


def test_jobs_that_were_looked_at_are_charged_by_their_own_function() -> None:
    costs = Costs([Usage("default", "heavy", 1, 2.0, 0), Usage("default", "light", 9, 0.01, 0)])
    functions = ["heavy", *["light"] * 9]
    looked_at = tuple(WaitingJob(b"%d" % number, "default", name) for number, name in enumerate(functions))

    order = plan([host("a"), host("b")], {"default": WaitingQueue(10, looked_at)}, costs).order

    assert names([host("a"), host("b")], order) == "a" + 9 * "b"
