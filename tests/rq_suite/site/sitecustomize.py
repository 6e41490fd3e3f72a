"""RQ's tests mean the Redis of this run when they say port 6379: in each interpreter that they start, too."""

import os

import redis.asyncio.connection
import redis.connection

_USUAL_PORT = 6379


def _lead_to(port: int, password: str, connection_class: type) -> None:
    connect = connection_class.__init__

    def init(self: object, **options: object) -> None:
        if int(str(options.get("port", _USUAL_PORT))) == _USUAL_PORT:
            options |= {"host": "127.0.0.1", "port": port, "password": password}
        connect(self, **options)

    connection_class.__init__ = init  # type: ignore[misc]


if "RQ_SUITE_PORT" in os.environ:
    for kind in (redis.connection.Connection, redis.asyncio.connection.Connection):
        _lead_to(int(os.environ["RQ_SUITE_PORT"]), os.environ["RQ_SUITE_PASSWORD"], kind)
