"""What the program that processes are forked from hands to them as it is, where settings could only name it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rq.job import Job


@dataclass(frozen=True, slots=True)
class Given:
    """Objects of the caller, inherited by a fork: they may be local functions and classes that nobody can import."""

    connection: Any
    """A client of Redis, whose connections nobody shares with the caller."""
    job_class: type[Job]
    serializer: Any
    """None: RQ's default."""
    exception_handlers: Sequence[Callable[..., Any]]
    keeps_failures: bool = True
    """False: what failed for good goes to no registry, and no result is written. The handlers see to that."""
