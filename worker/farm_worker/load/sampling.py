"""Samples in a thread of its own, when a beat asks: whatever a source does, no beat waits for it."""

import logging
import threading
from collections.abc import Callable, Collection

from farm_worker.load.facts import Facts, SamplingFailed
from farm_worker.load.sampler import Sampler

LEAST_INTERVAL_SECONDS = 0.4
"""Samples over less time say little: a beat that is brought forward uses the last one."""
FIRST_INTERVAL_SECONDS = 0.5
"""The second sample follows the first one by itself: until then no load is known."""
FAILURES_ALLOWED = 2
"""A third failure in a row means that the load is not known: no frozen value is believed for long."""

_logger = logging.getLogger("farm.load")


class Sampling:
    """The newest sample, and whether it can be believed."""

    def __init__(self, sampler: Sampler, own_pids: Collection[int], on_sample: Callable[[bool], None]) -> None:
        """Takes a first sample at once. `own_pids`: the host's parent and the processes it started.

        `on_sample` is called in the thread after each sample, with whether it is news: the first load, or the load is
        not known any more, or is again.
        """
        self.own_pids = own_pids
        """May be replaced at any time."""
        self.starting = True
        """Whether the host is about to start, so that what it uses itself says nothing yet."""
        self._sampler = sampler
        self._on_sample = on_sample
        self._facts: Facts | None = None
        self._failures = 0
        self._error = ""
        self._is_under_way = False
        self._asked_at = 0.0
        self._stuck = 0
        self._ended = False
        self._wanted = threading.Event()
        self._wanted.set()
        self._thread = threading.Thread(target=self._run, name="farm-load", daemon=True)
        self._thread.start()

    @property
    def facts(self) -> Facts | None:
        """The newest good sample. None before the first."""
        return self._facts

    @property
    def error(self) -> str | None:
        """Why the load is not known, once a source has failed three times in a row; None when all is well."""
        if self._stuck > FAILURES_ALLOWED:
            return f"{self._sampler.reading or 'the load'} cannot be read: no answer for {self._stuck} beats"
        return self._error if self._failures > FAILURES_ALLOWED else None

    def ask(self, now: float) -> bool:
        """Whether a sample is on its way now. One that was so at the last question already counts as failed."""
        if now - self._asked_at >= LEAST_INTERVAL_SECONDS:
            self._asked_at = now
            if self._is_under_way:
                self._stuck += 1
            else:
                self._stuck = 0
                self._is_under_way = True
                self._wanted.set()
        return self._is_under_way

    def close(self) -> None:
        """Ends the thread, unless a source holds it: then it ends with the process."""
        self._ended = True
        self._wanted.set()
        self._thread.join(LEAST_INTERVAL_SECONDS)

    def _run(self) -> None:
        was_starting = True
        while True:
            is_measured = self._facts is not None and self._facts.measured
            self._wanted.wait(None if is_measured else FIRST_INTERVAL_SECONDS)
            self._wanted.clear()
            if self._ended:
                break
            self._is_under_way = True
            starting = self.starting
            is_news = self._sample(starting=starting or was_starting)
            was_starting = starting
            self._is_under_way = False
            self._on_sample(is_news)
        self._sampler.close()

    def _sample(self, *, starting: bool) -> bool:
        """Whether that is news."""
        try:
            return self._take(self._sampler.sample(self.own_pids, starting=starting))
        except SamplingFailed as error:
            return self._fail(str(error))
        except Exception as error:  # noqa: BLE001 - the thread has to go on, and somebody has to hear of it
            return self._fail(f"the load cannot be read: {type(error).__name__}: {error}")

    def _take(self, facts: Facts) -> bool:
        is_first = self._facts is None or self._facts.measured != facts.measured
        was_unknown = self._failures > FAILURES_ALLOWED
        self._facts = facts
        self._failures = 0
        if was_unknown:
            _logger.info("the load can be read again")
        return is_first or was_unknown

    def _fail(self, error: str) -> bool:
        if not self._failures:
            _logger.warning("%s", error)
        self._error = error
        self._failures += 1
        return self._failures == FAILURES_ALLOWED + 1
