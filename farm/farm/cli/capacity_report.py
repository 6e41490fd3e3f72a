"""How many jobs fit, told on one screen or as JSON. Pure: an answer in, lines out."""

import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from farm.capacity import Capacity, HostCost, JobCost, Lines, Machine
from farm.cli.amounts import digits, memory, time_taken

WIDTH = 79
LABEL = 11
WORTH_TELLING = 0.05
"""A share of the CPUs that others use."""
WORTH_WAITING = 0.01
"""A part of the time that a job takes."""

_BINDING = {
    "cpu": "the CPU binds",
    "memory": "the memory binds",
    "slots": "the slots bind (PROCESSES)",
    "nothing": "nothing binds",
}


@dataclass(frozen=True, slots=True)
class Job:
    """What a job uses, and how that is known."""

    name: str
    cost: JobCost
    source: str
    """A sentence without its end."""


@dataclass(frozen=True, slots=True)
class Answer:
    """All that is told."""

    machine_name: str
    machine: Machine
    others_load: float | None
    """Share of the CPUs that others use. None: not known."""
    host: HostCost
    lines: Lines
    job: Job | None = None
    result: Capacity | None = None
    beside_others: Capacity | None = None
    """With the CPUs that others leave now."""
    hosts: int = 1
    rate: float | None = None
    """Jobs a second that are wanted."""
    warnings: Sequence[str] = field(default=())


def report(answer: Answer) -> Iterator[str]:
    """Lines of at most 79 characters."""
    for label, text in _parts(answer):
        head = f"{label:{LABEL}}"
        if not text:
            yield ""
        else:
            yield from textwrap.wrap(
                text, WIDTH, initial_indent=head, subsequent_indent=" " * LABEL, break_on_hyphens=False
            )


def _parts(answer: Answer) -> Iterator[tuple[str, str]]:
    machine, lines = answer.machine, answer.lines
    yield "machine", f"{answer.machine_name}: {_cpus(machine.cores)}, {memory(machine.memory)}{_others(answer)}"
    if answer.job is not None:
        cost = answer.job.cost
        yield (
            "job",
            f"{answer.job.name}: {time_taken(cost.cpu_seconds)} of CPU in {time_taken(cost.wall_seconds)}, adds "
            f"{memory(cost.memory)} ({answer.job.source})",
        )
    yield (
        "reserve",
        f"{1 - lines.threshold:.0%} of the CPU (THRESHOLD {lines.threshold:g}), {1 - lines.memory_threshold:.0%} of "
        f"the memory (MEMORY_THRESHOLD {lines.memory_threshold:g}); {memory(answer.host.memory)} for the host, and "
        f"{memory(answer.host.process_memory)} for each process",
    )
    yield "", ""
    if answer.job is None or answer.result is None:
        yield (
            "job",
            "what does one use? --measure MODULE.FUNCTION ARGUMENT… runs it here, --function NAME takes what hosts "
            "measured, --cpu-seconds, --wall and --job-memory say it",
        )
    else:
        yield from _numbers(answer, answer.result)
        yield from _settings(answer.result)
    yield (
        "hosts",
        "one on a machine, as its pool grows to all that there is. Two share the same CPUs and memory, and one can "
        "only guess what the other is about to take",
    )
    for warning in answer.warnings:
        yield "warning", warning


def _others(answer: Answer) -> str:
    parts = []
    if answer.machine.memory_others:
        parts.append(f"{memory(answer.machine.memory_others)}")
    if answer.others_load is not None and answer.others_load >= WORTH_TELLING:
        parts.append(f"{answer.others_load:.0%} of the CPU")
    return f"; others use {' and '.join(parts)} now" if parts else ""


def _numbers(answer: Answer, result: Capacity) -> Iterator[tuple[str, str]]:
    if not result.fits_memory:
        yield (
            "at once",
            f"does not fit: needs {memory(result.memory_needed)} of {memory(result.memory_allowed)}. The memory binds",
        )
        return
    yield "at once", _at_once(answer, result)
    yield "", _bounds(result)
    if answer.beside_others is not None:
        yield "", f"beside what others use of the CPU now: {_count(answer.beside_others.at_once)}"
    yield "per second", f"{digits(result.per_second)} jobs{_waits(result)}"
    if answer.hosts > 1:
        yield (
            f"{answer.hosts} hosts",
            f"{_count(answer.hosts * result.at_once)} at once, {digits(answer.hosts * result.per_second)} per second, "
            "on a machine each",
        )
    if answer.rate is not None:
        needed = result.hosts_for(answer.rate)
        hosts = "1 host" if needed == 1 else f"{needed} hosts, on a machine each"
        yield f"{digits(answer.rate)}/s", f"needs {hosts}"


def _at_once(answer: Answer, result: Capacity) -> str:
    if result.over_threshold:
        return (
            f"1, and it alone takes the load over the threshold: {_cpus(result.cpus_per_job)} of "
            f"{digits(answer.lines.threshold * answer.machine.cores)}. An idle host takes one all the same"
        )
    if math.isinf(result.at_once):
        return "no limit: such jobs use neither CPU nor memory"
    return f"{_jobs(result.at_once)} below the threshold; {_BINDING[result.binding]}"


def _waits(result: Capacity) -> str:
    if result.cpu_wait_seconds < WORTH_WAITING * result.wall_seconds:
        return ""
    return f", as each waits {time_taken(result.cpu_wait_seconds)} for a CPU beside the others"


def _bounds(result: Capacity) -> str:
    slots = f", slots {digits(result.by_slots)}" if math.isfinite(result.by_slots) else ""
    return f"by CPU {digits(result.by_cpu)}, by memory {digits(result.by_memory)}{slots}"


def _settings(result: Capacity) -> Iterator[tuple[str, str]]:
    if not result.fits_memory or math.isinf(result.at_once):
        return
    yield "", ""
    yield "setting", f"farm worker --processes {result.at_once:.0f}"
    if result.binding == "cpu" and result.most_busy > result.at_once:
        yield (
            "backlog",
            f"farm worker --processes {result.most_busy:.0f} keeps the CPUs busy while jobs wait: "
            f"{digits(result.most_per_second)} per second. The host is full then and takes nothing beyond "
            "(ADMISSION=hold)",
        )


def _cpus(count: float) -> str:
    return "1 CPU" if count == 1 else f"{digits(count)} CPUs"


def _jobs(count: float) -> str:
    return "1 job" if count == 1 else f"{_count(count)} jobs"


def _count(count: float) -> str:
    return "no limit" if math.isinf(count) else f"{count:.0f}"


def as_json(answer: Answer) -> dict[str, Any]:
    """Bytes, seconds and CPUs; null where there is no limit."""
    result = answer.result
    shown: dict[str, Any] = {
        "machine": {"name": answer.machine_name, **asdict(answer.machine), "others_load": answer.others_load},
        "host": asdict(answer.host),
        "settings": asdict(answer.lines),
        "job": None if answer.job is None else {"name": answer.job.name, **asdict(answer.job.cost)},
        "source": None if answer.job is None else answer.job.source,
        "warnings": list(answer.warnings),
    }
    if result is None:
        return shown
    names = ("at_once", "per_second", "fits", "binding", "fits_memory", "over_threshold")
    shown["result"] = _limited({**{name: getattr(result, name) for name in names}, **asdict(result)})
    shown["processes"] = result.at_once if result.fits_memory and math.isfinite(result.at_once) else None
    shown["hosts"] = _limited(
        {
            "count": answer.hosts,
            "at_once": answer.hosts * result.at_once,
            "per_second": answer.hosts * result.per_second,
        }
    )
    if answer.rate is not None:
        shown["rate"] = {"per_second": answer.rate, "hosts": result.hosts_for(answer.rate)}
    if answer.beside_others is not None:
        shown["beside_others"] = _limited({"at_once": answer.beside_others.at_once, "fits": answer.beside_others.fits})
    return shown


def _limited(numbers: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and math.isinf(value) else value for name, value in numbers.items()}


def shared_machines(hosts: Iterable[tuple[str, str]]) -> Iterator[str]:
    """A warning for each machine with several live hosts. `hosts`: name and boot id of each."""
    machines: dict[str, list[str]] = {}
    for name, boot_id in hosts:
        if boot_id:
            machines.setdefault(boot_id, []).append(name)
    for names in machines.values():
        if len(names) > 1:
            yield (
                f"the hosts {' and '.join(sorted(names))} run on one machine, so what each could take alone does not "
                "add up. Keep one, unless they are containers with limits of their own"
            )
