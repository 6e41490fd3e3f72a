"""`python -P -m farm_worker.trial`: what this machine has, what a host takes of it, and what a call uses.

Reads a question as JSON from stdin and writes the answer as JSON to the descriptor that is its argument. The call runs
in the processes of a pool as a host has it, from a template with the app; nothing is enqueued. For `farm capacity`.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from farm import logs
from farm.errors import FarmError
from farm.flags import take_flags
from farm_settings import InvalidSetting, Settings, load
from farm_worker import host as host_module  # what a host's parent has imported counts
from farm_worker.footprint import footprint
from farm_worker.hooks import Hooks
from farm_worker.identity import boot_id
from farm_worker.load.sampler import Sampler
from farm_worker.trial_pool import TrialFailed, TrialPool

EXIT_FAILED = 1
LEAST_SAMPLING_SECONDS = 1.0
"""How long the machine is watched for what others use."""
_COORDINATOR = "import farm.coordinator.coordinator; print(end='ready', flush=True); input()"

assert host_module


def main() -> int:
    """The exit code. The answer has `error` in place of the rest if something failed."""
    question = json.loads(sys.stdin.read())
    with open(int(sys.argv[1]), "w", encoding="utf-8") as answers:
        try:
            answer = asyncio.run(_answer(take_flags(os.environ), question))
        except (TrialFailed, FarmError, InvalidSetting) as error:
            answer = {"error": str(error)}
        json.dump(answer, answers)
    return EXIT_FAILED if "error" in answer else 0


async def _answer(flags: Mapping[str, Any], question: Mapping[str, Any]) -> dict[str, Any]:
    sampler = Sampler()
    began = time.monotonic()
    facts = sampler.sample([os.getpid()])
    own = footprint([os.getpid()]).share
    settings = await _settings(flags)
    trial = TrialPool(settings, facts)
    coordinator = _coordinator()
    try:
        await trial.start()
        idle = trial.idle_footprint()
        coordinator_memory = _memory_once_loaded(coordinator)
        if question["others"]:
            await asyncio.sleep(max(0.0, LEAST_SAMPLING_SECONDS - (time.monotonic() - began)))
        others_load = sampler.sample([os.getpid()]).others_load
        measured = await trial.measure(question["call"], question) if question.get("call") else None
    finally:
        sampler.close()
        coordinator.kill()
        coordinator.communicate()
        await trial.close()
    return {
        "machine": {
            "cores": facts.cpu_count,
            "memory": facts.memory_total,
            "memory_others": max(facts.memory - own, 0),
            "others_load": others_load,
            "boot_id": boot_id(),
        },
        "host": {
            "memory": footprint([os.getpid()]).share + idle["helpers"] + coordinator_memory,
            "process_memory": idle["process"],
        },
        "call": asdict(measured) if measured is not None else None,
        "options": {
            "threshold": settings.admission.threshold,
            "memory_threshold": settings.admission.memory_threshold,
            "processes": settings.pool.processes,
        },
    }


async def _settings(flags: Mapping[str, Any]) -> Settings:
    """As a host has them: the app may bring some. Raises AppError, InvalidSetting."""
    settings = load(flags=flags)
    logs.configure("error", settings.logs.log_format, "capacity")
    if settings.host.app is None:
        return settings
    hooks = await Hooks.start(settings, dict(os.environ))
    await hooks.close()
    return load(flags=flags, app=hooks.app.options)


def _coordinator() -> "subprocess.Popen[bytes]":
    """A process that loads what a coordinator needs, and then waits."""
    command = [sys.executable, "-P", "-c", _COORDINATOR]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def _memory_once_loaded(process: "subprocess.Popen[bytes]") -> int:
    """Bytes."""
    assert process.stdout is not None
    process.stdout.read(len("ready"))
    return footprint([process.pid]).share


if __name__ == "__main__":
    sys.exit(main())
