"""The farm: jobs on Redis queues, run by hosts with warmed processes, never lost, never dropped.

Importing this is cheap and opens nothing: each name is loaded when it is first used.
"""

from farm.errors import AppError as AppError
from farm.errors import FarmError as FarmError
from farm.errors import HostFenced as HostFenced
from farm.errors import JobError as JobError
from farm.errors import JobFailed as JobFailed
from farm.errors import JobNotFound as JobNotFound
from farm.errors import NameInUse as NameInUse
from farm.errors import RedisError as RedisError
from farm.errors import RedisRefused as RedisRefused
from farm.errors import RedisServerError as RedisServerError
from farm.errors import RedisTooOld as RedisTooOld
from farm.errors import RedisUnavailable as RedisUnavailable
from farm.errors import ResultTimeout as ResultTimeout
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
    from farm.context import current_job as current_job
    from farm.context import current_process as current_process

    __version__: str

_HOMES = {
    "App": "farm.app",
    "AsyncClient": "farm.client",
    "Call": "farm.client",
    "Client": "farm.client",
    "JobHandle": "farm.client",
    "JobStatus": "farm.client",
    "current_job": "farm.context",
    "current_process": "farm.context",
    "__version__": "farm.version",
}

__all__ = [
    "App",
    "AppError",
    "AsyncClient",
    "Call",
    "Client",
    "FarmError",
    "HostFenced",
    "JobError",
    "JobFailed",
    "JobHandle",
    "JobNotFound",
    "JobStatus",
    "NameInUse",
    "RedisError",
    "RedisRefused",
    "RedisServerError",
    "RedisTooOld",
    "RedisUnavailable",
    "ResultTimeout",
    "SettingsError",
    "__version__",
    "current_job",
    "current_process",
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
