"""Outcomes that Redis could not be told, in a file of this machine: they outlive the host that has them.

One file per host and outage, `<host>-<identity>.spool`, locked by its host as long as that lives. It begins with who
wrote it; each record is 4 bytes of length, 4 bytes of CRC-32 (big endian), and one message in MessagePack. What was
torn by the death of its writer ends the file. Nothing is forced to the disk: the file is there for the death of a
process, not of the machine.
"""

import dataclasses
import fcntl
import hashlib
import logging
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from farm.ending import Ending
from farm.store.execution import FinishBatch, new_batch_name
from farm.store.hosts import Registration

MAX_SPOOL_BYTES = 256 << 20
"""What comes after this stays in memory alone: a host without Redis starts nothing, so there is an end to it."""

SUFFIX = ".spool"

_FRAME = struct.Struct(">II")

_logger = logging.getLogger("farm.spool")


class _Header(msgspec.Struct, array_like=True):
    host: str
    identity: str


class _Record(msgspec.Struct, array_like=True):
    """Endings of one batch that was under way; or of none yet, then without a name."""

    number: int
    name: str
    endings: list[Ending]


_encoder = msgspec.msgpack.Encoder()
_headers = msgspec.msgpack.Decoder(_Header)
_records = msgspec.msgpack.Decoder(_Record)


def spool_folder(state_folder: Path, address: str, prefix: str) -> Path:
    """Where hosts of one farm spool. `address` is that of its Redis, without a password."""
    farm = hashlib.blake2b(f"{address}\n{prefix}".encode(), digest_size=8).hexdigest()
    return state_folder / "spool" / farm


class Spool:
    """What one host could not deliver. No method raises: what can't be written stays in memory, and that is logged."""

    def __init__(self, folder: Path | None, limit: int = MAX_SPOOL_BYTES) -> None:
        """`folder` is made when it is needed, for this user alone. None: there is no place to write to."""
        self._folder = folder
        self._limit = limit
        self._file = -1
        self._path = Path()
        self._size = 0
        self._kept: set[str] = set()
        self._failed = False

    def keep(self, who: Registration, batch: FinishBatch | None, endings: Iterable[Ending]) -> None:
        """Writes down what is not in the file yet. `batch` was sent, perhaps in vain; `endings` were not."""
        records = []
        if batch is not None and (missing := self._missing(batch.endings)):
            records.append(_Record(batch.number, batch.name, missing))
        if missing := self._missing(endings):
            records.append(_Record(0, "", missing))
        if not records or self._failed:
            return
        try:
            self._open(who)
            for record in records:
                self._append(_encoder.encode(record))
                self._kept.update(ending.token for ending in record.endings)
        except OSError as error:
            self._failed = True
            _logger.error("outcomes that Redis can't be told stay in memory, they can't be written down: %s", error)

    def clear(self) -> None:
        """Redis knows, or will not hear of it: the file is removed."""
        self._failed = False
        self._kept.clear()
        if self._file >= 0:
            self._remove()

    def close(self) -> None:
        """Leaves the file to the next host of this machine."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _remove(self) -> None:
        with suppress(OSError):
            self._path.unlink()
        self.close()

    def _missing(self, endings: Iterable[Ending]) -> list[Ending]:
        return [one for one in endings if one.token not in self._kept]

    def _open(self, who: Registration) -> None:
        if self._file >= 0:
            return
        if self._folder is None:
            raise FileNotFoundError("there is no folder for it (set XDG_STATE_HOME or HOME)")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"{who.host}-{who.identity}{SUFFIX}"
        self._path, self._size = path.with_suffix(".new"), 0
        self._file = os.open(self._path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._append(_encoder.encode(_Header(who.host, who.identity)))
            self._path = self._path.rename(path)  # only now, locked and with its header, may others see it
        except OSError:
            self._remove()
            raise
        _logger.warning("outcomes are kept in %s until Redis can be told", path)

    def _append(self, body: bytes) -> None:
        frame = _FRAME.pack(len(body), zlib.crc32(body)) + body
        if self._size + len(frame) > self._limit:
            raise OSError(f"{self._path} would be larger than {self._limit >> 20} MB")
        try:
            written = 0
            while written < len(frame):
                written += os.write(self._file, frame[written:])
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
                os.lseek(self._file, self._size, os.SEEK_SET)
            raise
        self._size += len(frame)


@dataclasses.dataclass(frozen=True, slots=True)
class LeftSpool:
    """What a host that is gone left behind. Locked until `release` or `remove`."""

    who: Registration
    batches: Sequence[FinishBatch]
    path: Path
    file: int

    def remove(self) -> None:
        """It was told to Redis, or is refused."""
        with suppress(OSError):
            self.path.unlink()
        self.release()

    def release(self) -> None:
        """Redis could not be asked: the next host may try."""
        os.close(self.file)


def left_spools(folder: Path | None, batch_size: int) -> Iterator[LeftSpool]:
    """What hosts that are gone left in `folder`. What another host has locked, or holds nothing, is left out."""
    if folder is None:
        return
    try:
        paths = sorted(folder.glob(f"*{SUFFIX}"))
    except OSError:
        return
    for path in paths:
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                _logger.error("outcomes of a host that is gone can't be read: %s", error)
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            bodies = [] if os.fstat(file).st_nlink == 0 else _bodies(path)
            left = _read(bodies, path, file, batch_size)
        except OSError:  # its host is alive
            left = None
        if left is None:
            os.close(file)
        else:
            yield left


def _read(bodies: list[bytes], path: Path, file: int, batch_size: int) -> LeftSpool | None:
    try:
        header = _headers.decode(bodies[0])
        records = [_records.decode(body) for body in bodies[1:]]
    except (IndexError, msgspec.DecodeError) as error:
        _logger.error("outcomes of a host that is gone can't be read, see %s: %s", path, error)
        return None
    batches = [FinishBatch(one.number, one.name, one.endings) for one in records if one.name]
    rest = [ending for one in records if not one.name for ending in one.endings]
    for start in range(0, len(rest), batch_size):
        batches.append(FinishBatch(len(batches), new_batch_name(), rest[start : start + batch_size]))
    return LeftSpool(Registration(header.host, header.identity), batches, path, file)


def _bodies(path: Path) -> list[bytes]:
    """The records that are whole."""
    data = path.read_bytes()
    bodies, start = [], 0
    while start + _FRAME.size <= len(data):
        size, checksum = _FRAME.unpack_from(data, start)
        body = data[start + _FRAME.size : start + _FRAME.size + size]
        if len(body) < size or zlib.crc32(body) != checksum:
            break
        bodies.append(body)
        start += _FRAME.size + size
    return bodies
