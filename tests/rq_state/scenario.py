"""What a scenario is: a function that enqueues jobs and has them run, on a stage that is either RQ's or the farm's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import redis
from rq import Queue
from rq.job import Job


@dataclass(frozen=True)
class Variant:
    """How workers are configured for a scenario. Each has a queue of its own."""

    queue: str = "default"
    serializer: str | None = None
    job_class: str | None = None
    exception_handlers: tuple[str, ...] = ()


PLAIN = Variant()
JSON = Variant("json", serializer="json")
OWN_CLASSES = Variant(
    "handled",
    job_class="state_jobs.LoudJob",
    exception_handlers=("state_jobs.first_handler", "state_jobs.last_handler", "state_jobs.never_handler"),
)


class Stage(Protocol):
    """Where a scenario is played. Nothing runs before `start`, and after `settle` once something is enqueued."""

    redis: redis.Redis
    webhooks: str
    """Address that takes webhooks."""

    @property
    def queue(self) -> Queue:
        """The queue of the scenario's variant."""

    def enqueue(self, function: str, *arguments: Any, **options: Any) -> Job:
        """A job of `state_jobs`, by plain rq. Its id is the function's name unless `job_id` says otherwise."""

    def start(self) -> None:
        """From now on jobs run."""

    def settle(self) -> None:
        """Waits until nothing is left to run."""

    def run(self) -> None:
        """`start` and `settle`."""

    def wait_until_running(self) -> int:
        """Until the job `wait_for_go` runs. Returns the pid of its process."""

    def go(self) -> None:
        """Lets the job `wait_for_go` end."""


@dataclass(frozen=True)
class Scenario:
    """One function of a module of scenarios."""

    play: Callable[[Any], None]
    variant: Variant
    fork: bool
    """Stock RQ needs a child process for it: it is killed."""

    @property
    def name(self) -> str:
        return self.play.__name__


def scenarios_of(module: Any) -> list[Scenario]:
    """In the order in which they stand in the module."""
    return [value for value in vars(module).values() if isinstance(value, Scenario)]


def scenario(variant: Variant = PLAIN, *, fork: bool = False) -> Callable[[Callable[[Any], None]], Scenario]:
    """Makes a function a scenario."""
    return lambda play: Scenario(play, variant, fork)
