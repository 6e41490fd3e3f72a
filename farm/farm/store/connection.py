"""Clients of Redis, made in one place.

Two rules hold for each of them: redis-py never repeats a command by itself (a repeat after a lost reply would run a
command twice), and every wait has an end.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from farm.errors import RedisRefused, RedisTooOld, RedisUnavailable, SettingsError

MINIMUM_VERSION = (6, 2)
"""`LMOVE` and `BLMOVE` came with 6.2."""

CONNECT_TIMEOUT_SECONDS = 3.0
ANSWER_TIMEOUT_SECONDS = 5.0
"""Commands answer at once; blocking ones are asked to end well before this."""

CONNECTION_LOST = (redis.ConnectionError, redis.TimeoutError, ConnectionError, TimeoutError)
"""What a lost or silent connection raises."""

REDIS_ERRORS = (redis.RedisError, ConnectionError, TimeoutError)
"""All that a command can raise: lost connections, and servers that answer and can't serve (loading, read-only)."""


def hide_password(url: str) -> str:
    """The address as it may be shown: a password in it replaced by `***`.

    As `farm_settings.hide_password`, which is not called: processes import this module, and they do not load pydantic.
    """
    without_login = re.sub(r"://([^:/@\s]*):\S*@", r"://\1:***@", url)
    return re.sub(r"([?&]password=)[^&\s]*", r"\1***", without_login)


def _options() -> dict[str, Any]:
    return {
        "protocol": 2,
        "socket_timeout": ANSWER_TIMEOUT_SECONDS,
        "socket_connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "socket_keepalive": True,
        "health_check_interval": 0,
    }


def connect(url: str) -> redis.Redis:
    """A client for commands and tools. Opens nothing yet. Raises SettingsError for an address that is none."""
    with _valid(url):
        options = _options()
        if url.startswith("unix:"):
            del options["socket_keepalive"]
        return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **options)


def connect_async(url: str, *, name: str = "") -> redis.asyncio.Redis:
    """A client for the event loops of hosts and coordinators. Opens nothing yet."""
    with _valid(url):
        options = _options()
        if url.startswith("unix:"):
            del options["socket_keepalive"]
        if name:
            options["client_name"] = re.sub(r"[^!-~]", "-", name)
        return redis.asyncio.Redis.from_url(url, retry=AsyncRetry(NoBackoff(), 0), **options)


@contextmanager
def _valid(url: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise SettingsError(
            f"REDIS_URL: {hide_password(url)!r} is not an address of Redis ({error}); "
            "use redis://, rediss:// or unix://, as in redis://localhost:6379/0"
        ) from None


@contextmanager
def readable_errors(url: str) -> Iterator[None]:
    """Turns redis-py's connection errors into ours, which name the address and what to do."""
    shown = hide_password(url)
    try:
        yield
    except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
        raise RedisRefused(
            f"Redis at {shown} refused the login: {_told(error)}. Check user and password in FARM_REDIS_URL."
        ) from error
    except redis.exceptions.InvalidResponse as error:
        raise RedisUnavailable(
            f"what answers at {shown} is no Redis: {_told(error)}. Check host and port in FARM_REDIS_URL."
        ) from error
    except redis.ResponseError as error:
        if str(error).startswith(("NOAUTH", "WRONGPASS", "NOPERM")):
            raise RedisRefused(
                f"Redis at {shown} refused the login: {_told(error)}. Check user and password in FARM_REDIS_URL."
            ) from error
        raise
    except CONNECTION_LOST as error:
        raise RedisUnavailable(
            f"Redis at {shown} does not answer: {_told(error)}. Start one (`farm up` does), "
            "or say where it is: FARM_REDIS_URL=redis://HOST:6379/0."
        ) from error


def _told(error: Exception) -> str:
    """What redis-py says, ready to stand within a sentence."""
    return str(error).rstrip(". ")


def check_version(information: dict[str, Any], url: str) -> tuple[int, int]:
    """The version told by `INFO server`. Raises RedisTooOld below 6.2."""
    text = str(information.get("redis_version", "0.0"))
    major, minor = (int(part) for part in [*text.split("."), "0"][:2])
    if (major, minor) < MINIMUM_VERSION:
        raise RedisTooOld(
            f"Redis at {hide_password(url)} is version {text}; the farm needs "
            f"{'.'.join(map(str, MINIMUM_VERSION))} or newer, or any Valkey."
        )
    return major, minor
