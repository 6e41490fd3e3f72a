"""The script of the show. Each part waits until what it tells about has come, and fails if it does not."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from farm.demo.failure import DemoFailed
from farm.demo.moment import Moment, given_back, look
from farm.demo.report import Report
from farm.demo.results import collect
from farm.demo.screen import Screen
from farm.demo.stage import FULL_LOAD, HOSTS, PROCESSES, QUIET_LOAD, SETTINGS, Stage
from farm.store.connection import readable_errors

LOOK_INTERVAL_SECONDS = 0.1
IN_FLIGHT_SECONDS = 0.05
"""A command that a host sent just before it was stopped has reached Redis after that."""

START_SECONDS, PART_SECONDS, END_SECONDS = 60.0, 40.0, 120.0
"""How long is waited for the hosts, for each part, and for the last jobs: long enough for a machine with much to do."""

FIRST_SHARE, FULL_SHARE = 0.4, 0.3
"""Of the files: enqueued at the beginning, and while both hosts are full. The rest follows when they go on."""

KILL_SHARE = 0.45
"""Of the files: finished when a host is killed, so that the middle of the work is hit."""

VICTIM, SURVIVOR = HOSTS[1], HOSTS[0]


class Show:
    """One run, from the first job to the report."""

    def __init__(self, stage: Stage, files: Sequence[Path], screen: Screen) -> None:
        self._stage = stage
        self._screen = screen
        self._total = len(files)
        self._first = int(self._total * FIRST_SHARE)
        self._while_full = int(self._total * FULL_SHARE)

    def run(self) -> Report:
        """All parts, in order. Raises DemoFailed."""
        began = time.monotonic()
        self._wait_for_hosts()
        self._let_jobs_flow()
        deferred = self._fill_hosts()
        self._go_on()
        recovered = self._kill_host()
        self._wait_for_the_rest()
        enqueued = len(self._stage.enqueued())
        with readable_errors(self._stage.url):
            results = collect(self._stage)
        return Report(enqueued, deferred, recovered, results, time.monotonic() - began)

    def _wait_for_hosts(self) -> None:
        self._screen.say(f"Two hosts start, {PROCESSES} processes each, and a coordinator")
        self._until(
            lambda now: now.has_leader and now.all_are("available"),
            "both hosts take jobs, a coordinator leads",
            START_SECONDS,
        )

    def _let_jobs_flow(self) -> None:
        self._screen.say(f"A service enqueues the first {self._first} of {self._total} files with plain rq")
        self._stage.enqueue(self._first)
        self._until(lambda now: now.finished >= self._first // 3, "the first jobs are finished")

    def _fill_hosts(self) -> int:
        """Returns how many jobs were in the index of deferred ones while the load said that both hosts are full."""
        self._screen.say(f"The load of both hosts rises to {FULL_LOAD}: they are full and take nothing more")
        self._stage.set_load(FULL_LOAD)
        self._until(lambda now: now.all_are("full"), "both hosts are full")
        self._stage.enqueue(self._while_full)
        enqueued = self._first + self._while_full
        seen = self._until(
            lambda now: (
                now.enqueued == enqueued and now.running + now.placed == 0 and 0 < now.queued == len(now.deferred)
            ),
            "nothing runs, and all that waits is deferred",
        )
        deferred = len(seen.deferred & self._stage.enqueued().keys())
        self._screen.say(
            f"{self._while_full} more were enqueued. {deferred} jobs are deferred: they wait in their queue, in order, "
            "and nothing runs"
        )
        return deferred

    def _go_on(self) -> None:
        self._screen.say(f"The load falls to {QUIET_LOAD}: the hosts go on; the service enqueues the rest")
        before = self._look().finished
        self._stage.set_load(QUIET_LOAD)
        self._stage.enqueue(self._total - self._first - self._while_full)
        self._until(lambda now: not now.is_deferred and now.finished > before, "the deferral ends, jobs are finished")
        self._until(
            lambda now: now.enqueued == self._total and now.finished >= self._total * KILL_SHARE,
            f"the service has enqueued all, and {KILL_SHARE:.0%} are finished",
        )

    def _kill_host(self) -> int:
        """Returns how many jobs were given back from the killed host."""
        held = self._kill_while_it_runs_jobs()
        self._screen.say(f"It held {held} jobs. After {SETTINGS['FARM_HOST_TIMEOUT']} s without a beat it is given up")
        self._until(lambda _: given_back(self._stage, VICTIM) > 0, f"the jobs of {VICTIM} are given back")
        recovered = given_back(self._stage, VICTIM)
        self._screen.say(f"{recovered} jobs of {VICTIM} went back to their queue; {SURVIVOR} runs them")
        return recovered

    def _kill_while_it_runs_jobs(self) -> int:
        """It is stopped, looked at, and killed if Redis says that it runs jobs: so the kill never hits an idle host."""
        victim, held = self._stage.host(VICTIM), 0

        def holds_jobs(_: Moment) -> bool:
            nonlocal held
            victim.stop()
            time.sleep(IN_FLIGHT_SECONDS)
            host = self._look().host(VICTIM)
            held = host.inbox + host.running if host is not None and host.running else 0
            if not held:
                victim.go_on()
            return held > 0

        self._until(holds_jobs, f"{VICTIM} runs jobs")
        processes = self._stage.kill_host(VICTIM)
        self._screen.say(f"{VICTIM} is killed in the middle of its work: SIGKILL to all of its {processes} processes")
        return held

    def _wait_for_the_rest(self) -> None:
        """What has not ended by then counts as lost in the report."""
        deadline = time.monotonic() + END_SECONDS
        while (now := self._look()).finished + now.failed < self._total and time.monotonic() < deadline:
            time.sleep(LOOK_INTERVAL_SECONDS)

    def _until(self, happened: Callable[[Moment], bool], what: str, seconds: float = PART_SECONDS) -> Moment:
        """Shows the farm until something happened. Raises DemoFailed after `seconds`."""
        deadline = time.monotonic() + seconds
        while not happened(now := self._look()):
            if time.monotonic() > deadline:
                raise DemoFailed(
                    f"This did not come within {seconds:.0f} s: {what}.\n{_describe(now)}\n{self._stage.last_words()}"
                )
            time.sleep(LOOK_INTERVAL_SECONDS)
        return now

    def _look(self) -> Moment:
        self._stage.check()
        with readable_errors(self._stage.url):
            now = look(self._stage, self._total)
        self._screen.show(now)
        return now


def _describe(now: Moment) -> str:
    hosts = [f"{host.name} is {host.state}{f' ({host.reason})' if host.reason else ''}" for host in now.hosts]
    lines = [
        f"enqueued {now.enqueued}, queued {now.queued}, deferred {len(now.deferred)}, placed {now.placed}, "
        f"running {now.running}, finished {now.finished}, failed {now.failed} of {now.total}",
        "; ".join(hosts) or "no host registered",
    ]
    if any("memory" in host.reason for host in now.hosts):
        lines.append("The memory of this machine is in use. Free some, or raise the line: FARM_MEMORY_THRESHOLD=0.99.")
    return "\n".join(lines)
