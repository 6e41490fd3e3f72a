"""The coordinator process that a host starts when nobody leads, so that a farm of hosts alone works."""

import logging
import os
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress

from farm.isolation import isolated_command
from farm_worker.pool.spawn import note_child

_logger = logging.getLogger("farm.standby")

PATIENCE_SECONDS = 30.0
"""How long this coordinator may run while nobody leads. One that is only slow to start needs less on any machine."""

KILL_SECONDS = 0.5
"""How long this host waits for the death of one that it killed."""


class StandbyCoordinator:
    """At most one coordinator process of this host. It ends with its host, and when another one leads."""

    def __init__(self, environment: Mapping[str, str], patience: float = PATIENCE_SECONDS) -> None:
        self._environment = {**environment, "FARM_COORDINATOR_CHILD": "1"}
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None
        self._in_vain_since: float | None = None

    @property
    def pid(self) -> int | None:
        """Of the running process, else None."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def somebody_leads(self) -> None:
        """This coordinator or another one, as of now."""
        self._in_vain_since = None

    def start(self) -> None:
        """Nobody leads: starts it, unless it runs. One that ran in vain for too long hangs: another takes its place."""
        if self.pid is not None:
            if self._has_time():
                return
            self._give_up()
        _logger.info("nobody leads: this host starts a coordinator")
        environment = {**self._environment, "FARM_PARENT_PID": str(os.getpid())}
        self._process = subprocess.Popen(
            isolated_command("farm.coordinator", [], environment),
            env=environment,
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
        note_child(self._process)
        self._in_vain_since = None

    def stop(self) -> None:
        """Asks it to resign, and waits shortly. It holds no job, so a kill loses nothing."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(timeout=3.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _has_time(self) -> bool:
        """Counted from when Redis first said that nobody leads: while it says nothing, nobody can lead."""
        now = time.monotonic()
        if self._in_vain_since is None:
            self._in_vain_since = now
        return now - self._in_vain_since < self._patience

    def _give_up(self) -> None:
        assert self._process is not None
        _logger.warning(
            "the coordinator of this host (pid %d) runs, and nobody has led for %g s: it is killed",
            self._process.pid,
            self._patience,
        )
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):  # it hangs in the kernel: its death is for later
            self._process.wait(timeout=KILL_SECONDS)
