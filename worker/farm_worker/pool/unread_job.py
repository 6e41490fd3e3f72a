"""RQ's job, for the many that nobody looks at: it is read when something first asks for any of it."""

from collections.abc import Callable
from threading import RLock
from typing import Any

from rq.job import Job

_READ = "_farm_read"
_reading = RLock()
"""A job may be looked at by several threads of its own at once."""


class UnreadJob(Job):
    """Becomes an ordinary `Job` at the first look, and before anything of it changes."""

    def __getattribute__(self, name: str) -> Any:
        read(self)
        return getattr(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        read(self)
        setattr(self, name, value)

    def __delattr__(self, name: str) -> None:
        read(self)
        delattr(self, name)


def unread_job(attributes: Callable[[], dict[str, Any]]) -> UnreadJob:
    """`attributes`: reads them. The job keeps this very dict."""
    job = UnreadJob.__new__(UnreadJob)
    object.__setattr__(job, _READ, attributes)
    return job


def read(job: Job) -> None:
    """Makes an unread job an ordinary one. Does nothing to one that is."""
    if type(job) is not UnreadJob:
        return
    with _reading:
        unread = object.__getattribute__(job, "__dict__").get(_READ)
        if unread is not None:
            object.__setattr__(job, "__dict__", unread())
        # Only now: a time limit may interrupt this anywhere, and whoever looks next finds either job whole.
        object.__setattr__(job, "__class__", Job)
