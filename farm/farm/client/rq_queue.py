"""RQ's own classes as the client uses them: they make the records, and write those of jobs that wait for something."""

from collections.abc import Mapping
from typing import Any

from rq import Queue
from rq.job import Job, JobStatus

from farm.client.calls import Call, Function, InvalidCall, Serializes, check_function, check_serializable, name_of
from farm.client.options import Options
from farm.records import MAX_PAYLOAD_BYTES
from farm.store.job_reader import Connection

_DECODED_WHEN_READ = {b"meta", b"result", "meta", "result"}


class ClientJob(Job):
    """RQ's job with fields of ours, which RQ writes with its own. Read back, it leaves `meta` alone: it may be code."""

    farm_fields: Mapping[str, str] = {}

    def to_dict(self, include_meta: bool = True, include_result: bool = True) -> dict[Any, Any]:
        """The fields of the hash."""
        return {**super().to_dict(include_meta, include_result), **self.farm_fields}

    def restore(self, raw_data: Any) -> Any:
        """Takes over the fields of the hash but for those whose decoding could run code."""
        return super().restore({name: value for name, value in raw_data.items() if name not in _DECODED_WHEN_READ})


def payload(serializer: Serializes, call: Call, instance: object, name: str) -> bytes:
    """The function, its object and its arguments as RQ keeps them. Raises InvalidCall for what cannot be sent."""
    try:
        data: bytes = serializer.dumps((name, instance, call.args, dict(call.kwargs)))
    except Exception:
        check_serializable(call, instance, serializer)
        raise
    check_size(data, name)
    return data


def check_size(data: bytes, name: str) -> None:
    """Raises InvalidCall for a payload that is too large."""
    if len(data) > MAX_PAYLOAD_BYTES:
        raise InvalidCall(
            f"the arguments of {name} take {len(data)} bytes, {MAX_PAYLOAD_BYTES} at most can be "
            "sent. Put them where hosts can read them, and send a reference."
        )


def packed_meta(serializer: Serializes, function: Function, meta: Mapping[str, Any]) -> bytes:
    """`meta` as the serializer writes it. Raises InvalidCall."""
    try:
        packed: bytes = serializer.dumps(dict(meta))
    except Exception as error:
        raise InvalidCall(f"meta of {name_of(function)} cannot be sent to another process: {error}") from error
    return packed


class RqQueue(Queue):
    """RQ's queue. A job that no host could decode is refused when it is made, before anything is written."""

    def __init__(self, name: str, connection: Connection, serializer: Any) -> None:
        super().__init__(name, connection=connection, job_class=ClientJob, serializer=serializer)

    def create_client_job(self, call: Call, options: Options, status: JobStatus) -> ClientJob:
        """A job that can be written. Raises InvalidCall."""
        check_function(call.function)
        function: Any = call.function
        job = self.create_job(function, call.args, dict(call.kwargs), status=status, **options.for_rq())
        assert isinstance(job, ClientJob)
        job.farm_fields = options.fields
        try:
            check_size(job.data, str(job.func_name))  # serialises once; RQ keeps it
        except InvalidCall:
            raise
        except Exception:
            check_serializable(call, job.instance, job.serializer)
            raise
        packed_meta(job.serializer, function, job.meta)
        return job
