"""All checks of `farm doctor`, in the order in which they are shown."""

from farm.doctor import durability, hosts, records, server
from farm.doctor.finding import Finding
from farm.store.server_facts import ServerFacts
from farm.store.snapshot import FarmSnapshot


def examine(facts: ServerFacts, farm: FarmSnapshot) -> list[Finding]:
    """One finding of each check."""
    return [
        server.version(facts),
        durability.eviction(facts),
        durability.append_only_file(facts),
        durability.snapshot(facts),
        durability.replication(facts),
        durability.memory(facts),
        durability.small_streams(facts),
        server.clock(facts),
        server.latency(facts),
        server.slow_commands(facts),
        server.idle_timeout(facts),
        records.prefixes(facts, farm),
        records.key_types(facts),
        records.expiry(facts),
        records.quarantine(farm),
        records.mended(facts),
        hosts.coordinator(farm),
        hosts.hosts(farm),
        hosts.versions(farm),
        hosts.recovery(farm),
        hosts.unserved_queues(farm),
        hosts.deferred_queues(farm),
    ]
