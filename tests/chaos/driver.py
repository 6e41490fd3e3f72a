"""A chaos run: starts a farm, keeps it busy, lets a seed draw what happens to it, judges what became of each job."""

import heapq
import random
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import mkdtemp

from farm.store.connection import connect
from tests.chaos import record
from tests.chaos.faults import KINDS
from tests.chaos.grip import FaultFinding, Script
from tests.chaos.ledger import Ledger
from tests.chaos.orders import Kind, Owner
from tests.chaos.remote_faults import kill_redis
from tests.chaos.stage import KEYS, RQ_KEYS, Stage
from tests.chaos.verdict import Verdict, deviation, judge
from tests.support import leaks

TICK_SECONDS = 0.02
REST_SECONDS = 90.0
"""After the last fault: how long until every job has come to its end."""

ORDERED_JOBS = 60
BEAT_SECONDS = 1.0
OPEN = ("queued", "started", "scheduled")


@dataclass(frozen=True, slots=True)
class Options:
    seed: int
    seconds: float
    processes: int = 3
    """Of each host."""
    pause: float = 1.5
    """Seconds between two faults, on average."""
    everysec: bool = False
    """Redis writes to its file once a second, and a kill of it takes what was not written."""

    @property
    def choosy(self) -> bool:
        """Whether a host declines some jobs: where none does, processes wait for jobs by themselves."""
        return self.seed % 2 == 0


@dataclass(frozen=True, slots=True)
class Report:
    options: Options
    verdict: Verdict
    timeline: list[str]
    folder: Path | None
    """Of the logs, if something was found."""

    @property
    def summary(self) -> str:
        """The numbers, in one line."""
        counts = self.verdict.counts
        shown = ("accepted", "finished", "failed", "canceled", "deferred", "gone", "never accepted", "runs")
        zero = ("lost", "stuck", "recorded twice", "lost by AOF")
        numbers = ", ".join(f"{name} {counts[name]}" for name in (*shown, *zero))
        again = ", ".join(f"{reason} {number}" for reason, number in self.verdict.reasons.most_common())
        return (
            f"seed {self.options.seed}, {self.options.seconds:g} s, {self.verdict.faults.total()} faults: {numbers}; "
            f"ran again: {again or 'none'}; findings: {len(self.verdict.findings)}"
        )

    @property
    def text(self) -> str:
        """What was done and came of it; if there are findings: each, what happened when, how to run it again."""
        faults = ", ".join(f"{name} {number}" for name, number in self.verdict.faults.most_common())
        if not self.verdict.findings:
            return f"faults: {faults}\n{self.summary}"
        words = f"--seed {self.options.seed} --seconds {self.options.seconds:g}{' --everysec' * self.options.everysec}"
        return "\n".join(
            [
                *("timeline", *self.timeline, ""),
                *(f"FINDING {text}" for text in self.verdict.findings),
                f"faults: {faults}",
                self.summary,
                f"again: python -m tests.chaos {words}    logs: {self.folder}",
            ]
        )


def run(options: Options) -> Report:
    """The whole of it. Leaves nothing but the logs of a run with findings, or of one that broke off."""
    folder = Path(mkdtemp(prefix="chaos-"))
    try:
        verdict, lines = _run(options, folder)
    except BaseException as error:
        error.add_note(f"seed {options.seed}; what its members said is in {folder}")
        raise
    if not verdict.findings:
        shutil.rmtree(folder, ignore_errors=True)
    return Report(options, verdict, lines, folder if verdict.findings else None)


def _run(options: Options, folder: Path) -> tuple[Verdict, list[str]]:
    ledger = Ledger(folder / "ledger")
    others = {process.pid for process in leaks.started_here()}
    with Stage(folder, ledger.folder, options.processes, everysec=options.everysec, choosy=options.choosy) as stage:
        owner = Owner(stage.url, options.seed, choosy=options.choosy)
        owner.start()
        monkey = _Monkey(stage, options)
        try:
            monkey.run()
        finally:
            owner.stop()
        owner.resolve()
        _rest(stage, owner)
        records = record.read(stage.redis, owner.orders)
        verdict = judge(owner.orders, ledger.read(), records, stage.timeline)
        verdict.faults = monkey.faults
        verdict.findings += monkey.findings
        if not verdict.counts["stuck"]:
            verdict.findings += _order(stage, owner, ledger)
        verdict.findings += stage.stop()
        verdict.findings += _left_behind(stage, others)
    return verdict, stage.timeline.lines


class _Monkey:
    """Lets faults happen one after the other, and while others still go on."""

    def __init__(self, stage: Stage, options: Options) -> None:
        self.faults: Counter[str] = Counter()
        self.findings: list[str] = []
        self._stage = stage
        self._options = options
        self._draw = random.Random(f"faults {options.seed}")
        self._numbers = count()
        rollbacks = 5 if options.everysec else 1
        self._weights = [kind.weight * (rollbacks if kind.script is kill_redis else 1) for kind in KINDS]
        self._due: list[tuple[float, int, Script]] = []

    def run(self) -> None:
        """Returns when the time is over and every fault is undone."""
        end = time.monotonic() + self._options.seconds
        coming = time.monotonic() + self._draw.uniform(0, self._options.pause)
        while self._due or time.monotonic() < end:
            now = time.monotonic()
            if coming <= now < end:
                self._begin()
                coming = now + self._draw.uniform(0, 2 * self._options.pause)
            while self._due and self._due[0][0] <= now:
                self._go_on(heapq.heappop(self._due)[2])
            self._look_after_hosts()
            time.sleep(TICK_SECONDS)

    def _begin(self) -> None:
        kind = self._draw.choices(KINDS, self._weights)[0]
        if self._go_on(kind.script(self._stage, random.Random(self._draw.random()))):
            self.faults[kind.name] += 1

    def _go_on(self, script: Script) -> bool:
        try:
            heapq.heappush(self._due, (time.monotonic() + next(script), next(self._numbers), script))
        except StopIteration:
            return False
        except FaultFinding as finding:
            self._find(str(finding))
        return True

    def _look_after_hosts(self) -> None:
        for host in self._stage.hosts:
            if not host.disturbed and (code := host.member.process.poll()) is not None:
                self._find(f"host {host.name} ended by itself with {code}: {host.member.says[-2000:]}")
                self._stage.timeline.lost(host.name, "ended by itself").end()
                self._stage.restart(host)

    def _find(self, text: str) -> None:
        self._stage.timeline.say(f"FINDING {text[:200]}")
        self.findings.append(text)


def _rest(stage: Stage, owner: Owner) -> None:
    """Until all has come to its end, or nothing changes any more."""
    stage.timeline.say("no more faults")
    deadline = time.monotonic() + REST_SECONDS
    accepted = [order.job_id for order in owner.orders.values() if order.accepted]
    while any(record.statuses(stage.redis, accepted)[status] for status in OPEN):
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    # What was lost is given back, and the last outcome's dependents and records are seen to, by the coordinator.
    deadline = time.monotonic() + 15
    while stage.redis.exists(KEYS.lost, KEYS.dependents) and time.monotonic() < deadline:
        time.sleep(0.1)
    stage.timeline.say("all came to rest")


def _order(stage: Stage, owner: Owner, ledger: Ledger) -> list[str]:
    """Without faults jobs are started in the order of their queue, but for what is on its way to hosts at a time."""
    for host in stage.hosts:
        stage.farm.wait_for_state(host.name, "available", timeout=60)
    kind = Kind("ordered", 0, "finished", lambda draw: ("pause", (0.02,), {}), queue="default")
    ids = [owner.enqueue(kind).job_id for _ in range(ORDERED_JOBS)]
    ways = [stage.capacity]
    deadline = time.monotonic() + 30
    while record.statuses(stage.redis, ids)["finished"] < len(ids):
        if time.monotonic() > deadline:
            return [f"without faults, {len(ids)} short jobs did not finish: {record.statuses(stage.redis, ids)}"]
        ways.append(stage.capacity)
    time.sleep(2 * BEAT_SECONDS)
    ways.append(stage.capacity)  # how much is prefetched was learned of these jobs, and is published with a beat
    runs = ledger.read()
    if again := [job_id for job_id in ids if len(runs[job_id]) != 1]:
        return [f"without faults, jobs ran again: {again}"]
    most = deviation([runs[job_id][0] for job_id in ids], ids)
    stage.timeline.say(f"order without faults: at most {most} passed one that was before them, {max(ways)} may")
    if most <= max(ways):
        return []
    return [f"without faults, a job was passed by {most} jobs from behind it in the queue, {max(ways)} may do so"]


def _left_behind(stage: Stage, others: set[int]) -> list[str]:
    """In Redis when all hosts have left, and on this machine, where `others` ran before."""
    with connect(stage.url) as client:
        found = [f"key without TTL: {key}" for key in leaks.keys_without_end(client)]
        held = [key for key in (KEYS.hosts, KEYS.identities, KEYS.load, RQ_KEYS.workers) if client.exists(key)]
        for pattern in (KEYS.inbox("*", "*"), KEYS.running("*", "*")):
            held += [key.decode() for key in client.scan_iter(pattern, count=1000)]
        found += [f"{key} is left, and all hosts have gone" for key in held]
    processes = leaks.survivors(others.union(process.pid for process in stage.server.tree))
    return found + [f"process left: {text}" for text in leaks.describe_and_kill(processes)]
