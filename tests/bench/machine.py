"""What a run stood on: without it its numbers say nothing."""

import importlib.metadata
import os
import platform
import random
import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from operator import itemgetter
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from farm.redis_server.binary import find_binary
from tests.bench.systems import PINS, System, Unavailable, describe

_OBJECTS = 1 << 17
"""Floats, 4 MB with what points to them: more than a core's own caches hold, less than the one that cores share."""


def header(systems: Sequence[System]) -> dict[str, str]:
    """Date, machine, versions."""
    binary = find_binary()
    names = dict.fromkeys(system.environment for system in systems if system.environment)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} CPUs ({_processor()}), load average {os.getloadavg()[0]:.1f} before",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "redis": f'{_version(binary.path)}; appendonly yes, appendfsync everysec, save "", '
        "stream-node-max-bytes 300; a new one for each turn, over TCP of the loopback",
        "farm": f"rq-farm {importlib.metadata.version('rq-farm')}{_commit()}, rq {importlib.metadata.version('rq')}; "
        "settings are the defaults but for --threshold 1, as what enqueues and Redis run on the same CPUs",
        "peers": ", ".join(" ".join(PINS[name]) for name in names) or "none",
    }


def nanoseconds_of_memory() -> float:
    """How long it takes to reach an object that is in no cache of its core.

    Neighbours on a shared machine take the cache that cores share, which slows down whatever touches much memory: all
    job systems, and those most that do much beside little Python.
    """
    objects, read_all = _objects_and_reader()
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        read_all(objects)
        seconds.append(time.perf_counter() - began)
    return 1e9 * median(seconds) / _OBJECTS


class StolenTime:
    """How much of the CPU time that was asked for a shared machine gave to neighbours. Nothing where no system says."""

    def __init__(self) -> None:
        self._before = self._seconds()

    def share(self) -> float:
        """Of 1, since it was last asked."""
        before, self._before = self._before, self._seconds()
        used, stolen = (now - then for now, then in zip(self._before, before, strict=True))
        return stolen / (used + stolen) if stolen > 0 else 0.0

    @staticmethod
    def _seconds() -> tuple[float, float]:
        """What was used, what was stolen."""
        times = psutil.cpu_times()
        stolen = getattr(times, "steal", 0.0)
        return sum(times) - times.idle - getattr(times, "iowait", 0.0) - stolen, stolen


@cache
def _objects_and_reader() -> tuple[list[float], "itemgetter[Any]"]:
    objects = [float(number) for number in range(_OBJECTS)]
    return objects, itemgetter(*random.Random(0).sample(range(_OBJECTS), _OBJECTS))


def settings(systems: Sequence[System]) -> dict[str, Mapping[str, str]]:
    """System → mode → how it is set up, in a line."""
    return {system.name: _settings_of(system) for system in systems}


def _settings_of(system: System) -> dict[str, str]:
    try:
        return {mode: text for mode, (text, _) in describe(system).items()}
    except Unavailable as error:
        return {"default": str(error)}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _version(program: Path) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=10).stdout
    return " ".join(word for word in said.split() if word[0].isupper() or word.startswith("v="))


def _commit() -> str:
    try:
        command = ["git", "rev-parse", "--short", "HEAD"]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
    return f" at {said}"
