"""Which jobs are plain, told from their hashes: by what many of them have in common, so that it is looked at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from rq.queue import Queue
from rq.serializers import DefaultSerializer
from rq.timeouts import JobTimeoutException

from farm_worker.pool.record import DATE_FIELDS, OWN_FIELDS, SHARED_FIELDS, decompress, shared_attributes, to_date

MOST_KEPT = 200
"""Kinds of jobs that are remembered. Who has more of them gets no faster."""

FENCE = b"farm_fence"
LARGEST_PAYLOAD = 400_000
"""Packed: what is larger could unpack to more than fits the memory."""

Call = tuple[str, tuple[Any, ...], dict[str, Any]]
"""A function's name, and its arguments."""
_Pick = Callable[[Sequence[bytes]], tuple[bytes, ...]]
"""Some of a flat hash."""

_SPECIAL = frozenset(
    {
        *(b"success_callback_name", b"failure_callback_name", b"stopped_callback_name"),
        *(b"repeats_left", b"rate_limit_key", b"rate_limit_concurrency", b"allow_dependency_failures", b"group_id"),
    }
)
"""A job with any of them does more than run its function."""
_FIRST = (b"data", b"created_at", b"enqueued_at", FENCE)
_NEEDED = (*_FIRST, b"status", b"origin", b"description")


@dataclass(frozen=True, slots=True)
class Traits:
    """Of all jobs that have the same shared fields."""

    limit: float
    """Seconds that the function may run."""
    result_ttl: int | None


@dataclass(slots=True)
class PlainRecord:
    """A job's hash, as far as it has to be read to run the job."""

    traits: Traits
    data: bytes
    accepted: bytes
    """When it was created and enqueued."""
    fence: int


class PlainRecords:
    """Reads hashes of plain jobs."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._shapes: dict[tuple[bytes, ...], _Shape | None] = {}
        self._last = _Shape(_NEEDED)
        """Of the job before: to see that the next one has the same costs less than to look for it."""

    def read(self, fields: Sequence[bytes]) -> PlainRecord | None:
        """None for a job that is not plain. `fields`: its hash, flat."""
        shape = self._last
        if (names := fields[::2]) != shape.all_names:
            found = self._shape(tuple(names))
            if found is None:
                return None
            shape = self._last = found
        shared = shape.shared(fields)
        last, traits = shape.last
        if shared != last:
            traits = self._traits(shape, shared)
            shape.last = shared, traits
        data, created_at, enqueued_at, fence = shape.first(fields)
        if traits is None or len(data) > LARGEST_PAYLOAD or not shape.are_readable(fields):
            return None
        return PlainRecord(traits, data, created_at + enqueued_at, int(fence))

    def _shape(self, names: tuple[bytes, ...]) -> "_Shape | None":
        try:
            return self._shapes[names]
        except KeyError:
            return self._learn_shape(names)

    def _traits(self, shape: "_Shape", shared: tuple[bytes, ...]) -> Traits | None:
        try:
            return shape.traits[shared]
        except KeyError:
            return self._learn_traits(shape, shared)

    def _learn_shape(self, names: tuple[bytes, ...]) -> "_Shape | None":
        known = set(names)
        is_plain = known <= {*SHARED_FIELDS, *OWN_FIELDS, FENCE} and known.issuperset(_NEEDED)
        shape = _Shape(names) if is_plain and len(known) == len(names) else None
        _remember(self._shapes, names, shape)
        return shape

    def _learn_traits(self, shape: "_Shape", values: tuple[bytes, ...]) -> Traits | None:
        shared = dict(zip(shape.names, values, strict=True))
        traits = None if any(map(shared.get, _SPECIAL)) else self._read_traits(shared)
        _remember(shape.traits, values, traits)
        return traits

    def _read_traits(self, shared: dict[bytes, bytes]) -> Traits | None:
        try:
            attributes = shared_attributes(shared, self._connection)
        except Exception:  # noqa: BLE001 - the long way says what is wrong
            return None
        limit = attributes["timeout"] or Queue.DEFAULT_TIMEOUT
        return Traits(limit, attributes["result_ttl"])


class _Shape:
    """Of all hashes that have the same fields in the same order."""

    def __init__(self, names: Sequence[bytes]) -> None:
        places = {name: 2 * number + 1 for number, name in enumerate(names)}
        self.all_names = list(names)
        self.names = [name for name in names if name in SHARED_FIELDS]
        self.shared: _Pick = itemgetter(*map(places.__getitem__, self.names))
        self.first: _Pick = itemgetter(*map(places.__getitem__, _FIRST))
        self._dates: _Pick = itemgetter(*(places[name] for name in names if name in DATE_FIELDS))
        self._description = places[b"description"]
        self.traits: dict[tuple[bytes, ...], Traits | None] = {}
        self.last: tuple[tuple[bytes, ...], Traits | None] = ((), None)
        """The values of the job before, with their traits."""

    def are_readable(self, fields: Sequence[bytes]) -> bool:
        """Whether those that each job has for itself make sense: nobody may ever look at them, and they are to tell."""
        try:
            fields[self._description].decode()
            before = b""
            for date in self._dates(fields):
                if date and date != before:  # one that is enqueued as it is created has the same twice
                    to_date(date)
                    before = date
        except Exception:  # noqa: BLE001 - the long way says what is wrong
            return False
        return True


def decode(data: bytes) -> Call | None:
    """The name and the arguments of a plain function, as RQ's default serializer reads them. None for anything else."""
    try:
        name, instance, arguments, named = DefaultSerializer.loads(decompress(data))
    except JobTimeoutException:
        raise
    except Exception:  # noqa: BLE001 - unpickling is the user's code; the long way says what is wrong
        return None
    return None if instance or not isinstance(name, str) else (name, arguments, named)


def _remember(kept: dict[Any, Any], key: Any, value: Any) -> None:
    if len(kept) >= MOST_KEPT:
        kept.clear()
    kept[key] = value
