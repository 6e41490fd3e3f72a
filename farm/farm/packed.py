"""MessagePack as the scripts in Redis write and read it: its strings are any bytes."""

from typing import Any

import msgpack

_SMALL = 1 << 16
"""What is larger gets a packer of its own: one that is kept keeps its memory too."""

_SMALL_MAP, _MAPS, _ARRAY = 0x80, {0xDE: 3, 0xDF: 5}, b"\xdd"
"""First bytes: of a map whose size is in there, of others with the length of their head, of any array."""

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


def unpack_hash(packed: bytes) -> list[bytes]:
    """A hash, flat: name, value, name, value … Raises ValueError for what is no MessagePack.

    A map is packed as an array of twice as many, but for its head: so it is read as one, without a dictionary between.
    """
    kind = packed[0]
    if kind & 0xF0 == _SMALL_MAP:
        size, begin = kind & 0x0F, 1
    elif kind in _MAPS:
        begin = _MAPS[kind]
        size = int.from_bytes(packed[1:begin])
    else:
        return list(unpack(packed))  # an array already, as of a hash that is gone
    fields: list[bytes] = unpack(_ARRAY + (2 * size).to_bytes(4) + packed[begin:])
    return fields
