"""What a process has for all its attempts, built from the settings that the host sent."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rq.job import Job
from rq.serializers import resolve_serializer
from rq.utils import import_attribute, import_job_class

from farm.context import CurrentProcess
from farm.errors import SettingsError
from farm.store.connection import connect
from farm_worker.pool import stand_in
from farm_worker.pool.alarm import Alarm
from farm_worker.pool.coroutines import Coroutines
from farm_worker.pool.job_variable import JobVariable
from farm_worker.pool.protocol import Initialize, Message

Named = TypeVar("Named")


@dataclass(frozen=True, slots=True)
class Equipment:
    """What a process has for all its attempts."""

    process: CurrentProcess
    connection: Any
    """A client of Redis. Opens when something of a job uses it."""
    job_class: type[Job]
    serializer: Any
    """None: RQ's default."""
    exception_handlers: Sequence[Callable[..., Any]]
    result_ttl: int
    alarm: Alarm
    coroutines: Coroutines
    send: Callable[[Message], bool]
    """Says something to the host, from any thread."""
    variable: JobVariable


def equip(
    initialize: Initialize, send: Callable[[Message], bool], *, alarm: Alarm | None = None, connection: Any = None
) -> Equipment:
    """Imports what the settings name, so the user's path must be in use. Raises SettingsError.

    `alarm`: where there are no signals. `connection`: a client that the template has made and not opened.
    """
    stand_in.install()
    alarm = alarm or Alarm()
    return Equipment(
        process=CurrentProcess(initialize.host, initialize.process, os.getpid(), initialize.runners),
        connection=connection or connect(initialize.redis_url),
        job_class=_named("JOB_CLASS", initialize.job_class, import_job_class) if initialize.job_class else Job,
        serializer=_named("SERIALIZER", initialize.serializer, resolve_serializer) if initialize.serializer else None,
        exception_handlers=[
            _named("EXCEPTION_HANDLERS", name, import_attribute) for name in initialize.exception_handlers
        ],
        result_ttl=initialize.result_ttl,
        alarm=alarm,
        coroutines=Coroutines(alarm),
        send=send,
        variable=JobVariable(),
    )


def _named(setting: str, name: str, find: Callable[[str], Named]) -> Named:
    try:
        return find(name)
    except Exception as error:
        raise SettingsError(
            f"{setting}: {name!r} cannot be used: {type(error).__name__}: {error}. "
            "It must be a dotted name that can be imported from the path of the jobs."
        ) from error
