"""A host: processes kept warm, a load that is a mean over seconds, admission, and a beat each second."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from farm.store.survey import HostView
from farm_worker.admission import AdmissionFacts, AdmissionState, decide
from farm_worker.load.smoothing import Rate
from tests.simulation.machine import Job, Machine, Usage

BEAT_SECONDS = 1.0
MOST_WARM_UPS = 4


@dataclass(frozen=True, slots=True)
class HostSettings:
    """As the settings of a real one."""

    slots: int
    idle_processes: int
    """Kept warm beside those that run a job."""
    threshold: float = 0.75
    memory_threshold: float = 0.9
    resume_margin: float = 0.05
    admission: Literal["hold", "strict"] = "hold"
    warm_up_seconds: float = 0.3
    starts_cold: bool = False
    """Its first processes warm up when the run begins."""
    max_jobs_per_process: int = 0
    """After so many a process is replaced; 0: never."""
    queues: tuple[str, ...] = ("default",)
    labels: frozenset[str] = frozenset()
    scripted_load: Callable[[float], float] | None = None
    """In place of the machine's measured one."""


class SimulatedHost:
    """One host on its machine."""

    def __init__(self, name: str, machine: Machine, machine_name: str, settings: HostSettings, phase: float) -> None:
        self.name = name
        self.machine = machine
        self.settings = settings
        self.usage = Usage()
        self.inbox: deque[Job] = deque()
        self.running = 0
        self.state = AdmissionState.initial(0.0)
        self.entered_full: list[float] = []
        """When."""
        self.is_lost = False
        self._machine_name = machine_name
        self._ready = 0 if settings.starts_cold else min(settings.idle_processes, settings.slots)
        self._done = 0
        self._warming: list[float] = []
        self._peak = 0
        self._next_beat = phase
        self._beat_at = 0.0
        self._assigned = 0
        self._busy = 0
        self._load = self._others_load = 0.0
        self._machine_rate, self._own_rate = Rate(), Rate()
        self._sampled = (0.0, 0.0, 0.0)
        self._on_start: Callable[[Job, float], None] = lambda job, at: None
        self._on_end: Callable[[Job, float, float], None] = lambda job, began, at: None
        self._now = 0.0

    def connect(self, on_start: Callable[[Job, float], None], on_end: Callable[[Job, float, float], None]) -> None:
        """Whom to tell of jobs that begin and end."""
        self._on_start, self._on_end = on_start, on_end

    @property
    def held(self) -> int:
        """Jobs."""
        return len(self.inbox) + self.running

    @property
    def capable(self) -> int:
        """Jobs that its processes can run now."""
        return min(self.settings.slots, self._ready)

    def step(self, now: float) -> None:
        """What is due at this time: warm-ups that end or begin, a beat, jobs that can start."""
        self._now = now
        self._warm_up(now)
        if now >= self._next_beat and not self.is_lost:
            self._next_beat += BEAT_SECONDS
            self._beat(now)
        self.start_jobs(now)

    def start_jobs(self, now: float) -> None:
        """From the inbox, as far as processes and admission allow."""
        while self.inbox and self.running < min(self.capable, self.state.running_limit):
            job = self.inbox.popleft()
            self.running += 1
            self._peak = max(self._peak, self.running)
            self.machine.start(job, self._ended, self.usage, now)
            self._on_start(job, now)

    def view(self) -> HostView:
        """What the coordinator sees: the last beat, and how many jobs it holds now."""
        settings, state = self.settings, self.state
        left = settings.memory_threshold * self.machine.memory - self.machine.memory_used
        return HostView(
            name=self.name,
            identity=f"1-{self.name}",
            beat_at=self._beat_at,
            state=state.state,
            load=round(state.load, 3),
            threshold=settings.threshold,
            slots=settings.slots,
            busy=self._busy,
            assigned=self._assigned,
            held=self.held,
            capacity=state.capacity,
            queues=settings.queues,
            boot_id=self._machine_name,
            reason=state.reason,
            dequeue_strategy="default",
            labels=settings.labels,
            cpu_count=self.machine.cpus,
            memory_left=max(0, int(left)),
            memory_total=self.machine.memory,
            others_load=round(self._others_load, 3),
            load_source="machine" if settings.scripted_load is None else "app",
        )

    def _ended(self, job: Job, began_at: float) -> None:
        self.running -= 1
        self._done += 1
        if self.settings.max_jobs_per_process and self._done % self.settings.max_jobs_per_process == 0:
            self._ready -= 1
        self._on_end(job, began_at, self._now)

    def _warm_up(self, now: float) -> None:
        done = [ends_at for ends_at in self._warming if ends_at <= now]
        self._warming = [ends_at for ends_at in self._warming if ends_at > now]
        self._ready += len(done)
        wanted = min(self.settings.slots, self.running + self.settings.idle_processes)
        most = min(int(max(self.machine.cpus, 1)), MOST_WARM_UPS)
        while self._ready + len(self._warming) < wanted and len(self._warming) < most:
            self._warming.append(now + self.settings.warm_up_seconds)

    def _beat(self, now: float) -> None:
        self._measure(now)
        scripted = self.settings.scripted_load
        before = self.state
        self.state = decide(
            before,
            AdmissionFacts(
                load=self._load if scripted is None else scripted(now),
                memory_share=min(1.0, self.machine.memory_used / self.machine.memory),
                others_load=self._others_load,
                slots=self.capable,
                busy=self.running,
                pending=len(self._warming),
                peak=self._peak,
                warming=self._ready == 0,
                user_load=scripted is not None,
            ),
            self.settings,
            now,
        )
        if self.state.state == "full" and before.state != "full":
            self.entered_full.append(now)
        self._peak = self.running
        self._beat_at, self._assigned, self._busy = now, self.held, self.running

    def _measure(self, now: float) -> None:
        at, machine, own = self._sampled
        cpus = self.machine.cpus
        if now > at:
            self._machine_rate.add(self.machine.busy_seconds - machine, now - at, cpus, now)
            self._own_rate.add(self.usage.cpu_seconds - own, now - at, cpus, now)
        self._sampled = (now, self.machine.busy_seconds, self.usage.cpu_seconds)
        used, own_used = self._machine_rate.mean or 0.0, self._own_rate.mean or 0.0
        self._load = min(max(used / cpus, 0.0), 1.0)
        self._others_load = min(max((used - own_used) / cpus, 0.0), 1.0)
