"""Coroutine jobs that run side by side on the loop of their process (ASYNC_CONCURRENCY).

While any of them runs, jobs that can't run beside others go back to the host at once, unbegun. What belongs to the
process (folder, environment and the like) is put back when none is left.
"""

import asyncio
import importlib
import re
from collections import deque
from collections.abc import Coroutine
from typing import Any

from rq.job import Job

from farm.context import ENTRYPOINT
from farm.packed import unpack_hash
from farm_worker.pool import plain_job
from farm_worker.pool.call import known_function
from farm_worker.pool.coroutine_job import CoroutineJob, is_coroutine, owner
from farm_worker.pool.equipment import Equipment
from farm_worker.pool.expiry import Expiry
from farm_worker.pool.inlet import Inlet
from farm_worker.pool.outcome import Outcome, used
from farm_worker.pool.output import ProcessOutput
from farm_worker.pool.plain_record import PlainRecords
from farm_worker.pool.protocol import RunJob, Sharing
from farm_worker.pool.record import decompress

_HEAD = re.compile(rb"\x80[\x04\x05](?:\x95.{8})?\(\x8c(.)", re.DOTALL)
"""How the payload of RQ's default serializer begins: with a tuple of a short name …"""
_NO_INSTANCE = b"\x94N"
"""… and of no object whose method it were."""
MOST_KEPT = 1000
"""Names of functions that are remembered."""


class CoroutineJobs:
    """Of one process."""

    def __init__(self, equipment: Equipment, inlet: Inlet, output: ProcessOutput, expiry: Expiry, most: int) -> None:
        """`most`: how many run at once."""
        self._equipment = equipment
        self._inlet = inlet
        self._output = output
        self._expiry = expiry
        self._most = most
        self._records = PlainRecords(equipment.connection)
        self._may_be_plain = equipment.job_class is Job and equipment.serializer is None
        self._known: dict[str, bool] = {}
        """Name of a function → whether it makes coroutines."""
        self._running: dict[int, CoroutineJob] = {}
        self._ended: deque[CoroutineJob] = deque()
        """Jobs whose tasks have ended, and of which the host was not told."""
        self._ending: set[asyncio.Task[None]] = set()
        """Tasks of jobs that take the long way to their outcome."""
        self._told = 0
        """The most that ran at once, as far as the host was told."""
        self._listens = False
        self._left = ""
        self._over: asyncio.Future[None] | None = None
        self.told_of_sharing = False
        """Whether the host takes this process for one where others may run beside."""

    def look(self, message: RunJob) -> CoroutineJob | None:
        """The job, if it can run beside others. Its arguments are not unpickled; its module may be imported."""
        if message.follow_up or message.must_end or not self._may_be_plain or not plain_job.may_be_plain():
            return None
        if message.is_large:  # to read its payload would hold up the others
            return None
        fields = unpack_hash(message.packed)
        record = self._records.read(fields)
        if record is None or self._equipment.alarm.stops_at < float("inf"):
            return None
        name = name_in(decompress(record.data))
        if not name or not self._is_coroutine(name, record.traits.limit):
            return None
        return CoroutineJob(self._equipment, message, fields, record)

    def run(self, first: CoroutineJob) -> str:
        """Runs it, and all that come meanwhile, until none is left. What a job left that can't be ended, or nothing."""
        loop, alarm = self._equipment.coroutines.loop, self._equipment.alarm
        alarm.on_stop = lambda: loop.call_soon_threadsafe(self._interrupt)  # type: ignore[assignment]
        factory = loop.get_task_factory()
        if factory is None:
            loop.set_task_factory(_make_task)  # type: ignore[arg-type]
        stream, _ = self._inlet.descriptors
        loop.add_reader(stream, self._inlet.take_in)
        self._told = 0
        try:
            loop.run_until_complete(self._serve(first))
        finally:
            self._listen(loop, wanted=False)
            loop.remove_reader(stream)
            loop.set_task_factory(factory)
            alarm.on_stop = None
        return self._left

    def stop(self, sequence: int) -> None:
        """Cancels the coroutine of one job. From any thread."""
        self._equipment.coroutines.loop.call_soon_threadsafe(self._stop, sequence)

    def keep_apart(self) -> None:
        """A job of another kind begins."""
        if self.told_of_sharing:
            self.told_of_sharing = False
            self._inlet.send(Sharing(0))

    async def _serve(self, first: CoroutineJob) -> None:
        self._over = asyncio.get_running_loop().create_future()
        self._start(first)
        self._take()
        await self._over

    def _take(self) -> None:
        """Begins what is there, as far as there is room."""
        while len(self._running) < self._most and not self._left and not self._inlet.ended:
            message = self._inlet.next_job_now()
            if message is None:
                break
            job = self.look(message) if self._expiry.allows(message.expires_at) else None
            if job is None:
                self._inlet.send(Outcome(message.sequence, "returned", 0.0, b""))
            else:
                self._start(job)
        loop = asyncio.get_running_loop()
        wanted = len(self._running) < self._most and not self._left and not self._inlet.ended
        if wanted != self._listens:
            self._listen(loop, wanted=wanted)

    def _listen(self, loop: asyncio.AbstractEventLoop, *, wanted: bool) -> None:
        """For tokens: one that is there and not taken would wake the loop without end."""
        _, tokens = self._inlet.descriptors
        if wanted:
            loop.add_reader(tokens, self._take)
        elif self._listens:
            loop.remove_reader(tokens)
        self._listens = wanted

    def _start(self, job: CoroutineJob) -> None:
        running, message = self._running, job.message
        running[message.sequence] = job
        count = len(running)
        if count == 1 and not self._told:
            self._equipment.variable.set(message.job_id)
        elif count == 2:
            self._equipment.variable.clear()
        if count >= 2 * self._told or count == self._most > self._told:
            self._told = count
            self.told_of_sharing = self._inlet.send(Sharing(count))
        job.context.run(self._output.begin, message.sequence)
        job.start(asyncio.get_running_loop()).add_done_callback(lambda _: self._note_end(job))

    def _note_end(self, job: CoroutineJob) -> None:
        """Of jobs that end together one is told of in a turn of the loop: the next one begins before the rest."""
        self._ended.append(job)
        if len(self._ended) == 1:
            asyncio.get_running_loop().call_soon(self._tell_next)

    def _tell_next(self) -> None:
        loop, job = asyncio.get_running_loop(), self._ended[0]
        try:
            outcome = job.outcome()
            if outcome is not None:
                self._tell(job, outcome)
            else:
                task = loop.create_task(self._end(job))
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)
        finally:
            self._ended.popleft()
            if self._ended:
                loop.call_soon(self._tell_next)

    async def _end(self, job: CoroutineJob) -> None:
        self._tell(job, await job.end())

    def _tell(self, job: CoroutineJob, outcome: Outcome) -> None:
        self._left = self._left or job.stubborn
        job.context.run(self._output.end, outcome.sequence)
        del self._running[outcome.sequence]
        outcome.used = used(self._equipment.process.account, job.begun_usage, outcome.seconds)
        self._inlet.send(outcome)
        self._take()
        if not self._running and self._over is not None and not self._over.done():
            self._over.set_result(None)

    def _stop(self, sequence: int) -> None:
        if sequence in self._running:
            self._running[sequence].stop()

    def _interrupt(self) -> None:
        for job in self._running.values():
            job.interrupt()

    def _is_coroutine(self, name: str, limit: float) -> bool:
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            known = self._known[name] = name != ENTRYPOINT and is_coroutine(self._find(name, limit))
        return known and bool(known_function(name))

    def _find(self, name: str, limit: float) -> Any:
        """The function; None if it is not a plain one of a module, which the long way finds, or says why not."""
        module = name.rpartition(".")[0]
        function = known_function(name)
        if function is None and module:
            try:
                with self._equipment.alarm.limit(limit):
                    importlib.import_module(module)
            except BaseException:  # noqa: BLE001 - the module is the user's code
                return None
            function = known_function(name)
        return function


def name_in(payload: bytes) -> str:
    """The function that a payload names first, without unpickling it. Empty for all that is not plainly one."""
    head = _HEAD.match(payload)
    if head is None:
        return ""
    start = head.end()
    end = start + head[1][0]
    if payload[end : end + 2] != _NO_INSTANCE:
        return ""
    return payload[start:end].decode("utf-8", "replace")


def _make_task(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    """Tasks are their job's, which ends them with it."""
    task = asyncio.Task(coroutine, loop=loop, **options)
    job = owner.get()
    if job is not None:
        job.tasks.add(task)
        task.add_done_callback(job.tasks.discard)
    return task
