"""Reads the stream of rare events."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import redis

from farm.keys import Keys

WAIT_MILLISECONDS = 1000
"""Well below the time in which a client expects an answer."""
PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True)
class Event:
    """One entry. `id` grows; `at` is ISO 8601 UTC; `fields` are the rest, as written."""

    id: str
    event: str
    at: str
    fields: Mapping[str, str]


class EventLog:
    """The events of one farm, in the order in which they were written. Raises redis-py's errors."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    def last(self, count: int) -> list[Event]:
        """The last `count` events, oldest first."""
        if count <= 0:
            return []
        entries = cast("list[Any]", self._client.xrevrange(self._keys.events, count=count))
        return [_event(entry) for entry in reversed(entries)]

    def end(self) -> str:
        """The id of the last event, `0-0` if there is none: where `follow` may begin."""
        last = self.last(1)
        return last[0].id if last else "0-0"

    def follow(self, after: str) -> Iterator[Event]:
        """Events newer than the id `after`, each as soon as it is there. Never ends."""
        while True:
            for event in self.wait(after):
                after = event.id
                yield event

    def wait(self, after: str) -> list[Event]:
        """The events newer than the id `after`; waits a second for one if there is none."""
        streams = cast("Any", self._client).xread({self._keys.events: after}, count=PAGE_SIZE, block=WAIT_MILLISECONDS)
        return [_event(entry) for _, entries in streams or [] for entry in entries]


def _event(entry: tuple[bytes, Mapping[bytes, bytes]]) -> Event:
    identifier, raw = entry
    fields = {_text(name): _text(value) for name, value in (raw or {}).items()}
    return Event(_text(identifier), fields.pop("event", "unknown"), fields.pop("at", ""), fields)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
