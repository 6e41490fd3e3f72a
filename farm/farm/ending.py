"""How one job ended: what is written of it in Redis, and what its host has to know of that."""

from collections.abc import Sequence

import msgspec

from farm.packed import pack


class Ending(msgspec.Struct, kw_only=True):
    """The end of one attempt at a job."""

    job_id: bytes
    token: str
    kind: str
    """`finished`, `failed`, `stopped` or `crashed`."""
    packed: bytes
    """What `pack_ending` made of it: one job of `finish.lua`."""
    recorded: bool = False
    """Whether its execution record was written."""
    fields: Sequence[bytes] = ()
    """More fields of the job's hash, flat: what only the host knows."""
    seconds: float = 0.0
    queue: str = ""
    """For the log, as all that follows. The script reads the queue from the lease."""
    attempt: int = 0
    called: bytes = b""
    """The head of the job's description."""
    summary: str = ""


def pack_ending(  # noqa: PLR0913  so many facts has an ending
    *,
    job_id: bytes,
    token: str,
    kind: str,
    ttl: int,
    started_at: float,
    ended_at: float,
    seconds: float,
    fields: Sequence[bytes] = (),
    accepted: bytes = b"",
    result: bytes = b"",
    has_dependencies: bool = False,
    result_type: int = 1,
    error: bytes = b"",
    again: str = "",
    delay: int = 0,
    rate_limit_key: bytes = b"",
    group: bytes = b"",
    summary: str = "",
    evidence: str = "",
    unattended: bool = False,
) -> bytes:
    """One job of `finish.lua`, where the names are explained.

    `ttl`: seconds that the ended job is kept: -1 for ever, 0 not at all. `started_at`, `ended_at`: Unix seconds.
    `fields`: changed fields of the job's hash, flat, never `status` and never `meta`. `accepted`: `created_at` and
    `enqueued_at` at the start, empty if unknown; others by now mean that it was enqueued anew meanwhile. `result` and
    `error`: RQ's `return_value` and `exc_string`. `result_type`: RQ's `Result.Type`, 0 writes no result, -1 leaves a
    failed job out of the failed registry, too. `again`: where the job goes next: `` nowhere, `back` or `front` of its
    queue, `scheduled` after `delay` seconds. `evidence`: of a crash, one line for the job's field `farm_evidence`, see
    `store.evidence`. `unattended`: it ended without its process, so what RQ calls at a job's end is still to be called.
    """
    # Times as text: Lua would round them.
    began, ended = f"{started_at:.6f}", f"{ended_at:.6f}"
    usual = (job_id, token, kind, ttl, began, ended, seconds, fields, accepted, result)
    rest = (has_dependencies, result_type, error, again, delay, rate_limit_key, group, summary, evidence, unattended)
    return pack((*usual, *rest), len(result) + len(error))


def pack_plain_ending(
    lease: tuple[bytes, str],
    ttl: int,
    times: tuple[bytes, bytes, float],
    fields: Sequence[bytes],
    accepted: bytes,
    result: bytes,
) -> bytes:
    """`pack_ending` of a job that finished, and of which there is nothing more to say.

    `lease`: its id and token. `times`: began and ended, Unix seconds with six digits, and how long it ran.
    """
    usual = (*lease, "finished", ttl, *times, fields, accepted, result)
    return pack(usual if ttl else (*usual, False, 0), len(result))  # nothing is kept of it, no result either
