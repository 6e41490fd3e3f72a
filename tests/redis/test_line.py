"""A line: one connection for what is asked all the time. Replies in order, and nothing sent twice whatever happens."""

import asyncio
import gc
import os
import signal
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis

from farm.keys import Keys
from farm.redis_server import RedisServer
from farm.store.connection import REDIS_ERRORS, connect, connect_async
from farm.store.line import Line
from farm.store.scripts import AsyncScripts
from tests.support.fault_proxy import FaultProxy

KEYS = Keys()
SECRET = "s3cr3t-pass"


@asynccontextmanager
async def line_to(url: str, name: str = "") -> AsyncIterator[Line]:
    client = connect_async(url, name=name)
    try:
        yield Line(client)
    finally:
        await client.aclose()


def use(url: str, work: Callable[[Line], Awaitable[None]], name: str = "") -> None:
    async def scenario() -> None:
        async with line_to(url, name) as line:
            await work(line)

    asyncio.run(scenario())


@pytest.mark.every_engine
def test_commands_of_one_message_are_answered_in_their_order(redis_url: str) -> None:
    async def work(line: Line) -> None:
        assert await line.ask(("SET", "test:a", "1"), ("INCRBY", "test:a", 4), ("GET", b"test:a"), ("GET", "none")) == [
            b"OK",
            5,
            b"5",
            None,
        ]
        assert await line.ask_one("RPUSH", "test:list", "x", 1.5, 2) == 3
        assert await line.ask_one("LRANGE", "test:list", 0, -1) == [b"x", b"1.5", b"2"]

    use(redis_url, work)


async def in_one_moment(line: Line, count: int) -> list[object]:
    """What so many get who ask at once, some of them a few turns of the loop later."""

    async def ask(number: int) -> object:
        return await line.ask_one("ECHO", number)

    async def ask_in_a_task(number: int) -> object:
        return await asyncio.create_task(ask(number))

    asked = [ask_in_a_task(number) if number % 2 else ask(number) for number in range(count)]
    return list(await asyncio.gather(*asked, return_exceptions=True))


def test_what_is_asked_at_one_moment_on_a_line_that_gathers_is_one_message(
    redis_url: str, redis_client: redis.Redis
) -> None:
    def sends() -> int:
        return int(redis_client.info("stats")["total_reads_processed"])

    async def work(line: Line) -> None:
        line = Line(line._client, gathers=True)
        await line.ask_one("PING")
        before = sends()
        assert await in_one_moment(line, 20) == [str(number).encode() for number in range(20)]
        assert sends() - before == 2, "one is the question for the number"

    use(redis_url, work)


def test_what_a_line_has_gathered_is_not_sent_after_it_was_lost(redis_url: str, redis_client: redis.Redis) -> None:
    async def work(line: Line) -> None:
        line = Line(line._client, gathers=True)
        await line.ask_one("PING")
        pushes = [asyncio.create_task(line.ask_one("RPUSH", "test:list", number)) for number in range(3)]
        await asyncio.sleep(0)
        line.close()
        answers = await asyncio.gather(*pushes, return_exceptions=True)
        assert [type(answer) for answer in answers] == [redis.ConnectionError] * 3
        assert await line.ask_one("RPUSH", "test:list", "a") == 1
        assert redis_client.lrange("test:list", 0, -1) == [b"a"]

    use(redis_url, work)


def test_many_who_ask_at_once_get_their_own_replies(redis_url: str) -> None:
    async def work(line: Line) -> None:
        async def ask(number: int) -> None:
            texts = [f"{number}-{part}".encode() for part in range(number % 4 + 1)]
            assert await line.ask(*(("ECHO", text) for text in texts)) == texts

        await asyncio.gather(*map(ask, range(200)))

    use(redis_url, work)


def test_an_error_of_the_server_is_one_of_the_replies_and_costs_nobody_else_his(redis_url: str) -> None:
    async def work(line: Line) -> None:
        await line.ask_one("SET", "test:a", "text")
        before, error, after = await line.ask(("PING",), ("INCR", "test:a"), ("GET", "test:a"))
        assert (before, after) == (b"PONG", b"text")
        assert isinstance(error, redis.ResponseError)
        assert "not an integer" in str(error)
        with pytest.raises(redis.ResponseError, match="not an integer"):
            await line.ask_one("INCR", "test:a")
        assert await line.ask_one("PING") == b"PONG", "the connection is as good as before"

    use(redis_url, work)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("NOSCRIPT none", redis.exceptions.NoScriptError),
        ("OOM command not allowed", redis.exceptions.OutOfMemoryError),
        ("READONLY no", redis.exceptions.ReadOnlyError),
        ("LOADING the data", redis.BusyLoadingError),
        ("NOPERM no", redis.exceptions.NoPermissionError),
        ("WRONGTYPE no", redis.ResponseError),
    ],
)
def test_errors_are_those_of_redis_py(redis_url: str, text: str, kind: type[Exception]) -> None:
    async def work(line: Line) -> None:
        with pytest.raises(kind) as raised:
            await line.ask_one("EVAL", "return redis.error_reply(ARGV[1])", 0, text)
        assert type(raised.value) is kind
        with pytest.raises(kind) as of_client:
            await line._client.eval("return redis.error_reply(ARGV[1])", 0, text)
        assert type(of_client.value) is kind

    use(redis_url, work)


def test_a_reply_of_many_megabytes_comes_whole(redis_url: str) -> None:
    async def work(line: Line) -> None:
        large = os.urandom(20_000_000)
        assert await line.ask(("SET", "test:a", large), ("GET", "test:a"), ("PING",)) == [b"OK", large, b"PONG"]

    use(redis_url, work)


def test_a_wait_ends_with_what_came_or_with_none(redis_url: str, redis_client: redis.Redis) -> None:
    async def work(line: Line) -> None:
        assert await line.wait_for("BLPOP", "test:list", seconds=0.05) is None
        waiting = asyncio.create_task(line.wait_for("BLPOP", "test:list", seconds=20))
        await asyncio.to_thread(redis_client.rpush, "test:list", "x")
        assert await waiting == [b"test:list", b"x"]

    use(redis_url, work)


def test_a_connection_that_the_server_closed_fails_what_was_asked_and_the_next_question_has_a_new_one(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def work(line: Line) -> None:
        before = await line.ask_one("CLIENT", "ID")
        asked = [asyncio.create_task(line.wait_for("BLPOP", "test:list", seconds=20)) for _ in range(3)]
        await asyncio.to_thread(_wait_for_blocked, redis_client)
        redis_client.client_kill_filter(_id=before)
        for error in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(error, redis.ConnectionError)
        assert await line.ask_one("CLIENT", "ID") != before
        assert await line.ask_one("CLIENT", "GETNAME") == b"farm-of-the-test"

    use(redis_url, work, name="farm-of-the-test")


def test_many_who_find_the_connection_lost_share_one_new_one(redis_url: str, redis_client: redis.Redis) -> None:
    async def work(line: Line) -> None:
        for _ in range(5):
            number = await line.ask_one("CLIENT", "ID")
            redis_client.client_kill_filter(_id=number)
            answers = await asyncio.gather(*(line.ask_one("CLIENT", "ID") for _ in range(20)), return_exceptions=True)
            assert all(isinstance(answer, redis.ConnectionError) for answer in answers)
            answers = await asyncio.gather(*(line.ask_one("CLIENT", "ID") for _ in range(20)))
            assert len(set(answers)) == 1
        names = [one["name"] for one in redis_client.client_list()]
        assert names.count("farm-of-the-test") == 1, "those that were lost are closed"

    use(redis_url, work, name="farm-of-the-test")


def test_what_was_asked_is_never_sent_again_by_itself(
    redis_url: str, redis_client: redis.Redis, proxy_to: Callable[[str], FaultProxy]
) -> None:
    proxy = proxy_to(redis_url)

    async def work(line: Line) -> None:
        await line.ask_one("PING")
        proxy.cut_reply_at(0, containing=b"INCR")
        with pytest.raises(redis.ConnectionError):
            await line.ask_one("INCR", "test:a")
        assert await line.ask_one("GET", "test:a") == b"1"
        proxy.cut_request_at(5, containing=b"INCR")
        with pytest.raises(redis.ConnectionError):
            await line.ask_one("INCR", "test:a")
        assert await line.ask_one("GET", "test:a") == b"1", "the half of a command is none"

    use(proxy.url, work)


def test_a_server_that_dies_and_comes_back_is_found_again(own_redis: RedisServer) -> None:
    async def work(line: Line) -> None:
        await line.ask_one("SET", "test:a", "1")
        await line.ask_one("SAVE")
        waiting = asyncio.create_task(line.wait_for("BLPOP", "test:list", seconds=20))
        with connect(own_redis.url) as client:
            await asyncio.to_thread(_wait_for_blocked, client)
        os.kill(own_redis.pid, signal.SIGKILL)
        with pytest.raises(redis.ConnectionError):
            await waiting
        with pytest.raises(REDIS_ERRORS):
            await line.ask_one("PING")
        await asyncio.to_thread(own_redis.stop)
        await asyncio.to_thread(own_redis.start)
        assert await line.ask_one("GET", "test:a") == b"1"

    use(own_redis.url, work)


def test_silence_has_an_end_and_a_late_reply_is_nobody_elses(
    redis_url: str, proxy_to: Callable[[str], FaultProxy]
) -> None:
    proxy = proxy_to(redis_url)

    async def work(line: Line) -> None:
        await line.ask_one("PING")
        proxy.hold()
        first = asyncio.create_task(line.ask(("ECHO", "late"), seconds=0.2))
        second = asyncio.create_task(line.ask(("ECHO", "later"), seconds=20))
        for lost in (first, second):
            with pytest.raises(redis.TimeoutError, match=r"no answer for 0\.2 s"):
                await lost
        proxy.forward()
        assert await line.ask_one("ECHO", "new") == b"new"

    use(proxy.url, work)


def test_the_reply_to_a_question_that_was_given_up_is_nobody_elses(redis_url: str, redis_client: redis.Redis) -> None:
    async def work(line: Line) -> None:
        given_up = asyncio.create_task(line.wait_for("BLPOP", "test:list", seconds=20))
        await asyncio.to_thread(_wait_for_blocked, redis_client)
        behind_it = asyncio.create_task(line.ask_one("ECHO", "behind"))
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        with pytest.raises(redis.ConnectionError):
            await behind_it
        assert await line.ask_one("ECHO", "new") == b"new"
        redis_client.rpush("test:list", "x")
        assert await line.ask_one("LLEN", "test:list") == 1, "nobody waits for it any more"

    use(redis_url, work)


def test_a_line_ends_with_its_client_and_leaves_nothing_open(redis_url: str, redis_client: redis.Redis) -> None:
    async def work() -> None:
        client = connect_async(redis_url, name="farm-of-the-test")
        lines = [Line(client) for _ in range(3)]
        for line in lines:
            await line.ask_one("PING")
        lines[0].close()
        redis_client.client_kill_filter(_id=await lines[1].ask_one("CLIENT", "ID"))
        await client.aclose()

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        asyncio.run(work())
        gc.collect()

    assert [str(warning.message) for warning in warned if warning.category is ResourceWarning] == []
    assert "farm-of-the-test" not in [one["name"] for one in redis_client.client_list()]


def test_a_line_that_was_closed_connects_anew_when_it_is_asked(redis_url: str) -> None:
    async def work(line: Line) -> None:
        line.close()
        before = await line.ask_one("CLIENT", "ID")
        line.close()
        assert await line.ask_one("CLIENT", "ID") > before

    use(redis_url, work)


def test_a_line_logs_in_with_name_and_password_and_is_refused_without(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "own", tcp=True, append_only=False) as server, connect(server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "farm", "on", f">{SECRET}", "~*", "+@all")
        place = server.url.partition("@")[2]

        async def says_who_it_is(line: Line) -> None:
            assert await line.ask_one("ACL", "WHOAMI") == b"farm"

        async def is_refused(line: Line) -> None:
            with pytest.raises(redis.AuthenticationError) as refused:
                await line.ask_one("PING")
            assert "wrong-secret" not in str(refused.value)

        use(f"redis://farm:{SECRET}@{place}", says_who_it_is)
        use(f"redis://farm:wrong-secret@{place}", is_refused)


def test_scripts_that_the_server_forgot_are_loaded_again_and_the_others_of_the_message_run_once(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def scenario() -> None:
        client = connect_async(redis_url)
        scripts = AsyncScripts(client, Line(client))
        call = ("event", [KEYS.events], ["2026-01-02T03:04:05Z", "test.event"])
        for _ in range(2):
            redis_client.script_flush()
            await scripts.run(*call)
            redis_client.script_flush()
            await scripts.run_together([call, call, call])
            await scripts.run_together([call])
        await client.aclose()

    asyncio.run(scenario())
    assert redis_client.xlen(KEYS.events) == 2 * 5


def _wait_for_blocked(client: redis.Redis) -> None:
    while not client.info("clients")["blocked_clients"]:
        pass
