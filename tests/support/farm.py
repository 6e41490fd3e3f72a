"""A farm as a user has it: hosts and coordinators as processes of their own, jobs enqueued by plain rq."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import redis
from rq import Queue
from rq.job import Job

from farm.keys import Keys, RqKeys
from farm.store.connection import connect
from farm.tether import tethered
from tests.support.waiting import wait_until

KEYS = Keys()
RQ_KEYS = RqKeys()
COMMANDS = Path(sys.executable).parent
USER_MODULES = Path(__file__).parent / "user_modules"
START_SECONDS = 30.0
END_SECONDS = 20.0

SHORT_TIMES = {"suspect_after": 2, "host_timeout": 4}
"""Settings of a farm where it is not the subject how long a loss takes to be noticed."""


class Member:
    """One process of a farm, host or coordinator, with what it says in a file."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                tethered(command),  # a test process that is killed takes its farm with it
                env=dict(environment),
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def says(self) -> str:
        """Everything said so far."""
        return self.log.read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = END_SECONDS) -> int:
        """The exit code, once it ended by itself."""
        wait_until(lambda: self.process.poll() is not None, f"{self.name} has ended", timeout)
        return self.process.wait()

    def stop(self, timeout: float = END_SECONDS) -> int:
        """Asks it to end. Returns its exit code."""
        self.send(signal.SIGTERM)
        return self.wait(timeout)

    def tree(self) -> list[psutil.Process]:
        """Itself and all it started that still runs; nothing once it ended: its pid may be another's by then."""
        if self.process.poll() is not None:
            return []
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            return [process, *process.children(recursive=True)]
        return []

    def kill_tree(self) -> None:
        """What the loss of a machine does: everything is gone at once."""
        tree = self.tree()
        for process in tree:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(END_SECONDS)
        wait_until(lambda: not any(map(_lives, tree)), f"{self.name} is gone", END_SECONDS)


class Farm:
    """Starts members of one farm, and ends them all. `folder` gets their logs."""

    def __init__(self, url: str, environment: Mapping[str, str], folder: Path, path: Iterable[Path] = ()) -> None:
        self.url = url
        self.folder = folder
        self.members: list[Member] = []
        self.redis: redis.Redis = connect(url)
        folders = os.pathsep.join(map(str, [*path, USER_MODULES]))
        self.environment = {**environment, "FARM_REDIS_URL": url, "FARM_PATH": folders}

    def host(
        self, name: str | None = "one", *, ready: bool = True, flags: Sequence[str] = (), **settings: Any
    ) -> Member:
        """Starts a host, with one process unless `processes` says more; `ready` waits until it takes jobs.

        `settings` are given in the environment. With `flags` it is started as a user does, by `farm worker`.
        """
        given = {"processes": 1, **({} if name is None else {"name": name}), **settings}
        if "app" not in given and "FARM_APP" not in self.environment:
            # Other programs, tests among them, use this machine too: load is the subject only where a test says so.
            given.setdefault("threshold", 1)
        command = [str(COMMANDS / "farm"), "worker", *flags] if flags else [sys.executable, "-P", "-m", "farm_worker"]
        before = self.published(name).get("identity") if ready and name else None
        host = self._start(name or "host", command, given)
        if ready:
            assert name is not None
            self.wait_for_identity_after(before, name)
            self.wait_for_state(name, "available")
            self.wait_for_leader()
        return host

    def coordinator(self, **settings: Any) -> Member:
        return self._start("coordinator", [sys.executable, "-P", "-m", "farm.coordinator"], settings)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs `farm …` to its end."""
        return self._run([str(COMMANDS / "farm"), *words])

    def rq(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs RQ's own command to its end."""
        return self._run([str(COMMANDS / "rq"), *words, "--url", self.url])

    def stock_worker(self, *queues: str) -> subprocess.CompletedProcess[str]:
        """Runs all that waits in RQ's own SimpleWorker."""
        words = ["worker", "--burst", "--worker-class", "rq.SimpleWorker", "--path", str(USER_MODULES)]
        return self.rq(*words, *(queues or ["default"]))

    def queue(self, name: str = "default", **options: Any) -> Queue:
        return Queue(name, connection=self.redis, **options)

    def enqueue(self, function: str, *arguments: Any, **options: Any) -> Job:
        """A job of `system_jobs`, put into the queue `default` by plain rq."""
        return self.queue().enqueue(f"system_jobs.{function}", *arguments, **options)

    def enqueue_many(self, function: str, arguments: Iterable[Sequence[Any]], queue: str = "default") -> list[Job]:
        prepared = [Queue.prepare_data(f"system_jobs.{function}", tuple(each)) for each in arguments]
        return self.queue(queue).enqueue_many(prepared)

    def status(self, job: Job | str) -> str:
        """The job's status, empty if it has none."""
        job_id = job if isinstance(job, str) else job.id
        return (self.redis.hget(RQ_KEYS.job(job_id), "status") or b"").decode()

    def statuses(self, jobs: Iterable[Job]) -> list[str]:
        with self.redis.pipeline(transaction=False) as pipeline:
            for job in jobs:
                pipeline.hget(RQ_KEYS.job(job.id), "status")
            return [(status or b"").decode() for status in pipeline.execute()]

    def wait_for(self, *jobs: Job, status: str = "finished", timeout: float = 20.0) -> Job:
        """Waits until all have this status. Returns the last one, read anew."""
        ended = {"finished", "failed", "stopped", "canceled"}

        def reached() -> bool:
            found = set(self.statuses(jobs))
            assert found <= {status} or not ended & (found - {status}), self._ended_otherwise(jobs, status)
            return found == {status}

        wait_until(reached, f"{len(jobs)} jobs are {status}", timeout)
        return self.fetch(jobs[-1])

    def fetch(self, job: Job) -> Job:
        return Job.fetch(job.id, connection=self.redis)

    def error_of(self, job: Job) -> str:
        """Why the job failed."""
        result = self.fetch(job).latest_result()
        return (result.exc_string if result is not None else "") or ""

    def waiting(self, queue: str = "default") -> list[str]:
        """Ids in RQ's queue, head first."""
        return [job_id.decode("utf-8", "replace") for job_id in self.redis.lrange(RQ_KEYS.queue(queue), 0, -1)]

    def notes(self) -> list[str]:
        """What jobs noted, in the order of beginning."""
        return [text.decode() for text in self.redis.lrange("test:notes", 0, -1)]

    def count(self, what: str, queue: str = "default") -> int:
        return int(self.redis.hget(KEYS.counts(queue), what) or 0)

    def published(self, host: str) -> dict[str, str]:
        """What the host says of itself."""
        return {name.decode(): value.decode() for name, value in self.redis.hgetall(KEYS.host(host)).items()}

    def processes_at_rest(self, member: Member, host: str = "one") -> set[int]:
        """Pids of all that the host runs while nothing happens: none is on its way, none is being replaced."""
        self.wait_for_state(host, "available")
        last: set[int] = set()

        def stays() -> set[int]:
            nonlocal last
            before, last = last, {process.pid for process in member.tree()}
            beat = self.published(host)["beat_at"]
            wait_until(lambda: self.published(host)["beat_at"] > beat, "it beats")
            return last if last == before else set()

        return wait_until(stays, "the host runs the same processes from one beat to the next", 30)

    def events(self, name: str) -> list[dict[str, str]]:
        entries = [fields for _, fields in self.redis.xrange(KEYS.events)]
        decoded = [{key.decode(): value.decode() for key, value in entry.items()} for entry in entries]
        return [entry for entry in decoded if entry["event"] == name]

    def pid_of(self, job: Job, timeout: float = 15.0) -> int:
        """The process that runs `wait_for_go`, once it does."""
        return int(wait_until(lambda: self.redis.hget("test:pids", job.id), f"job {job.id} runs", timeout))

    def go(self, key: str = "test:go") -> None:
        """Lets the jobs `wait_for_go` end."""
        self.redis.set(key, 1)

    def wait_for_state(self, host: str, *states: str, timeout: float = START_SECONDS) -> None:
        wait_until(
            lambda: self.published(host).get("state") in states, f"host {host} is {' or '.join(states)}", timeout
        )

    def wait_for_identity_after(self, before: str | None, host: str = "one", timeout: float = START_SECONDS) -> None:
        """Until the host is registered, under another identity than `before`."""
        wait_until(
            lambda: self.published(host).get("identity", before) != before, f"host {host} is registered anew", timeout
        )

    def wait_for_leader(self) -> str:
        return wait_until(lambda: self.redis.get(KEYS.coordinator), "a coordinator leads", START_SECONDS).decode()

    def close(self) -> None:
        """Ends all members at once, and says what they said: pytest shows that for a test that failed."""
        for member in self.members:
            with suppress(psutil.NoSuchProcess):
                for process in member.tree():
                    process.resume()
            member.kill_tree()
            print(f"--- {member.name} (process {member.pid})\n{member.says[-6000:]}")
        self.redis.close()

    def _start(self, name: str, command: Sequence[str], settings: Mapping[str, Any]) -> Member:
        environment = self.environment | {f"FARM_{key.upper()}": str(value) for key, value in settings.items()}
        log = self.folder / f"{len(self.members)}-{name}.log"
        self.members.append(Member(name, command, environment, log))
        return self.members[-1]

    def _run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=40,
        )

    def _ended_otherwise(self, jobs: Iterable[Job], status: str) -> str:
        others = [job for job in jobs if self.status(job) not in (status, "queued", "started")]
        return f"not {status}: " + "; ".join(f"{job.id} {self.status(job)}: {self.error_of(job)}" for job in others[:5])


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
