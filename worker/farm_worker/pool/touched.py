"""What jobs touched of their process, noted while they do it: to look at all of it after each job costs more."""

import _signal  # type: ignore[import-not-found]
import functools
import os
import resource
import sys
from collections.abc import Callable
from typing import Any

_ENVIRON: Any = type(os.environ)


class Touched:
    """One for a process: puts itself around what jobs call. Whoever has looked at something makes it False again."""

    def __init__(self) -> None:
        self.limits = False
        """Limits of resources."""
        self.handlers = False
        """Handlers of signals."""
        self.environment = False
        """Variables, by any name that somebody has for `os.environ`."""
        resource.setrlimit = self._noting("limits", resource.setrlimit)
        if sys.platform == "linux":
            resource.prlimit = self._noting("limits", resource.prlimit)
        _signal.signal = self._noting("handlers", _signal.signal)  # what `signal.signal` calls, whoever imported that
        for name in ("__setitem__", "__delitem__"):  # all else that changes it goes through these two
            setattr(_ENVIRON, name, self._noting("environment", getattr(_ENVIRON, name)))
        if hasattr(os, "reload_environ"):  # Python 3.14
            os.reload_environ = self._noting("environment", os.reload_environ)

    def _noting(self, what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def note(*arguments: Any) -> Any:
            try:
                return call(*arguments)
            finally:
                setattr(self, what, True)  # afterwards, as somebody may look meanwhile

        return note
