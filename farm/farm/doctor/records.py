"""Whether the keys are what they should be. Pure: facts in, findings out."""

from collections.abc import Sequence

from farm.doctor.finding import Finding
from farm.store.server_facts import ServerFacts
from farm.store.snapshot import FarmSnapshot

SHOWN = 5


def key_types(facts: ServerFacts) -> Finding:
    """A key of another type hides jobs, or keeps them from being placed."""
    wrong = facts.wrong_types
    if not wrong:
        return Finding("key types", "ok", "each key is of the type that it should be")
    listed = [f"{one.key} is a {one.found}, not a {one.expected}" for one in wrong]
    return Finding(
        "key types",
        "error",
        _some(listed),
        "something else uses these names: rename or delete such a key, or give the farm a prefix of its own",
    )


def prefixes(facts: ServerFacts, farm: FarmSnapshot) -> Finding:
    """With a wrong prefix, or in the wrong database, everything looks empty."""
    if facts.queues == 0 and facts.other_rq_prefixes:
        return Finding(
            "prefixes",
            "warning",
            f"no queue is known here, but under the prefix {_some(facts.other_rq_prefixes)}",
            "set RQ_KEY_PREFIX for the farm as for the services that enqueue",
        )
    if not farm.hosts and facts.other_farm_prefixes:
        return Finding(
            "prefixes",
            "warning",
            f"no host is known here, but under the prefix {_some(facts.other_farm_prefixes)}",
            "set FARM_PREFIX as the hosts have it",
        )
    if facts.queues == 0 and not farm.hosts:
        return Finding(
            "prefixes",
            "warning",
            "neither queues nor hosts are known in this database",
            "check address and number of the database, unless the farm is new",
        )
    return Finding("prefixes", "ok", f"queues known: {facts.queues}, hosts known: {len(farm.hosts)}")


def quarantine(farm: FarmSnapshot) -> Finding:
    """Jobs whose record cannot be read wait for a decision."""
    if not farm.quarantined:
        return Finding("quarantine", "ok", "empty")
    return Finding(
        "quarantine",
        "warning",
        f"jobs whose record cannot be read: {farm.quarantined}",
        "farm quarantine list shows them with the reasons",
    )


def expiry(facts: ServerFacts) -> Finding:
    """Ended jobs that never expire fill Redis."""
    found = f"{facts.ended_without_ttl} of {facts.jobs_sampled} jobs looked at have ended and never expire"
    if facts.ended_without_ttl == 0:
        return Finding("expiry", "ok", found)
    return Finding("expiry", "warning", found, "enqueue with a result_ttl and failure_ttl other than -1")


def mended(facts: ServerFacts) -> Finding:
    """What the coordinator has put in order."""
    if not facts.mended:
        return Finding("mended", "ok", "nothing was ever left over")
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(facts.mended.items()))
    return Finding("mended", "ok", f"since the farm exists: {kinds}")


def _some(words: Sequence[str]) -> str:
    more = f", and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more
