"""Where a process is in its life."""

from enum import StrEnum


class State(StrEnum):
    """Only forward."""

    STARTING = "starting"
    READY = "ready"
    CLOSING = "closing"
    ENDED = "ended"
