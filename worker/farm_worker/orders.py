"""Obeys RQ's commands to a worker (stop a job, stop an execution, shut down), and one of ours: cancel a job."""

import logging
from math import inf
from typing import Any

from farm.store.commands import commands
from farm.store.connection import REDIS_ERRORS, connect_async
from farm_worker.early_commands import EarlyCommands
from farm_worker.execution import Execution
from farm_worker.pool.reasons import Reason
from farm_worker.stopping import Stopping

_logger = logging.getLogger("farm.orders")


class Orders:
    """Listens on the host's RQ channel, on its own connection."""

    def __init__(
        self,
        redis_url: str,
        channel: str,
        execution: Execution,
        stopping: Stopping,
        early: EarlyCommands | None = None,
    ) -> None:
        """`early`: listens already, and goes on."""
        self._redis_url = redis_url
        self._channel = channel
        self._execution = execution
        self._stopping = stopping
        self._early = early

    async def run(self) -> None:
        """Until cancelled; subscribes again when the connection is lost."""
        while self._early is not None:
            self.obey(await self._early.next())
        client = connect_async(self._redis_url, name="farm-host-orders")
        try:
            while True:
                try:
                    async for command in commands(client, self._channel):
                        self.obey(command)
                except REDIS_ERRORS:
                    await self._execution.contact.wait_to_listen()
        finally:
            await client.aclose()

    def obey(self, command: dict[str, Any]) -> None:
        """One command. Unknown ones are said and ignored."""
        name = command.get("command")
        if name == "stop-job":
            self._stop(str(command.get("job_id", "")))
        elif name == "stop-execution":
            self._stop(str(command.get("job_id", "")), str(command.get("execution_id", "")))
        elif name == "cancel-job":
            self._cancel(command)
        elif name == "shutdown":
            self._stopping.signal("shutdown command")
        elif name == "kill-horse":
            for process in self._execution.pool.processes:
                if process.assignments:
                    process.kill(Reason.CRASHED)
        else:
            _logger.warning("unknown command ignored: %r", command)

    def _stop(self, job_id: str, execution_id: str | None = None) -> None:
        """`execution_id`: only if this attempt of the job is the one that is here."""
        is_here = execution_id is None or execution_id in self._execution.leases.served()
        stopped = is_here and self._execution.stops.stop(_bytes(job_id))
        _logger.info("asked to stop job %s: %s", job_id, "stopped" if stopped else "it does not run here")

    def _cancel(self, command: dict[str, Any]) -> None:
        job_id = str(command.get("job_id", ""))
        try:
            grace = float(command.get("grace", 0.0))
        except (TypeError, ValueError, OverflowError):
            grace = -1.0
        if not 0 <= grace < inf:
            _logger.warning("command ignored, its grace is no length of time: %r", command)
            return
        canceled = self._execution.stops.cancel(_bytes(job_id), grace)
        found = f"has {grace:g} s to end" if canceled else "it does not run here"
        _logger.info("asked to cancel job %s: %s", job_id, found)


def _bytes(job_id: str) -> bytes:
    """As the host knows ids. JSON may hold text that no id can be: that finds none."""
    return job_id.encode(errors="replace")
