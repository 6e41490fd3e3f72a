"""MessagePack as the scripts in Redis write and read it: its strings are any bytes."""

from typing import Any

import msgpack

_SMALL = 1 << 16
"""What is larger gets a packer of its own: one that is kept keeps its memory too."""

_packer = msgpack.Packer(use_bin_type=False)


def pack(value: Any, size: int = 0) -> bytes:
    """`value`: lists and tuples of str, bytes, int, float, bool. `size`: its bytes, roughly, if it may be large."""
    packer = _packer if size < _SMALL else msgpack.Packer(use_bin_type=False)
    packed: bytes = packer.pack(value)
    return packed


def pack_array(packed: list[bytes]) -> bytes:
    """One array of what was packed already."""
    header: bytes = _packer.pack_array_header(len(packed))
    return header + b"".join(packed)


def unpack(packed: bytes) -> Any:
    """All strings as bytes. Raises ValueError for what is no MessagePack."""
    return msgpack.unpackb(packed, raw=True)
