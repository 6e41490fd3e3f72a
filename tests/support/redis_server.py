"""The private servers of a test session: at most one per engine and test process, started when first asked for."""

from functools import cache
from pathlib import Path

from farm.redis_server import Binary, RedisServer, find_all


class ServerPark:
    """Servers by engine (`redis`, `valkey`), kept running for the session."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: dict[str, RedisServer] = {}

    def get(self, engine: str) -> RedisServer:
        """The running server of this engine."""
        if engine not in self._servers:
            folder = self._folder / engine
            self._servers[engine] = RedisServer(folder, append_only=False, binary=binary_of(engine))
        server = self._servers[engine]
        server.start()
        return server

    def process_ids(self) -> set[int]:
        """Of the servers that run now."""
        return {server.pid for server in self._servers.values() if server.running}

    def stop(self) -> None:
        """Ends all."""
        for server in self._servers.values():
            server.stop()


@cache
def engines() -> list[str]:
    """The engines that can be started here, the preferred one first."""
    return list(dict.fromkeys(binary.engine for binary in find_all()))


def binary_of(engine: str) -> Binary:
    """The preferred program of this engine."""
    return next(binary for binary in find_all() if binary.engine == engine)
