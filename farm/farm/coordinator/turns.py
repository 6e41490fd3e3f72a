"""Which of its queues a host is asked for first, where that changes from job to job (`DEQUEUE_STRATEGY`)."""

import random
from dataclasses import replace

from farm.store.placement import Placed
from farm.store.survey import HostView


class Turns:
    """Remembers for each host which queue its last job came from. Another leader begins anew."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def facing(self, host: HostView) -> HostView:
        """The host with its queues in the order that holds for its next job."""
        queues = host.queues
        if host.dequeue_strategy == "random":
            queues = tuple(random.sample(queues, len(queues)))
        elif host.dequeue_strategy == "round_robin" and (last := self._last.get(host.name)) in queues:
            following = queues.index(last) + 1
            queues = queues[following:] + queues[:following]
        return replace(host, queues=queues)

    def note(self, host: str, placed: Placed) -> None:
        """What was placed on the host: one job, or none."""
        self._last.update((host, queue) for queue in placed.from_queue)
