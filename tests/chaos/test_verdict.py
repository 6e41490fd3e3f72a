"""The judge of a chaos run finds what it is there to find, and nothing that has a reason."""

from collections import Counter

import pytest

from tests.chaos.ledger import Ledger, Run
from tests.chaos.orders import Order
from tests.chaos.record import Record, Records
from tests.chaos.timeline import Span, Timeline
from tests.chaos.verdict import Verdict, deviation, judge

FINISHED = Record("finished", 1, 0, ("finished",))


def _run(number: int, begun: float, ended: float | None = None, how: str = "") -> Run:
    return Run("a", number, number, number, "one", 100 + number, begun, ended, how)


def _order(kind: str = "short", expected: str = "finished") -> Order:
    return Order("a", kind, expected, at=1000.0, accepted=True)


def _judge(
    runs: list[Run], record: Record | None = FINISHED, timeline: Timeline | None = None, order: Order | None = None
) -> Verdict:
    jobs = {"a": record} if record else {}
    counted = Counter(finished=record.successes if record else 0, failed=record.failures if record else 0)
    records = Records(jobs, counted, [], [])
    return judge({"a": order or _order()}, {"a": runs} if runs else {}, records, timeline or Timeline(started=1000.0))


def test_one_run_and_one_result_is_right() -> None:
    assert _judge([_run(1, 1001, 1002, "ended")]).findings == []


def test_a_job_without_record_is_lost() -> None:
    verdict = _judge([], None)

    assert verdict.counts["lost"] == 1
    assert "LOST" in verdict.findings[0]


def test_a_job_that_was_never_accepted_is_not_missed() -> None:
    order = _order()
    order.accepted = None

    assert _judge([], None, order=order).findings == []


def test_two_results_are_found() -> None:
    verdict = _judge([_run(1, 1001, 1002, "ended")], Record("finished", 2, 0, ("finished",)))

    assert verdict.counts["recorded twice"] == 1


@pytest.mark.parametrize("places", [(), ("finished", "queued"), ("running",)])
def test_a_job_that_stands_elsewhere_than_its_status_says_is_found(places: tuple[str, ...]) -> None:
    [finding] = _judge([_run(1, 1001, 1002, "ended")], Record("finished", 1, 0, places)).findings

    assert "stands in" in finding


def test_a_job_that_never_ends_is_found() -> None:
    verdict = _judge([], Record("queued", 0, 0, ("queued",)))

    assert verdict.counts["stuck"] == 1


def test_a_second_run_without_reason_is_found() -> None:
    verdict = _judge([_run(1, 1001, 1002, "ended"), _run(2, 1003, 1004, "ended")])

    assert verdict.reasons == {"no reason": 1}
    assert "no reason" in verdict.findings[0]


@pytest.mark.parametrize(("ended", "is_reason"), [(None, True), (1002.0, True), (1001.5, True), (1001.1, False)])
def test_a_lost_host_is_a_reason_unless_the_outcome_had_long_been_told(ended: float | None, is_reason: bool) -> None:
    timeline = Timeline(started=1000.0)
    loss = timeline.lost("one", "killed")
    loss.began, loss.until = 1003.5, 1005.0

    verdict = _judge([_run(1, 1001, ended, "ended" if ended else ""), _run(2, 1006, 1007, "ended")], timeline=timeline)

    assert (verdict.findings == []) is is_reason


def test_an_outcome_may_wait_while_redis_is_away() -> None:
    timeline = Timeline(started=1000.0)
    away, loss = timeline.trouble("redis", "stopped"), timeline.lost("one", "killed")
    away.began, away.until, loss.began, loss.until = 1001.2, 1006.0, 1007.0, 1008.0

    verdict = _judge([_run(1, 1001, 1001.1, "ended"), _run(2, 1009, 1010, "ended")], timeline=timeline)

    assert verdict.reasons == {"its host was lost": 1}


def test_a_start_that_redis_forgot_is_a_reason() -> None:
    timeline = Timeline(started=1000.0)
    timeline.rolled_back(1000.1).until = 1000.9  # and the job began right after that
    again = [_run(1, 1001, 1001.1, "ended"), _run(2, 1003, 1004, "ended")]

    assert _judge(again, timeline=timeline).reasons == {"Redis lost writes": 1}
    assert _judge([_run(1, 1002, 1002.1, "ended"), again[1]], timeline=timeline).reasons == {"no reason": 1}


def test_a_process_that_was_killed_is_a_reason_for_its_own_job_only() -> None:
    timeline = Timeline(started=1000.0)
    timeline.kills[101] = [1001.5]
    again = [_run(1, 1001), _run(2, 1002, 1003, "ended")]

    assert _judge(again, timeline=timeline).reasons == {"its process was killed": 1}
    timeline.kills = {102: [1001.5]}
    assert _judge(again, timeline=timeline).reasons == {"no reason": 1}


def test_a_job_that_must_not_run_twice_may_fail_and_never_run_again() -> None:
    timeline = Timeline(started=1000.0)
    timeline.kills[101] = [1001.5]
    failed = Record("failed", 0, 1, ("failed",))

    assert _judge([_run(1, 1001)], failed, timeline, _order("once")).findings == []
    assert _judge([_run(1, 1001), _run(2, 1002, 1003, "ended")], FINISHED, timeline, _order("once")).findings != []


@pytest.mark.parametrize(("host", "seconds", "findings"), [("one", 1.0, 0), ("one", 0.5, 1), ("two", 1.0, 1)])
def test_a_job_that_must_not_run_twice_may_end_amid_a_silence_of_its_host(
    host: str, seconds: float, findings: int
) -> None:
    timeline = Timeline(started=1000.0)
    timeline.troubles.append(Span("stopped", host, 1002.0, 1002.0 + seconds))
    failed = Record("failed", 0, 1, ("failed",))

    assert len(_judge([_run(1, 1001)], failed, timeline, _order("once")).findings) == findings


def test_a_failure_without_reason_is_found() -> None:
    failed = Record("failed", 0, 1, ("failed",))

    assert _judge([_run(1, 1001, 1002, "ended")], failed).findings != []
    assert _judge([_run(1, 1001)], failed, order=_order("once")).findings != []
    assert _judge([_run(1, 1001, 1002, "raised")], failed, order=_order("failing", "failed")).findings == []


def test_a_fence_that_does_not_grow_is_found() -> None:
    timeline = Timeline(started=1000.0)
    timeline.kills[101] = [1001.5]
    second = _run(2, 1002, 1003, "ended")
    second.fence = 1

    assert "fence" in _judge([_run(1, 1001), second], timeline=timeline).findings[0]


def test_a_host_that_was_given_up_for_nothing_is_found() -> None:
    records = Records({}, Counter(), [("one", 1010.0)], [])
    timeline = Timeline(started=1000.0)

    assert "given up" in judge({}, {}, records, timeline).findings[0]
    timeline.lost("one", "stopped").began = 1004.0
    assert judge({}, {}, records, timeline).findings == []


def test_jobs_that_pass_another_one_by_well_are_counted() -> None:
    seconds = {"a": 3.0, "b": 1.0, "c": 1.5, "d": 2.5, "e": 9.0}
    runs = [Run(job_id, 1, 1, int(fence * 1e6), "one", 1, 0.0) for job_id, fence in seconds.items()]

    assert deviation(runs, "abcde") == 2, "d began just before a"


def test_the_ledger_tells_which_run_ended_how(tmp_path: object) -> None:
    ledger = Ledger(tmp_path / "ledger")  # type: ignore[operator]
    line = "{}\t{}\ta\t{}\t1\t7\tone\t42\n"
    text = line.format("begun", 1.5, 1) + line.format("crashed", 1.6, 1) + line.format("begun", 2.0, 2)
    (ledger.folder / "ledger").write_text(text)

    first, second = ledger.read()["a"]

    assert (first.begun, first.ended, first.how, first.pid) == (1.5, 1.6, "crashed", 42)
    assert (second.ended, second.how) == (None, "")


def test_a_job_that_its_owner_never_got_to_cancel_ends_as_any_other() -> None:
    order = _order("canceled", expected="canceled")

    assert _judge([_run(1, 1001, 1002, "ended")], order=order).findings == []
    assert _judge([], order=order).findings, "it has not run"


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_run_that_was_stopped_before_its_first_line_and_given_to_another_is_no_second_one(is_lost: bool) -> None:
    elsewhere, late = _run(2, 1006, 1006.1, "ended"), _run(1, 1008.2)
    timeline = Timeline(started=1000.0)
    loss = timeline.lost("one" if is_lost else "two", "stopped")
    loss.began, loss.until = 1002.0, 1008.0

    verdict = _judge([elsewhere, late], timeline=timeline)

    assert (verdict.findings == []) is is_lost
