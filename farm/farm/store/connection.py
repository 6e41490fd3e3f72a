"""Clients of Redis, made in one place.

Two rules hold for each of them: redis-py never repeats a command by itself (a repeat after a lost reply would run a
command twice), and every wait has an end.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NoReturn

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from farm.errors import RedisError, RedisFull, RedisRefused, RedisTooOld, RedisUnavailable, SettingsError
from farm.store import sentinel

MINIMUM_VERSION = (6, 2)
"""`LMOVE` and `BLMOVE` came with 6.2."""

CONNECT_TIMEOUT_SECONDS = 3.0
ANSWER_TIMEOUT_SECONDS = 5.0
LOOP_ANSWER_TIMEOUT_SECONDS = 3.0
"""Of hosts and coordinators, for which silence is news. Commands answer at once; one that blocks has this on top of the
time for which it is asked to block."""

CONNECTION_LOST = (redis.ConnectionError, redis.TimeoutError, ConnectionError, TimeoutError)
"""What a lost or silent connection raises."""

SILENCE = (redis.TimeoutError, TimeoutError)
"""What a connection raises that is there and says nothing."""

REFUSED = (redis.ResponseError,)
"""What a server raises that answers, and does not do it."""

_CANNOT_SERVE = (
    "ReadOnlyError",
    "READONLY",
    "BusyLoading",
    "LOADING",
    "NOREPLICAS",
    "MasterDown",
    "MASTERDOWN",
    "MISCONF",
)
_PERMISSIONS = "Give its user what docs/redis.md lists."

REDIS_ERRORS = (redis.RedisError, OSError)
"""All that a command can raise: lost connections, servers that answer and can't serve (loading, read-only), and what
the system says when a connection would be one descriptor too many."""


def hide_password(url: str) -> str:
    """The address as it may be shown: a password in it replaced by `***`.

    As `farm_settings.hide_password`, which is not called: processes import this module, and they do not load pydantic.
    """
    without_login = re.sub(r"://([^:/@\s]*):\S*@", r"://\1:***@", url)
    return re.sub(r"([?&](?:sentinel_)?password=)[^&\s]*", r"\1***", without_login)


def connect(url: str, *, name: str = "") -> redis.Redis:
    """A client for commands and tools. Opens nothing yet. Raises SettingsError for an address that is none."""
    options = {**_options(url, ANSWER_TIMEOUT_SECONDS, name), "retry": Retry(NoBackoff(), 0)}
    with _valid(url):
        if sentinel.is_sentinel(url):
            return sentinel.connect(url, options)
        return redis.Redis.from_url(url, **options)


def connect_async(url: str, *, name: str = "") -> redis.asyncio.Redis:
    """A client for the event loops of hosts and coordinators. Opens nothing yet."""
    options = {**_options(url, LOOP_ANSWER_TIMEOUT_SECONDS, name), "retry": AsyncRetry(NoBackoff(), 0)}
    with _valid(url):
        if sentinel.is_sentinel(url):
            return sentinel.connect_async(url, options)
        return redis.asyncio.Redis.from_url(url, **options)


def is_full(error: Exception) -> bool:
    """Whether the server refused a command for want of memory."""
    # An error within a script keeps its code in the text where the server is older than 7.
    return isinstance(error, redis.exceptions.OutOfMemoryError) or "OOM" in str(error)


def connection_of(client: redis.Redis) -> Any:
    """One of the client's connections, to be used without it, or given back to its pool. Raises redis-py's errors."""
    pool: Any = client.connection_pool
    try:
        return pool.get_connection()
    except TypeError:  # redis-py before 5.3 wants the name of a command, and does nothing with it
        return pool.get_connection("EVALSHA")


async def drop_idle_connections(client: redis.asyncio.Redis) -> None:
    """After one connection was lost: those that wait for use are of the same server, and may be as dead.

    The next command connects anew, to where the name of the server leads by then.
    """
    await client.connection_pool.disconnect(inuse_connections=False)


def _options(url: str, answer_timeout: float, name: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "protocol": 2,
        "socket_timeout": answer_timeout,
        "socket_connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "socket_keepalive": True,
        "health_check_interval": 0,
        **_driver(),
    }
    if url.startswith("unix:"):
        del options["socket_keepalive"]
    if name:
        options["client_name"] = re.sub(r"[^!-~]", "-", name)
    return options


@cache
def _driver() -> dict[str, Any]:
    """What tells Redis which library this is. Each connection would look up the version in files anew."""
    try:
        from redis.driver_info import DriverInfo  # noqa: PLC0415 - older redis-py has none
    except ImportError:
        return {}
    return {"driver_info": DriverInfo()}


@contextmanager
def _valid(url: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise SettingsError(
            f"REDIS_URL: {hide_password(url)!r} is not an address of Redis ({error}); "
            "use redis://, rediss:// or unix://, as in redis://localhost:6379/0, "
            "or redis+sentinel://HOST:26379,HOST:26379/MASTER-NAME/0"
        ) from None


@contextmanager
def readable_errors(url: str) -> Iterator[None]:
    """Turns redis-py's connection errors into ours, which name the address and what to do."""
    try:
        yield
    except REDIS_ERRORS as error:
        raise_readable(error, url)


def raise_readable(error: Exception, url: str) -> NoReturn:
    """What `readable_errors` does, for where a context for each call would be too much."""
    readable = _readable(error, hide_password(url))
    if readable is None:
        raise error
    raise readable from error


def _readable(error: Exception, shown: str) -> RedisError | None:
    """Ours for what the server or the connection raised; None for what is neither's: a wrong type, say."""
    told = _told(error)
    text = f"{type(error).__name__} {error}"  # redis-py cuts off the codes that it knows
    if isinstance(error, redis.exceptions.NoPermissionError) or "NOPERM" in text:
        return RedisRefused(f"Redis at {shown} refuses a command: {told}. {_PERMISSIONS}")
    if isinstance(error, redis.AuthenticationError) or "NOAUTH" in text or "WRONGPASS" in text:
        return RedisRefused(f"Redis at {shown} refused the login: {told}. Check user and password in FARM_REDIS_URL.")
    if isinstance(error, redis.exceptions.InvalidResponse):
        return RedisUnavailable(f"what answers at {shown} is no Redis: {told}. Check host and port in FARM_REDIS_URL.")
    if is_full(error):
        return RedisFull(
            f"Redis at {shown} is full (maxmemory), nothing was written: {told}. Hosts go on and make room; "
            "give it more memory, or let results end sooner (FARM_RESULT_TTL)."
        )
    if any(word in text for word in _CANNOT_SERVE):
        return RedisUnavailable(
            f"Redis at {shown} cannot serve now: {told}. Try again, or give the address of the master."
        )
    if isinstance(error, CONNECTION_LOST):
        return _no_connection(shown, told)
    return None


def _no_connection(shown: str, told: str) -> RedisError:
    if "CERTIFICATE" in told.upper():
        return RedisRefused(
            f"the certificate of Redis at {shown} is not trusted: {told}. "
            "Name the authority in the address: rediss://HOST:6379/0?ssl_ca_certs=FILE."
        )
    if sentinel.is_sentinel(shown):
        return RedisUnavailable(
            f"Redis at {shown} does not answer: {told}. "
            "Check hosts and ports of the Sentinels and the master's name in FARM_REDIS_URL."
        )
    return RedisUnavailable(
        f"Redis at {shown} does not answer: {told}. Start one (`farm up` does), "
        "or say where it is: FARM_REDIS_URL=redis://HOST:6379/0."
    )


def _told(error: Exception) -> str:
    """What redis-py says, ready to stand within a sentence."""
    return str(error).rstrip(". ")


def check_server(client: redis.Redis, url: str) -> None:
    """Asks it once. Raises RedisUnavailable, RedisRefused, or RedisTooOld below 6.2.

    A server that forbids INFO, as managed ones may, is taken as it is.
    """
    with readable_errors(url):
        try:
            information: dict[str, Any] = client.info("server")
        except redis.exceptions.NoPermissionError:
            return
    text = str(information.get("redis_version", "0.0"))
    major, minor = (int(part) for part in [*text.split("."), "0"][:2])
    if (major, minor) < MINIMUM_VERSION:
        raise RedisTooOld(
            f"Redis at {hide_password(url)} is version {text}; the farm needs "
            f"{'.'.join(map(str, MINIMUM_VERSION))} or newer, or any Valkey."
        )
