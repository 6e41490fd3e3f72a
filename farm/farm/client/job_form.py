"""The record of a job with blanks: what RQ writes for the options of a queue is made once, the rest for each call."""

from collections.abc import Iterable
from functools import lru_cache
from os import urandom
from types import FunctionType
from typing import Any

from rq.job import JobStatus
from rq.utils import now, resolve_function_reference

from farm.client.calls import Call, Function, check_function
from farm.client.options import Options
from farm.client.payload import pack
from farm.client.rq_queue import RqQueue, packed_meta, payload
from farm.client.written import Written
from farm.records import iso_now
from farm.store.enqueue_message import Blank, Own
from farm.store.enqueueing import NewJob, NewJobs
from farm.store.scripts import Argument

LONG_TEXT = 1000
"""Characters of an argument from which on its head alone is shown as RQ would; of 100 kB that takes a millisecond."""

SHOWN_CHARACTERS = 75
"""Of each argument, as RQ has it."""

_SAMPLE = Call("module.function")


class JobForm:
    """Fills in records for calls with the same options but for job id and description. May be shared by threads."""

    def __init__(self, queue: RqQueue, options: Options) -> None:
        """Has RQ make a job with these options. Raises InvalidCall."""
        self._queue = queue
        self._options = options
        self._sample = queue.create_client_job(_SAMPLE, options, JobStatus.QUEUED)
        self._sample.enqueued_at = now()
        # RQ writes the status first, on its own, and then again with the rest.
        self._fields = {"status": JobStatus.QUEUED.value} | self._sample.to_dict()
        self._fields["status"] = JobStatus.QUEUED.value

    def fill(self, calls: Iterable[tuple[Call, Options]]) -> tuple[NewJobs, list[Written]]:
        """Jobs ready for the store, and what is told of them. Raises InvalidCall."""
        filled = [self._fill(call, options) for call, options in calls]
        moment = iso_now()
        fields = self._fields | {"created_at": moment, "enqueued_at": moment}
        if self._options.meta:
            fields["meta"] = self._meta()
        jobs = NewJobs(
            queue=self._queue.name,
            at_front=self._options.at_front,
            ttl=self._options.ttl or 0,
            fields=fields,
            jobs=[new for new, _ in filled],
        )
        return jobs, [written for _, written in filled]

    def with_blanks(self) -> dict[str, Argument | Blank]:
        """The record, for `EnqueueStore.message`."""
        blanks = {
            "created_at": Blank.MOMENT,
            "enqueued_at": Blank.MOMENT,
            "data": Blank.DATA,
            "description": Blank.DESCRIPTION,
        }
        return self._fields | blanks | ({"meta": Blank.META} if self._options.meta else {})

    def fill_one(self, call: Call) -> tuple[str, bytes, Own]:
        """Id and unpacked payload of a job without options of its own, and what `EnqueueStore.enqueue_one` takes.

        Raises InvalidCall.
        """
        job_id, data, description = self._own(call, self._options)
        meta = self._meta() if self._options.meta else b""
        return job_id, data, (iso_now().encode(), pack(data), description.encode(), meta)

    def _fill(self, call: Call, options: Options) -> tuple[NewJob, Written]:
        job_id, data, description = self._own(call, options)
        return NewJob(job_id, pack(data), description), Written(job_id, data, options)

    def _own(self, call: Call, options: Options) -> tuple[str, bytes, str]:
        """What the job has for itself: its id, its payload, not packed, and its description."""
        instance, name = _resolve(call.function)
        data = payload(self._sample.serializer, call, instance, name)
        description = str(options.description) if options.description else _described(name, call)
        return options.job_id or _new_id(), data, description

    def _meta(self) -> bytes:
        """What it holds now: its owner may change it between two jobs."""
        assert self._options.meta is not None
        return packed_meta(self._sample.serializer, _SAMPLE.function, self._options.meta)


def _new_id() -> str:
    """A random UUID (version 4), as RQ's ids are: 120 of its bits are random."""
    digits = urandom(15).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-a{digits[15:18]}-{digits[18:]}"


def _resolve(function: Function) -> tuple[Any, str]:
    """The object that it is a method of, if any, and its name. Raises InvalidCall."""
    if isinstance(function, (str, FunctionType)):
        return None, _name(function)
    check_function(function)
    found: tuple[Any, str] = resolve_function_reference(function)
    return found


@lru_cache(maxsize=1000)
def _name(function: Function) -> str:
    """Of a function or path, which is looked at once: that it can be imported is true for as long as it is there."""
    check_function(function)
    return str(resolve_function_reference(function)[1])


def _described(name: str, call: Call) -> str:
    """RQ's description of the call, made of the heads of long texts: it shows no more of them."""
    shown = [_shown(value) for value in call.args]
    if call.kwargs:
        shown += sorted(f"{key}={_shown(value)}" for key, value in call.kwargs.items())
    return f"{name}({', '.join(shown)})"


def _shown(value: Any) -> str:
    shown = repr(_head(value))
    return shown if len(shown) <= SHOWN_CHARACTERS else f"{shown[:SHOWN_CHARACTERS]}..."


def _head(value: Any) -> Any:
    if type(value) not in (str, bytes) or len(value) <= LONG_TEXT:
        return value
    quotes = ("'", '"') if type(value) is str else (b"'", b'"')
    # Which quotes a text has decides in which ones Python shows it.
    return value[:LONG_TEXT] + type(value)().join(quote for quote in quotes if quote in value)
