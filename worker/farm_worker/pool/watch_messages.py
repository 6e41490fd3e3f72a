"""What a host and a process say of a watch that the host lends: see `queue_watcher` for how it goes on."""

from typing import Any

import msgspec


class Watch(msgspec.Struct, tag="watch", array_like=True):
    """Host → process: it is to wait for the next job itself. The token is the permission to begin what comes.

    It stays in the pipe meanwhile: while it is there, the host can take the watch back. See `queue_watcher`.
    """

    sequence: int
    request: bytes
    """What is said to Redis. There are two replies: of the wait, and of the script that takes and starts jobs."""
    expires_at: float
    """Of what comes, as in `RunJob`."""


class Watched(msgspec.Struct, tag="watched", array_like=True):
    """Process → host: what became of a watch. Said before a job begins."""

    sequence: int
    kind: str
    """`answered`; `unasked`: its token was read before it was seen, so Redis heard nothing of it; `lost`: its reply is,
    it may have been run; `failed`: the same, and it is of no use to ask from here again."""
    came: bool = False
    """Whether the wait was over before its time."""
    reply: list[Any] = []
    """Of the script, as it came."""
    begun: bool = False
    """Whether the first job of the reply begins here. All others are the host's to deal."""
