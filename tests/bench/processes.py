"""Processes of a turn: their CPU time, their memory, and their end."""

from collections.abc import Sequence

import psutil

END_SECONDS = 2.0
"""Workers of a benchmark have nothing to lose: their Redis goes as well."""


def tree(pid: int) -> list[psutil.Process]:
    """The process and all that it started."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    """User and system time so far, with that of children which have ended and were waited for."""
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue  # its parent has its time now
        total += times.user + times.system + times.children_user + times.children_system
    return total


def proportional_bytes(processes: Sequence[psutil.Process]) -> int:
    """Memory, where pages that several share count once among them (PSS)."""
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total


def stop(processes: Sequence[psutil.Process]) -> None:
    """Each stands still, parents first."""
    _each(processes, "suspend")


def go_on(processes: Sequence[psutil.Process]) -> None:
    """After `stop`."""
    _each(processes, "resume")


def end(processes: Sequence[psutil.Process]) -> None:
    """In order where they end in time, else by force. The first is the root: it ends its own."""
    if not processes:
        return
    _each(processes[:1], "terminate")
    psutil.wait_procs(processes, timeout=END_SECONDS)
    _each(processes, "kill")
    psutil.wait_procs(processes, timeout=END_SECONDS)


def _each(processes: Sequence[psutil.Process], action: str) -> None:
    for process in processes:
        try:
            getattr(process, action)()
        except psutil.NoSuchProcess:
            continue
