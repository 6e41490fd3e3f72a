"""What `App.runner` declares, checked."""

from collections.abc import Mapping
from dataclasses import dataclass

from farm.errors import AppError


@dataclass(frozen=True, slots=True)
class Runner:
    """One runner of an app: a class of the user's, of which each host keeps `copies` objects in own processes."""

    name: str
    kind: type
    copies: int
    batch: int
    max_waiting: int
    initialize_timeout: float
    """Seconds."""
    memory_limit_mb: float | None


def checked_runner(  # noqa: PLR0913, PLR0917 - the options of `App.runner`, one by one
    known: Mapping[str, Runner],
    name: str,
    kind: type,
    copies: int,
    batch: int,
    max_waiting: int,
    initialize_timeout: float,
    memory_limit_mb: float | None,
) -> Runner:
    """The declaration. Raises AppError for what cannot work."""
    said = f"@app.runner({name!r})"
    if not isinstance(name, str) or not name.strip():
        raise AppError(f"{said}: a runner is named by a text that is not empty.")
    if name in known:
        raise AppError(f"{said}: a runner of this name is declared already.")
    if not isinstance(kind, type):
        raise AppError(f"{said} goes on a class with `initialize` and `run`, not on {kind!r}.")
    if not callable(getattr(kind, "run", None)):
        raise AppError(f"{said}: class {kind.__qualname__} has no method `run(self, data)`.")
    for option, value in (("copies", copies), ("batch", batch), ("max_waiting", max_waiting)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise AppError(f"{said}: {option}={value!r} must be a whole number of at least 1.")
    for option, seconds in (("initialize_timeout", initialize_timeout), ("memory_limit_mb", memory_limit_mb)):
        if seconds is not None and not seconds > 0:
            raise AppError(f"{said}: {option}={seconds!r} must be above 0.")
    return Runner(name, kind, copies, batch, max_waiting, initialize_timeout, memory_limit_mb)
