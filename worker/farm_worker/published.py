"""What a host says of itself: the fields of its hash, and of the record that RQ's tools read."""

import json
import os
import sys
import time
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version

from farm.facts import HostFacts
from farm.records import iso_now
from farm.store.hosts import Registration
from farm_settings import Settings
from farm_worker import identity
from farm_worker.admission import AdmissionState
from farm_worker.load.facts import Facts

AS_KNOWN = (
    *("state", "load", "threshold", "load_source", "cpu", "cpu_count", "own_load", "others_load"),
    *("memory", "memory_total", "memory_left", "slots", "busy", "jobs", "idle", "prefetch", "capacity"),
)
"""What is published as the host's own code reads it."""
PRESSURES = ("pressure_cpu", "pressure_memory", "pressure_io")
"""Each is empty where the kernel does not tell it: an absent one would leave the last one standing in Redis."""


@dataclass(frozen=True, slots=True)
class HostRecord:
    """What does not change from beat to beat."""

    queues: tuple[str, ...]
    labels: tuple[str, ...]
    threshold: float
    pid: int
    hostname: str
    boot_id: str
    pid_namespace: str
    started_at: str
    dequeue_strategy: str = "default"
    needs: str = ""
    """What the app says that jobs of queues require, see `hooks.needs_of_queues`."""

    @classmethod
    def of(cls, settings: Settings, needs: str = "") -> "HostRecord":
        """The record of the host that this process is. `needs`: of jobs of its queues, as its app says, in JSON."""
        return cls(
            queues=settings.host.queues,
            labels=settings.host.labels,
            threshold=settings.admission.threshold,
            pid=os.getpid(),
            hostname=identity.hostname(),
            boot_id=identity.boot_id(),
            pid_namespace=identity.pid_namespace(),
            started_at=iso_now(),
            dequeue_strategy=settings.host.dequeue_strategy,
            needs=needs,
        )

    def fields(self, who: Registration, state: AdmissionState, known: HostFacts) -> dict[str, str | int | float]:
        """All fields of `farm:host:<name>` but `idle_processes`, and `assigned`, which Redis counts itself."""
        pressures = {name: getattr(known, name) for name in PRESSURES}
        return {
            **{name: getattr(known, name) for name in AS_KNOWN},
            **{name: "" if value is None else round(value, 3) for name, value in pressures.items()},
            "reason": state.starved or state.reason,
            "sources": json.dumps(dict(known.sources), separators=(",", ":")),
            "queues": ",".join(self.queues),
            "labels": ",".join(self.labels),
            **({"needs": self.needs} if self.needs else {}),
            "dequeue_strategy": self.dequeue_strategy,
            "identity": who.identity,
            "pid": self.pid,
            "hostname": self.hostname,
            "boot_id": self.boot_id,
            "pid_namespace": self.pid_namespace,
            "version": _version("rq-farm"),
            "started_at": self.started_at,
            "beat_at": iso_now(),
        }

    def host_facts(self, host: str, state: AdmissionState, load: float, facts: Facts, prefetch: int) -> HostFacts:
        """What is known of the host now, as code of the user's reads it."""
        return HostFacts(
            host=host,
            state=state.state,
            load=round(load, 3),
            threshold=self.threshold,
            load_source=facts.load_source,
            cpu=round(facts.cpu, 3),
            cpu_count=round(facts.cpu_count, 3),
            own_load=round(facts.own_load, 3),
            others_load=round(facts.others_load, 3),
            measured=facts.measured,
            memory=facts.memory,
            memory_total=facts.memory_total,
            memory_left=facts.memory_left,
            slots=facts.slots,
            busy=facts.busy,
            jobs=facts.jobs,
            idle=facts.idle,
            prefetch=prefetch,
            capacity=state.capacity,
            at=time.time(),
            sources=facts.sources,
            **{name: getattr(facts, name) for name in PRESSURES},
        )


def rq_record(record: HostRecord, state: str, address: str) -> dict[str, str | int | float]:
    """The host as an RQ worker: the fields of `rq:worker:<name>`."""
    now = iso_now()
    return {
        "birth": record.started_at,
        "last_heartbeat": now,
        "queues": ",".join(record.queues),
        "pid": record.pid,
        "hostname": record.hostname,
        "ip_address": address,
        "version": _version("rq"),
        "python_version": sys.version,
        "state": state,
    }


@cache
def _version(distribution: str) -> str:
    return version(distribution)
