"""Faults of coordinators, of Redis, and of the way between it and the hosts. See `faults`."""

import os
import random
import signal
import time
from contextlib import suppress

import psutil

from farm.store.connection import REDIS_ERRORS
from tests.chaos.grip import Script, draw_host, send, under_fault
from tests.chaos.stage import HOST_TIMEOUT, LONG, SHORT, Stage

# --- coordinators


def kill_a_coordinator(stage: Stage, draw: random.Random) -> Script:
    found = stage.coordinators()
    if not found or stage.coordinator_disturbed:
        return
    stage.coordinator_disturbed = True
    process = found[0] if draw.random() < 0.8 else draw.choice(found)
    stage.timeline.say(f"SIGKILL {'leading ' if process is found[0] else ''}coordinator {process.pid}")
    with suppress(psutil.Error):
        process.kill()
    yield draw.uniform(1.0, 5.0)
    if stage.coordinator.process.poll() is not None:
        stage.start_coordinator()
    stage.coordinator_disturbed = False


def stop_a_coordinator(stage: Stage, draw: random.Random) -> Script:
    """For long enough that another leads when it is continued."""
    found = stage.coordinators()
    if not found or stage.coordinator_disturbed:
        return
    stage.coordinator_disturbed = True
    seconds = draw.uniform(2.0, 8.0)
    stage.timeline.say(f"SIGSTOP leading coordinator {found[0].pid} for {seconds:.1f} s")
    send(found[:1], signal.SIGSTOP)
    yield seconds
    send(found[:1], signal.SIGCONT)
    stage.coordinator_disturbed = False


# --- Redis


def kill_redis(stage: Stage, draw: random.Random) -> Script:
    """SIGKILL, and started again on the same file; in a run with `everysec` the file's last second may be cut off."""
    if stage.redis_disturbed:
        return
    stage.redis_disturbed = True
    trouble = stage.timeline.trouble("redis", "killed")
    if stage.server.everysec:
        written, size, began = stage.server.written, stage.server.written.stat().st_size, time.monotonic()
        yield draw.uniform(0.1, 0.9)
        stage.server.kill()
        rollback = stage.timeline.rolled_back(began)
        if written == stage.server.written:
            os.truncate(written, size)
        stage.timeline.say(f"SIGKILL Redis, and what it wrote in the last {rollback.until - began:.2f} s is gone")
    else:
        stage.timeline.say("SIGKILL Redis")
        stage.server.kill()
    yield draw.uniform(0.0, 3.0)
    stage.server.start()
    stage.timeline.say("Redis runs again")
    trouble.end()
    yield 1.0
    stage.redis_disturbed = False


def stop_redis(stage: Stage, draw: random.Random) -> Script:
    if stage.redis_disturbed:
        return
    stage.redis_disturbed = True
    seconds = draw.uniform(1.0, 5.0)
    trouble = stage.timeline.trouble("redis", "stopped")
    stage.timeline.say(f"SIGSTOP Redis for {seconds:.1f} s")
    stopped = stage.server.tree
    send(stopped, signal.SIGSTOP)
    yield seconds
    send(stopped, signal.SIGCONT)
    trouble.end()
    stage.redis_disturbed = False


def cut_all_connections(stage: Stage, draw: random.Random) -> Script:
    yield from _command(stage, "CLIENT KILL TYPE normal", "CLIENT", "KILL", "TYPE", "normal")


def flush_scripts(stage: Stage, draw: random.Random) -> Script:
    yield from _command(stage, "SCRIPT FLUSH", "SCRIPT", "FLUSH")


# --- the way between


def cut_a_host_off(stage: Stage, draw: random.Random) -> Script:
    """A partition: nothing comes through, shorter than HOST_TIMEOUT or longer; or silence that loses what was sent."""
    host = draw_host(stage, draw)
    if host is None:
        return
    with under_fault(host):
        is_long, swallows = draw.random() < 0.5, draw.random() < 0.3
        seconds = draw.uniform(*(LONG if is_long else SHORT))
        stage.timeline.say(f"host {host.name} is cut off for {seconds:.1f} s, {'half-open' if swallows else 'held'}")
        # A connection that lost bytes is silent until the client's patience ends: longer than HOST_TIMEOUT here.
        note = stage.timeline.lost if is_long or swallows else stage.timeline.trouble
        span = note(host.name, "cut off")
        (host.proxy.swallow if swallows else host.proxy.hold)()
        yield seconds
        host.proxy.forward()
        yield HOST_TIMEOUT + 4 if swallows else 2.0 if is_long else 0.0
        span.end()


def cut_a_message(stage: Stage, draw: random.Random) -> Script:
    """One connection ends in the middle of a request, or of a reply to a command that was done."""
    host = draw_host(stage, draw)
    if host is None:
        return
    count, of_reply = draw.randrange(200), draw.random() < 0.7
    stage.timeline.say(f"a {'reply to' if of_reply else 'request of'} {host.name} is cut at byte {count}")
    trouble = stage.timeline.trouble(host.name, "cut")
    (host.proxy.cut_reply_at if of_reply else host.proxy.cut_request_at)(count)
    yield 1.0
    trouble.end()


def slow_replies(stage: Stage, draw: random.Random) -> Script:
    host = draw_host(stage, draw)
    if host is None:
        return
    with under_fault(host):
        delay, seconds = draw.uniform(0.05, 0.4), draw.uniform(1.0, 4.0)
        stage.timeline.say(f"replies to {host.name} take {delay:.2f} s for {seconds:.1f} s")
        trouble = stage.timeline.trouble(host.name, "slow")
        host.proxy.reply_delay = delay
        yield seconds
        host.proxy.forward()
        trouble.end()


def _command(stage: Stage, text: str, *words: str) -> Script:
    if stage.redis_disturbed:
        return
    stage.timeline.say(text)
    trouble = stage.timeline.trouble("redis", text)
    with suppress(*REDIS_ERRORS):
        stage.redis.execute_command(*words)
    yield 0.5
    trouble.end()
