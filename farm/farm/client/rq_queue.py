"""RQ's own classes as the client uses them: they make the records, and write those of jobs that wait for something."""

from collections.abc import Mapping
from typing import Any

from rq import Queue
from rq.job import Job, JobStatus

from farm.client.calls import Call, InvalidCall, check_function, check_serializable
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

    def payload(self, call: Call) -> bytes:
        """The function and arguments of `call`, which is this job's, as the serializer writes them.

        Raises InvalidCall for what it refuses.
        """
        try:
            payload = self.data  # serialises once; RQ keeps it
        except Exception:
            check_serializable(call, self.instance, self.serializer)
            raise
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise InvalidCall(
                f"the arguments of {self.func_name} take {len(payload)} bytes, {MAX_PAYLOAD_BYTES} at most can be "
                "sent. Put them where hosts can read them, and send a reference."
            )
        return payload

    def packed_meta(self) -> bytes:
        """`meta` as the serializer writes it. Raises InvalidCall."""
        try:
            packed: bytes = self.serializer.dumps(self.meta)
            return packed
        except Exception as error:
            raise InvalidCall(f"meta of {self.func_name} cannot be sent to another process: {error}") from error


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
        job.payload(call)
        job.packed_meta()
        return job
