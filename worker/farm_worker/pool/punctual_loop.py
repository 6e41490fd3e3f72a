"""An event loop that wakes in time: `epoll` as Python calls it rounds up to whole milliseconds.

A job that sleeps for 10 ms would sleep for 10.5 to 11, whatever else is done.
"""

import asyncio
import select
import selectors

SHORT_SECONDS = 0.1
"""Of longer waits a millisecond is no matter."""
_SELECT_LIMIT = 1024
"""`select` takes descriptors below this."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """As `asyncio.new_event_loop`. A loop of another kind, which an app chose by its policy, stays as it is."""
    loop = asyncio.new_event_loop()
    if type(loop) is asyncio.SelectorEventLoop and hasattr(selectors, "EpollSelector"):
        loop.close()
        loop = asyncio.SelectorEventLoop(PunctualSelector())
    asyncio.set_event_loop(loop)
    return loop


if hasattr(selectors, "EpollSelector"):

    class PunctualSelector(selectors.EpollSelector):
        """Waits by `select`, to the microsecond, for `epoll` to have something."""

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            """As its base does."""
            if timeout is not None and 0 < timeout < SHORT_SECONDS and self.fileno() < _SELECT_LIMIT:
                select.select([self.fileno()], (), (), timeout)
                timeout = 0
            return super().select(timeout)
