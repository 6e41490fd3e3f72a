"""What the client writes is what plain RQ writes and reads, with options kept apart from arguments."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import RFC_4122, UUID

import pytest
import redis
from rq import Queue, Retry
from rq.job import Job

from farm.client import Call, Client, DuplicateJob, InvalidCall
from tests.client import sample_jobs
from tests.client.counting import counting_client
from tests.client.running import run_all

JOB = "rq:job:"


def test_a_function_enqueued_by_reference_is_run_by_a_stock_worker(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue("calls").enqueue(sample_jobs.add, 3, other=4)
    run_all(redis_client, "calls")

    assert job.result(timeout=5) == 7


def test_text_names_a_function_that_only_hosts_can_import(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue().enqueue("shop.bill", 7)

    assert Job.fetch(job.id, connection=redis_client).func_name == "shop.bill"
    assert redis_client.lrange("rq:queue:default", 0, -1) == [job.id.encode()]
    assert redis_client.smembers("rq:queues") == {b"rq:queue:default"}


def test_a_method_travels_with_its_object(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue().enqueue(sample_jobs.Account(10).add, 5)
    run_all(redis_client)

    assert job.result(timeout=5) == 15


def test_a_coroutine_function_is_enqueued_like_any_other(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue().enqueue(sample_jobs.add_slowly, 1)
    run_all(redis_client)

    assert job.result(timeout=5) == 2


def test_arguments_may_have_the_names_of_options(client: Client, redis_client: redis.Redis) -> None:
    named = {"timeout": 1, "job_id": "x", "args": (2,), "kwargs": {}, "depends_on": 3, "at_front": 4, "pipeline": 5}
    job = client.queue(timeout=60).enqueue(sample_jobs.give_back, **named)
    run_all(redis_client)

    assert job.result(timeout=5) == ((), named)


def test_options_become_the_fields_that_rq_knows(client: Client, redis_client: redis.Redis) -> None:
    queue = client.queue(
        timeout="2m",
        result_ttl=30.2,
        failure_ttl=40,
        ttl=50,
        meta={"who": "me"},
        retry=3,
        job_id="mine",
        description="x",
    )
    queue.enqueue(sample_jobs.add, 1)
    job = Job.fetch("mine", connection=redis_client)

    assert (job.timeout, job.result_ttl, job.failure_ttl, job.ttl) == (120, 31, 40, 50)
    assert (job.meta, job.retries_left, job.description) == ({"who": "me"}, 3, "x")
    assert 0 < redis_client.ttl("rq:job:mine") <= 50


def test_the_record_has_the_same_fields_as_one_of_plain_rq(client: Client, redis_client: redis.Redis) -> None:
    ours = client.queue().enqueue(sample_jobs.add, 1)
    plain = Queue(connection=redis_client).enqueue(sample_jobs.add, 1)

    assert redis_client.hkeys(JOB + ours.id) == redis_client.hkeys(JOB + plain.id)


@pytest.mark.parametrize(
    "options",
    [{}, {"unique": True, "job_id": "one"}, {"delay": 60}, {"delay": 60, "unique": True, "job_id": "one"}],
    ids=str,
)
def test_our_own_option_is_written_with_the_job(client: Client, redis_client: redis.Redis, options: Any) -> None:
    job = client.queue(on_lost="fail", **options).enqueue(sample_jobs.add, 1)

    assert redis_client.hget(JOB + job.id, "farm_on_lost") == b"fail"


def test_jobs_that_wait_for_nothing_are_one_message_to_redis(redis_client: redis.Redis) -> None:
    with counting_client(redis_client) as (client, messages):
        queue = client.queue()
        queue.enqueue(sample_jobs.add, 1)  # Redis gets to know the script
        messages.clear()
        queue.enqueue_many([Call(sample_jobs.add, (number,)) for number in range(10)])
        assert len(messages) == 1

        queue.enqueue(sample_jobs.add, 1)
        assert len(messages) == 2


def test_a_job_is_enqueued_on_a_server_that_forgot_the_script(client: Client, redis_client: redis.Redis) -> None:
    queue = client.queue()
    for _ in range(2):
        redis_client.script_flush()
        queue.enqueue("shop.bill", 1)

    assert redis_client.llen("rq:queue:default") == 2


def test_each_job_has_an_id_of_its_own_that_is_a_random_uuid(client: Client) -> None:
    queue = client.queue()
    ids = {queue.enqueue("shop.bill", number).id for number in range(100)}

    assert len(ids) == 100
    assert all((UUID(one).version, UUID(one).variant, str(UUID(one))) == (4, RFC_4122, one) for one in ids)


def test_a_call_of_many_may_have_options_of_its_own(client: Client, redis_client: redis.Redis) -> None:
    client.queue().enqueue("shop.open", 1)
    jobs = client.queue(timeout=60, on_lost="fail").enqueue_many(
        [
            Call("shop.bill", (1,), options={"job_id": "first", "timeout": "2m"}),
            Call("shop.bill", (2,)),
            Call("shop.bill", (3,), options={"at_front": True, "on_lost": "rerun"}),
            Call("shop.bill", (4,), options={"depends_on": "first"}),
            Call("shop.bill", (5,), options={"delay": 60}),
        ]
    )
    statuses = [job.status() for job in jobs]

    assert [status.timeout for status in statuses] == [120, 60, 60, 60, 60]
    assert [status.on_lost for status in statuses] == ["fail", "fail", "rerun", "fail", "fail"]
    assert [status.position for status in statuses] == [2, 3, 0, None, None]
    assert (jobs[0].id, statuses[3].depends_on, statuses[4].status) == ("first", ("first",), "scheduled")


@pytest.mark.parametrize(
    "options", [{"serializer": "json"}, {"timeout": 0}, {"delay": 1, "at": datetime(2100, 1, 2, tzinfo=UTC)}], ids=str
)
def test_options_that_a_call_cannot_have_let_none_through(
    client: Client, redis_client: redis.Redis, options: Any
) -> None:
    with pytest.raises(InvalidCall):
        client.queue().enqueue_many([Call("shop.bill", (1,)), Call("shop.bill", (2,), options=options)])
    assert redis_client.dbsize() == 0


def test_what_meta_holds_when_a_job_is_enqueued_goes_with_it(client: Client, redis_client: redis.Redis) -> None:
    meta: dict[str, Any] = {"turn": 1}
    queue = client.queue(meta=meta)
    first = queue.enqueue(sample_jobs.add, 1)
    meta["turn"] = 2
    second = queue.enqueue(sample_jobs.add, 1)

    assert [Job.fetch(job.id, connection=redis_client).meta["turn"] for job in (first, second)] == [1, 2]


def test_threads_may_share_a_queue(client: Client, redis_client: redis.Redis) -> None:
    queue = client.queue()

    def enqueue(number: int) -> str:
        return queue.enqueue("shop.bill", number, text="x" * 2000).id

    with ThreadPoolExecutor(8) as threads:
        ids = list(threads.map(enqueue, range(400)))
    jobs = Job.fetch_many(ids, connection=redis_client)

    assert [job.args for job in jobs if job] == [(number,) for number in range(400)]
    assert [(job.description or "").split(",")[0] for job in jobs if job] == [f"shop.bill({n}" for n in range(400)]


def test_many_calls_keep_their_order(client: Client, redis_client: redis.Redis) -> None:
    jobs = client.queue().enqueue_many(
        [(sample_jobs.add, (1,), {}), ("shop.bill", (2,), {"much": 3}), Call(sample_jobs.add, (3,))]
    )

    assert redis_client.lrange("rq:queue:default", 0, -1) == [job.id.encode() for job in jobs]


def test_many_calls_at_the_front_keep_their_order_before_the_others(client: Client, redis_client: redis.Redis) -> None:
    last = client.queue().enqueue(sample_jobs.add, 0)
    jobs = client.queue(at_front=True).enqueue_many([Call(sample_jobs.add, (number,)) for number in range(3)])

    expected = [*(job.id.encode() for job in jobs), last.id.encode()]
    assert redis_client.lrange("rq:queue:default", 0, -1) == expected


def test_no_calls_are_no_jobs(client: Client, redis_client: redis.Redis) -> None:
    assert client.queue().enqueue_many([]) == []
    assert redis_client.dbsize() == 0


def test_a_second_job_of_a_unique_id_is_refused(client: Client, redis_client: redis.Redis) -> None:
    queue = client.queue(job_id="nightly", unique=True)
    queue.enqueue(sample_jobs.add, 1)

    with pytest.raises(DuplicateJob, match="nightly"):
        queue.enqueue(sample_jobs.add, 2)
    assert redis_client.llen("rq:queue:default") == 1


def test_a_job_waits_for_the_jobs_it_depends_on(client: Client, redis_client: redis.Redis) -> None:
    first = client.queue().enqueue(sample_jobs.add, 1)
    second = client.queue(depends_on=[first], on_lost="fail").enqueue(sample_jobs.add, 2)
    status = second.status()
    run_all(redis_client)

    assert (status.status, status.depends_on, status.on_lost) == ("dependent", (first.id,), "fail")
    assert second.result(timeout=5) == 3
    assert redis_client.hget(JOB + second.id, "farm_on_lost") == b"fail"


def test_a_dependency_that_is_met_leaves_nothing_to_wait_for(client: Client, redis_client: redis.Redis) -> None:
    first = client.queue().enqueue(sample_jobs.add, 1)
    run_all(redis_client)

    assert client.queue(depends_on=first.id).enqueue(sample_jobs.add, 2).status().position == 0


@pytest.mark.parametrize("delay", [60, 60.4, timedelta(minutes=1)], ids=str)
def test_a_delayed_job_is_never_due_early(client: Client, delay: Any) -> None:
    before = datetime.now(UTC)
    status = client.queue(delay=delay).enqueue(sample_jobs.add, 1).status()

    assert status.status == "scheduled"
    assert status.due_at is not None
    assert timedelta(seconds=60) <= status.due_at - before < timedelta(seconds=65)


def test_a_time_to_start_at_is_kept(client: Client) -> None:
    due = datetime(2100, 1, 2, 3, 4, 5, tzinfo=UTC)

    assert client.queue(at=due).enqueue(sample_jobs.add, 1).status().due_at == due


def test_a_retry_of_rq_is_taken_as_it_is(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue(retry=Retry(max=2, interval=[5, 9])).enqueue(sample_jobs.add, 1)

    assert Job.fetch(job.id, connection=redis_client).retry_intervals == [5, 9]


def test_json_jobs_are_written_and_read_as_json(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue("plain", serializer="json").enqueue(sample_jobs.give_back, [1], a={"b": 2})
    run_all(redis_client, "plain", serializer="json")

    assert job.result(timeout=5) == [[[1]], {"a": {"b": 2}}]


def _nested() -> Any:
    def inside() -> None: ...

    return inside


def _of_main() -> Any:
    def function() -> None: ...

    function.__module__, function.__qualname__ = "__main__", "function"
    return function


def _not_to_be_found() -> Any:
    def function() -> None: ...

    function.__qualname__ = "gone"
    return function


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda: 1, "lambda"),
        (_nested(), "inside a function"),
        (_of_main(), "__main__"),
        (_not_to_be_found(), "cannot be found"),
        (sample_jobs.Account, "cannot be a job"),
        (7, "cannot be a job"),
        ("bill", "module.function"),
        ("shop.bill()", "module.function"),
        ("__main__.bill", "__main__"),
        ([].append, "cannot be found"),
    ],
)
def test_a_function_that_no_host_can_import_is_refused(
    client: Client, redis_client: redis.Redis, function: Any, words: str
) -> None:
    with pytest.raises(InvalidCall, match=words):
        client.queue().enqueue(function)
    assert redis_client.dbsize() == 0


def test_an_argument_that_cannot_be_sent_is_named(client: Client, redis_client: redis.Redis) -> None:
    with pytest.raises(InvalidCall, match="argument 2 of add"):
        client.queue().enqueue(sample_jobs.add, 1, threading.Lock())  # type: ignore[arg-type]
    with pytest.raises(InvalidCall, match="argument 'other' of add"):
        client.queue(depends_on="other").enqueue(sample_jobs.add, 1, other=threading.Lock())  # type: ignore[arg-type]
    with pytest.raises(InvalidCall, match="meta"):
        client.queue(meta={"lock": threading.Lock()}).enqueue(sample_jobs.add, 1)
    with pytest.raises(InvalidCall, match="argument 1"):
        client.queue(serializer="json").enqueue(sample_jobs.give_back, {1, 2})
    assert redis_client.dbsize() == 0


def test_arguments_of_more_than_redis_takes_are_refused(
    client: Client, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.client.rq_queue.MAX_PAYLOAD_BYTES", 1000)

    with pytest.raises(InvalidCall, match=r"arguments of .*add take \d+ bytes, 1000 at most can be sent"):
        client.queue().enqueue(sample_jobs.add, "x" * 1000)

    assert redis_client.keys() == []


def test_one_bad_call_among_many_lets_none_through(client: Client, redis_client: redis.Redis) -> None:
    with pytest.raises(InvalidCall):
        client.queue().enqueue_many([Call(sample_jobs.add, (1,)), Call(sample_jobs.add, (threading.Lock(),))])
    assert redis_client.dbsize() == 0


@pytest.mark.parametrize(
    "options",
    [
        {"job_id": "with blank"},
        {"job_id": ""},
        {"unique": True},
        {"timeout": 0},
        {"timeout": "soon"},
        {"timeout": -5},
        {"ttl": 0},
        {"on_lost": "maybe"},
        {"delay": 1, "at": datetime(2030, 1, 1, tzinfo=UTC)},
        {"delay": 1, "depends_on": "other"},
        {"depends_on": "no id"},
        {"retry": -1},
        {"job_timeout": 5},
    ],
    ids=str,
)
def test_options_that_cannot_be_used_are_refused(client: Client, options: Any) -> None:
    with pytest.raises(InvalidCall):
        client.queue(**options)


def test_one_id_for_many_jobs_is_refused(client: Client, redis_client: redis.Redis) -> None:
    with pytest.raises(InvalidCall, match="one job"):
        client.queue(job_id="mine").enqueue_many([Call(sample_jobs.add, (1,)), Call(sample_jobs.add, (2,))])
    with pytest.raises(InvalidCall, match="one job"):
        client.queue().enqueue_many([Call(sample_jobs.add, (1,), options={"job_id": "mine"})] * 2)
    assert redis_client.dbsize() == 0


def test_a_job_enqueued_while_parents_carry_evil_meta_runs_none_of_it(
    client: Client, redis_client: redis.Redis, tmp_path: Any
) -> None:
    parent = client.queue(meta={"evil": sample_jobs.WritesAFileWhenUnpickled(tmp_path / "evil")})
    parent_id = parent.enqueue(sample_jobs.add, 1).id
    client.queue(depends_on=parent_id).enqueue(sample_jobs.add, 1)

    assert not (tmp_path / "evil").exists()
