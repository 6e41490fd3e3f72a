"""What an adapter is: a module with these names. Its worker, too, imports it, and finds the jobs there.

Modes say what a turn asks of a system; each adapter has those that it can do:

- `default`: two processes of one job each, results stored
- `fast`: the fastest settings found, results not stored
- `many`: sixteen jobs at a time, by whatever the system offers for waiting jobs; results stored
- `quick`: as `default`, with settings that shorten its waiting
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

REDIS_URL = os.environ.get("BENCH_REDIS", "redis://127.0.0.1:6379/0")
MODE = os.environ.get("BENCH_MODE", "default")
PROGRAMS = Path(sys.executable).parent
PROCESSES = 2
MANY = 16


class Adapter(Protocol):
    """One job system."""

    SETTINGS: dict[str, str]
    """Mode → how it is set up, in a line: what acknowledges, what runs at a time, what is stored."""

    PAYLOAD_IS_BYTES: bool
    """Whether its serializer takes bytes; otherwise a payload is sent as base64 text, as its users must."""

    def commands(self, mode: str) -> list[list[str]]:
        """The programs that together are its workers."""

    async def enqueue(self, job: str, *arguments: Any) -> Any:
        """One job, by the name of its function. Returns what `result` takes."""

    async def enqueue_many(self, job: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """All of them in the way that the system offers for many."""

    async def result(self, handle: Any) -> Any:
        """What the job returned, by the system's own way to wait for it."""
