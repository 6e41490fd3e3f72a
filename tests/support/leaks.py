"""What a test must not leave behind: child processes, and keys in Redis that would stay for ever."""

import fnmatch
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil
import redis

PATIENCE_SECONDS = 5.0
SESSION_MARK = "RQ_FARM_TEST_SESSION"
SHARED_MARK = "RQ_FARM_TEST_SHARED"
"""In the environment of processes that several tests share: the fixture that started them ends them."""
shared_pids: set[int] = set()
"""The same for a single process, without those that it starts."""

PERMANENT_KEYS = (
    "farm:load",
    "farm:hosts",
    "farm:identities",
    "farm:epochs",
    "farm:lost",
    "farm:events",
    "farm:dependents",
    "farm:mended",
    "farm:bell",
    "farm:bell:*",
    "farm:room",
    "farm:quarantine",
    "farm:quarantine:reasons",
    "farm:counts:*",
    "farm:deferral:*",
    "farm:deferred:*",
    "farm:host:*:inbox",
    "farm:host:*:running",
    "rq:*",  # RQ's own; see `_ended_without_ttl` for those that must end
    "test:*",  # what a test wrote for itself
)
"""Keys that may have no TTL. The one list of them; the design's table of keys says why."""


def mark_processes() -> None:
    """Lets `survivors` find processes of this session that lost their parent: the mark is inherited."""
    os.environ[SESSION_MARK] = f"{os.getpid()}-{time.time_ns()}"


def started_here() -> set[psutil.Process]:
    """What this session started and still runs, its own children and those that lost their parent."""
    mark = os.environ.get(SESSION_MARK)
    found = set(psutil.Process().children(recursive=True))
    for pid in psutil.pids():
        with suppress(psutil.Error, OSError):
            if pid != os.getpid() and _is_marked(pid, f"{SESSION_MARK}={mark}"):
                found.add(psutil.Process(pid))
    return found


def survivors(allowed: Iterable[int]) -> list[psutil.Process]:
    """What this session started and still runs after some patience, but for the processes `allowed`."""
    spared = set(allowed)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while found := [process for process in started_here() if process.pid not in spared and _lives(process)]:
        if time.monotonic() > deadline:
            return found
        time.sleep(0.02)
    return []


def describe_and_kill(processes: Iterable[psutil.Process]) -> list[str]:
    """Ends what a test left, so that it is blamed once. Returns what it was."""
    described = []
    for process in processes:
        with suppress(psutil.Error):
            described.append(f"{process.pid}: {' '.join(process.cmdline()) or process.name()}")
            process.kill()
            process.wait(PATIENCE_SECONDS)
    return described


def keys_without_end(client: redis.Redis, permitted: Iterable[str] = ()) -> list[str]:
    """Keys without TTL that are not on the permanent list."""
    patterns = (*PERMANENT_KEYS, *permitted)
    keys = [key.decode("utf-8", "replace") for key in client.scan_iter(count=1000) if client.ttl(key) == -1]
    unlisted = [key for key in keys if not any(fnmatch.fnmatchcase(key, pattern) for pattern in patterns)]
    return sorted(unlisted + [key for key in keys if _ended_without_ttl(client, key)])


def _is_marked(pid: int, mark: str) -> bool:
    if psutil.LINUX:  # read as it is: this happens for each process of the machine after each test
        return mark.encode() in Path(f"/proc/{pid}/environ").read_bytes()
    return mark.partition("=")[2] == psutil.Process(pid).environ().get(SESSION_MARK)


def _lives(process: psutil.Process) -> bool:
    """Not ended, not shared by tests, and no tracker of multiprocessing, which lives as long as the test process."""
    try:
        return (
            process.status() != psutil.STATUS_ZOMBIE
            and process.pid not in shared_pids
            and not any("multiprocessing.resource_tracker" in argument for argument in process.cmdline())
            and SHARED_MARK not in process.environ()
        )
    except psutil.Error:
        return False


def _ended_without_ttl(client: redis.Redis, key: str) -> bool:
    """A finished job, unless it asked to be kept (`result_ttl` -1), and results of a job that has an end or is gone."""
    kind, _, job_id = key.removeprefix("rq:").partition(":")
    if kind == "job" and client.type(key) == b"hash":
        status, result_ttl = client.hmget(key, "status", "result_ttl")
        return status == b"finished" and result_ttl != b"-1"
    return kind == "results" and client.ttl(f"rq:job:{job_id}") != -1
