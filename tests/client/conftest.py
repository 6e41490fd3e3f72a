"""A client on the empty database of the test."""

from collections.abc import Iterator

import pytest

from farm.client import Client


@pytest.fixture
def client(redis_url: str) -> Iterator[Client]:
    with Client(redis_url) as made:
        yield made
