"""`python -m tests.capacity_experiment`: predicts, observes, compares. Exit code 1 if a prediction is off by more."""

import argparse
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

from farm.redis_server import RedisServer
from tests.capacity_experiment.stage import Stage, Workload
from tests.capacity_experiment.verdict import QUIET, Round, comparisons, text
from tests.support import leaks
from tests.support.wheel import ROOT

PAGE = ROOT / "docs/capacity.md"
BEGIN = "<!-- what follows is written by `make capacity-check PUBLISH=1` -->"
END = "<!-- until here -->"
WORK_SECONDS, PAUSE_SECONDS = 0.05, 0.15
TRIAL_ROUNDS = 20_000
MOST_DISCARDED = 6


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.capacity_experiment", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="that count, of each function")
    parser.add_argument("--functions", default="cpu memory")
    parser.add_argument("--noisy", action="store_true", help="count rounds in which others use the CPUs, too")
    parser.add_argument("--publish", action="store_true", help="write the result into docs/capacity.md")
    given = parser.parse_args()
    leaks.mark_processes()
    parts, agrees = [_header()], True
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder) / "redis", append_only=False) as server:
        stage = Stage(server.url, Path(folder))
        try:
            for workload in _workloads():
                if workload.name.split("-")[0] in given.functions.split():
                    rounds, discarded = _rounds(stage, workload, given.rounds, noisy=given.noisy)
                    parts.append(text(_title(workload), rounds, discarded))
                    agrees &= all(each.holds for each in comparisons(rounds))
        finally:
            stage.farm.close()
    result = "\n\n".join(parts)
    print(result)
    if given.publish:
        _publish(result)
    return 0 if agrees else 1


def _workloads() -> list[Workload]:
    return [
        Workload("cpu-bound", "capacity_jobs.work", (_rounds_of_work(), PAUSE_SECONDS), 60, None, 4, 12, (0.6, 1.3)),
        Workload("memory-bound", "capacity_jobs.hold", (200, 4.0), 4, 1, 8, 20, (0.5, 0.75), 3_000_000_000),
    ]


def _rounds(stage: Stage, workload: Workload, wanted: int, *, noisy: bool) -> tuple[list[Round], int]:
    """So many rounds that count, and how many did not: neighbours change what CPUs do."""
    kept: list[Round] = []
    discarded = 0
    while len(kept) < wanted:
        found = stage.round(workload)
        counts = noisy or found.counts
        print(f"{workload.name}: {found}{'' if counts else ' (discarded: not quiet)'}", file=sys.stderr)
        if counts:
            kept.append(found)
        elif (discarded := discarded + 1) > MOST_DISCARDED:
            raise SystemExit(f"{discarded} rounds in which others used over {QUIET:.0%} of the CPUs: try again later")
    return kept, discarded


def _rounds_of_work() -> int:
    """How much arithmetic takes WORK_SECONDS here, about."""
    import hashlib

    best = min(_timed(lambda: hashlib.pbkdf2_hmac("sha256", b"a", b"b", TRIAL_ROUNDS)) for _ in range(5))
    return max(int(TRIAL_ROUNDS * WORK_SECONDS / best), 1)


def _timed(call: object) -> float:
    before = time.thread_time()
    call()  # type: ignore[operator]
    return time.thread_time() - before


def _title(workload: Workload) -> str:
    if workload.memory_limit is None:
        return f"about {WORK_SECONDS * 1000:.0f} ms of arithmetic, then {PAUSE_SECONDS * 1000:.0f} ms of waiting"
    megabytes, seconds = workload.arguments
    return f"{megabytes} MB held for {seconds:g} s, in a container of {workload.memory_limit / 1e9:g} GB"


def _header() -> str:
    cores, memory = psutil.cpu_count(), psutil.virtual_memory().total / 1e9
    return f"{datetime.now(UTC):%Y-%m-%d}, {cores} CPUs, {memory:.0f} GB, Python {platform.python_version()}."


def _publish(result: str) -> None:
    page = PAGE.read_text()
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE.name} lacks the lines {BEGIN!r} and {END!r}")
    PAGE.write_text(f"{head}{BEGIN}\n\n{result}\n\n{END}{tail}")


if __name__ == "__main__":
    sys.exit(main())
