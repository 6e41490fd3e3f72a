"""Redis behind Sentinels: `redis+sentinel://[user:password@]host[:port][,host[:port]…]/master[/database][?option=…]`.

User, password and database are those of Redis; the Sentinels' own login is given as `sentinel_username` and
`sentinel_password`. `rediss+sentinel://` speaks TLS with both. Other options are those of `redis://` addresses. A
client made here asks the Sentinels for the master each time it connects, so after a failover it finds the new one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.connection import parse_url

SCHEMES = ("redis+sentinel", "rediss+sentinel")
DEFAULT_PORT = 26379

SENTINEL_TIMEOUT_SECONDS = 1.0
"""For one Sentinel to answer: there are others."""


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """Who knows the master, what it is called, and how to log in."""

    sentinels: tuple[tuple[str, int], ...]
    master: str
    options: Mapping[str, Any]
    """Of the connections to the master: login, database, TLS."""
    sentinel_options: Mapping[str, Any]


def is_sentinel(url: str) -> bool:
    """Whether the address names Sentinels."""
    return url.startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def parse(url: str) -> SentinelAddress:
    """What the address says. Raises ValueError for one that cannot be used."""
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    path = [unquote(part) for part in parts.path.strip("/").split("/")]
    if not path[0] or len(path) > 2:
        raise ValueError("the path is /MASTER-NAME or /MASTER-NAME/DATABASE")
    if len(path) == 2 and not path[1].isdigit():
        raise ValueError(f"the database is a number, not {path[1]!r}")
    query = dict(parse_qsl(parts.query))
    own = {name: query.pop(f"sentinel_{name}") for name in ("username", "password") if f"sentinel_{name}" in query}
    scheme = "rediss" if parts.scheme == "rediss+sentinel" else "redis"
    plain = f"{scheme}://{login + '@' if login else ''}localhost/{path[1] if len(path) == 2 else 0}?{urlencode(query)}"
    options = {name: value for name, value in parse_url(plain).items() if name not in ("host", "connection_class")}  # type: ignore[no-untyped-call]
    if scheme == "rediss":
        options["ssl"] = True
    tls = {name: value for name, value in options.items() if name.startswith("ssl")}
    return SentinelAddress(tuple(_servers(hosts)), path[0], options, tls | own)


def connect(url: str, options: Mapping[str, Any]) -> redis.Redis:
    """A client of the master. `options`: of all its connections. Raises ValueError."""
    address = parse(url)
    manager = _Sentinels(address.sentinels, sentinel_kwargs=_sentinel_options(address, options))  # type: ignore[no-untyped-call]
    return redis.Redis.from_pool(_Pool(address.master, manager, **{**options, **address.options}))  # type: ignore[no-untyped-call]


def connect_async(url: str, options: Mapping[str, Any]) -> redis.asyncio.Redis:
    """A client of the master for event loops. Raises ValueError."""
    address = parse(url)
    manager = _AsyncSentinels(address.sentinels, sentinel_kwargs=_sentinel_options(address, options))  # type: ignore[no-untyped-call]
    return redis.asyncio.Redis.from_pool(_AsyncPool(address.master, manager, **{**options, **address.options}))  # type: ignore[no-untyped-call]


class _Sentinels(redis.sentinel.Sentinel):
    """Its errors show no password, unlike redis-py's."""

    def discover_master(self, service_name: str) -> Any:
        try:
            return super().discover_master(service_name)  # type: ignore[no-untyped-call]
        except redis.sentinel.MasterNotFoundError:
            raise redis.sentinel.MasterNotFoundError(_not_found(self.sentinels, service_name)) from None


class _AsyncSentinels(redis.asyncio.sentinel.Sentinel):
    """As `_Sentinels`."""

    async def discover_master(self, service_name: str) -> Any:
        try:
            return await super().discover_master(service_name)
        except redis.asyncio.sentinel.MasterNotFoundError:
            raise redis.asyncio.sentinel.MasterNotFoundError(_not_found(self.sentinels, service_name)) from None


class _Pool(redis.sentinel.SentinelConnectionPool):
    """Closes the connections to the Sentinels with its own."""

    def disconnect(self, inuse_connections: bool = True) -> None:
        super().disconnect(inuse_connections)
        for sentinel in self.sentinel_manager.sentinels:
            sentinel.connection_pool.disconnect(inuse_connections)


class _AsyncPool(redis.asyncio.sentinel.SentinelConnectionPool):
    """As `_Pool`."""

    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections)
        for sentinel in self.sentinel_manager.sentinels:
            await sentinel.connection_pool.disconnect(inuse_connections)


def _not_found(sentinels: Iterable[Any], master: str) -> str:
    servers = (sentinel.connection_pool.connection_kwargs for sentinel in sentinels)
    asked = ", ".join(sorted(f"{server['host']}:{server['port']}" for server in servers))
    return f"no Sentinel of {asked} knows a master {master!r} that is up"


def _servers(text: str) -> list[tuple[str, int]]:
    """Host and port of each. IPv6 addresses stand in brackets."""
    servers = []
    for item in text.split(","):
        parts = urlsplit(f"//{item}")
        if not parts.hostname:
            raise ValueError("it names no Sentinel: write host:port, more with a comma between")
        servers.append((parts.hostname, parts.port or DEFAULT_PORT))
    return servers


def _sentinel_options(address: SentinelAddress, options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **options,
        "socket_timeout": SENTINEL_TIMEOUT_SECONDS,
        "socket_connect_timeout": SENTINEL_TIMEOUT_SECONDS,
        **address.sentinel_options,
    }
