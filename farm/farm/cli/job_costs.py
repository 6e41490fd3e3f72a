"""What a job uses, by what hosts have measured of its function."""

from collections.abc import Sequence

from farm.capacity import JobCost
from farm.cli.session import Session
from farm.errors import JobNotFound
from farm.store.function_usage import FunctionUsage, read_usage
from farm.store.inspect import snapshot

NAMES_TOLD = 8
_LEAST_WEIGHT = 1e-6
_LEAST_SECONDS = 1e-6


class NotMeasured(JobNotFound):
    """No host has told of such jobs."""


def measured_cost(session: Session, function: str | None, queue: str | None) -> tuple[str, JobCost, float]:
    """What a job of the function uses, or of the queue's mix: its name, the cost, how many jobs that rests on.

    Raises NotMeasured, and redis-py's errors.
    """
    queues = [queue] if queue is not None else _queues(session)
    found = read_usage(session.redis_client, session.keys, queues)
    chosen = [usage for usage in found if function is None or usage.function == function]
    if not chosen:
        raise NotMeasured(_unknown(function, queue, found))
    name = function or f"the mix of queue {queue}"
    return name, mixed(chosen), sum(usage.jobs for usage in chosen)


def mixed(usages: Sequence[FunctionUsage]) -> JobCost:
    """One job that stands for the mix: by how often each function ran, its memory also by how long it does."""
    weights = [max(usage.jobs, _LEAST_WEIGHT) for usage in usages]
    walls = [max(usage.wall_seconds, _LEAST_SECONDS) for usage in usages]
    at_once = [weight * wall for weight, wall in zip(weights, walls, strict=True)]
    return JobCost(
        cpu_seconds=_mean([usage.cpu_seconds for usage in usages], weights),
        wall_seconds=_mean(walls, weights),
        memory=int(_mean([usage.memory_high for usage in usages], at_once)),
        cpu_wait_counted=True,  # hosts measure jobs beside others
    )


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)


def _queues(session: Session) -> list[str]:
    return [queue.name for queue in snapshot(session.redis_client, session.keys, session.rq_keys).queues]


def _unknown(function: str | None, queue: str | None, found: Sequence[FunctionUsage]) -> str:
    where = f" in queue {queue}" if queue is not None else ""
    names = sorted({usage.function for usage in found if usage.function})
    known = f" Measured are: {', '.join(names[:NAMES_TOLD])}{' …' if len(names) > NAMES_TOLD else ''}." if names else ""
    return (
        f"no host has measured {f'jobs of {function}' if function else 'a job'}{where}.{known} Run it once on a host, "
        "measure it here with --measure, or give --cpu-seconds, --wall and --job-memory."
    )
