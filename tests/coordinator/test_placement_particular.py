"""Jobs that may not go to each host: labels, memory, hosts that declined, and what steps aside."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.coordinator.costs import NOTHING_KNOWN, Costs
from farm.coordinator.placement import plan
from farm.coordinator.waiting import WaitingJob, WaitingQueue
from farm.store.survey import HostView
from tests.coordinator.test_costs import Usage
from tests.support.host_views import host_view

MEGABYTE = 1_000_000
GPU = frozenset({"gpu"})


def host(name: str, **fields) -> HostView:
    return host_view(name, **{"boot_id": f"machine-{name}", "memory_left": 1000 * MEGABYTE} | fields)


def job(name: str, queue: str = "default", **fields) -> WaitingJob:
    return WaitingJob(name.encode(), queue, **fields)


def waiting(*jobs: WaitingJob, more: int = 0) -> dict[str, WaitingQueue]:
    queues = {each.queue: tuple(one for one in jobs if one.queue == each.queue) for each in jobs}
    return {queue: WaitingQueue(len(theirs) + more, theirs) for queue, theirs in queues.items()}


def told(hosts: list[HostView], dealt) -> list[str]:
    return [f"{one.job_id.decode()}>{hosts[index].name}" for one, index in dealt.assigned]


def test_a_job_goes_only_where_its_labels_are() -> None:
    hosts = [host("a"), host("b", load=0.7, labels=GPU | {"ssd"}), host("c", labels=frozenset({"ssd"}))]

    dealt = plan(hosts, waiting(job("1", requires=GPU)))

    assert told(hosts, dealt) == ["1>b"]
    assert dealt.order == []
    assert dealt.one_by_one == {"default"}


def test_jobs_that_do_not_fit_are_stepped_over_and_block_nobody() -> None:
    hosts = [host("a")]

    dealt = plan(hosts, waiting(job("1", requires=GPU), job("2"), job("3", requires=GPU), job("4")))

    assert told(hosts, dealt) == ["2>a", "4>a"]
    assert [one.job_id for one in dealt.aside] == [b"1", b"3"]


def test_a_job_that_waits_for_room_does_not_step_aside() -> None:
    hosts = [host("a", capacity=1, held=1), host("b", capacity=1, labels=GPU)]

    dealt = plan(hosts, waiting(job("1"), job("2", requires=GPU)))

    assert told(hosts, dealt) == ["1>b"]
    assert dealt.aside == []


def test_a_job_whose_hosts_have_no_room_steps_aside_while_others_have() -> None:
    hosts = [host("a"), host("b", capacity=0, labels=GPU)]

    assert plan(hosts, waiting(job("1", requires=GPU))).aside == [job("1", requires=GPU)]


def test_a_host_with_room_that_does_not_serve_the_queue_moves_nothing_aside() -> None:
    hosts = [host("a", queues=("other",))]

    assert plan(hosts, waiting(job("1", requires=GPU))).aside == []


def test_memory_that_a_job_asks_for_is_never_more_than_is_left() -> None:
    hosts = [host("a")]

    dealt = plan(hosts, waiting(*(job(str(number), memory_mb=400) for number in range(3))))

    assert told(hosts, dealt) == ["0>a", "1>a"]
    assert [one.job_id for one in dealt.aside] == [b"2"]


def test_hosts_of_one_machine_have_its_memory_once() -> None:
    hosts = [host(name, boot_id="m") for name in "ab"]

    dealt = plan(hosts, waiting(*(job(str(number), memory_mb=400) for number in range(3))))

    assert told(hosts, dealt) == ["0>a", "1>b"]


def test_a_host_whose_memory_nobody_knows_gets_no_job_that_asks_for_some() -> None:
    assert plan([host("a", memory_left=None)], waiting(job("1", memory_mb=1))).assigned == []


def test_a_job_that_uses_more_than_it_asks_for_counts_with_that() -> None:
    costs = Costs([Usage("default", "f", 1, 0.1, 700 * MEGABYTE)])
    jobs = [job("1", memory_mb=100, function="f"), job("2", memory_mb=400, function="g")]

    assert told([host("a")], plan([host("a")], waiting(*jobs), costs)) == ["1>a"]


def test_a_host_that_declined_is_not_asked_again_in_the_same_run() -> None:
    hosts = [host("a"), host("b", load=0.7)]
    declined = job("1", declined_by=frozenset({"a|1-a"}))

    assert told(hosts, plan(hosts, waiting(declined))) == ["1>b"]
    restarted = [replace(hosts[0], identity="2-a"), hosts[1]]
    assert told(restarted, plan(restarted, waiting(declined))) == ["1>a"]


def test_a_host_takes_its_first_queue_before_the_others_whatever_way_they_are_dealt() -> None:
    hosts = [host("a", queues=("blind", "particular"), capacity=3)]
    queues = waiting(job("1", "particular", requires=GPU), job("2", "particular"))

    dealt = plan(hosts, queues | {"blind": WaitingQueue(2)})

    assert dealt.order == [0, 0]
    assert told(hosts, dealt) == ["2>a"]
    turned = plan([replace(hosts[0], queues=("particular", "blind"))], queues | {"blind": WaitingQueue(5)})
    assert (len(turned.order), len(turned.assigned)) == (2, 1)


def test_jobs_of_later_queues_do_not_overtake_those_that_were_not_looked_at() -> None:
    hosts = [host("a", queues=("first", "second"))]

    dealt = plan(hosts, waiting(job("1", "first", requires=GPU), more=10) | {"second": WaitingQueue(3)})

    assert dealt.total == 0
    assert dealt.looks_again
    assert [one.job_id for one in dealt.aside] == [b"1"]


def test_nobody_looks_again_when_all_hosts_have_what_they_take() -> None:
    hosts = [host("a", capacity=1)]

    assert not plan(hosts, waiting(job("1", memory_mb=1), more=10)).looks_again


def test_a_host_that_takes_turns_among_its_queues_does_so_within_a_plan() -> None:
    hosts = [host("a", queues=("p", "q"), dequeue_strategy="round_robin")]
    jobs = [job(f"{queue}{number}", queue, memory_mb=1) for queue in "pq" for number in range(2)]

    assert told(hosts, plan(hosts, waiting(*jobs))) == ["p0>a", "q0>a", "p1>a", "q1>a"]


def test_a_queue_whose_jobs_may_go_anywhere_is_dealt_blind() -> None:
    hosts = [host("a")]

    dealt = plan(hosts, waiting(job("1"), job("2")))

    assert dealt.order == [0, 0]
    assert not dealt.one_by_one


LABELS = st.frozensets(st.sampled_from(["gpu", "ssd"]))
QUEUES = ["q1", "q2"]
host_views = st.builds(
    host,
    st.sampled_from("abc"),
    load=st.floats(0, 1),
    slots=st.integers(1, 6),
    held=st.integers(0, 4),
    assigned=st.integers(0, 4),
    capacity=st.integers(0, 8),
    boot_id=st.sampled_from(["", "m"]),
    queues=st.lists(st.sampled_from(QUEUES), min_size=1, unique=True).map(tuple),
    labels=LABELS,
    memory_left=st.one_of(st.none(), st.integers(0, 900 * MEGABYTE)),
)
waiting_jobs = st.builds(
    job,
    st.just("x"),
    st.sampled_from(QUEUES),
    requires=LABELS,
    memory_mb=st.sampled_from([0, 0, 100, 300]),
    declined_by=st.frozensets(st.sampled_from(["a|1-a", "b|1-b"])),
    function=st.sampled_from(["f", "g"]),
)
some_costs = st.sampled_from([NOTHING_KNOWN, Costs([Usage("q1", "f", 1, 0.5, 50 * MEGABYTE)])])


def could_take(view: HostView, one: WaitingJob, left: int | None) -> bool:
    return (
        one.queue in view.queues
        and one.requires <= view.labels
        and f"{view.name}|{view.identity}" not in one.declined_by
        and (one.memory_mb == 0 or (left is not None and left >= one.memory_mb * MEGABYTE))
    )


@given(
    hosts=st.lists(host_views, max_size=4, unique_by=lambda view: view.name),
    jobs=st.lists(waiting_jobs, max_size=12),
    ramps=st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)),
    at_most=st.integers(0, 14),
    costs=some_costs,
)
def test_a_plan_respects_what_jobs_need_and_leaves_nothing_that_fits(
    hosts: list[HostView], jobs: list[WaitingJob], ramps: dict[str, int], at_most: int, costs: Costs
) -> None:
    jobs = [replace(one, job_id=str(number).encode()) for number, one in enumerate(jobs)]
    queues = waiting(*jobs)

    dealt = plan(hosts, queues, costs, ramps, at_most)

    rooms = [min(view.room, ramps.get(view.name, view.room)) for view in hosts]
    promised: dict[str, int] = {}
    for index in dealt.order:
        rooms[index] -= 1
    for one, index in dealt.assigned:
        rooms[index] -= 1
        view = hosts[index]
        machine = view.boot_id or view.name
        left = None if view.memory_left is None else view.memory_left - promised.get(machine, 0)
        assert could_take(view, one, left)
        promised[machine] = promised.get(machine, 0) + one.memory_mb * MEGABYTE
    assert min(rooms, default=0) >= 0
    assert dealt.total <= at_most
    placed = [one.job_id for one, _ in dealt.assigned]
    assert len(set(placed)) == len(placed)
    aside = {one.job_id for one in dealt.aside}
    assert aside.isdisjoint(placed)

    rest = [one for one in jobs if one.queue in dealt.one_by_one and one.job_id not in placed]
    for one in rest:
        serving = [index for index, room in enumerate(rooms) if room > 0 and one.queue in hosts[index].queues]
        if one.job_id in aside:
            assert serving, "stepped aside, though no host waits for the queue"
            # what is charged for other jobs may only make less of the memory that is left
            assert not any(could_take(hosts[index], replace(one, memory_mb=0), None) for index in serving) or (
                one.memory_mb > 0
            )
        elif dealt.total < at_most:
            assert not serving, "left in the way of others, or could have been placed"


@given(jobs=st.lists(waiting_jobs, min_size=2, max_size=12), hosts=st.lists(host_views, min_size=1, max_size=4))
def test_jobs_of_one_kind_are_dealt_in_the_order_of_their_queue(jobs: list[WaitingJob], hosts: list[HostView]) -> None:
    jobs = [replace(one, job_id=b"%d" % number) for number, one in enumerate(jobs)]

    dealt = plan(hosts, waiting(*jobs))

    placed = [one for one, _ in dealt.assigned]
    for one in jobs:
        if one.queue in dealt.one_by_one and one not in placed:
            behind = [each for each in placed if int(each.job_id) > int(one.job_id)]
            kind = (one.queue, one.requires, one.memory_mb, one.declined_by)
            assert kind not in [(each.queue, each.requires, each.memory_mb, each.declined_by) for each in behind]


@pytest.mark.parametrize("fields", [{"requires": GPU}, {"memory_mb": 1}, {"declined_by": frozenset({"a|1-a"})}])
def test_what_makes_a_job_particular(fields: dict[str, object]) -> None:
    assert job("1", **fields).is_particular
    assert not job("1", function="f").is_particular
