"""Reading the kernel's small files. The simple way to open and read one costs more than all the rest of a sample."""

import os
from pathlib import Path

_CHUNK = 1 << 16


def read(file: Path | str) -> str:
    """The whole text. Raises OSError."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _read_all(descriptor)
    finally:
        os.close(descriptor)


def read_if_there(file: Path | str) -> str:
    """The text without white space around it; empty where there is none: kernels differ in what they offer."""
    try:
        return read(file).strip()
    except OSError:
        return ""


class KeptFile:
    """A file that is read again and again and stays open. Of a process that ended, reading fails: ids are used anew."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._descriptor: int | None = None

    def read(self) -> str:
        """The text as it is now. Raises OSError; the next call opens the file anew."""
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _read_all(self._descriptor)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Closes the file. Reading opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _read_all(descriptor: int) -> str:
    text = os.pread(descriptor, _CHUNK, 0)
    while len(text) % _CHUNK == 0 and (more := os.pread(descriptor, _CHUNK, len(text))):
        text += more
    return text.decode("utf-8", "replace")
