"""What a host says of itself: the fields of its hash, and of the record that RQ's tools read."""

import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version

from farm.records import iso_now
from farm.store.hosts import Registration
from farm_worker.admission import AdmissionState
from farm_worker.load.facts import Facts


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

    def fields(
        self, who: Registration, state: AdmissionState, load: float, facts: Facts, prefetch: int
    ) -> dict[str, str | int | float]:
        """All fields of `farm:host:<name>` but `idle_processes`, and `assigned`, which Redis counts itself."""
        return {
            "state": state.state,
            "reason": state.starved or state.reason,
            "load": round(load, 3),
            "threshold": self.threshold,
            "cpu": round(facts.cpu, 3),
            "cpu_count": round(facts.cpu_count, 3),
            "memory": facts.memory,
            "memory_total": facts.memory_total,
            "slots": facts.slots,
            "busy": facts.busy,
            "jobs": facts.jobs,
            "idle": facts.idle,
            "prefetch": prefetch,
            "capacity": state.capacity,
            "queues": ",".join(self.queues),
            "labels": ",".join(self.labels),
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
