"""A job enqueued by the client leaves in Redis what plain RQ leaves: keys, fields, values and times to live."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from rq import Queue, Retry
from rq.job import Dependency

from farm.client import Call, Client
from tests.client import sample_jobs
from tests.client.running import run_all
from tests.client.state import state_of

OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {}),
    "timeout": ({"timeout": "2m"}, {"job_timeout": "2m"}),
    "no timeout": ({"timeout": -1}, {"job_timeout": -1}),
    "result_ttl": ({"result_ttl": 30}, {"result_ttl": 30}),
    "result_ttl 0": ({"result_ttl": 0}, {"result_ttl": 0}),
    "result_ttl -1": ({"result_ttl": -1}, {"result_ttl": -1}),
    "failure_ttl": ({"failure_ttl": 40}, {"failure_ttl": 40}),
    "ttl": ({"ttl": 50}, {"ttl": 50}),
    "at_front": ({"at_front": True}, {"at_front": True}),
    "meta": ({"meta": {"who": ["me"]}}, {"meta": {"who": ["me"]}}),
    "empty meta": ({"meta": {}}, {"meta": {}}),
    "retry": ({"retry": 3}, {"retry": Retry(max=3)}),
    "no retry": ({"retry": 0}, {}),
    "retry at front": (
        {"retry": Retry(2, [5, 9], enqueue_at_front=True)},
        {"retry": Retry(2, [5, 9], enqueue_at_front=True)},
    ),
    "job_id": ({"job_id": "mine"}, {"job_id": "mine"}),
    "description": ({"description": "for people"}, {"description": "for people"}),
    "depends_on": ({"depends_on": "first"}, {"depends_on": "first"}),
    "depends_on, at front": ({"depends_on": "first", "at_front": True}, {"depends_on": "first", "at_front": True}),
    "depends_on, failure allowed": (
        {"depends_on": Dependency("first", allow_failure=True, enqueue_at_front=True)},
        {"depends_on": Dependency("first", allow_failure=True, enqueue_at_front=True)},
    ),
    "unique": ({"job_id": "mine", "unique": True}, {"job_id": "mine", "unique": True}),
    "unique, ttl, at front": (
        {"job_id": "mine", "unique": True, "ttl": 50, "at_front": True},
        {"job_id": "mine", "unique": True, "ttl": 50, "at_front": True},
    ),
    "nearly all": (
        {
            "timeout": 9,
            "result_ttl": 30,
            "failure_ttl": 40,
            "ttl": 50,
            "at_front": True,
            "meta": {"a": 1},
            "retry": 2,
            "job_id": "mine",
            "description": "x",
        },
        {
            "job_timeout": 9,
            "result_ttl": 30,
            "failure_ttl": 40,
            "ttl": 50,
            "at_front": True,
            "meta": {"a": 1},
            "retry": Retry(2),
            "job_id": "mine",
            "description": "x",
        },
    ),
}

LONG = "it's" * 5000

CALLS: dict[str, tuple[Any, tuple[Any, ...], dict[str, Any]]] = {
    "a function": (sample_jobs.add, (1,), {"other": 2}),
    "a path": ("shop.bill", (7,), {}),
    "a coroutine function": (sample_jobs.add_slowly, (1, 2), {}),
    "a method": (sample_jobs.Account(10).add, (5,), {}),
    "a builtin": (print, ("x",), {}),
    "nothing to pass": (sample_jobs.nothing, (), {}),
    "many arguments": (sample_jobs.give_back, (None, 1.5, [1, {"a": (2,)}]), {"b": 1, "a": b"\x00\xff", "c": "ä€"}),
    "a long list": (sample_jobs.give_back, (list(range(20_000)),), {"tail": 1}),
    "long text": (sample_jobs.give_back, (LONG,), {"a": LONG.encode()}),
    "long text with both quotes": (sample_jobs.give_back, ("a" * 2000 + "'\"",), {"a": b'"' + b"b" * 2000 + b"'"}),
    "long text, strange at its head": (sample_jobs.give_back, ("\n\ud800'" + "a" * 2000,), {"a": "\\" * 3000}),
    "random bytes": (sample_jobs.give_back, (bytes(range(256)) * 400,), {}),
}

PLAIN = ("a function", "a path", "nothing to pass", "a long list")
"""Those that JSON can tell."""


def _plain(connection: redis.Redis, serializer: str | None = None) -> Queue:
    return Queue("calls", connection=connection, serializer=serializer)


def _both(connection: redis.Redis, by_rq: Callable[[], object], by_client: Callable[[], object]) -> tuple[Any, Any]:
    """The states that both leave, each found with two jobs waiting."""
    states = []
    for enqueue in (by_rq, by_client):
        connection.flushdb()
        for job_id in ("first", "second"):
            _plain(connection).enqueue(sample_jobs.nothing, job_id=job_id)
        enqueue()
        states.append(state_of(connection))
    return states[0], states[1]


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_leaves_what_plain_rq_leaves(client: Client, redis_client: redis.Redis, name: str) -> None:
    ours, rqs = OPTIONS[name]
    by_rq, by_client = _both(
        redis_client,
        lambda: _plain(redis_client).enqueue(sample_jobs.add, args=(1,), kwargs={"other": 2}, **rqs),
        lambda: client.queue("calls", **ours).enqueue(sample_jobs.add, 1, other=2),
    )

    assert by_client == by_rq


@pytest.mark.parametrize("name", ["nothing", "nearly all"])
def test_a_connection_of_ones_own_leaves_what_plain_rq_leaves(redis_client: redis.Redis, name: str) -> None:
    ours, rqs = OPTIONS[name]
    by_rq, by_client = _both(
        redis_client,
        lambda: _plain(redis_client).enqueue(sample_jobs.add, args=(1,), kwargs={"other": 2}, **rqs),
        lambda: Client(connection=redis_client).queue("calls", **ours).enqueue(sample_jobs.add, 1, other=2),
    )

    assert by_client == by_rq


@pytest.mark.parametrize(("name", "serializer"), [(name, None) for name in CALLS] + [(name, "json") for name in PLAIN])
def test_each_kind_of_call_leaves_what_plain_rq_leaves(
    client: Client, redis_client: redis.Redis, name: str, serializer: str | None
) -> None:
    function, args, kwargs = CALLS[name]
    by_rq, by_client = _both(
        redis_client,
        lambda: _plain(redis_client, serializer).enqueue(function, args=args, kwargs=kwargs),
        lambda: client.queue("calls", serializer=serializer).enqueue(function, *args, **kwargs),
    )

    assert by_client == by_rq


@pytest.mark.parametrize("unique", [False, True])
def test_a_delayed_job_leaves_what_plain_rq_leaves(client: Client, redis_client: redis.Redis, unique: bool) -> None:
    due = datetime(2100, 1, 2, 3, 4, 5, tzinfo=UTC)
    more: Any = {"job_id": "mine", "unique": True} if unique else {}
    by_rq, by_client = _both(
        redis_client,
        lambda: _plain(redis_client).enqueue_at(due, sample_jobs.add, 1, **more),
        lambda: client.queue("calls", at=due, **more).enqueue(sample_jobs.add, 1),
    )
    assert by_client == by_rq

    by_rq, by_client = _both(
        redis_client,
        lambda: _plain(redis_client).enqueue_in(timedelta(seconds=60), sample_jobs.add, 1, **more),
        lambda: client.queue("calls", delay=60, **more).enqueue(sample_jobs.add, 1),
    )
    assert by_client == by_rq


def test_a_met_dependency_leaves_what_plain_rq_leaves(client: Client, redis_client: redis.Redis) -> None:
    _plain(redis_client).enqueue(sample_jobs.nothing, job_id="met")
    run_all(redis_client, "calls")
    met = redis_client.dump("rq:job:met")
    assert isinstance(met, bytes)
    by_rq, by_client = _both(
        redis_client,
        lambda: (
            redis_client.restore("rq:job:met", 60_000, met)
            and _plain(redis_client).enqueue(sample_jobs.add, 1, depends_on=["met"])
        ),
        lambda: (
            redis_client.restore("rq:job:met", 60_000, met)
            and client.queue("calls", depends_on="met").enqueue(sample_jobs.add, 1)
        ),
    )

    assert by_client == by_rq
    assert b"<0>" in by_client[b"rq:queue:calls"][0]


@pytest.mark.parametrize("name", ["nothing", "ttl", "at_front", "meta"])
def test_many_at_once_leave_what_plain_rq_leaves(
    client: Client, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("farm.store.enqueueing.PAGE_SIZE", 10)
    ours, rqs = OPTIONS[name]
    several = [(sample_jobs.add, (number,), {"other": 2}) for number in range(25)]
    in_order = reversed(several) if "at_front" in ours else several  # RQ puts each before the one pushed earlier
    by_rq, by_client = _both(
        redis_client,
        lambda: _plain(redis_client).enqueue_many(Queue.prepare_data(*one, **rqs) for one in in_order),
        lambda: client.queue("calls", **ours).enqueue_many(several),
    )

    assert by_client == by_rq


def test_calls_with_options_of_their_own_leave_what_plain_rq_leaves(client: Client, redis_client: redis.Redis) -> None:
    own: list[dict[str, Any]] = [
        {"job_id": "a", "description": "first"},
        {"job_id": "b"},
        {},
        {"timeout": 7},
        {"timeout": 8, "ttl": 50},
        {"at_front": True},
        {"meta": {"a": 1}, "retry": Retry(2)},
    ]
    by_rq, by_client = _both(
        redis_client,
        lambda: _plain(redis_client).enqueue_many(
            Queue.prepare_data(sample_jobs.add, (1,), **({"result_ttl": 30} | options)) for options in own
        ),
        lambda: client.queue("calls", result_ttl=30).enqueue_many(
            Call(sample_jobs.add, (1,), options=options or None)  # type: ignore[arg-type]
            for options in own
        ),
    )

    assert by_client == by_rq


def test_an_option_of_ours_is_all_that_is_added(client: Client, redis_client: redis.Redis) -> None:
    by_rq, by_client = _both(
        redis_client,
        lambda: _plain(redis_client).enqueue(sample_jobs.add, 1, job_id="mine"),
        lambda: client.queue("calls", job_id="mine", on_lost="fail").enqueue(sample_jobs.add, 1),
    )
    fields, _ = by_client[b"rq:job:mine"]
    assert fields.pop(b"farm_on_lost") == b"fail"

    assert by_client == by_rq
