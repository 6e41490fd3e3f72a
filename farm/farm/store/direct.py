"""One command on a connection of a client's pool, without what redis-py's client does around each command.

That takes as long as all else that there is to do to enqueue one job. What it is for, repeats and figures for
OpenTelemetry, clients made by `connect` do not use.
"""

from typing import Any, cast

import hiredis
import redis

Part = str | bytes | int | float


def ask(client: redis.Redis, *command: Part) -> Any:
    """The reply. Raises redis-py's errors; after one the connection is closed, if its reply may still come."""
    pool: Any = client.connection_pool
    connection = _connection_of(pool)
    try:
        connection.send_packed_command([hiredis.pack_command(cast("Any", command))])
        return connection.read_response()
    except redis.ResponseError:
        raise
    except BaseException:
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


def _connection_of(pool: Any) -> Any:
    try:
        return pool.get_connection()
    except TypeError:  # redis-py before 5.3 wants the name of a command, and does nothing with it
        return pool.get_connection("EVALSHA")
