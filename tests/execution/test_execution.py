"""What a host does with its jobs when Redis, or its own registration, goes other ways than planned."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import takewhile
from math import inf
from types import SimpleNamespace
from typing import Any

import redis

from farm.errors import HostFenced
from farm.records import Lease
from farm.store.execution import Exchange
from farm.store.hosts import Registration
from farm.store.started import StartedJob
from farm_worker.audit import Audit
from farm_worker.durations import LATEST
from farm_worker.endings import from_process_end
from farm_worker.execution import Execution
from farm_worker.job_log import JobLog
from farm_worker.outcomes import Outcomes
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.hearing import Hearing
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.reasons import Phase, ProcessEnd, Reason
from farm_worker.recall import recall
from farm_worker.spool import Spool
from tests.support.outcomes import packed_hash

OLD, NEW = Registration("one", "1-old"), Registration("one", "2-new")
NOTHING = Exchange((), (), 0, 0)


class Store:
    """Answers as told. `calls` are the registrations under which it was asked."""

    def __init__(self) -> None:
        self.exchange_answers: Callable[[], Awaitable[Exchange]] = self._nothing
        self.hand_back_answers: Callable[[], Awaitable[int]] = self._one
        self.exchanges: list[Registration] = []
        self.handed_back: list[tuple[Registration, list[str]]] = []
        self.inbox_asked_back: list[int] = []

    async def exchange(self, who: Registration, *_: Any) -> Exchange:
        self.exchanges.append(who)
        return await self.exchange_answers()

    async def hand_back(self, who: Registration, leases: Sequence[tuple[bytes, str]], inbox: int, *_: Any) -> int:
        given = await self.hand_back_answers()
        self.inbox_asked_back.append(inbox)
        self.handed_back.append((who, [token for _, token in leases]))
        return given

    async def _nothing(self) -> Exchange:
        return NOTHING

    async def _one(self) -> int:
        return 1


class Pool:
    """Ten idle processes that never end a job."""

    processes: Sequence[Any] = ()
    busy = running = starting = idle = 0
    ready = idle_target = 0
    slots = 10
    has_work_ahead = False

    def __init__(self) -> None:
        self.given: list[Assignment] = []
        self.depths: list[int] = []
        self.has_room = True
        self.hearing = Hearing([])

    def room(self, depth: int) -> int:
        return 10 * self.has_room

    def want(self, count: int) -> None: ...

    def dispatch(self, assignment: Assignment, depth: int) -> bool:
        self.depths.append(depth)
        if self.has_room:
            self.given.append(assignment)
        return self.has_room

    def dispatch_many(self, assignments: Sequence[Assignment], depth: int) -> int:
        return len([*takewhile(lambda one: self.dispatch(one, depth), assignments)])

    def take_back(self, older_than: float | None) -> list[Assignment]:
        return []


def run(body: Callable[[Execution, Store, Pool, list[str]], Awaitable[None]]) -> None:
    async def scenario() -> None:
        store, pool, fenced = Store(), Pool(), list[str]()
        execution = Execution(store, Outcomes(Spool(None)), JobLog("failures"), lambda: fenced.append("fenced"))  # type: ignore[arg-type]
        execution.attach(pool)  # type: ignore[arg-type]
        execution.contact.on_loss = execution.contact.regain  # a beat gets through at once
        execution.accepting, execution.running_limit = True, 10
        execution.begin(OLD)
        running = asyncio.create_task(execution.run())
        try:
            await body(execution, store, pool, fenced)
        finally:
            running.cancel()

    asyncio.run(scenario())


def started(job_id: str = "a", on_lost: str = "rerun", called: bytes = b"") -> StartedJob:
    token, packed = f"token of {job_id}", packed_hash({})
    return StartedJob(job_id.encode(), token, "default", 1, on_lost, b"", called, has_callbacks=False, packed=packed)


def assignment(job_id: str = "a", on_lost: str = "rerun") -> Assignment:
    token, packed = f"token of {job_id}", packed_hash({})
    return Assignment(job_id.encode(), token, "default", 1, on_lost, timeout=None, packed=packed)


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_suspended_farm_is_asked_once_a_beat_and_not_without_rest() -> None:
    async def body(execution: Execution, store: Store, *_: Any) -> None:
        async def suspended() -> Exchange:
            return Exchange((), (), 0, 3)

        store.exchange_answers = suspended
        for beat in range(1, 4):
            execution.placed(3)
            await turns()
            assert len(store.exchanges) == beat

    run(body)


def test_what_is_placed_while_processes_have_work_ahead_is_asked_for_with_the_next_outcome() -> None:
    async def body(execution: Execution, store: Store, pool: Pool, *_: Any) -> None:
        pool.has_work_ahead = True
        execution.took(OLD, [started()])
        await turns()
        before = len(store.exchanges)
        execution.placed(3)
        await turns()
        assert len(store.exchanges) == before

        pool.has_work_ahead = False
        execution.wake()
        await turns()
        assert len(store.exchanges) == before + 1

    run(body)


def test_what_the_answer_to_an_outcome_tells_of_the_inbox_is_asked_for_at_once() -> None:
    async def body(execution: Execution, store: Store, *_: Any) -> None:
        answers = [Exchange(("ok",), (), 0, 3), NOTHING]

        async def answer() -> Exchange:
            return answers[min(len(store.exchanges), len(answers)) - 1]

        await turns()
        store.exchange_answers = answer
        execution.outcomes_arrived([(assignment(), Outcome(1, "finished", 0.1, b""))])
        await turns()
        assert len(store.exchanges) == len(answers)

    run(body)


def test_a_job_of_a_function_that_takes_long_is_dealt_to_an_idle_process_only() -> None:
    async def body(execution: Execution, _: Store, pool: Pool, *__: Any) -> None:
        now = time.monotonic()
        execution.durations.observe("default", b"shop.report", 1.0, now)
        for _ in range(LATEST):
            execution.durations.observe("default", b"shop.bill", 0.0001, now)
        execution.took(OLD, [started("a", called=b"shop.bill"), started("b", called=b"shop.report")])
        assert [(one.called, one.is_long) for one in pool.given] == [(b"shop.bill", False), (b"shop.report", True)]
        assert pool.depths[0] > 1 == pool.depths[1]

    run(body)


def test_a_refusal_that_comes_after_the_next_registration_is_no_news() -> None:
    async def body(execution: Execution, store: Store, _: Pool, fenced: list[str]) -> None:
        answer: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        store.exchange_answers = lambda: answer
        execution.placed(1)
        await turns()
        execution.begin(NEW)
        answer.set_exception(HostFenced("the old one"))
        await turns()
        assert (store.exchanges[0], fenced) == (OLD, [])

    run(body)


def test_a_refusal_of_the_registration_in_force_is_told_at_once() -> None:
    async def body(execution: Execution, store: Store, _: Pool, fenced: list[str]) -> None:
        async def refuse() -> Exchange:
            raise HostFenced("this one")

        store.exchange_answers = refuse
        execution.placed(1)
        await turns()
        assert fenced == ["fenced"]

    run(body)


def test_a_job_whose_payload_could_not_be_read_goes_back_even_if_it_must_not_run_twice() -> None:
    async def body(execution: Execution, store: Store, *_: Any) -> None:
        unbegun = Outcome(1, "unbegun", 0.0, b"")
        execution.outcomes_arrived([(assignment("a", "fail"), unbegun), (assignment("b"), unbegun)])
        await turns()
        assert store.handed_back == [(OLD, ["token of a", "token of b"])]
        assert not execution.unsettled

    run(body)


def test_what_a_process_that_died_did_not_begin_goes_before_all_that_was_dealt_later_or_not_at_all() -> None:
    async def body(execution: Execution, store: Store, pool: Pool, _: list[str]) -> None:
        pool.has_room = False
        execution.took(OLD, [started("never dealt")])
        dealt = [assignment(name) for name in "abcd"]
        for number, one in enumerate(dealt, 1):
            one.sequence = number
        execution.process_ended(_end(Reason.CRASHED), None, [dealt[1], dealt[3]])
        execution.process_ended(_end(Reason.CRASHED), None, [dealt[0], dealt[2]])
        pool.has_room = True
        execution.wake()
        await turns()
        assert [one.job_id for one in pool.given] == [b"a", b"b", b"c", b"d", b"never dealt"]

    run(body)


def test_a_host_that_was_given_up_deals_no_job_any_more() -> None:
    async def body(execution: Execution, store: Store, pool: Pool, _: list[str]) -> None:
        pool.has_room = False
        execution.process_ended(_end(Reason.CRASHED), None, [assignment("held")])
        answer: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        store.exchange_answers = lambda: answer
        pool.has_room = True
        execution.placed(1)
        execution.give_up()
        answer.set_result(Exchange((), [started("late")], 0, 0))
        execution.wake()
        await turns()
        assert pool.given == []

    run(body)


def test_jobs_that_come_with_a_late_answer_to_a_host_given_up_are_not_dealt() -> None:
    async def body(execution: Execution, store: Store, pool: Pool, _: list[str]) -> None:
        answer: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        store.exchange_answers = lambda: answer
        execution.placed(1)
        await turns()
        execution.give_up()
        answer.set_result(Exchange((), [started("late")], 0, 0))
        await turns()
        assert (store.exchanges, pool.given) == ([OLD], [])

    run(body)


def test_what_is_being_handed_back_counts_until_redis_has_it_and_ends_with_the_registration() -> None:
    async def body(execution: Execution, store: Store, *_: Any) -> None:
        async def away() -> int:
            raise redis.ConnectionError("away")

        store.hand_back_answers = away
        handing_back = asyncio.create_task(execution.hand_back([assignment()], with_inbox=False))
        await turns()
        assert execution.unsettled == 1
        execution.begin(NEW)
        await asyncio.wait_for(handing_back, 5)
        assert (execution.unsettled, store.handed_back) == (0, [])

    run(body)


def test_what_could_not_be_handed_back_in_time_is_handed_back_when_redis_is_there_again() -> None:
    async def body(execution: Execution, store: Store, pool: Pool, _: list[str]) -> None:
        pool.has_room = execution.accepting = False
        gate = asyncio.Event()

        async def later() -> int:
            await gate.wait()
            return 1

        store.hand_back_answers = later
        execution.process_ended(_end(Reason.CRASHED), None, [assignment("a"), assignment("b")])
        at_the_stop = asyncio.create_task(execution.hand_back_all())
        await turns()
        at_the_stop.cancel()
        await turns()
        assert execution.unsettled == 2
        gate.set()
        await turns()
        assert store.handed_back[-1] == (OLD, ["token of a", "token of b"])
        assert execution.unsettled == 0

    run(body)


def test_a_stop_amid_a_start_gives_back_what_it_brings_behind_what_was_held() -> None:
    """Together: a second call would put them in front, and they stood behind."""

    async def body(execution: Execution, store: Store, pool: Pool, _: list[str]) -> None:
        answer: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()

        async def first_then_late() -> Exchange:
            return Exchange((), (started("a"),), 1, 1) if len(store.exchanges) == 1 else await answer

        store.exchange_answers = first_then_late
        pool.room, pool.dispatch = lambda depth: 10, lambda assignment, depth: False  # type: ignore[method-assign]
        execution.placed(2)
        await turns()
        assert [one.job_id for one in execution.leases.served().values()] == [b"a"]

        execution.accepting = False
        handing = asyncio.create_task(execution.hand_back_all())
        await turns()
        answer.set_result(Exchange((), (started("b"),), 1, 0))
        await handing

        assert store.handed_back == [(OLD, ["token of a", "token of b"])]
        assert execution.unsettled == 0

    run(body)


def test_a_lease_that_nobody_knows_at_two_audits_is_given_up() -> None:
    async def body(execution: Execution, store: Store, pool: Pool, _: list[str]) -> None:
        pool.has_room = False
        store.exchange_answers = asyncio.get_running_loop().create_future  # type: ignore[assignment]
        execution.process_ended(_end(Reason.CRASHED), None, [assignment("held")])
        leases = {
            name.encode(): Lease(f"token of {name}", "default", 1, 1, on_lost, number)
            for number, (name, on_lost) in enumerate([("held", "rerun"), ("b", "rerun"), ("a", "rerun"), ("c", "fail")])
        }
        audit = Audit(SimpleNamespace(), lambda: OLD, execution)  # type: ignore[arg-type]
        audit.disown_unknown({b"gone next time": Lease("x", "default", 1, 1, "rerun", 9)} | leases)
        await turns()
        assert store.handed_back == []
        audit.disown_unknown(leases)
        await turns()
        assert store.handed_back == [(OLD, ["token of b", "token of a"])]
        assert [ending.job_id for ending in execution._outcomes.next_batch().endings] == [b"c"]  # type: ignore[union-attr]

    run(body)


async def recall_until_handed_back(execution: Execution, store: Store) -> None:
    async def publish() -> None: ...

    recalling = asyncio.create_task(recall(execution, publish))
    try:
        async with asyncio.timeout(10):
            while not store.handed_back:
                await asyncio.sleep(0.01)
    finally:
        recalling.cancel()


def test_what_waits_behind_the_last_of_max_jobs_goes_back() -> None:
    async def body(execution: Execution, store: Store, pool: Pool, _: list[str]) -> None:
        async def one_of_three() -> Exchange:
            return Exchange((), [started()], 0, 2)

        store.exchange_answers = one_of_three
        execution.max_jobs = 1
        pool.processes = [
            SimpleNamespace(assignments=[assignment()], begun=None, running=[], unread_since=lambda: float("inf"))
        ]
        execution.placed(2)
        await recall_until_handed_back(execution, store)
        assert (store.exchanges, execution.inbox, execution.allowance) == ([], 0, 1)

    run(body)


def test_an_inbox_that_waits_for_a_job_that_was_thought_to_be_short_goes_back() -> None:
    async def body(execution: Execution, store: Store, pool: Pool, _: list[str]) -> None:
        runs = assignment()
        runs.begun_at = time.monotonic()
        pool.processes = [SimpleNamespace(assignments=[runs], running=[runs], unread_since=lambda: float("inf"))]
        pool.room = lambda depth: 0 if runs.is_long else 1  # type: ignore[method-assign]
        pool.has_work_ahead = True  # so nobody asks before the next outcome
        await turns()
        execution.placed(2)
        await recall_until_handed_back(execution, store)
        assert (store.handed_back, store.exchanges) == ([(OLD, [])], [])
        assert (runs.is_long, execution.inbox) == (True, 0)

    run(body)


def test_all_that_is_in_an_inbox_goes_back_also_what_its_host_has_not_heard_of() -> None:
    async def body(execution: Execution, store: Store, pool: Pool, _: list[str]) -> None:
        late = assignment("late")
        waiting: Any = [assignment("first"), late]
        pool.processes = [SimpleNamespace(assignments=waiting, running=waiting[:1], unread_since=lambda: 0.0)]
        pool.take_back = lambda older_than: [waiting.pop()] if len(waiting) > 1 else []  # type: ignore[method-assign]
        pool.room = lambda depth: 0  # type: ignore[method-assign]
        execution.placed(2)
        await recall_until_handed_back(execution, store)
        assert store.handed_back == [(OLD, [late.token])]
        assert store.inbox_asked_back[0] > 2, "it goes at once, too: behind those that are late it would have to wait"

    run(body)


def test_what_is_late_goes_back_before_anything_else_is_started() -> None:
    """What a start brings stood behind it in the queue: begun meanwhile, it would have gone before."""

    async def body(execution: Execution, store: Store, pool: Pool, _: list[str]) -> None:
        answered, accepted = asyncio.Event(), asyncio.Event()

        async def second() -> Exchange:
            await answered.wait()
            return Exchange((), [started("second")], 0, 0)

        async def once_accepted() -> int:
            await accepted.wait()
            return 1

        late: list[Assignment] = [assignment("first")]
        pool.take_back = lambda older_than: [late.pop()] if late else []  # type: ignore[method-assign]
        pool.processes = [SimpleNamespace(assignments=late, running=[], unread_since=lambda: 0.0 if late else inf)]
        store.exchange_answers, store.hand_back_answers = second, once_accepted
        execution.placed(1)
        await turns()
        assert len(store.exchanges) == 1

        going_back = asyncio.create_task(execution.hand_back_late(with_inbox=False))
        await turns()
        assert late, "it stays where it is until the start is answered"

        pool.has_room = False  # what the start brings is held
        answered.set()
        await turns()
        pool.has_room = True
        execution.placed(1)
        await turns()
        assert len(store.exchanges) == 1, "nothing is asked for while it goes back"

        accepted.set()
        await going_back
        assert store.handed_back == [(OLD, ["token of first", "token of second"])]
        await turns()
        assert len(store.exchanges) > 1

    run(body)


def test_a_job_that_must_not_run_twice_fails_when_its_host_stops_at_once() -> None:
    assert from_process_end(assignment(on_lost="rerun"), _end(Reason.CLOSED)) is None
    ending = from_process_end(assignment(on_lost="fail"), _end(Reason.CLOSED))
    assert ending is not None
    assert ending.kind == "failed"
    assert "must not run twice" in ending.summary


def _end(reason: Reason) -> ProcessEnd:
    return ProcessEnd(
        reason=reason,
        pid=1,
        number=1,
        phase=Phase.JOB,
        exit_code=None,
        signal="SIGKILL",
        age=1.0,
        jobs_done=0,
        last_memory=None,
    )
