"""What systems are made to do: a module each, in the order of the tables."""

from tests.bench.workload import Workload
from tests.bench.workloads import (
    backlog,
    cold,
    cpu,
    deferral,
    drain,
    enqueue,
    fresh,
    hosts,
    idle,
    latency,
    memory,
    naps,
    payload,
)

WORKLOADS: dict[str, Workload] = {
    module.WORKLOAD.name: module.WORKLOAD
    for module in (
        drain,
        latency,
        enqueue,
        cpu,
        naps,
        payload,
        cold,
        idle,
        memory,
        deferral,
        backlog,
        hosts,
        fresh,
    )
}
