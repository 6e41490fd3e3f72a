"""What a run stood on: without it its numbers say nothing."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from farm.redis_server.binary import find_binary
from tests.bench.figures import Spread
from tests.bench.neighbours import Neighbours
from tests.bench.report import cell
from tests.bench.systems import PINS, System, Unavailable, describe
from tests.bench.workload import Record


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


def after(records: Sequence[Record]) -> dict[str, str]:
    """What the header says of the turns so far."""
    turns = [Neighbours(record.stolen, record.slowed, record.nanoseconds) for record in records]
    stolen = cell(Spread.of(100 * each.stolen for each in turns), 0)
    slowed = cell(Spread.of(100 * each.slowed for each in turns), 0)
    nanoseconds = cell(Spread.of(each.nanoseconds for each in turns), 0)
    return {
        "busy": f"load average {os.getloadavg()[0]:.1f} at the end of the run",
        "others": f"neighbours took {stolen} % of the CPU time asked for and slowed CPUs for {slowed} % of the time; "
        f"an object in no cache of its core took {nanoseconds} ns; "
        f"in {sum(each.are_quiet for each in turns)} of {len(turns)} turns they were quiet",
    }


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
