"""Watches, while a test does something else, how many jobs hosts hold beside how many they may."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from farm.keys import Keys
from farm.store.connection import connect

KEYS = Keys()
SECONDS_BETWEEN = 0.01


@dataclass
class Watched:
    """What was seen."""

    looks: int = 0
    most_held: dict[str, int] = field(default_factory=dict)
    """By host."""
    excesses: list[str] = field(default_factory=list)
    """Moments in which a host held more than it published as its capacity, or published so itself."""


@contextmanager
def watched(url: str, hosts: Iterable[str]) -> Iterator[Watched]:
    """Looks as often as it can, each time at one moment of Redis. What was seen is complete at the end."""
    found, over = Watched(), threading.Event()
    thread = threading.Thread(target=_watch, args=(url, tuple(hosts), found, over))
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def _watch(url: str, hosts: tuple[str, ...], found: Watched, over: threading.Event) -> None:
    with connect(url) as client:
        identities = {name: client.hget(KEYS.identities, name).decode() for name in hosts}
        while not over.wait(SECONDS_BETWEEN):
            with client.pipeline(transaction=True) as pipeline:
                for name, identity in identities.items():
                    pipeline.hmget(KEYS.host(name), "capacity", "assigned")
                    pipeline.llen(KEYS.inbox(name, identity))
                    pipeline.hlen(KEYS.running(name, identity))
                answers = pipeline.execute()
            found.looks += 1
            for number, name in enumerate(identities):
                (capacity, assigned), inbox, running = answers[3 * number : 3 * number + 3]
                _note(found, name, (int(capacity or 0), int(assigned or 0)), inbox + running)


def _note(found: Watched, name: str, published: tuple[int, int], held: int) -> None:
    capacity, assigned = published
    found.most_held[name] = max(held, found.most_held.get(name, 0))
    if held > capacity or assigned > capacity:
        found.excesses.append(f"{name} held {held} and said {assigned}, of {capacity}")
