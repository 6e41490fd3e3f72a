"""The farm: jobs on Redis queues, run by hosts with warmed processes, never lost, never dropped.

Importing this is cheap and opens nothing: each name is loaded when it is first used.
"""

from farm.errors import AppError as AppError
from farm.errors import FarmError as FarmError
from farm.errors import HostFenced as HostFenced
from farm.errors import HostNotFound as HostNotFound
from farm.errors import JobCancelled as JobCancelled
from farm.errors import JobError as JobError
from farm.errors import JobFailed as JobFailed
from farm.errors import JobInterrupted as JobInterrupted
from farm.errors import JobNotFound as JobNotFound
from farm.errors import NameInUse as NameInUse
from farm.errors import RedisError as RedisError
from farm.errors import RedisFull as RedisFull
from farm.errors import RedisRefused as RedisRefused
from farm.errors import RedisServerError as RedisServerError
from farm.errors import RedisTooOld as RedisTooOld
from farm.errors import RedisUnavailable as RedisUnavailable
from farm.errors import ResultTimeout as ResultTimeout
from farm.errors import RunnerBusy as RunnerBusy
from farm.errors import RunnerDied as RunnerDied
from farm.errors import RunnerError as RunnerError
from farm.errors import RunnerFailed as RunnerFailed
from farm.errors import RunnerTimeout as RunnerTimeout
from farm.errors import SettingsError as SettingsError

# The name alone tells type checkers; `typing` is not imported, since a user's folder may hold a module of that name
# and this runs before the farm has isolated itself.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from farm.app import App as App
    from farm.client import AsyncClient as AsyncClient
    from farm.client import Call as Call
    from farm.client import Client as Client
    from farm.client import JobHandle as JobHandle
    from farm.client import JobStatus as JobStatus
    from farm.context import CurrentJob as CurrentJob
    from farm.context import CurrentProcess as CurrentProcess
    from farm.context import current_job as current_job
    from farm.context import current_process as current_process
    from farm.entry import entrypoint as entrypoint
    from farm.event import Event as Event
    from farm.facts import HostFacts as HostFacts
    from farm.facts import host_facts as host_facts
    from farm.host_handle import HostHandle as HostHandle
    from farm.host_handle import host as host
    from farm.offered_job import OfferedJob as OfferedJob
    from farm.runner_client import RunnerClient as RunnerClient
    from farm.runner_client import runner as runner
    from farm.store.evidence import Evidence as Evidence
    from farm.store.process_view import ProcessView as ProcessView
    from farm.store.process_view import RunnerView as RunnerView
    from farm.store.process_view import RunningJob as RunningJob
    from farm.usage import Usage as Usage

    __version__: str

_HOMES = {
    "App": "farm.app",
    "AsyncClient": "farm.client",
    "Call": "farm.client",
    "Client": "farm.client",
    "CurrentJob": "farm.context",
    "CurrentProcess": "farm.context",
    "Event": "farm.event",
    "Evidence": "farm.store.evidence",
    "HostFacts": "farm.facts",
    "HostHandle": "farm.host_handle",
    "JobHandle": "farm.client",
    "JobStatus": "farm.client",
    "OfferedJob": "farm.offered_job",
    "ProcessView": "farm.store.process_view",
    "RunnerView": "farm.store.process_view",
    "RunningJob": "farm.store.process_view",
    "RunnerClient": "farm.runner_client",
    "Usage": "farm.usage",
    "current_job": "farm.context",
    "current_process": "farm.context",
    "entrypoint": "farm.entry",
    "host": "farm.host_handle",
    "host_facts": "farm.facts",
    "runner": "farm.runner_client",
    "__version__": "farm.version",
}

__all__ = [
    "App",
    "AppError",
    "AsyncClient",
    "Call",
    "Client",
    "CurrentJob",
    "CurrentProcess",
    "Event",
    "Evidence",
    "FarmError",
    "HostFacts",
    "HostFenced",
    "HostHandle",
    "HostNotFound",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "JobHandle",
    "JobInterrupted",
    "JobNotFound",
    "JobStatus",
    "NameInUse",
    "OfferedJob",
    "ProcessView",
    "RedisError",
    "RedisFull",
    "RedisRefused",
    "RedisServerError",
    "RedisTooOld",
    "RedisUnavailable",
    "ResultTimeout",
    "RunnerBusy",
    "RunnerClient",
    "RunnerDied",
    "RunnerError",
    "RunnerFailed",
    "RunnerTimeout",
    "RunnerView",
    "RunningJob",
    "SettingsError",
    "Usage",
    "__version__",
    "current_job",
    "current_process",
    "entrypoint",
    "host",
    "host_facts",
    "runner",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'farm' has no attribute {name!r}")
    import importlib  # noqa: PLC0415 (as with `typing` above)

    value: object = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
