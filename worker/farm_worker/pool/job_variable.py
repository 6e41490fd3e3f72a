"""`RQ_JOB_ID` in the environment: which job runs, for its code and for the programs that it starts."""

import ctypes
import os
import struct
import sys
from typing import Any

NAME = b"RQ_JOB_ID"
ROOM = 64
"""Bytes of an id that are written in place."""
_write = struct.Struct(f"{ROOM}s").pack_into
"""With zero bytes behind it: a tenth of the price of a call by `ctypes`."""


class JobVariable:
    """Sets it for one job after another.

    The C library keeps a copy of each value that it ever saw, and searches them: in a process that runs many jobs that
    is a leak, and takes longer each time. So the value is written into the one that is there already.
    """

    def __init__(self) -> None:
        self._environment: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]  # noqa: SLF001 - see `set`
        self._place: Any = None
        self._written = b""

    def set(self, job_id: bytes) -> None:
        """With a zero byte in its id, which no variable can have, a job has none."""
        if b"\0" in job_id:
            self.clear()
            return
        if self._environment.get(NAME) is not self._written or len(job_id) >= ROOM or self._place is None:
            self._make_room(job_id)
        # Past the public face of `os.environ`, which would call the C library.
        self._environment[NAME] = self._written = job_id
        if self._place is not None:
            _write(self._place, 0, job_id)

    def clear(self) -> None:
        """No job has one, as where several run side by side."""
        os.environb.pop(NAME, None)

    def _make_room(self, job_id: bytes) -> None:
        """Somebody else changed it, or it is the first one."""
        self._environment = os.environ._data  # type: ignore[attr-defined]  # noqa: SLF001
        os.environb[NAME] = job_id if len(job_id) >= ROOM or sys.platform != "linux" else b" " * ROOM
        self._place = None
        if len(job_id) < ROOM and sys.platform == "linux":
            get = ctypes.CDLL(None).getenv
            get.argtypes, get.restype = [ctypes.c_char_p], ctypes.c_void_p
            address = get(NAME)
            self._place = (ctypes.c_char * ROOM).from_address(address) if address else None
