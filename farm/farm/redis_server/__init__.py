"""A private Redis for one machine, started by us: for `farm up`, `farm demo` and the tests. Not highly available."""

from farm.redis_server.binary import Binary, find_all, find_binary
from farm.redis_server.server import RedisServer

__all__ = ["Binary", "RedisServer", "find_all", "find_binary"]
