"""What a host says and does while Redis is away: a line at each end, and no write before a beat got through."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
import redis

from farm_worker import contact as contact_module
from farm_worker.contact import Contact

CUT = redis.ConnectionError("Connection closed by server.")
SILENT = redis.TimeoutError("Timeout reading from socket")


def run(body: Callable[[Contact], Awaitable[None]]) -> None:
    async def scenario() -> None:
        await body(Contact())

    asyncio.run(scenario())


def test_writers_wait_until_a_beat_got_through() -> None:
    async def body(contact: Contact) -> None:
        await contact.wait()
        contact.lose(CUT)
        writer = asyncio.create_task(contact.wait())
        contact.lose_again(CUT)
        await asyncio.sleep(0)
        assert contact.lost
        assert not writer.done()
        contact.regain()
        await writer
        assert not contact.lost

    run(body)


def test_the_beat_is_told_at_once_and_once() -> None:
    async def body(contact: Contact) -> None:
        told: list[int] = []
        contact.on_loss = lambda: told.append(1)
        contact.lose(CUT)
        contact.lose(SILENT)
        contact.lose_again(CUT)
        assert told == [1]

    run(body)


def test_a_connection_that_was_only_cut_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def body(contact: Contact) -> None:
        for _ in range(3):
            contact.lose(CUT)
            contact.regain()
            contact.lose_again(CUT)
            contact.regain()

    run(body)
    assert not caplog.records


@pytest.mark.parametrize("errors", [[CUT, CUT, CUT, CUT], [SILENT], [CUT, SILENT, SILENT]])
def test_an_outage_is_told_of_once_at_each_end(caplog: pytest.LogCaptureFixture, errors: list[Exception]) -> None:
    caplog.set_level(logging.INFO)

    async def body(contact: Contact) -> None:
        for error in errors:
            contact.lose_again(error)
        contact.regain()
        contact.regain()

    run(body)
    assert [record.message.partition(":")[0].partition(" after")[0] for record in caplog.records] == [
        "Redis is away, running jobs go on",
        "Redis is back",
    ]


def test_a_redis_that_answers_and_refuses_is_asked_more_and_more_slowly(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(contact_module.asyncio, "sleep", sleep)

    async def body(contact: Contact) -> None:
        contact.on_loss = contact.regain  # the beat gets through
        for attempt in range(20):
            await contact.ride_out(redis.ResponseError("ERR no"), attempt)

    run(body)
    assert len(pauses) == 19, "the first repeat comes at once"
    assert max(pauses) <= 1.0
    assert pauses[-1] >= 0.5 > pauses[0]
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "Redis answers and does not do what is needed, trying on"
    ]
