"""The app's accept function in the hooks process: what it is told of a job, what it may say, and how it breaks."""

import asyncio
import importlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from rq import Queue

from farm.packed import pack
from farm_settings import load
from farm_worker.hooks import Hooks, needs_of_queues
from farm_worker.pool.offer_messages import Offer

FACTS = {"cpu": 0.25, "busy": 3}
Use = Callable[[Hooks], Awaitable[Any]]


@pytest.fixture
def use(user_folder: Path, redis_url: str) -> Callable[..., Any]:
    """Runs something with the hooks of an app of this text."""

    def run(text: str, function: Use) -> Any:
        (user_folder / "hooked.py").write_text(f"import asyncio, os, signal, sys, time\nimport farm\n{text}")
        settings = load({"app": "hooked", "path": str(user_folder), "redis_url": redis_url}, environ={})

        async def main() -> Any:
            hooks = await Hooks.start(settings, dict(os.environ))
            try:
                return await function(hooks)
            finally:
                await hooks.close()

        return asyncio.run(main())

    return run


def accepts(body: str, before: str = "") -> str:
    return f"app = farm.App()\n{before}\n@app.accept\n{body}\n"


def offer(client: redis.Redis, *arguments: Any, is_large: bool = False, **options: Any) -> Offer:
    """Of a job that plain rq made."""
    job = Queue("calls", connection=client).enqueue("shop.bill", args=arguments, **options)
    return offer_of(client, job.id, is_large=is_large)


def offer_of(client: redis.Redis, job_id: str, *, is_large: bool = False) -> Offer:
    fields = client.hgetall(f"rq:job:{job_id}")
    if is_large:
        fields[b"data"] = b""
    flat = [part for pair in fields.items() for part in pair]
    return Offer(job_id.encode(), "calls", 2, b"shop.bill", pack(flat), is_large)


def asking(*offers: Offer, timeout: float = 10.0) -> Use:
    async def ask(hooks: Hooks) -> Any:
        answer = await hooks.accept(offers, FACTS, timeout=timeout)
        return [(one.kind, one.reason) for one in answer.verdicts], answer.error

    return ask


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("def accept(job): return True", ("accepted", "")),
        ("def accept(job): return False", ("declined", "declined")),
        ("def accept(job): return 'no GPU here'", ("declined", "no GPU here")),
        ("def accept(job, host): return host.busy == 3 or 'idle'", ("accepted", "")),
        ("def accept(job, host=None): return host is not None", ("accepted", "")),
        ("async def accept(job):\n    await asyncio.sleep(0)\n    return 'later'", ("declined", "later")),
        ("def accept(job): return job.args == (7, 'seven') and job.kwargs == {}", ("accepted", "")),
        ("def accept(job): return job.meta['who']", ("declined", "me")),
        ("def accept(job): return repr(job.payload)", ("declined", "None")),
        ("def accept(job): return f'{job.queue} {job.function} {job.attempt}'", ("declined", "calls shop.bill 2")),
        ("def accept(job): return f'{job.enqueued_at:%Y}' > '2000'", ("accepted", "")),
        ("def accept(job): return f'{job.requires} {job.memory_mb}'", ("declined", "() None")),
    ],
)
def test_what_the_function_is_told_and_what_it_may_say(
    use: Callable[..., Any], redis_client: redis.Redis, body: str, expected: tuple[str, str]
) -> None:
    verdicts, error = use(accepts(body), asking(offer(redis_client, 7, "seven", meta={"who": "me"})))
    assert (verdicts, error) == ([expected], "")


def test_what_the_job_requires_goes_before_what_its_queue_does(
    use: Callable[..., Any], redis_client: redis.Redis
) -> None:
    of_queue, own = offer(redis_client), Queue("calls", connection=redis_client).enqueue("shop.bill")
    redis_client.hset(own.key, mapping={"farm_requires": "eu,gpu", "farm_memory_mb": "8"})
    text = accepts(
        "def accept(job): return f'{job.requires} {job.memory_mb}'",
        "app.queue('calls', requires=['large'], memory_mb=64)",
    )
    verdicts, _ = use(text, asking(of_queue, offer_of(redis_client, own.id)))
    assert [reason for _, reason in verdicts] == ["('large',) 64", "('eu', 'gpu') 8"]


def test_what_queues_require_is_told_of_those_alone_that_require_something(use: Callable[..., Any]) -> None:
    async def needs(hooks: Hooks) -> str:
        return needs_of_queues(hooks)

    text = "app = farm.App()\napp.queue('calls', requires=['gpu'], on_lost='fail')\napp.queue('low', on_lost='fail')\n"
    assert use(text, needs) == '{"calls":{"requires":["gpu"]}}'
    assert not use("app = farm.App()\napp.queue('low', on_lost='fail')\n", needs)
    assert not needs_of_queues(None)


def test_a_payload_is_decoded_only_in_the_hooks_process_and_only_if_looked_at(
    use: Callable[..., Any], redis_client: redis.Redis, user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (user_folder / "marked_payload.py").write_text(
        "import os\nclass Mark:\n    def __reduce__(self):\n        return loaded, ()\n"
        f"def loaded():\n    open({str(user_folder / 'loaded')!r}, 'w').write(str(os.getpid()))\n"
    )
    monkeypatch.syspath_prepend(str(user_folder))
    offered = offer(redis_client, importlib.import_module("marked_payload").Mark())

    assert use(accepts("def accept(job): return job.id != ''"), asking(offered)) == ([("accepted", "")], "")
    assert not (user_folder / "loaded").exists()
    assert use(accepts("def accept(job): return job.args == (None,)"), asking(offered)) == ([("accepted", "")], "")
    assert (user_folder / "loaded").read_text() != str(os.getpid())


def test_a_large_payload_is_read_from_redis(use: Callable[..., Any], redis_client: redis.Redis) -> None:
    offered = offer(redis_client, "x" * 100_000, is_large=True)
    verdicts, _ = use(accepts("def accept(job): return len(job.args[0]) == 100_000"), asking(offered))
    assert verdicts == [("accepted", "")]


def test_a_job_that_cannot_be_decoded_is_accepted_as_it_fails_where_it_runs(
    use: Callable[..., Any], redis_client: redis.Redis
) -> None:
    job = Queue("calls", connection=redis_client).enqueue("shop.bill")
    redis_client.hset(job.key, "data", b"nonsense")
    verdicts, _ = use(accepts("def accept(job): return not job.args"), asking(offer_of(redis_client, job.id)))
    assert verdicts == [("accepted", "")]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("def accept(job): return None", "returned None; it must return True, or False, or a text"),
        ("def accept(job): return ''", "returned ''; it must"),
        ("def accept(job): return 1", "returned 1; it must"),
        ("def accept(job): return job.no_such_thing", "raised AttributeError"),
        ("async def accept(job): raise OSError('no meter')", "raised OSError: no meter"),
        ("def accept(job): sys.exit(3)", "raised SystemExit: 3"),
    ],
)
def test_what_is_no_answer_is_an_error_that_names_the_function(
    use: Callable[..., Any], redis_client: redis.Redis, body: str, expected: str
) -> None:
    ((kind, reason),), _ = use(accepts(body), asking(offer(redis_client)))
    assert kind == "failed"
    assert reason.startswith("accept function hooked.accept ")
    assert expected in reason


def test_many_jobs_are_one_question_and_one_that_fails_hides_no_other(
    use: Callable[..., Any], redis_client: redis.Redis
) -> None:
    offers = [offer(redis_client, number) for number in range(50)]
    body = "def accept(job): return 1 / 0 if job.args[0] == 7 else job.args[0] % 2 == 0"
    verdicts, _ = use(accepts(body), asking(*offers))
    kinds = [kind for kind, _ in verdicts]
    assert kinds == ["failed" if n == 7 else "accepted" if n % 2 == 0 else "declined" for n in range(50)]


def test_a_slow_function_answers_of_as_many_as_there_is_time_for(
    use: Callable[..., Any], redis_client: redis.Redis
) -> None:
    offers = [offer(redis_client, number) for number in range(3)]
    body = "def accept(job):\n    time.sleep(2.1)\n    return True"
    assert use(accepts(body), asking(*offers, timeout=4.0)) == ([("accepted", "")], "")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("time.sleep(3600)", "the accept function did not answer within 1 s"),
        ("os.kill(os.getpid(), 11)", "ended: killed by signal 11"),
    ],
)
def test_a_process_that_hangs_or_dies_is_replaced_and_the_load_is_asked_of_the_next(
    use: Callable[..., Any], redis_client: redis.Redis, user_folder: Path, body: str, expected: str
) -> None:
    offered = offer(redis_client)

    async def until_well(hooks: Hooks) -> Any:
        first_pid = hooks.pid
        first = await hooks.accept([offered], FACTS, timeout=1)
        while not (answer := await hooks.accept([offered], FACTS, timeout=10)).verdicts:
            assert "starting anew" in answer.error
            await asyncio.sleep(0.02)
        assert first_pid is not None
        assert not psutil.pid_exists(first_pid)
        return first, answer, await hooks.load(FACTS, timeout=10)

    flag = user_folder / "broke"
    once = f"if os.path.exists({str(flag)!r}): return True\n    open({str(flag)!r}, 'w').close()"
    load_too = "@app.load\ndef load(): return 0.5"
    first, answer, said = use(accepts(f"def accept(job):\n    {once}\n    {body}", load_too), until_well)
    assert first.verdicts == []
    assert expected in first.error
    assert answer.verdicts[0].kind == "accepted"
    assert said.value == 0.5
