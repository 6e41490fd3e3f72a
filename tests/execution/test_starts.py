"""When a host asks Redis for jobs."""

import pytest

from farm.store.execution import Exchange
from farm.store.started import StartedJob
from farm_worker.starts import Starts
from tests.support.outcomes import packed_hash


def started(number: int) -> StartedJob:
    return StartedJob(b"%d" % number, "t", "q", 1, "rerun", b"", b"", has_callbacks=False, packed=packed_hash({}))


def brought(count: int, *, waits: bool = False, inbox: int = 0) -> Exchange:
    return Exchange((), [started(number) for number in range(count)], 0, inbox, waits)


def sole() -> Starts:
    starts = Starts()
    starts.is_sole = True
    return starts


@pytest.mark.parametrize("ended", [True, False])
def test_a_host_that_is_not_sole_asks_only_for_what_is_placed(ended: bool) -> None:
    starts = Starts()
    starts.look_at_queues()
    assert not starts.may_bring(ended=ended, has_work_ahead=False, is_idle=False)

    starts.placed(1, is_news=True)
    assert starts.may_bring(ended=ended, has_work_ahead=False, is_idle=False)
    starts.ask(5)
    assert starts.batch
    assert not starts.batch.from_queues


def test_a_host_with_work_ahead_asks_as_jobs_end_for_what_may_have_been_placed() -> None:
    assert Starts().may_bring(ended=True, has_work_ahead=True, is_idle=False)
    assert not Starts().may_bring(ended=False, has_work_ahead=True, is_idle=False)


def test_a_sole_host_asks_with_each_end_and_when_it_may_have_room() -> None:
    starts = sole()
    assert starts.may_bring(ended=True, has_work_ahead=False, is_idle=False)
    assert not starts.may_bring(ended=False, has_work_ahead=False, is_idle=False)

    starts.look_at_queues()
    assert starts.may_bring(ended=False, has_work_ahead=False, is_idle=False)


@pytest.mark.parametrize(
    ("answer", "asks"),
    [
        (brought(5, waits=True), True),
        (brought(5), False),
        (brought(4, waits=True), False),
        (brought(0), False),
        (brought(0, inbox=1), True),
    ],
    ids=["more waits", "nothing waits", "it may hold no more", "nothing came", "some was placed"],
)
def test_a_sole_host_asks_again_at_once_if_it_got_all_that_it_asked_for_and_more_waits(
    answer: Exchange, asks: bool
) -> None:
    starts = sole()
    starts.look_at_queues()
    starts.ask(5)
    starts.answered(answer)
    assert starts.batch is None
    assert starts.may_bring(ended=False, has_work_ahead=False, is_idle=False) is asks


def test_a_sole_host_that_idles_again_asks_only_if_something_may_have_waited() -> None:
    starts = sole()
    assert starts.may_bring(ended=True, has_work_ahead=False, is_idle=True)

    starts.ask(5)
    starts.answered(brought(4, waits=True))
    assert starts.may_bring(ended=True, has_work_ahead=False, is_idle=True)

    starts.ask(5)
    starts.answered(brought(1))
    assert not starts.may_bring(ended=True, has_work_ahead=False, is_idle=True)
    assert starts.may_bring(ended=True, has_work_ahead=False, is_idle=False)

    starts.look_at_queues()
    assert starts.may_bring(ended=True, has_work_ahead=False, is_idle=True)


def test_what_was_asked_before_the_host_was_sole_says_nothing_of_its_queues() -> None:
    starts = Starts()
    starts.placed(1, is_news=True)
    starts.ask(5)
    starts.is_sole = True
    starts.look_at_queues()
    starts.answered(brought(1))
    assert starts.may_bring(ended=False, has_work_ahead=False, is_idle=False)


def test_an_answer_without_a_request_says_nothing_of_the_queues() -> None:
    starts = sole()
    starts.look_at_queues()
    starts.answered(brought(0))
    assert starts.may_bring(ended=False, has_work_ahead=False, is_idle=False)


def test_a_registration_that_is_gone_leaves_nothing() -> None:
    starts = sole()
    starts.look_at_queues()
    starts.placed(3, is_news=True)
    starts.ask(5)
    starts.forget()
    assert (starts.batch, starts.inbox, starts.is_sole) == (None, 0, False)
    assert not starts.may_bring(ended=True, has_work_ahead=False, is_idle=False)
