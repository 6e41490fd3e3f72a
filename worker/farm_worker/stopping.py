"""How a host is asked to stop: once to drain, twice to give back what runs, too."""

import asyncio
from contextlib import suppress


class Stopping:
    """A mailbox for requests to stop. Signal handlers only note them here; the host acts."""

    def __init__(self) -> None:
        self.reason = ""
        self._requested = asyncio.Event()
        self._at_once = asyncio.Event()

    @property
    def requested(self) -> bool:
        """Asked at least once."""
        return self._requested.is_set()

    @property
    def at_once(self) -> bool:
        """Asked again: do not wait for running jobs."""
        return self._at_once.is_set()

    def request(self, reason: str) -> None:
        """First request: drain. The same reason again changes nothing, so that limits can be checked in a loop."""
        self.reason = self.reason or reason
        self._requested.set()

    def signal(self, name: str) -> None:
        """A TERM or INT. The second one means at once."""
        if self.requested:
            self._at_once.set()
        self.request(name)

    async def wait(self) -> None:
        """Returns once a stop was requested."""
        await self._requested.wait()

    async def wait_at_once(self, seconds: float) -> None:
        """Returns once it was requested again, or after `seconds`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._at_once.wait(), seconds)
