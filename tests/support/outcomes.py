"""How jobs ended, by name: `Outcome`s and `Ending`s for tests, and what stands in those of the processes."""

import base64
import inspect
import pickle
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from farm.ending import Ending, pack_ending
from farm.packed import pack, unpack
from farm_worker.endings import from_outcome
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.outcome import Finished, Outcome

NAMES = tuple(inspect.signature(pack_ending).parameters)
"""In the order in which `finish.lua` reads them; the last ones are left out where they say nothing."""
UNSAID = {
    name: parameter.default.encode() if isinstance(parameter.default, str) else parameter.default
    for name, parameter in inspect.signature(pack_ending).parameters.items()
}
BARE: Mapping[str, Any] = {"ttl": -1, "started_at": 1.0, "ended_at": 2.0, "seconds": 1.0}


@dataclass(frozen=True)
class Written:
    """What is written of an ending."""

    job_id: bytes
    token: bytes
    kind: bytes
    ttl: int
    started_at: float
    ended_at: float
    seconds: float
    fields: Sequence[bytes]
    accepted: bytes
    result: bytes
    has_dependencies: bool
    result_type: int
    error: bytes
    again: bytes
    delay: int
    rate_limit_key: bytes
    group: bytes
    summary: bytes
    evidence: bytes
    unattended: bool


def written(ended: Outcome | Ending, job_id: bytes = b"", token: str = "") -> Written:
    """All of it; the times as numbers. `job_id`, `token`: where the host adds them."""
    values = unpack(_packed(ended, job_id, token))
    said = UNSAID | dict(zip(NAMES, values, strict=False))
    return Written(**said | {name: float(said[name]) for name in ("started_at", "ended_at")})


def _packed(ended: Outcome | Ending, job_id: bytes, token: str) -> bytes:
    if isinstance(ended, Finished):
        assignment = Assignment(
            job_id=job_id, token=token, queue="", attempt=1, on_lost="rerun", timeout=None, packed=b""
        )
        return from_outcome(assignment, ended).packed
    return ended.packed


def value(outcome: Outcome) -> Any:
    """What a job returned that finished."""
    assert outcome.kind == "finished", outcome.summary
    return returned(outcome)


def returned(outcome: Outcome) -> Any:
    """What is kept as the return value."""
    result = written(outcome).result
    return pickle.loads(base64.b64decode(result)) if result else None


def error(ended: Outcome | Ending) -> str:
    """The text that is kept of a failure."""
    return zlib.decompress(base64.b64decode(written(ended).error)).decode()


def fields(outcome: Outcome) -> dict[str, str]:
    """The changed fields of the job's hash."""
    flat = written(outcome).fields
    return {name.decode(): text.decode() for name, text in zip(flat[::2], flat[1::2], strict=True)}


def packed_hash(record: Mapping[bytes, bytes]) -> bytes:
    """A job's hash as Redis packs it for a process."""
    return pack([part for item in record.items() for part in item])


def outcome(kind: str = "finished", sequence: int = 1, *, repeat: bool = False, **values: Any) -> Outcome:
    """What a process says. `values`: of `pack_ending`."""
    said = {**BARE, "job_id": b"", "token": "", "kind": kind, **values}
    again, summary = said.get("again", ""), said.get("summary", "")
    return Outcome(sequence, kind, said["seconds"], pack_ending(**said), summary, again, repeat)


def ending(
    job_id: bytes,
    token: str,
    kind: str = "finished",
    *,
    recorded: bool = False,
    host_fields: Sequence[bytes] = (),
    queue: str = "",
    called: bytes = b"",
    **values: Any,
) -> Ending:
    """What a host tells Redis. `values`: of `pack_ending`; `host_fields`: what the host adds to the job's hash."""
    said = {**BARE, "job_id": job_id, "token": token, "kind": kind, **values}
    return Ending(
        job_id=job_id,
        token=token,
        kind=kind,
        packed=pack_ending(**said),
        recorded=recorded,
        fields=host_fields,
        seconds=said["seconds"],
        queue=queue,
        called=called,
        summary=said.get("summary", ""),
    )
