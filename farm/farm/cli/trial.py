"""Asks `farm_worker.trial` what this machine has, what a host takes of it, and what a call uses."""

import base64
import json
import os
import pickle
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from farm.capacity import HostCost, JobCost, Machine
from farm.errors import FarmError
from farm.flags import hand_over
from farm.isolation import isolated_command, isolated_environment
from farm.tether import tethered

MODULE = "farm_worker.trial"
HIGH = 0.95


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is to be measured."""

    function: str
    arguments: Sequence[Any]
    named: Mapping[str, Any]
    timeout: float
    """Seconds that one run may take."""
    runs: int
    side_by_side: int | None
    """How many then run at once; None: as many as bring the load to the threshold, at most 4 for each CPU. 1: none."""


@dataclass(frozen=True, slots=True)
class MeasuredJob:
    """What runs of a call came to."""

    cost: JobCost
    runs: int
    side_by_side: int
    """How many ran at once for the CPU time that counts; 0: each alone."""
    cpu_seconds_alone: float
    first_wall_seconds: float


@dataclass(frozen=True, slots=True)
class Trial:
    """The answer."""

    machine: Machine
    others_load: float
    """Share of the CPUs that other programs used meanwhile."""
    boot_id: str
    host: HostCost
    job: MeasuredJob | None
    options: Mapping[str, Any]
    """Settings in force, those of the app included."""


def run_trial(flags: Mapping[str, object], call: Call | None = None, others: bool = True) -> Trial:
    """Takes a second or two, and what the runs of the call take. Raises FarmError with what came in the way.

    `others`: whether the machine is watched for a second, for what others use.
    """
    question: dict[str, Any] = {"call": None if call is None else _packed(call), "others": others}
    if call is not None:
        question |= {"runs": call.runs, "side_by_side": call.side_by_side}
    answer = _ask(question, flags)
    if "error" in answer:
        raise FarmError(answer["error"])
    machine, host = answer["machine"], answer["host"]
    return Trial(
        machine=Machine(machine["cores"], machine["memory"], machine["memory_others"]),
        others_load=machine["others_load"],
        boot_id=machine["boot_id"],
        host=HostCost(host["memory"], host["process_memory"]),
        job=None if answer["call"] is None else measured(answer["call"], answer["options"]["threshold"]),
        options=answer["options"],
    )


def _packed(call: Call) -> dict[str, Any]:
    data = pickle.dumps((call.function, None, tuple(call.arguments), dict(call.named)))
    return {"called": call.function, "data": base64.b64encode(data).decode(), "timeout": call.timeout}


def _ask(question: Mapping[str, Any], flags: Mapping[str, object]) -> Mapping[str, Any]:
    environment = isolated_environment({**os.environ, **hand_over(flags)})
    answers, writable = os.pipe()
    try:
        command = tethered(isolated_command(MODULE, [str(writable)], environment))
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, pass_fds=[writable], start_new_session=True
        )
    finally:
        os.close(writable)
    with open(answers, encoding="utf-8") as stream:
        try:
            process.communicate(json.dumps(question).encode())
            text = stream.read()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    if not text:
        raise FarmError(f"the measurement ended with code {process.returncode} and said nothing; see the lines above")
    answer: Mapping[str, Any] = json.loads(text)
    return answer


def measured(runs: Mapping[str, Any], threshold: float) -> MeasuredJob:
    """What the runs come to on a host with this load.

    CPUs that share a core, or memory that is waited for, make the same work take longer while the other CPUs are busy;
    CPUs that first have to wake, while they are not. Where the runs side by side used more than this load, the
    difference counts in part.
    """
    alone, wall = _mean(runs["cpu_seconds"]), _mean(runs["wall_seconds"])
    cpu = alone
    if runs["side_by_side"]:
        cpu += threshold / max(runs["load_beside"], threshold) * (runs["cpu_seconds_beside"] - alone)
    return MeasuredJob(
        cost=JobCost(cpu, max(wall + (cpu - alone), 1e-6), high(runs["memory"])),
        runs=len(runs["cpu_seconds"]),
        side_by_side=runs["side_by_side"],
        cpu_seconds_alone=alone,
        first_wall_seconds=runs["first_wall_seconds"],
    )


def high(values: Sequence[int]) -> int:
    """The 95th percentile: the least of the values that so many do not exceed. With under twenty, the greatest."""
    ordered = sorted(values)
    return ordered[min(int(HIGH * len(ordered)), len(ordered) - 1)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
