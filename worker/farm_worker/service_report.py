"""What a host says of itself to the service manager that started it."""

import time

from farm.service_manager import Report
from farm_worker.heartbeat import Heartbeat
from farm_worker.pool.pool import Pool
from farm_worker.stopping import Stopping
from farm_worker.tenure import Tenure

BEAT_STALLS_SECONDS = 30.0
"""No beat was even tried for so long: something in the host hangs, though its event loop runs. Each try has an end,
also where Redis is away."""


class HostReport:
    """Looks at a host that has registered."""

    def __init__(self, name: str, heartbeat: Heartbeat, pool: Pool, tenure: Tenure, stopping: Stopping) -> None:
        self._name = name
        self._heartbeat = heartbeat
        self._pool = pool
        self._tenure = tenure
        self._stopping = stopping

    def __call__(self) -> Report:
        """Ready once a process is warm, or the first job is what warms one up."""
        jobs, slots = self._pool.running, self._pool.slots
        if self._stopping.requested:
            return Report(f"{self._name} drains ({self._stopping.reason}), running jobs: {jobs}", stopping=True)
        state = self._heartbeat.state
        reason = f": {state.reason}" if state.reason else ""
        return Report(
            f"{self._name} is {state.state}{reason}, running jobs: {jobs} of {slots}",
            ready=state.state not in ("starting", "unhealthy"),
            alive=self._is_alive(time.monotonic()),
        )

    def _is_alive(self, now: float) -> bool:
        """While it has to register anew there are no beats."""
        return self._tenure.who is None or now - self._heartbeat.tried_at < BEAT_STALLS_SECONDS
