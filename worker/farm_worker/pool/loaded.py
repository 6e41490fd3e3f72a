"""What the processes of a host have in common: the app, and what its preload functions made."""

from dataclasses import dataclass
from typing import Any

from farm.app import App
from farm.app_import import import_app
from farm.entry import serve_app
from farm_worker.pool.equipment import Equipment
from farm_worker.pool.given import Given
from farm_worker.pool.preload import preload


@dataclass(frozen=True, slots=True)
class Loaded:
    """A forked process finds it there, a spawned one loads it itself."""

    app: App | None
    """None for a host without one."""
    userdata: dict[str, Any]
    """What preload functions put into theirs."""
    connection: Any
    """A client of Redis that is not open."""
    given: Given | None = None
    """What the program that was forked handed over, in the place of what settings name."""


def load(app_name: str | None, equipment: Equipment) -> Loaded:
    """Imports the app and runs its preload functions with this process. Raises AppError."""
    process, connection = equipment.process, equipment.connection
    if app_name is None:
        return Loaded(None, process.userdata, connection)
    app = import_app(app_name)
    serve_app(app)
    preload(app, process)
    return Loaded(app, process.userdata, connection)
