"""How many hosts are wanted: by what waits and runs, by what a host carries, by how long jobs take."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.scale import HostWork, QueueWork, ScaleFacts, ScaleWishes, desired_hosts, jobs_per_host, slots_needed

FREE = HostWork(slots=8, running=0, is_full=False)
BUSY = HostWork(slots=8, running=8, is_full=False)
FULL = HostWork(slots=32, running=4, is_full=True, holds=5)
STARVED = HostWork(slots=8, running=0, is_full=True)
UNHEALTHY = HostWork(slots=8, running=0, is_full=False, is_unhealthy=True)
LONG, SHORT = ((1.0, 600.0),), ((1.0, 0.01),)


def farm(*hosts: HostWork, waiting: int = 0, durations: tuple[tuple[float, float], ...] = ()) -> ScaleFacts:
    running = sum(host.running for host in hosts)
    return ScaleFacts((QueueWork(waiting, running, durations),), hosts)


def wanted(facts: ScaleFacts, **wishes: float) -> int:
    return desired_hosts(facts, ScaleWishes(**wishes))[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "number"),
    [
        pytest.param(farm(), 0, id="nothing at all"),
        pytest.param(farm(FREE, FREE), 0, id="nothing waits or runs"),
        pytest.param(farm(waiting=1), 1, id="something waits and there is no host"),
        pytest.param(farm(waiting=500), 1, id="much waits and nothing tells what a host carries"),
        pytest.param(farm(FREE, waiting=8), 1, id="it fits the slots"),
        pytest.param(farm(FREE, waiting=9), 2, id="one too many"),
        pytest.param(farm(BUSY, waiting=1), 2, id="all slots are busy"),
        pytest.param(farm(BUSY, BUSY, waiting=16, durations=LONG), 4, id="long jobs need a slot each"),
        pytest.param(farm(BUSY, waiting=10_000, durations=SHORT), 1, id="10,000 of 10 ms are 3.3 slots for 30 s"),
        pytest.param(farm(BUSY, waiting=100_000, durations=SHORT), 5, id="100,000 of 10 ms are 33.3"),
        pytest.param(farm(BUSY, BUSY, BUSY, durations=SHORT), 3, id="no fewer than what runs now needs"),
        pytest.param(farm(FREE, FREE, replace(FREE, running=3)), 1, id="hosts that are not needed may go"),
        pytest.param(farm(FULL, waiting=10), 3, id="a full host carries what it holds, not its slots"),
        pytest.param(farm(replace(FULL, holds=0), waiting=4), 2, id="a strict one, what runs"),
        pytest.param(farm(STARVED, waiting=1), 2, id="a host that is full with nothing of its own needs another"),
        pytest.param(farm(STARVED, STARVED, waiting=1), 2, id="which is no help if it is so, too"),
        pytest.param(farm(FREE, UNHEALTHY, waiting=8), 2, id="an unhealthy one counts, and carries nothing"),
        pytest.param(farm(*[UNHEALTHY] * 5, waiting=8), 2, id="many unhealthy ones do not make it many more"),
        pytest.param(farm(STARVED, UNHEALTHY), 0, id="none is needed for nothing"),
    ],
)
def test_hosts_follow_what_waits_and_what_a_host_carries(facts: ScaleFacts, number: int) -> None:
    assert wanted(facts) == number


def test_the_time_to_work_it_off_decides_how_much_is_needed_for_short_jobs() -> None:
    facts = farm(FREE, waiting=1000, durations=((1.0, 2.0),))
    assert [wanted(facts, within=seconds) for seconds in (1000, 100, 10, 1)] == [1, 3, 25, 100]


def test_functions_of_a_queue_count_as_often_as_they_come() -> None:
    work = QueueWork(waiting=100, running=0, durations=((9.0, 0.0), (1.0, 60.0)))
    assert work.slots_per_job(30) == pytest.approx(0.1)


def test_least_and_most_hold_and_are_said() -> None:
    assert desired_hosts(farm(FREE), ScaleWishes(least=2)) == (2, "0 run and 0 wait: 0 slots, but at least 2")
    number, why = desired_hosts(farm(FREE, waiting=800), ScaleWishes(most=7))
    assert number == 7
    assert why.endswith("100 hosts, but at most 7")


def test_busy_hosts_are_kept_if_somebody_wants_it() -> None:
    facts = farm(*[replace(FREE, running=1)] * 4)
    assert wanted(facts) == 1
    number, why = desired_hosts(facts, ScaleWishes(keep_busy=True))
    assert number == 4
    assert why.endswith("1 host, but 4 run jobs")


def test_what_a_host_carries_can_be_given_before_there_is_one() -> None:
    number, why = desired_hosts(farm(waiting=500), ScaleWishes(jobs_per_host=25))
    assert number == 20
    assert "a host carries 25 (given): 20 hosts" in why


def test_what_cannot_start_while_rq_is_suspended_asks_for_no_host() -> None:
    facts = replace(farm(replace(FREE, running=2), waiting=100), suspended=True)
    number, why = desired_hosts(facts, ScaleWishes())
    assert number == 1
    assert why.startswith("2 run, and 100 cannot start as RQ is suspended: 2 slots")


def test_the_reason_names_the_numbers_it_comes_from() -> None:
    facts = farm(FULL, BUSY, waiting=60, durations=((1.0, 12.0),))
    number, why = desired_hosts(facts, ScaleWishes(within=30))
    assert number == 5
    assert why == (
        "12 run and 60 wait, 12 s each by what was measured, to be done in 30 s: 28.8 slots; "
        "a host carries 6.5 (on average; 1 of 2 are full): 5 hosts"
    )
    _, unmeasured = desired_hosts(farm(STARVED, FREE, waiting=1), ScaleWishes())
    assert "each with a slot of its own as nothing is known of how long they take: 1 slot;" in unmeasured
    assert unmeasured.endswith("a host carries 8 (its slots): 1 host, and 1 for the 1 that takes nothing now")


HOSTS = st.builds(
    HostWork,
    slots=st.integers(0, 64),
    running=st.integers(0, 64),
    is_full=st.booleans(),
    holds=st.integers(0, 64),
    is_unhealthy=st.booleans(),
)
QUEUES = st.builds(
    QueueWork,
    waiting=st.integers(0, 100_000),
    running=st.integers(0, 500),
    durations=st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), max_size=3).map(tuple),
)
FACTS = st.builds(
    ScaleFacts,
    queues=st.lists(QUEUES, max_size=4).map(tuple),
    hosts=st.lists(HOSTS, max_size=12).map(tuple),
    placed=st.integers(0, 100),
    suspended=st.booleans(),
)


@given(FACTS)
def test_what_runs_always_fits_the_hosts_that_are_wanted(facts: ScaleFacts) -> None:
    wishes = ScaleWishes(most=1_000_000)
    number, _ = desired_hosts(facts, wishes)
    running = sum(host.running for host in facts.hosts)
    assert number * (jobs_per_host(facts, wishes) or running) >= running - 1e-3
    assert slots_needed(facts, wishes) >= running
    assert (number > 0) == (slots_needed(facts, wishes) > 0)


@given(FACTS, st.integers(1, 1000))
def test_more_that_waits_never_asks_for_fewer_hosts(facts: ScaleFacts, more: int) -> None:
    wishes = ScaleWishes(most=1_000_000)
    grown = replace(facts, queues=tuple(replace(queue, waiting=queue.waiting + more) for queue in facts.queues))
    assert desired_hosts(grown, wishes)[0] >= desired_hosts(facts, wishes)[0]


@given(FACTS)
def test_hosts_that_take_nothing_never_more_than_double_what_is_wanted(facts: ScaleFacts) -> None:
    wishes = ScaleWishes(most=1_000_000)
    per_host = jobs_per_host(facts, wishes)
    number, _ = desired_hosts(facts, wishes)
    if per_host is not None:
        assert number <= slots_needed(facts, wishes) / per_host + 1 + max(1, len(facts.hosts))
