"""The Lua scripts, one file per transition in `lua/`, and how they are called.

A script's first lines say its KEYS, ARGV, what it returns and what it guarantees. `-- include NAME` puts the text of
`lua/include/NAME.lua` in its place. Servers that know script flags (7.0 and newer) get `allow-oom`, so that a full
Redis still drains; older ones and fakeredis refuse the line, so it is added only after the version is known.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, cast
from weakref import WeakKeyDictionary

import hiredis
import redis
import redis.asyncio

from farm.store.connection import LOOP_ANSWER_TIMEOUT_SECONDS
from farm.store.direct import Direct
from farm.store.line import Line

Argument = str | bytes | int | float

_INCLUDE = re.compile(r"^-- include (\w+)$", re.MULTILINE)
_ALLOW_OUT_OF_MEMORY = "#!lua flags=allow-oom\n"
_FLAGS_SINCE = 7


@cache
def source(name: str, flags: bool) -> tuple[str, str]:
    """Text and SHA-1 of `lua/<name>.lua` with its includes."""
    text = _ALLOW_OUT_OF_MEMORY + _text(name) if flags else _text(name)
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def read_all() -> None:
    """Reads every script now: later there may be no descriptor for its file, or it is that of a newer version."""
    for file in (files("farm.store") / "lua").iterdir():
        if file.name.endswith(".lua"):
            _text(file.name.removesuffix(".lua"))


@cache
def _text(name: str) -> str:
    folder = files("farm.store") / "lua"
    text = (folder / f"{name}.lua").read_text()
    return _INCLUDE.sub(lambda match: (folder / "include" / f"{match[1]}.lua").read_text(), text)


def _understands_flags(information: dict[str, Any]) -> bool:
    return int(str(information.get("redis_version", "0")).split(".")[0]) >= _FLAGS_SINCE


class Scripts:
    """Calls scripts on a synchronous client; loads and sends again a script that the server forgot.

    With `on_full_server=False` they are refused by a server that is full, as other writes are. `direct`: where they are
    called, if that is not the client.
    """

    def __init__(self, client: redis.Redis, *, on_full_server: bool = True, direct: Direct | None = None) -> None:
        self._client = client
        self._direct = direct
        self._ask: Callable[..., Any] = client.execute_command if direct is None else direct.ask
        self._on_full_server = on_full_server
        self._flags = None if on_full_server else False

    def run(self, name: str, keys: Sequence[str | bytes], arguments: Sequence[Argument]) -> Any:
        """What the script returns. Raises redis-py's errors."""
        try:
            return self._ask("EVALSHA", self._source(name)[1], len(keys), *keys, *arguments)
        except redis.exceptions.NoScriptError:
            return self._client.evalsha(self._load(name), len(keys), *keys, *arguments)

    def run_packed(self, name: str, packed: bytes) -> Any:
        """As `run`, of a call with its `digest` that is a message already. Needs `direct`."""
        assert self._direct is not None
        try:
            return self._direct.ask_packed(packed)
        except redis.exceptions.NoScriptError:
            self._load(name)
            return self._direct.ask_packed(packed)

    def digest(self, name: str) -> str:
        """By which the server knows the script. One that is refused by a full server has always the same."""
        return self._source(name)[1]

    def run_together(self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Argument]]]) -> None:
        """Runs a script several times in one transaction, sent in one round trip. Raises redis-py's errors."""
        try:
            self._transaction(name, calls)
        except redis.exceptions.NoScriptError:  # so none of them ran
            self._load(name)
            self._transaction(name, calls)

    def _transaction(self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Argument]]]) -> None:
        digest = self._source(name)[1]
        with self._client.pipeline(transaction=True) as pipeline:
            for keys, arguments in calls:
                pipeline.evalsha(digest, len(keys), *keys, *arguments)
            pipeline.execute()

    def _source(self, name: str) -> tuple[str, str]:
        if self._flags is None:
            self._flags = _server_flags(self._client)
        return source(name, self._flags)

    def _load(self, name: str) -> str:
        """Its SHA-1, once the server knows it."""
        if self._on_full_server:
            self._flags = _server_flags(self._client)  # it may be another server by now, of another version
        text, digest = self._source(name)
        self._client.script_load(text)
        return digest


def _server_flags(client: redis.Redis) -> bool:
    try:
        return _understands_flags(client.info("server"))
    except redis.ResponseError:
        return False  # INFO may be forbidden, and fakeredis has none


class AsyncScripts:
    """Calls scripts on an asynchronous client, as `Scripts` does."""

    def __init__(self, client: redis.asyncio.Redis, line: Line | None = None) -> None:
        """`line`: where they are called, if that is not the client."""
        self._client = client
        self._line = line
        self._loaded: set[str] = set()

    async def run(self, name: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """What the script returns. Raises redis-py's errors."""
        digest = source(name, await self._server_flags())[1]
        try:
            if self._line is not None:
                return await self._line.ask_one("EVALSHA", digest, len(keys), *keys, *arguments)
            return await self._client.evalsha(digest, len(keys), *keys, *arguments)
        except redis.exceptions.NoScriptError:
            _flags_of.pop(self._client, None)  # it may be another server by now, of another version
            text, digest = source(name, await self._server_flags())
            await self._client.script_load(text)
            return await self._client.evalsha(digest, len(keys), *keys, *arguments)

    async def run_together(self, calls: Sequence[tuple[str, Sequence[str], Sequence[Argument]]]) -> list[Any]:
        """What several scripts return, sent in one round trip and run one after the other."""
        flags = await self._server_flags()
        commands = [("EVALSHA", source(name, flags)[1], len(keys), *keys, *rest) for name, keys, rest in calls]
        if self._line is not None:
            replies = await self._line.ask(*commands)
        else:
            async with self._client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                replies = await pipeline.execute(raise_on_error=False)
        for index, reply in enumerate(replies):
            if isinstance(reply, redis.exceptions.NoScriptError):
                replies[index] = await self.run(*calls[index])
            elif isinstance(reply, Exception):
                raise reply
        return replies

    async def run_after(
        self,
        wait: Sequence[Argument],
        seconds: float,
        name: str,
        keys: Sequence[str],
        arguments: Sequence[Argument],
        heard: Callable[[Any], None],
    ) -> Any:
        """Runs a script right after a command that blocks for `seconds` at most, and returns the reply of that one.

        Redis has both from the start: between them there is no message. `heard` is told what the script returns, as
        soon as it is here. Needs a line. An error about the wait is returned; raises redis-py's other errors.
        """
        assert self._line is not None
        digest = source(name, await self._server_flags())[1]

        def hear(replies: list[Any]) -> None:
            if not isinstance(replies[1], Exception):
                heard(replies[1])

        script = ("EVALSHA", digest, len(keys), *keys, *arguments)
        waited, reply = await self._line.ask(wait, script, seconds=seconds + LOOP_ANSWER_TIMEOUT_SECONDS, heard=hear)
        if isinstance(reply, redis.exceptions.NoScriptError):
            heard(await self.run(name, keys, arguments))
        elif isinstance(reply, Exception):
            raise reply
        return waited

    async def message_after(
        self, wait: Sequence[Argument], name: str, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> bytes:
        """What `run_after` sends. The script is loaded the first time, as who sends this can't do it."""
        text, digest = source(name, await self._server_flags())
        if digest not in self._loaded:
            await self._client.script_load(text)
            self._loaded.add(digest)
        commands = (tuple(wait), ("EVALSHA", digest, len(keys), *keys, *arguments))
        return b"".join(hiredis.pack_command(cast("Any", command)) for command in commands)

    async def _server_flags(self) -> bool:
        known = _flags_of.get(self._client)
        if known is None:
            try:
                known = _understands_flags(await self._client.info("server"))
            except redis.ResponseError:
                known = False
            _flags_of[self._client] = known
        return known


_flags_of: WeakKeyDictionary[redis.asyncio.Redis, bool] = WeakKeyDictionary()
"""Client → whether its server knows script flags: asked once for all that call scripts on it."""
