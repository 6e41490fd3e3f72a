"""Jobs that are dealt one by one, as not every host may take each of them. Values of one plan; nothing is kept."""

from collections.abc import Mapping, Sequence

from farm.coordinator.forecast import Forecast
from farm.coordinator.waiting import Kind, WaitingJob, WaitingQueue
from farm.store.survey import HostView


class Offers:
    """What is left of the jobs of some queues, and to whom each may go."""

    def __init__(self, waiting: Mapping[str, WaitingQueue], hosts: Sequence[HostView], forecast: Forecast) -> None:
        self._hosts = hosts
        self._forecast = forecast
        self.queues = frozenset(waiting)
        """Those whose jobs are dealt here."""
        self._lines = {queue: _Line(each) for queue, each in waiting.items()}

    def goes_on(self, queue: str) -> bool:
        """Whether there are jobs behind those that were looked at."""
        return self._lines[queue].goes_on

    def first_for(self, index: int, queue: str) -> WaitingJob | None:
        """The first job left in the queue that fits the host.

        A job that does not fit a host now never will in this plan: labels stay, memory gets less. So each host looks
        at each job once.
        """
        line, host = self._lines[queue], self._hosts[index]
        allowed = line.allowed_by(host.labels)
        numbers = allowed.numbers
        at = max(line.looked.get(index, 0), allowed.start)
        while at < len(numbers):
            job = line.jobs[numbers[at]]
            if line.taken[numbers[at]]:
                allowed.start += allowed.start == at
            elif not is_declined(job, host) and self._forecast.has_room_for(index, job):
                break
            at += 1
        line.looked[index] = at
        return line.jobs[numbers[at]] if at < len(numbers) else None

    def take(self, index: int, job: WaitingJob) -> None:
        """The host gets what `first_for` told it."""
        line = self._lines[job.queue]
        line.taken[line.allowed_by(self._hosts[index].labels).numbers[line.looked[index]]] = True

    def in_the_way(self, with_room: Sequence[int]) -> list[WaitingJob]:
        """Jobs left that fit none of the hosts with room, though one of these serves their queue."""
        found = []
        for queue, line in self._lines.items():
            serving = [index for index in with_room if queue in self._hosts[index].queues]
            if not serving:
                continue
            fits: dict[Kind, bool] = {}
            for job in line.left():
                if job.kind not in fits:
                    fits[job.kind] = any(self.fits(index, job) for index in serving)
                if not fits[job.kind]:
                    found.append(job)
        return found

    def fits(self, index: int, job: WaitingJob) -> bool:
        """Whether the host may have the job now."""
        host = self._hosts[index]
        return job.requires <= host.labels and not is_declined(job, host) and self._forecast.has_room_for(index, job)


class _Allowed:
    """The jobs of a queue that some labels are enough for."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers
        self.start = 0
        """All before are taken."""


class _Line:
    """The jobs of one queue."""

    def __init__(self, queue: WaitingQueue) -> None:
        self.jobs = queue.jobs
        self.goes_on = queue.length > len(queue.jobs)
        self.taken = bytearray(len(queue.jobs))
        self.looked: dict[int, int] = {}
        """How far each host has looked, among the jobs that its labels allow for."""
        self._by_labels: dict[frozenset[str], _Allowed] = {}

    def allowed_by(self, labels: frozenset[str]) -> _Allowed:
        """Most hosts have the same labels."""
        if labels not in self._by_labels:
            numbers = [number for number, job in enumerate(self.jobs) if job.requires <= labels]
            self._by_labels[labels] = _Allowed(numbers)
        return self._by_labels[labels]

    def left(self) -> list[WaitingJob]:
        """Those that nobody took, in order."""
        return [job for job, taken in zip(self.jobs, self.taken, strict=True) if not taken]


def is_declined(job: WaitingJob, host: HostView) -> bool:
    """Whether the host, in this run, said that it will not take the job."""
    return bool(job.declined_by) and f"{host.name}|{host.identity}" in job.declined_by
