"""When silent hosts must not be given up yet: after Redis, or this coordinator, was away.

After an outage every host looks silent. They renew within seconds, so nobody is given up until they had HOST_TIMEOUT to
do so.
"""

import math
import time
from collections.abc import Callable

from farm.store.leadership import ServerLife

MAX_GAP_SECONDS = 2.0
"""Without contact to Redis for longer: hosts may have been without it too."""


def boot_clock() -> float:
    """Seconds that go on while the machine sleeps, where the system knows them."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Freeze:
    """Remembers contacts with Redis, and says whether recovery is frozen."""

    def __init__(self, host_timeout: float, suspect_after: float, clock: Callable[[], float] = boot_clock) -> None:
        self._host_timeout = host_timeout
        self._suspect_after = suspect_after
        self._clock = clock
        self._until = math.inf
        self._last_contact: float | None = None
        self._run_id: str | None = None

    @property
    def frozen(self) -> bool:
        """Whether no host may be given up now."""
        return self._clock() < self._until

    @property
    def run_id(self) -> str | None:
        """Of the server that answered last. None before that, empty where the server does not say."""
        return self._run_id

    def note_contact(self) -> None:
        """Redis has just answered. Said at an answer only: what ends without asking Redis would hide a gap."""
        now = self._clock()
        if self._last_contact is None:
            # A coordinator cannot know what came before: hosts get the time of a few beats.
            self._until = now + self._suspect_after
        elif now - self._last_contact > MAX_GAP_SECONDS:
            self._until = max(self._until, now + self._host_timeout)
        self._last_contact = now

    def note_server(self, life: ServerLife) -> None:
        """Redis has just answered, and said which life of the server this is."""
        self.note_contact()
        restarted = self._run_id is not None and life.run_id != self._run_id
        young = self._run_id is None and life.uptime < self._host_timeout
        if restarted or young:
            self._until = max(self._until, self._clock() + self._host_timeout)
        self._run_id = life.run_id
