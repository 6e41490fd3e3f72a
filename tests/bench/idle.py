"""What a farm costs that has nothing to do: a host of two processes and the coordinator that it started."""

import sys
import time

from stage import cpu_seconds, host, server

from farm.store.connection import connect

SETTLE_SECONDS = 3.0


def idle(rounds: int, seconds: float) -> dict[str, list[float]]:
    """Per cent of one core by role; a value for each round."""
    shares: dict[str, list[float]] = {}
    with server() as url, connect(url) as client, host(url, client) as roles:
        time.sleep(SETTLE_SECONDS)
        for turn in range(rounds):
            print(f"idle, round {turn + 1} of {rounds} ...", file=sys.stderr)
            before, began = {role: cpu_seconds(processes) for role, processes in roles.items()}, time.monotonic()
            time.sleep(seconds)
            elapsed = time.monotonic() - began
            for role, processes in roles.items():
                shares.setdefault(role, []).append(100 * (cpu_seconds(processes) - before[role]) / elapsed)
    return shares


def report(shares: dict[str, list[float]]) -> None:
    """A table of medians and spread."""
    together = [sum(parts) for parts in zip(shares["coordinator"], shares["host"], strict=True)]
    print(f"\n{'idle, % of a core':<20}{'median':>10}{'min':>10}{'max':>10}")
    for role, values in {**shares, "host + coordinator": together}.items():
        print(f"{role:<20}{sorted(values)[len(values) // 2]:>10.2f}{min(values):>10.2f}{max(values):>10.2f}")
