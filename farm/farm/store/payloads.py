"""Payloads that processes read from Redis themselves: those of large jobs, which do not come by way of the host."""

from typing import Any

import redis

from farm.keys import RqKeys
from farm.store.connection import connection_of


class PayloadReader:
    """Reads them over a connection of its own, which is made when the first one is read. For one thread."""

    def __init__(self, client: redis.Redis, rq_keys: RqKeys) -> None:
        """`client`: whose address and login it has."""
        self._client = client
        self._rq_keys = rq_keys
        self._connection: Any = None

    def read(self, job_id: bytes, accepted: bytes) -> bytes | None:
        """The payload as it is stored. Raises redis-py's errors, and OSError; then the next call connects anew.

        `accepted`: the times at which the job was created and enqueued, one after the other. None: it has others by
        now, as it was enqueued anew, or no payload, as it was deleted.
        """
        name = job_id.decode("utf-8", "surrogateescape")
        key = self._rq_keys.job(name).encode("utf-8", "surrogateescape")
        if self._connection is None:
            self._connection = connection_of(self._client)
        try:
            # Past redis-py's client: what that does for each command takes longer than the command.
            self._connection.send_command("HMGET", key, "data", "created_at", "enqueued_at")
            data, created_at, enqueued_at = self._connection.read_response(disable_decoding=True)
        except BaseException:  # its reply must not be taken for that of the next: a time limit may come amid it, too
            self.close()
            raise
        return data if (created_at or b"") + (enqueued_at or b"") == accepted else None

    def close(self) -> None:
        """Hangs up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
            self._client.connection_pool.release(connection)
