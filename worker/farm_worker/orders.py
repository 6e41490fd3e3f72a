"""Obeys RQ's commands to a worker: stop a job, stop an execution, shut down."""

import asyncio
import logging
from typing import Any

from farm.store.commands import commands
from farm.store.connection import REDIS_ERRORS, connect_async
from farm_worker.execution import Execution
from farm_worker.pool.reasons import Reason
from farm_worker.stopping import Stopping

_logger = logging.getLogger("farm.orders")


class Orders:
    """Listens on the host's RQ channel, on its own connection."""

    def __init__(self, redis_url: str, channel: str, execution: Execution, stopping: Stopping) -> None:
        self._redis_url = redis_url
        self._channel = channel
        self._execution = execution
        self._stopping = stopping

    async def run(self) -> None:
        """Until cancelled; subscribes again when the connection is lost."""
        client = connect_async(self._redis_url, name="farm-host-orders")
        try:
            while True:
                try:
                    async for command in commands(client, self._channel):
                        self.obey(command)
                except REDIS_ERRORS:
                    await asyncio.sleep(1.0)
        finally:
            await client.aclose()

    def obey(self, command: dict[str, Any]) -> None:
        """One command. Unknown ones are said and ignored."""
        name = command.get("command")
        if name in ("stop-job", "stop-execution"):
            job_id = str(command.get("job_id", ""))
            stopped = self._execution.stop_job(job_id.encode())
            _logger.info("asked to stop job %s: %s", job_id, "stopped" if stopped else "it does not run here")
        elif name == "shutdown":
            self._stopping.signal("shutdown command")
        elif name == "kill-horse":
            for process in self._execution.pool.processes:
                if process.assignments:
                    process.kill(Reason.CRASHED)
        else:
            _logger.warning("unknown command ignored: %r", command)
