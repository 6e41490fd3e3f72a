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
from farm.keys import RqKeys
from farm.store.connection import connect
from farm.store.payloads import PayloadReader
from farm_worker.pool import stand_in
from farm_worker.pool.alarm import Alarm
from farm_worker.pool.coroutines import Coroutines
from farm_worker.pool.given import Given
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
    keeps_failures: bool
    """Whether what failed for good goes to RQ's failed registry, with a result."""
    result_ttl: int
    alarm: Alarm
    coroutines: Coroutines
    send: Callable[[Message], bool]
    """Says something to the host, from any thread."""
    variable: JobVariable
    payloads: PayloadReader
    """Of large jobs."""


def equip(
    initialize: Initialize,
    send: Callable[[Message], bool],
    *,
    alarm: Alarm | None = None,
    connection: Any = None,
    given: Given | None = None,
) -> Equipment:
    """Imports what the settings name, so the user's path must be in use. Raises SettingsError.

    `alarm`: where there are no signals. `connection`: a client that the template has made and not opened. `given`: what
    is not to be imported, as it is there.
    """
    stand_in.install()
    alarm = alarm or Alarm()
    given = given or _named_objects(initialize, connection or connect(initialize.redis_url))
    return Equipment(
        process=CurrentProcess(initialize.host, initialize.process, os.getpid(), initialize.runners, initialize.facts),
        connection=given.connection,
        job_class=given.job_class,
        serializer=given.serializer,
        exception_handlers=given.exception_handlers,
        keeps_failures=given.keeps_failures,
        result_ttl=initialize.result_ttl,
        alarm=alarm,
        coroutines=Coroutines(alarm),
        send=send,
        variable=JobVariable(),
        payloads=PayloadReader(given.connection, RqKeys(initialize.rq_prefix)),
    )


def _named_objects(initialize: Initialize, connection: Any) -> Given:
    serializer, job_class = initialize.serializer, initialize.job_class
    return Given(
        connection=connection,
        job_class=_named("JOB_CLASS", job_class, import_job_class) if job_class else Job,
        serializer=_named("SERIALIZER", serializer, resolve_serializer) if serializer else None,
        exception_handlers=[
            _named("EXCEPTION_HANDLERS", name, import_attribute) for name in initialize.exception_handlers
        ],
    )


def _named(setting: str, name: str, find: Callable[[str], Named]) -> Named:
    try:
        return find(name)
    except Exception as error:
        raise SettingsError(
            f"{setting}: {name!r} cannot be used: {type(error).__name__}: {error}. "
            "It must be a dotted name that can be imported from the path of the jobs."
        ) from error
