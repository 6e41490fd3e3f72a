"""The coordinator process that a host starts when nobody leads, so that a farm of hosts alone works."""

import logging
import os
import subprocess
from collections.abc import Mapping

from farm.isolation import isolated_command
from farm_worker.pool.spawn import note_child

_logger = logging.getLogger("farm.standby")


class StandbyCoordinator:
    """At most one coordinator process of this host. It ends with its host, and when another one leads."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {**environment, "FARM_COORDINATOR_CHILD": "1"}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of the running process, else None."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Starts it unless it runs."""
        if self.pid is None:
            _logger.info("nobody leads: this host starts a coordinator")
            environment = {**self._environment, "FARM_PARENT_PID": str(os.getpid())}
            self._process = subprocess.Popen(
                isolated_command("farm.coordinator", [], environment),
                env=environment,
                stdin=subprocess.DEVNULL,
                process_group=0,
            )
            note_child(self._process)

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
