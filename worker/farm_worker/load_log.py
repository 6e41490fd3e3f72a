"""Log lines about the load of this host: at each change of state, and with LOG_LOAD at each beat."""

import logging
from typing import Any

from farm.facts import HostFacts

_logger = logging.getLogger("farm.load")


class LoadLog:
    """Each line has the numbers that were decided by, and as fields as well."""

    def __init__(self, *, each_beat: bool) -> None:
        self._each_beat = each_beat

    def tell(self, before: str, facts: HostFacts, reason: str) -> None:
        """One beat: `before` is the state that the host had until now, `reason` why it has this one."""
        if facts.state != before:
            because = f": {reason}" if reason else ""
            self._write(f"{facts.state}{because} ({numbers(facts)})", facts, {"before": before, "reason": reason})
        elif self._each_beat:
            self._write(numbers(facts), facts, {})

    def _write(self, text: str, facts: HostFacts, fields: dict[str, Any]) -> None:
        _logger.info("%s", text, extra={"fields": fields_of(facts) | fields})


def numbers(facts: HostFacts) -> str:
    """What counts, on one line."""
    memory, total = facts.memory / 1e9, facts.memory_total / 1e9
    return (
        f"cpu={facts.cpu:.2f} cores={facts.cpu_count:g} memory={memory:.1f}/{total:.1f}GB "
        f"slots={facts.busy}/{facts.slots} load={facts.load:.2f} threshold={facts.threshold:.2f}"
    )


def fields_of(facts: HostFacts) -> dict[str, Any]:
    """The same and some more, for lines in JSON."""
    names = ("state", "load", "threshold", "load_source", "cpu", "own_load", "others_load", "memory", "memory_total")
    more = ("slots", "busy", "jobs", "capacity")
    return {"cores": facts.cpu_count, **{name: getattr(facts, name) for name in (*names, *more)}}
