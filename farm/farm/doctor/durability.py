"""Whether Redis keeps what it accepted. Pure: facts in, findings out."""

from farm.doctor.finding import Finding, unknown
from farm.store.server_facts import ServerFacts, eviction_policy

MEGABYTE = 1 << 20
HEADROOM = 0.8
"""Share of the memory limit above which a warning is due."""


def eviction(facts: ServerFacts) -> Finding:
    """At its memory limit Redis must refuse, and drop nothing."""
    policy = eviction_policy(facts.information, facts.configuration)
    if policy is None:
        return unknown("eviction", "INFO and CONFIG GET")
    if policy == "noeviction":
        return Finding("eviction", "ok", "maxmemory-policy is noeviction")
    return Finding(
        "eviction",
        "error",
        f"maxmemory-policy is {policy}: at its memory limit Redis drops keys, and jobs with them",
        "CONFIG SET maxmemory-policy noeviction, and in redis.conf",
    )


def append_only_file(facts: ServerFacts) -> Finding:
    """Without the append-only file a restart loses jobs."""
    check = "append-only file"
    if facts.information is None:
        return unknown(check, "INFO")
    if not facts.information.get("aof_enabled"):
        return Finding(
            check,
            "warning",
            "off: jobs since the last snapshot are lost when Redis ends",
            "CONFIG SET appendonly yes, and in redis.conf",
        )
    if facts.information.get("aof_last_write_status", "ok") != "ok":
        return Finding(check, "error", "its last write failed", "see Redis's log: the disk is full or broken")
    if facts.information.get("aof_last_bgrewrite_status", "ok") != "ok":
        return Finding(check, "error", "its last rewrite failed", "see Redis's log: memory or disk is short")
    return _syncing(check, facts.configuration.get("appendfsync"))


def _syncing(check: str, policy: str | None) -> Finding:
    if policy is None:
        return Finding(check, "ok", "on; how often it is synced cannot be read")
    if policy == "no":
        return Finding(
            check,
            "warning",
            "on, and never synced by Redis: a crash of the machine may lose half a minute",
            "CONFIG SET appendfsync everysec, and in redis.conf",
        )
    return Finding(check, "ok", f"on, appendfsync {policy}")


def snapshot(facts: ServerFacts) -> Finding:
    """After a failed snapshot Redis refuses all writes by default."""
    if facts.information is None:
        return unknown("snapshot", "INFO")
    if facts.information.get("loading"):
        return Finding("snapshot", "error", "Redis is loading its data", "wait until it is done")
    if facts.information.get("rdb_last_bgsave_status", "ok") != "ok":
        return Finding(
            "snapshot",
            "error",
            "the last one failed; Redis refuses writes then (stop-writes-on-bgsave-error)",
            "see Redis's log: memory or disk is short",
        )
    return Finding("snapshot", "ok", "the last one did not fail")


def replication(facts: ServerFacts) -> Finding:
    """The farm writes, so it needs the primary."""
    if facts.information is None:
        return unknown("replication", "INFO")
    role = facts.information.get("role")
    if role in {"slave", "replica"}:
        primary = f"{facts.information.get('master_host')}:{facts.information.get('master_port')}"
        return Finding(
            "replication", "error", f"this is a replica of {primary} and takes no writes", "use the primary's address"
        )
    replicas = int(facts.information.get("connected_slaves", 0))
    return Finding("replication", "ok", f"this is the primary, replicas connected: {replicas}")


def memory(facts: ServerFacts) -> Finding:
    """At the limit new jobs are refused."""
    if facts.information is None:
        return unknown("memory", "INFO")
    used, limit = (int(facts.information.get(name, 0)) for name in ("used_memory", "maxmemory"))
    if not limit:
        return Finding("memory", "ok", f"{used / MEGABYTE:.0f} MB used, no limit set")
    found = f"{used / MEGABYTE:.0f} of {limit / MEGABYTE:.0f} MB used"
    if used >= limit:
        return Finding("memory", "error", f"{found}: new jobs are refused", "raise maxmemory, or let hosts drain")
    if used >= HEADROOM * limit:
        return Finding("memory", "warning", found, "raise maxmemory, or shorten result_ttl")
    return Finding("memory", "ok", found)


def small_streams(facts: ServerFacts) -> Finding:
    """RQ keeps each result in a stream of its own."""
    size = facts.configuration.get("stream-node-max-bytes")
    if size is None:
        return unknown("stream nodes", "CONFIG GET")
    if not size.isdigit() or 0 < int(size) <= 1024:
        return Finding("stream nodes", "ok", f"stream-node-max-bytes is {size}")
    return Finding(
        "stream nodes",
        "warning",
        f"stream-node-max-bytes is {size}: a finished job takes 5.2 kB in place of 1.4 kB",
        "CONFIG SET stream-node-max-bytes 300, and in redis.conf",
    )
