"""RQ's job, for the many that nobody looks at: it is read when something first asks for any of it."""

from collections.abc import Callable
from typing import Any

from rq.job import Job

_READ = "_farm_read"


class UnreadJob(Job):
    """Becomes an ordinary `Job` at the first look, and before anything of it changes."""

    def __getattr__(self, name: str) -> Any:
        read(self)
        return getattr(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        read(self)
        setattr(self, name, value)

    def __delattr__(self, name: str) -> None:
        read(self)
        delattr(self, name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        read(self)
        return self.__reduce_ex__(protocol)


def unread_job(attributes: Callable[[], dict[str, Any]]) -> UnreadJob:
    """`attributes`: reads them."""
    job = UnreadJob.__new__(UnreadJob)
    vars(job)[_READ] = attributes
    return job


def read(job: Job) -> None:
    """Makes an unread job an ordinary one. Does nothing to one that is."""
    if type(job) is UnreadJob:
        attributes = vars(job).pop(_READ)
        object.__setattr__(job, "__class__", Job)  # not through its own `__setattr__`, which reads it
        vars(job).update(attributes())
