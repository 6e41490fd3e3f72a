"""What a process measures of its jobs: one reading for many short ones, and nothing twice."""

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from farm.account import BURST_SECONDS, RESOLUTION_SECONDS, Account, Spent, ThreadAccount

MB = 1_000_000
LATER = time.monotonic() + 10_000


def burn(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def run(account: Account, job: Callable[[], object]) -> Spent | None:
    began = time.monotonic()
    begun = account.begin(began)
    job()
    now = time.monotonic()
    return account.end(begun, now, is_long=now - began >= RESOLUTION_SECONDS)


def hold(megabytes: int) -> None:
    held = bytearray(megabytes * MB)
    held[::4096] = b"x" * len(held[::4096])


def told(spent: Spent | None) -> Spent:
    assert spent is not None
    return spent


def test_a_job_counts_what_was_used_while_it_ran_and_not_before() -> None:
    account = Account()
    run(account, lambda: None)
    burn(0.1)

    spent = told(run(account, lambda: burn(0.05)))

    assert 0.05 <= sum(spent.cpu) < 0.1


def test_the_only_job_of_a_process_is_told_of_however_short_it_is() -> None:
    assert run(Account(), lambda: None) is not None


def test_short_jobs_that_follow_each_other_are_told_of_together() -> None:
    account = Account()
    run(account, lambda: None)
    clock = LATER
    begun = account.begin(clock)
    burn(0.02)

    assert account.end(begun, clock + RESOLUTION_SECONDS / 2) is None
    begun = account.begin(clock + RESOLUTION_SECONDS / 2)
    spent = told(account.end(begun, clock + BURST_SECONDS + 0.001))

    assert sum(spent.cpu) >= 0.02


def test_short_jobs_are_told_of_while_they_go_on_however_much_time_is_between_them() -> None:
    account, clock, told_of = Account(), LATER, []
    for number in range(200):  # nearly all of the time passes between them
        clock += 0.9 * RESOLUTION_SECONDS
        begun = account.begin(clock)
        if account.end(begun, clock + 1e-6) is not None:
            told_of.append(number)

    assert all(0 <= later - earlier <= 4 for earlier, later in zip(told_of, [*told_of[1:], 199], strict=True))


def test_the_last_one_that_is_known_tells_of_those_before_it() -> None:
    account = Account()
    run(account, lambda: None)
    begun = account.begin(LATER)
    burn(0.02)
    assert account.end(begun, LATER + 0.001) is None
    begun = account.begin(LATER + 0.001)

    assert 0.02 <= sum(told(account.end(begun, LATER + 0.002, is_last=True)).cpu) < 0.04


def test_what_short_jobs_used_is_not_lost_when_the_next_one_comes_late() -> None:
    account = Account()
    run(account, lambda: None)
    begun = account.begin(LATER)
    burn(0.02)
    assert account.end(begun, LATER + 0.001) is None

    begun = account.begin(LATER + 1000)

    assert 0.02 <= sum(told(account.end(begun, LATER + 1001)).cpu) < 0.04


def test_short_jobs_need_not_begin_while_others_are_not_told_of_and_count_as_all() -> None:
    account = Account()
    run(account, lambda: None)
    before = time.process_time()
    assert account.end(account.begin(time.monotonic()), time.monotonic()) is None
    assert account.goes_on
    begun, passed = account.shares, 0
    while account.passes(begun, 0.0):
        burn(0.002)
        passed += 1
    spent = told(account.end(begun, time.monotonic()))

    assert passed > 0
    assert not account.goes_on
    assert sum(spent.cpu) == pytest.approx(time.process_time() - before, abs=0.005)


def test_a_job_passes_only_if_it_is_short_and_asked_nothing_of_its_usage() -> None:
    account = Account()
    run(account, lambda: None)
    account.end(account.begin(time.monotonic()), time.monotonic())
    begun = account.shares

    assert account.passes(begun, 0.0)
    assert not account.passes(begun, RESOLUTION_SECONDS)
    account.read(time.monotonic())
    assert not account.passes(begun, 0.0)


def test_a_thread_says_of_each_of_its_jobs_that_it_runs() -> None:
    account = ThreadAccount()
    run(account, lambda: None)

    assert account.end(account.begin(time.monotonic()), time.monotonic()) is None
    assert not account.goes_on


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a peak")
def test_each_job_is_charged_for_its_own_peak_and_not_for_those_before() -> None:
    account = Account()

    grown = [told(run(account, partial(hold, size))).memory for size in (120, 60, 60)]

    assert grown == [pytest.approx(size * MB, abs=8 * MB) for size in (120, 60, 60)]


def test_jobs_side_by_side_share_equally_what_is_used_while_both_run() -> None:
    account = Account()
    run(account, lambda: None)
    first = account.begin(LATER)
    burn(0.04)
    second = account.begin(LATER + 1)
    burn(0.08)

    one = told(account.end(second, LATER + 2))
    other = told(account.end(first, LATER + 3))

    assert sum(one.cpu) == pytest.approx(0.04, abs=0.02)
    assert sum(other.cpu) == pytest.approx(0.08, abs=0.02)


def test_a_long_job_that_ends_right_after_another_is_told_of_at_once() -> None:
    account = Account()
    first, second = account.begin(LATER), account.begin(LATER)
    burn(0.02)
    told(account.end(first, LATER + 1))

    spent = told(account.end(second, LATER + 1 + RESOLUTION_SECONDS / 2, is_long=True))

    assert sum(spent.cpu) == pytest.approx(0.01, abs=0.005)


def test_nothing_is_counted_twice_or_lost_among_jobs_side_by_side() -> None:
    account = Account()
    run(account, lambda: None)
    before, clock, begun, cpu = time.process_time(), LATER, [], 0.0
    for step in range(40):
        clock += RESOLUTION_SECONDS * (0.3 if step % 3 else 2)
        begun.append(account.begin(clock))
        burn(0.002)
        if step % 2 and len(begun) > 1:
            spent = account.end(begun.pop(0), clock)
            cpu += sum(spent.cpu) if spent else 0.0
    for each in begun:
        clock += 1
        cpu += sum(told(account.end(each, clock)).cpu)

    assert cpu == pytest.approx(time.process_time() - before, abs=0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere user and system time are one")
def test_a_thread_is_not_charged_for_another() -> None:
    over = threading.Event()

    def other() -> None:
        while not over.is_set():
            pass

    with ThreadPoolExecutor(2) as threads:
        busy = threads.submit(other)
        idle = threads.submit(run, ThreadAccount(), lambda: time.sleep(0.2))
        used = sum(told(idle.result()).cpu)
        over.set()
        busy.result()

    assert used < 0.05
