"""Asks the app's accept function about jobs, in the hooks process: what it is told of them, and what it says."""

import asyncio
import inspect
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from rq.serializers import DefaultSerializer, resolve_serializer

from farm.app import App, arguments_taken
from farm.facts import HostFacts, from_fields, tell
from farm.keys import RqKeys
from farm.offered_job import OfferedCall, OfferedJob
from farm.packed import unpack_hash
from farm.store.connection import connect
from farm.store.payloads import PayloadReader
from farm.store.raw_fields import moment, number, text
from farm_worker.job_fields import function
from farm_worker.pool.failure import last_lines, summarize
from farm_worker.pool.offer_messages import AcceptAnswer, CallAccept, Offer, Verdict
from farm_worker.pool.protocol import Initialize
from farm_worker.pool.record import decompress, to_record

WITHOUT_WORDS = "declined"
"""The reason of a job that was declined with no other."""


class _Unreadable(Exception):
    """What a job carries can't be decoded."""


class Accepting:
    """The app's accept function. For one thread."""

    def __init__(self, app: App, initialize: Initialize) -> None:
        self._app = app
        self._initialize = initialize
        self._payloads: PayloadReader | None = None
        self._serializer: Any = None

    def answer(self, question: CallAccept, runner: asyncio.Runner) -> AcceptAnswer:
        """Of as many jobs as there is time for."""
        over_at = time.monotonic() + question.seconds
        facts = from_fields(question.facts)
        tell(facts)
        verdicts: list[Verdict] = []
        for offer in question.offers:
            verdicts.append(self._verdict(offer, facts, runner))
            if time.monotonic() >= over_at:
                break
        return AcceptAnswer(question.sequence, verdicts)

    def _verdict(self, offer: Offer, facts: HostFacts, runner: asyncio.Runner) -> Verdict:
        accept = self._app.accept_hook
        if accept is None:
            return Verdict("failed", "the app has no accept function")
        name = f"accept function {accept.__module__}.{accept.__qualname__}" if hasattr(accept, "__qualname__") else ""
        try:
            arguments = (self._job(offer), facts)[: arguments_taken(accept, 1, 2)]
            value = accept(*arguments)
            if inspect.isawaitable(value):
                value = runner.run(_wait_for(value))
        except _Unreadable:
            return Verdict("accepted")  # it fails where it runs, and says why
        except BaseException as error:  # noqa: BLE001 - sys.exit in it too must not end the hooks process
            return Verdict("failed", f"{name or 'accept function'} raised {summarize(error)}\n{last_lines(error)}")
        return _read(value, name or "accept function")

    def _job(self, offer: Offer) -> OfferedJob:
        record = to_record(unpack_hash(offer.packed))
        needs = self._app.queues.get(offer.queue, {})
        labels = text(record.get(b"farm_requires"))
        return OfferedJob(
            text(offer.job_id),
            offer.queue,
            function=function(offer.called),
            enqueued_at=moment(record.get(b"enqueued_at")),
            attempt=offer.attempt,
            requires=tuple(labels.split(",")) if labels else tuple(needs.get("requires", ())),
            memory_mb=number(record.get(b"farm_memory_mb")) or needs.get("memory_mb"),
            read_call=partial(self._read_call, offer, record),
            read_meta=partial(self._read_meta, record),
        )

    def _read_call(self, offer: Offer, record: Mapping[bytes, bytes]) -> OfferedCall:
        data = self._payload(offer.job_id, record) if offer.is_large else record.get(b"data", b"")
        try:
            name, _, args, kwargs = self._loads(decompress(data))
            return OfferedCall(str(name), tuple(args), dict(kwargs))
        except Exception as error:
            raise _Unreadable(summarize(error)) from error

    def _read_meta(self, record: Mapping[bytes, bytes]) -> dict[str, Any]:
        try:
            return dict(self._loads(record[b"meta"])) if record.get(b"meta") else {}
        except Exception as error:
            raise _Unreadable(summarize(error)) from error

    def _payload(self, job_id: bytes, record: Mapping[bytes, bytes]) -> bytes:
        """Raises redis-py's errors, as of anything that the function does."""
        if self._payloads is None:
            self._payloads = PayloadReader(connect(self._initialize.redis_url), RqKeys(self._initialize.rq_prefix))
        accepted = record.get(b"created_at", b"") + record.get(b"enqueued_at", b"")
        return self._payloads.read(job_id, accepted) or b""

    @property
    def _loads(self) -> Callable[[bytes], Any]:
        if self._serializer is None:
            name = self._initialize.serializer
            self._serializer = resolve_serializer(name) if name else DefaultSerializer
        loads: Callable[[bytes], Any] = self._serializer.loads
        return loads


def _read(value: object, name: str) -> Verdict:
    if value is True:
        return Verdict("accepted")
    if value is False:
        return Verdict("declined", WITHOUT_WORDS)
    if isinstance(value, str) and value.strip():
        return Verdict("declined", value.encode("utf-8", "replace").decode())
    return Verdict(
        "failed", f"{name} returned {value!r:.100}; it must return True, or False, or a text that says why not"
    )


async def _wait_for(awaitable: Any) -> Any:
    return await awaitable
