"""Jobs that the app is asked about: what is asked at once, what becomes of each answer, and of none."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from farm_worker.contact import Contact
from farm_worker.hand_back import HandBack
from farm_worker.held import Held
from farm_worker.job_log import JobLog
from farm_worker.offers import MOST_AT_ONCE, TRIAL_SECONDS, Offers
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.offer_messages import AcceptAnswer, Offer, Verdict
from tests.support.outcomes import packed_hash

YES, NO, BROKEN = Verdict("accepted"), Verdict("declined", "no GPU"), Verdict("failed", "accept raised KeyError: 'a'")


def assignment(name: str) -> Assignment:
    return Assignment(name.encode(), f"token-{name}", "default", 1, "rerun", None, packed_hash({}))


class App:
    """Says what `answers` has for a job, else yes. None in there: it does not answer at all."""

    def __init__(self) -> None:
        self.answers: dict[str, Verdict | None] = {}
        self.asked: list[list[str]] = []
        self.most = MOST_AT_ONCE
        self.hold: asyncio.Event | None = None

    async def ask(self, offers: Sequence[Offer]) -> AcceptAnswer:
        names = [one.job_id.decode() for one in offers]
        self.asked.append(names)
        if self.hold is not None:
            await self.hold.wait()
        verdicts = [self.answers.get(name, YES) for name in names[: self.most]]
        if None in verdicts:
            return AcceptAnswer(1, [], "the accept function did not answer within 1 s")
        return AcceptAnswer(1, [one for one in verdicts if one is not None])


class Bench:
    """Offers with all that they need, but for processes."""

    accepting = True

    def __init__(self) -> None:
        self.held = Held()
        self.back = HandBack(cast("Any", None), Contact(), lambda _: None)
        self.app = App()
        self.offers = Offers(self, self.held, self.back, JobLog("failures"))
        self.offers.ask = self.app.ask
        self.offers.pause = 0.0

    def settled(self) -> None: ...

    def add(self, *names: str) -> None:
        assignments = [*map(assignment, names)]
        self.held.add(assignments)
        self.offers.add(assignments)

    def ready(self) -> list[str]:
        """Held, and to be dealt."""
        return [one.job_id.decode() for one in self.held if not one.offered]

    def given_back(self) -> dict[str, str]:
        """Job → why it was declined."""
        return {one.job_id.decode(): one.declined for one in self.back._waiting}


def run(body: Callable[[Bench], Awaitable[None]]) -> Bench:
    async def scenario() -> Bench:
        bench = Bench()
        task = asyncio.create_task(bench.offers.run())
        try:
            await body(bench)
        finally:
            task.cancel()
        return bench

    return asyncio.run(scenario())


async def turns(number: int = 20) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def test_all_that_came_is_one_question_and_the_order_stays() -> None:
    async def body(bench: Bench) -> None:
        bench.app.answers["b"] = NO
        bench.add("a", "b", "c")
        assert bench.ready() == [], "nothing is dealt before the app has answered"
        await turns()
        assert bench.app.asked == [["a", "b", "c"]]
        assert bench.ready() == ["a", "c"]
        assert bench.given_back() == {"b": "no GPU"}

    run(body)


def test_what_was_not_answered_in_time_is_asked_again() -> None:
    async def body(bench: Bench) -> None:
        bench.app.most = 2
        bench.add("a", "b", "c")
        await turns()
        assert bench.app.asked == [["a", "b", "c"], ["c"]]
        assert bench.ready() == ["a", "b", "c"]

    run(body)


def test_a_job_that_was_taken_away_while_it_was_asked_about_is_left_alone() -> None:
    async def body(bench: Bench) -> None:
        bench.app.hold, bench.app.answers["b"] = asyncio.Event(), NO
        bench.add("a", "b", "c")
        await turns()
        bench.held.drop("token-a", "token-b")
        bench.app.hold.set()
        await turns()
        assert bench.ready() == ["c"]
        assert bench.given_back() == {}

    run(body)


def test_a_host_that_takes_nothing_any_more_gives_back_what_it_accepts() -> None:
    async def body(bench: Bench) -> None:
        bench.accepting = False
        bench.add("a")
        await turns()
        assert bench.ready() == []
        assert bench.given_back() == {"a": ""}

    run(body)


def test_a_job_that_it_fails_on_goes_back_with_the_reason_and_the_host_is_well_once_it_answers_again() -> None:
    async def body(bench: Bench) -> None:
        changes: list[str] = []

        def changed() -> None:
            changes.append(bench.offers.error)
            bench.app.answers["b"] = BROKEN if bench.offers.error else YES  # for all, the one it answered last too

        bench.offers.on_change = changed
        bench.app.answers["bad"] = BROKEN
        bench.add("a", "bad", "b")
        await turns()
        assert bench.offers.error == BROKEN.reason
        assert bench.ready() == ["a", "b"], "the others were answered"
        assert bench.given_back() == {"bad": BROKEN.reason}
        bench.add("c")
        assert bench.given_back() == {"bad": BROKEN.reason, "c": ""}, "nothing is taken meanwhile"
        assert "c" not in bench.ready()
        bench.app.answers["b"] = YES
        await turns()
        assert not bench.offers.error
        assert changes == [BROKEN.reason, ""]
        bench.add("d")
        await turns()
        assert bench.ready() == ["a", "b", "d"]

    run(body)


def test_after_no_answer_all_go_back_and_it_is_asked_one_by_one_until_the_cause_is_found() -> None:
    async def body(bench: Bench) -> None:
        bench.app.answers["hangs"] = None
        bench.app.answers["a"] = None
        bench.add("a", "hangs")
        await turns(3)
        assert "did not answer" in bench.offers.error
        assert bench.given_back() == {"a": "", "hangs": ""}, "nobody knows which of them it was"
        del bench.app.answers["a"]
        await turns()
        assert not bench.offers.error
        bench.add("b", "hangs")
        await turns(6)
        assert bench.app.asked[-2:] != [["b", "hangs"]]
        assert bench.ready() == ["b"]
        assert "did not answer" in bench.given_back()["hangs"]

    run(body)


def test_without_a_process_to_ask_no_job_is_blamed_and_none_is_tried() -> None:
    async def body(bench: Bench) -> None:
        bench.offers.can_ask = lambda: False
        bench.app.answers = {"a": None, "b": None}
        bench.add("a")
        await turns()
        assert bench.given_back() == {"a": ""}
        bench.offers._failing_since -= 10 * TRIAL_SECONDS
        await turns()
        assert bench.offers.error

    run(body)


def test_a_function_that_fails_on_the_only_job_that_it_knows_is_tried_on_another_after_a_while() -> None:
    async def body(bench: Bench) -> None:
        bench.app.answers["bad"] = BROKEN
        bench.add("bad")
        await turns()
        assert bench.offers.error
        bench.offers._failing_since -= TRIAL_SECONDS
        await turns()
        assert not bench.offers.error
        bench.add("a", "b")
        await turns()
        assert bench.ready() == ["a", "b"]

    run(body)
