"""The private folder in which the runners of one host listen."""

import fcntl
import os
import shutil
import socket
import tempfile
import time
from contextlib import suppress
from pathlib import Path

PREFIX = "farm-runners-"
SOCKET_PATH_LIMIT = 100
"""Bytes that every system takes as the path of a unix socket, with some to spare."""
FRESH_SECONDS = 60.0
"""A folder may be without its lock for a moment after it was made."""


class RunnerFolder:
    """Made for this user alone, locked while its host lives, and removed with it.

    A host that is killed can't remove its folder: the next one that makes one does.
    """

    def __init__(self) -> None:
        """Raises OSError when no folder can be made."""
        place = _place()
        _sweep(place)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))  # with the rights 0700
        self._lock = os.open(self.path, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def listen(self, name: str, waiting: int) -> socket.socket:
        """A new socket at `path / name`, on which at most `waiting` connections wait to be accepted."""
        listener = socket.socket(socket.AF_UNIX)
        listener.setblocking(False)
        listener.bind(str(self.path / name))
        listener.listen(waiting - 1)  # one more than it is told waits, on Linux
        return listener

    def remove(self) -> None:
        """Removes it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _place() -> Path:
    temporary = Path(tempfile.gettempdir())
    longest = temporary / f"{PREFIX}12345678" / "9999"
    return temporary if len(os.fsencode(longest)) <= SOCKET_PATH_LIMIT else Path("/tmp")  # noqa: S108 - made private


def _sweep(place: Path) -> None:
    """Removes folders of this user whose host is gone."""
    for folder in place.glob(f"{PREFIX}*"):
        with suppress(OSError):
            status = folder.lstat()
            if status.st_uid == os.getuid() and time.time() - status.st_mtime > FRESH_SECONDS:
                _remove_if_left(folder)


def _remove_if_left(folder: Path) -> None:
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
