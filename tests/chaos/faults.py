"""What can happen to a farm on one machine, as seeded scripts: each does its harm, waits, and undoes it.

A fault is a generator: it yields for how many seconds it wants to be left alone. Whatever could give away a job is
written into the timeline, and nothing else is.
"""

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil

from tests.chaos.grip import FaultFinding, Script, draw_host, send, under_fault
from tests.chaos.remote_faults import (
    cut_a_host_off,
    cut_a_message,
    cut_all_connections,
    flush_scripts,
    kill_a_coordinator,
    kill_redis,
    slow_replies,
    stop_a_coordinator,
    stop_redis,
)
from tests.chaos.stage import DRAIN_TIMEOUT, LONG, SHORT, HostPlace, Stage

ORPHANS_SECONDS = 8.0
TWIN_SECONDS = 30.0


# --- processes of a host


def kill_a_process(stage: Stage, draw: random.Random) -> Script:
    host = draw_host(stage, draw)
    pids = stage.pids_of_processes(host) if host else []
    if host is None or not pids:
        return
    pid = draw.choice(pids)
    stage.timeline.killed([pid])
    stage.timeline.say(f"SIGKILL process {pid} of {host.name}")
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    yield 0.0


def stop_a_process(stage: Stage, draw: random.Random) -> Script:
    host = draw_host(stage, draw)
    pids = stage.pids_of_processes(host) if host else []
    if host is None or not pids:
        return
    with suppress(psutil.Error):
        process, seconds = psutil.Process(draw.choice(pids)), draw.uniform(0.5, 3.0)
        stage.timeline.say(f"SIGSTOP process {process.pid} of {host.name} for {seconds:.1f} s")
        trouble = stage.timeline.trouble(host.name, "a stopped process")
        process.suspend()
        yield seconds
        trouble.end()
        process.resume()


def kill_a_template(stage: Stage, draw: random.Random) -> Script:
    host = draw_host(stage, draw)
    template = stage.template_of(host) if host else None
    if host is None or template is None:
        return
    stage.timeline.say(f"SIGKILL the template {template.pid} of {host.name}")
    stage.timeline.killed([template.pid])
    with suppress(psutil.Error):
        template.kill()
    yield 0.0


# --- hosts


def kill_a_host(stage: Stage, draw: random.Random) -> Script:
    """All its processes at once, as the loss of a machine does; it is started again under the same name."""
    host = draw_host(stage, draw)
    if host is None:
        return
    with under_fault(host):
        loss = stage.timeline.lost(host.name, "killed")
        stage.timeline.say(f"SIGKILL all of host {host.name} ({host.member.pid})")
        host.member.kill_tree()
        yield draw.uniform(0.0, 3.0)
        yield from _start_again(stage, host)
        loss.end()


def kill_only_the_parent(stage: Stage, draw: random.Random) -> Script:
    """Its processes are orphans, and have to end by themselves."""
    host = draw_host(stage, draw)
    if host is None:
        return
    with under_fault(host):
        orphans = [process for process in host.member.tree() if process.pid != host.member.pid]
        loss = stage.timeline.lost(host.name, "parent killed")
        stage.timeline.say(f"SIGKILL the parent of host {host.name} ({host.member.pid})")
        host.member.send(signal.SIGKILL)
        host.member.process.wait()
        yield draw.uniform(0.0, 3.0)
        yield from _start_again(stage, host)
        loss.end()
        yield ORPHANS_SECONDS
        alive = [f"{one.pid} {' '.join(one.cmdline())}" for one in orphans if _lives(one)]
        if alive:
            raise FaultFinding(f"{ORPHANS_SECONDS:g} s after its host {host.name} was killed there still runs: {alive}")


def stop_a_host(stage: Stage, draw: random.Random) -> Script:
    """SIGSTOP, all of it or the parent alone, shorter than HOST_TIMEOUT or longer."""
    host = draw_host(stage, draw)
    if host is None:
        return
    with under_fault(host):
        whole, is_long = draw.random() < 0.5, draw.random() < 0.5
        seconds = draw.uniform(*(LONG if is_long else SHORT))
        stopped = host.member.tree() if whole else host.member.tree()[:1]
        what = "all" if whole else "the parent"
        stage.timeline.say(f"SIGSTOP {what} of host {host.name} for {seconds:.1f} s")
        span = stage.timeline.lost(host.name, "stopped") if is_long else stage.timeline.trouble(host.name, "stopped")
        send(stopped, signal.SIGSTOP)
        yield seconds
        send(stopped, signal.SIGCONT)
        yield 2.0 if is_long else 0.0
        span.end()


def replace_a_stopped_host(stage: Stage, draw: random.Random) -> Script:
    """The same name is started while its bearer is stopped. The old one, continued, must step back."""
    host = draw_host(stage, draw)
    if host is None:
        return
    with under_fault(host):
        old = host.member
        stopped = old.tree() if draw.random() < 0.5 else old.tree()[:1]
        loss = stage.timeline.lost(host.name, "replaced")
        stage.timeline.say(f"SIGSTOP {len(stopped)} processes of host {host.name}, which is started again meanwhile")
        send(stopped, signal.SIGSTOP)
        started = time.monotonic()
        yield 0.5
        refused = 0
        host.member = stage.start(host.name, host.proxy)
        while not stage.is_served_by(host):
            if host.member.process.poll() is not None:
                refused += 1
                stage.restart(host)
            if time.monotonic() > started + TWIN_SECONDS:
                raise FaultFinding(f"nobody could take over the name {host.name} in {TWIN_SECONDS:g} s")
            yield 0.3
        seconds = time.monotonic() - started
        stage.timeline.say(f"{host.name} is served by another after {seconds:.1f} s, {refused} tries were refused")
        send(stopped, signal.SIGCONT)
        yield 5.0
        loss.end()
        for _ in range(10):
            if old.process.poll() is not None:
                break
            yield 1.0
        else:
            raise FaultFinding(f"the old bearer of the name {host.name} (pid {old.pid}) goes on")
        stage.timeline.say(f"the old bearer of the name {host.name} ended with {old.process.returncode}")
        stage.forget(old)


def drain_a_host(stage: Stage, draw: random.Random) -> Script:
    """SIGTERM, once or twice; it is started again when it has ended."""
    host = draw_host(stage, draw)
    if host is None:
        return
    with under_fault(host):
        twice = draw.random() < 0.3
        drain = stage.timeline.drained(host.name, "drained")
        stage.timeline.say(f"SIGTERM {'twice ' if twice else ''}to host {host.name} ({host.member.pid})")
        host.member.send(signal.SIGTERM)
        if twice:
            yield 0.3
            host.member.send(signal.SIGTERM)
        deadline = time.monotonic() + DRAIN_TIMEOUT + 30
        while host.member.process.poll() is None:
            if time.monotonic() > deadline:
                raise FaultFinding(f"host {host.name} did not end within {DRAIN_TIMEOUT + 30:g} s of SIGTERM")
            yield 0.1
        stage.timeline.say(f"host {host.name} has ended with {host.member.process.returncode}")
        drain.end()
        yield from _start_again(stage, host)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault, and how often it is drawn beside the others."""

    script: Callable[[Stage, random.Random], Script]
    weight: int

    @property
    def name(self) -> str:
        return self.script.__name__


KINDS = (
    Kind(kill_a_process, 12),
    Kind(stop_a_process, 5),
    Kind(kill_a_template, 3),
    Kind(kill_a_host, 5),
    Kind(kill_only_the_parent, 4),
    Kind(stop_a_host, 6),
    Kind(replace_a_stopped_host, 3),
    Kind(drain_a_host, 5),
    Kind(kill_a_coordinator, 5),
    Kind(stop_a_coordinator, 3),
    Kind(kill_redis, 4),
    Kind(stop_redis, 3),
    Kind(cut_all_connections, 4),
    Kind(flush_scripts, 2),
    Kind(cut_a_host_off, 5),
    Kind(cut_a_message, 8),
    Kind(slow_replies, 3),
)


def _start_again(stage: Stage, host: HostPlace) -> Script:
    """Under the same name, until it is served: a name whose bearer seems to live is refused for HOST_TIMEOUT."""
    deadline = time.monotonic() + TWIN_SECONDS
    stage.restart(host)
    while not stage.is_served_by(host):
        if host.member.process.poll() is not None:
            stage.timeline.say(f"host {host.name} did not start: {host.member.says.strip()[-300:]}")
            stage.restart(host)
        if time.monotonic() > deadline:
            raise FaultFinding(f"host {host.name} could not be started again in {TWIN_SECONDS:g} s")
        yield 0.2
    stage.timeline.say(f"host {host.name} is back ({host.member.pid})")


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
