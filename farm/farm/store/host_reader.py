"""Reading one host, its processes, and what operators want of it; and saying what they want.

Two round trips of bounded commands. Keys of the wrong type and unreadable lines never raise.
"""

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis

from farm.errors import HostNotFound
from farm.keys import Keys
from farm.store.process_view import ProcessView, RunnerView, from_line, runner_from_line
from farm.store.reading import read_together
from farm.store.scripts import Scripts
from farm.store.snapshot import HostView, host_view

DESIRED_TTL_SECONDS = 60
"""What is wanted of a host that does not beat any more is forgotten after this. Its beats renew it."""

NAMES_COMPARED = 1000
NAMES_TOLD = 10


@dataclass(frozen=True, slots=True)
class HostDetails:
    """One host at one moment."""

    host: HostView
    processes: tuple[ProcessView, ...]
    """By number. At most the thousand that a host lists."""
    runners: tuple[RunnerView, ...]
    """Copies of the app's runners, by name."""
    desired: Mapping[str, str]
    """What operators want of it, whether it did that already or not."""


class HostReader:
    """The hosts of one farm, by name. Raises HostNotFound, and redis-py's errors."""

    def __init__(self, client: redis.Redis, keys: Keys, suspect_after: float = 3.0, host_timeout: float = 10.0) -> None:
        self._client = client
        self._scripts = Scripts(client)
        self._keys = keys
        self._ages = (suspect_after, host_timeout)

    def details(self, name: str) -> HostDetails:
        """All that is known of the host."""
        keys = self._keys
        time, beat, identity, published, lines, desired = self._read(
            ("TIME",),
            ("ZSCORE", keys.hosts, name),
            ("HGET", keys.identities, name),
            ("HGETALL", keys.host(name)),
            ("HGETALL", keys.processes(name)),
            ("HGETALL", keys.desired(name)),
        )
        if beat is None:
            raise self._not_found(name)
        held = identity.decode() if identity else ""
        inbox, running = self._read(("LLEN", keys.inbox(name, held)), ("HLEN", keys.running(name, held)))
        now, last_beat = int(time[0]) + int(time[1]) / 1e6, float(beat)
        return HostDetails(
            host=host_view(name, max(now - last_beat, 0.0), published or {}, (inbox or 0, running or 0), self._ages),
            processes=_processes(lines or {}, last_beat),
            runners=_runners(lines or {}),
            desired={_text(field): _text(value) for field, value in (desired or {}).items()},
        )

    def desire(self, name: str, fields: Mapping[str, int | str]) -> None:
        """Says what is wanted of the host: it reads that with its next beat. Replaces these fields alone."""
        arguments = [name, DESIRED_TTL_SECONDS, *(part for pair in fields.items() for part in pair)]
        if not self._scripts.run("desire", [self._keys.identities, self._keys.desired(name)], arguments):
            raise self._not_found(name)

    def _not_found(self, name: str) -> HostNotFound:
        (found,) = self._read(("ZRANGE", self._keys.hosts, 0, NAMES_COMPARED - 1))
        names = [_text(host) for host in found or ()]
        if not names:
            return HostNotFound(f"there is no host {name}, and no other: `farm worker` starts one")
        nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
        more = f" and {len(names) - NAMES_TOLD} more" if len(names) > NAMES_TOLD else ""
        known = ", ".join(sorted(names)[:NAMES_TOLD]) + more
        return HostNotFound(f"there is no host {name}; did you mean {nearest[0]}? `farm status` shows all: {known}")

    def _read(self, *commands: tuple[Any, ...]) -> list[Any]:
        """The answers at one moment. An error that concerns one command alone stands for nothing found."""
        return read_together(self._client, commands)


def _processes(lines: Mapping[bytes, bytes], last_beat: float) -> tuple[ProcessView, ...]:
    """The list as of the last beat: it is written when something changed, and then only its times have gone on."""
    since = max(last_beat - _number(lines.get(b"at"), last_beat), 0.0)
    found = []
    for number, line in lines.items():
        process = from_line(line) if number.isdigit() else None
        if process is not None:
            found.append(
                dataclasses.replace(
                    process,
                    number=int(number),
                    age=round(process.age + since, 3),
                    job_seconds=_later(process.job_seconds, since),
                    beside=tuple(
                        dataclasses.replace(job, job_seconds=_later(job.job_seconds, since)) for job in process.beside
                    ),
                )
            )
    return tuple(sorted(found, key=lambda process: process.number))


def _runners(lines: Mapping[bytes, bytes]) -> tuple[RunnerView, ...]:
    found = (runner_from_line(line) for name, line in lines.items() if b"/" in name)
    return tuple(sorted(filter(None, found), key=lambda runner: (runner.runner, runner.copy)))


def _later(seconds: float | None, since: float) -> float | None:
    return None if seconds is None else round(seconds + since, 3)


def _number(value: bytes | None, otherwise: float) -> float:
    try:
        return float(value) if value is not None else otherwise
    except ValueError:
        return otherwise


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
