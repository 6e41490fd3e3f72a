"""What operators want of this host: it comes back with each beat, and holds as long as it stands in Redis.

It belongs to the host's name, and ends with the host: one that is started anew does as its settings say. A drain that
is to last stays for one that is started again within a minute, and only a resume ends it.
"""

import logging
import re
from collections.abc import Callable, Mapping

from farm_worker.pool.pool import Pool
from farm_worker.stopping import Stopping

LONGEST_SHOWN = 200

_WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")

_logger = logging.getLogger("farm.desired")


class Desired:
    """Obeys what is wanted. What makes no sense is said once, and changes nothing."""

    def __init__(self, pool: Pool, stopping: Stopping, on_drain: Callable[[bool], None]) -> None:
        """`on_drain` is told True when the host is to take nothing and stay, False when it is to take jobs again."""
        self._pool = pool
        self._stopping = stopping
        self._on_drain = on_drain
        self._own_target = pool.idle_target
        """What the settings say."""
        self._seen: Mapping[str, str] = {}

    def obey(self, desired: Mapping[str, str]) -> None:
        """With each beat; acts on what is another than the time before."""
        before, self._seen = self._seen, desired
        if desired == before:
            return
        for name, value in desired.items():
            if before.get(name) != value:
                self._obey_one(name, value)
        if "idle_processes" in before and "idle_processes" not in desired:
            _logger.info("idle processes that are kept warm, as the settings say: %d", self._own_target)
            self._pool.idle_target = self._own_target

    def _obey_one(self, name: str, value: str) -> None:
        if name == "idle_processes" and _WHOLE_NUMBER.fullmatch(value):
            self._retarget(int(value))
        elif (name, value) == ("drain", "exit"):
            self._stopping.request("asked to drain")
        elif (name, value) == ("drain", "stay"):
            _logger.info("drained, as asked: takes no jobs until it is resumed (`farm resume`)")
            self._on_drain(True)
        elif (name, value) == ("drain", "no"):
            _logger.info("takes jobs again, as asked")
            self._on_drain(False)
        else:
            shown = f"{name}={value}"[:LONGEST_SHOWN]
            _logger.warning("what is wanted of this host makes no sense and is ignored: %s", shown)

    def _retarget(self, wanted: int) -> None:
        count = min(wanted, self._pool.slots)
        if count < wanted:
            _logger.warning("asked to keep %d idle processes, keeps %d: it has no more slots", wanted, count)
        else:
            _logger.info("idle processes that are kept warm, as asked: %d", count)
        self._pool.idle_target = count
