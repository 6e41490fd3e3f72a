"""The message that enqueues one job: all bytes but those of its blanks are made once for all jobs of a form.

A record has some forty parts, of which five are the job's own. To pack the others anew takes longer than all else that
there is to do to enqueue a job.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum
from operator import itemgetter
from typing import Any, TypeVar, cast

import hiredis

from farm.keys import RqKeys
from farm.store.scripts import Argument

Part = TypeVar("Part")

KEYS = 3
"""Of one call of the script: RQ's set of queues, the queue, the job's record."""


class Blank(IntEnum):
    """What each job has for itself; the number is its place in `Values`."""

    KEY = 0
    """Of its record."""
    MOMENT = 1
    """When it was made and enqueued, as RQ writes times."""
    DATA = 2
    """Its function and arguments, as RQ packs them."""
    DESCRIPTION = 3
    META = 4


Own = tuple[bytes, bytes, bytes, bytes]
"""What goes into the blanks but for the key."""

Values = tuple[bytes, bytes, bytes, bytes, bytes]
"""With the key."""


class EnqueueMessage:
    """May be shared by threads."""

    def __init__(
        self, digest: str, rq_keys: RqKeys, queue: str, at_front: bool, ttl: int, fields: Mapping[str, Argument | Blank]
    ) -> None:
        """`digest`: of the script. `ttl`: seconds until the record expires, 0 for never. `fields`: the record."""
        arguments = arguments_of(rq_keys, at_front, ttl, fields)
        self._parts: tuple[Argument | Blank, ...] = (rq_keys.queues, rq_keys.queue(queue), Blank.KEY, *arguments)
        blanks = [part for part in self._parts if isinstance(part, Blank)]
        self._in_order: Callable[[tuple[int | bytes, ...]], tuple[int | bytes, ...]] = itemgetter(
            *(place for blank in blanks for place in (2 * blank, 2 * blank + 1))
        )
        command = ("EVALSHA", digest, KEYS, *self._parts)
        self._text = b"*%d\r\n" % len(command) + b"".join(map(_text, command))

    def packed(self, values: Values) -> bytes:
        """The message as it is sent."""
        key, moment, data, description, meta = values
        sized: tuple[int | bytes, ...] = (len(key), key, len(moment), moment, len(data), data)
        sized += (len(description), description, len(meta), meta)
        return self._text % self._in_order(sized)

    def keys_and_arguments(self, values: Values) -> tuple[list[str | bytes], list[Argument]]:
        """The same for a client that packs it itself."""
        filled = [values[part] if isinstance(part, Blank) else part for part in self._parts]
        return cast("list[str | bytes]", filled[:KEYS]), filled[KEYS:]


def arguments_of(rq_keys: RqKeys, at_front: bool, ttl: int, fields: Mapping[str, Part]) -> list[Argument | Part]:
    """ARGV of the script for one job: six of the call, then names and values of the fields."""
    names = list(fields)
    places = (names.index("data") + 1, names.index("description") + 1)
    of_the_call = (rq_keys.prefix, "front" if at_front else "back", ttl, len(names), *places)
    return [*of_the_call, *(part for field in fields.items() for part in field)]


def _text(part: Argument | Blank) -> bytes:
    """One part as Redis takes it, to be formatted."""
    if isinstance(part, Blank):
        return b"$%d\r\n%b\r\n"
    alone: bytes = hiredis.pack_command(cast("Any", (part,)))
    return alone.removeprefix(b"*1\r\n").replace(b"%", b"%%")
