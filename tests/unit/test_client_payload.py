"""How a call is packed: RQ can unpack it, and nothing gets much longer."""

import random
import zlib

import pytest

from farm.client.payload import AS_IT_IS_BYTES, SAMPLED_BYTES, pack

RANDOM = random.Random(5)
TEXT = b"".join(b"customer %d owes %d\n" % (number, number * number) for number in range(5000))


@pytest.mark.parametrize(
    "size", [0, 1, AS_IT_IS_BYTES, AS_IT_IS_BYTES + 1, 1000, SAMPLED_BYTES - 1, SAMPLED_BYTES, 65_535, 65_536, 131_070]
)
@pytest.mark.parametrize("kind", ["random", "text"])
def test_what_was_packed_is_unpacked_the_same(size: int, kind: str) -> None:
    data = RANDOM.randbytes(size) if kind == "random" else TEXT[:size]
    packed = pack(data)

    assert zlib.decompress(packed) == data
    assert len(packed) <= size + 11 + size // 1000


def test_a_short_call_stays_short_enough_for_a_compact_record() -> None:
    assert len(pack(RANDOM.randbytes(AS_IT_IS_BYTES))) <= 64


def test_text_is_packed_nearly_as_well_as_rq_does() -> None:
    assert len(pack(TEXT)) < 1.25 * len(zlib.compress(TEXT))


def test_a_part_that_can_be_packed_is_enough() -> None:
    data = RANDOM.randbytes(60_000) + b"a" * 60_000

    assert len(pack(data)) < 70_000
