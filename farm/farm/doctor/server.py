"""Whether the server is one that the farm can work with, and quick. Pure: facts in, findings out."""

import statistics

from farm.doctor.finding import Finding, unknown
from farm.store.connection import MINIMUM_VERSION
from farm.store.server_facts import ServerFacts

SLOW_MEDIAN_SECONDS = 0.01
SLOW_MAXIMUM_SECONDS = 0.25
CLOCK_TOLERANCE_SECONDS = 2.0
SLOW_COMMAND_SECONDS = 0.1
RECENT_SECONDS = 3600.0
SHORTEST_TIMEOUT_SECONDS = 60


def version(facts: ServerFacts) -> Finding:
    """The commands and scripts of the farm need 6.2."""
    information = facts.information
    if information is None:
        return unknown("version", "INFO")
    if "valkey_version" in information:
        return Finding("version", "ok", f"Valkey {information['valkey_version']}")
    text = str(information.get("redis_version", "0.0"))
    parts = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    if parts < MINIMUM_VERSION:
        needed = ".".join(map(str, MINIMUM_VERSION))
        return Finding("version", "error", f"Redis {text} is too old", f"use Redis {needed} or newer, or any Valkey")
    return Finding("version", "ok", f"Redis {text}")


def clock(facts: ServerFacts) -> Finding:
    """Redis's clock decides between machines; this one's is only shown."""
    difference = facts.clock_difference
    found = f"this machine is {abs(difference):.3f} s {'ahead of' if difference > 0 else 'behind'} Redis"
    if abs(difference) < CLOCK_TOLERANCE_SECONDS:
        return Finding("clock", "ok", found)
    return Finding("clock", "warning", f"{found}: times that RQ and logs show are off", "run NTP on both machines")


def latency(facts: ServerFacts) -> Finding:
    """What a command takes from here."""
    median, slowest = statistics.median(facts.pings), max(facts.pings)
    found = f"median {median * 1000:.1f} ms, slowest {slowest * 1000:.1f} ms of {len(facts.pings)}"
    if median > SLOW_MEDIAN_SECONDS or slowest > SLOW_MAXIMUM_SECONDS:
        return Finding(
            "latency", "warning", found, "move hosts and Redis closer, and see what else Redis does (LATENCY DOCTOR)"
        )
    return Finding("latency", "ok", found)


def slow_commands(facts: ServerFacts) -> Finding:
    """While one command runs, all others wait."""
    if facts.slow_commands is None:
        return unknown("slow commands", "SLOWLOG GET")
    slow = [
        command
        for command in facts.slow_commands
        if command.seconds >= SLOW_COMMAND_SECONDS and command.ago <= RECENT_SECONDS
    ]
    if not slow:
        return Finding("slow commands", "ok", "none of a tenth of a second or more in the last hour")
    slowest = max(slow, key=lambda command: command.seconds)
    return Finding(
        "slow commands",
        "warning",
        f"{len(slow)} in the last hour, the slowest {slowest.seconds:.2f} s: {slowest.command}",
        "see SLOWLOG GET for who sends them",
    )


def idle_timeout(facts: ServerFacts) -> Finding:
    """Hosts hold their connections open."""
    text = facts.configuration.get("timeout")
    if text is None or not text.isdigit():
        return unknown("idle connections", "CONFIG GET")
    if int(text) == 0:
        return Finding("idle connections", "ok", "are never closed (timeout 0)")
    if int(text) < SHORTEST_TIMEOUT_SECONDS:
        return Finding(
            "idle connections",
            "warning",
            f"are closed after {text} s: clients of the farm connect again and again",
            "CONFIG SET timeout 0, and in redis.conf",
        )
    return Finding("idle connections", "ok", f"are closed after {text} s")
