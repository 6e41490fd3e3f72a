"""The address of a client that somebody else made, so that clients of ours reach the same Redis."""

from typing import Any
from urllib.parse import quote, urlencode

import redis
import redis.connection
import redis.sentinel

from farm.errors import SettingsError

_TLS_OPTIONS = (
    *("ssl_cert_reqs", "ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_password"),
    "ssl_check_hostname",
)


def address_of(client: redis.Redis) -> str:
    """The URL for `connect` and `connect_async`. Raises SettingsError for connections that have no address."""
    pool = client.connection_pool
    options: dict[str, Any] = pool.connection_kwargs
    login = _login(options.get("username"), options.get("password"))
    database = options.get("db") or 0
    kind = pool.connection_class
    if isinstance(pool, redis.sentinel.SentinelConnectionPool):
        return _sentinel_address(pool, login, database)
    if issubclass(kind, redis.connection.UnixDomainSocketConnection):
        return f"unix://{login}{quote(str(options['path']))}?db={database}"
    if not issubclass(kind, redis.connection.Connection):
        raise SettingsError(
            f"the connections of the given Redis client are of the class {kind.__module__}.{kind.__qualname__}, "
            "whose address is not known. Give a client made by redis.Redis or redis.Redis.from_url."
        )
    is_tls = issubclass(kind, redis.connection.SSLConnection)
    host = str(options.get("host", "localhost"))
    where = f"{f'[{host}]' if ':' in host else host}:{options.get('port', 6379)}"
    return f"{'rediss' if is_tls else 'redis'}://{login}{where}/{database}{_tls(options) if is_tls else ''}"


def _sentinel_address(pool: Any, login: str, database: int) -> str:
    manager = pool.sentinel_manager
    servers = ",".join(
        f"{options.get('host', 'localhost')}:{options.get('port', 26379)}"
        for options in (one.connection_pool.connection_kwargs for one in manager.sentinels)
    )
    query = {
        f"sentinel_{name}": manager.sentinel_kwargs[name]
        for name in ("username", "password")
        if manager.sentinel_kwargs.get(name)
    }
    is_tls = issubclass(pool.connection_class, redis.sentinel.SentinelManagedSSLConnection)
    scheme = "rediss+sentinel" if is_tls else "redis+sentinel"
    options = f"?{urlencode(query)}" if query else ""
    return f"{scheme}://{login}{servers}/{quote(pool.service_name, safe='')}/{database}{options}"


def _login(username: str | None, password: str | None) -> str:
    if not username and not password:
        return ""
    return f"{quote(username or '', safe='')}:{quote(password or '', safe='')}@"


def _tls(options: dict[str, Any]) -> str:
    given = {name: options[name] for name in _TLS_OPTIONS if options.get(name) is not None}
    return f"?{urlencode(given)}" if given else ""
