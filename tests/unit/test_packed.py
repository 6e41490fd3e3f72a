"""Hashes in MessagePack, as the scripts pack them."""

import msgpack
import pytest

from farm.packed import pack, unpack_hash


@pytest.mark.parametrize("size", [1, 15, 16, 70_000])
def test_a_hash_is_read_flat_however_many_fields_it_has(size: int) -> None:
    names = [b"field-%d" % number for number in range(size)]
    packed = msgpack.packb({name: name.upper() for name in names}, use_bin_type=False)
    assert unpack_hash(packed) == [text for name in names for text in (name, name.upper())]


def test_a_hash_that_is_flat_already_is_read_as_it_is() -> None:
    assert unpack_hash(pack([b"status", b"queued"])) == [b"status", b"queued"]
    assert unpack_hash(pack([])) == []


def test_what_is_no_hash_is_refused() -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - msgpack has several of that kind
        unpack_hash(b"\x82\xa1")
