"""The block of shared memory in which a host's processes read its facts: see `farm.facts`."""

import dataclasses
import os
import tempfile
import zlib

import msgspec

from farm.facts import BLOCK_BYTES, HALF_BYTES, HEADER, TURN, HostFacts

_encoder = msgspec.json.Encoder()


class FactsBoard:
    """Written by the host alone. It has no name in any folder, so nothing of it is left when the host is gone."""

    def __init__(self, facts: HostFacts) -> None:
        """`facts`: what is said first. Raises OSError when there is no memory or no descriptor for it."""
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if hasattr(os, "memfd_create"):
            self._descriptor = os.memfd_create("farm-facts")
            self.path = f"/proc/{os.getpid()}/fd/{self._descriptor}"
            """Where the host's processes find it."""
        else:
            self._folder = tempfile.TemporaryDirectory(prefix="farm-facts-")
            self.path = os.path.join(self._folder.name, "facts")
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._descriptor, BLOCK_BYTES)
        self._turn = 0
        self.write(facts)

    def write(self, facts: HostFacts) -> None:
        """Says these from now on. Readers see the ones before until all of it is there."""
        text = self._encoded(facts)
        turn = self._turn + 1
        head = HEADER.pack(len(text), zlib.crc32(text))
        os.pwrite(self._descriptor, head + text, TURN.size + (turn % 2) * HALF_BYTES)
        os.pwrite(self._descriptor, TURN.pack(turn), 0)
        self._turn = turn

    def close(self) -> None:
        """Who has mapped it keeps it."""
        os.close(self._descriptor)
        if self._folder is not None:
            self._folder.cleanup()

    def _encoded(self, facts: HostFacts) -> bytes:
        text = _encoder.encode(dataclasses.asdict(facts))
        if len(text) > HALF_BYTES - HEADER.size:  # paths of cgroups may be long, but numbers are worth more
            text = _encoder.encode(dataclasses.asdict(dataclasses.replace(facts, sources={})))
        return text
