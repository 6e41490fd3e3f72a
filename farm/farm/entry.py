"""The function that jobs name as `farm.entrypoint`: it calls what the host's app declared by `@app.entrypoint`.

Whoever enqueues such a job needs neither the app nor the farm, only the name.
"""

from typing import Any

from farm.app import App, takes_argument
from farm.context import ENTRYPOINT, current_job
from farm.errors import AppError

_app: App | None = None


def serve_app(app: App) -> None:
    """Called once by a process of the pool: jobs run here as `app` says."""
    global _app  # noqa: PLW0603 - one per process of the operating system
    _app = app


def served_app() -> App | None:
    """The app of this process of the pool. None elsewhere, and where the host has none."""
    return _app


def entrypoint(*_arguments: Any, **_options: Any) -> Any:
    """Runs the entry point of the host's app for the job that runs here; returns what it returns.

    Enqueue it by name: `Queue("calls").enqueue("farm.entrypoint", {"text": "hello"})`. Raises AppError where there is
    none.
    """
    job = current_job()
    if job is None:
        raise AppError(f"{ENTRYPOINT} runs as a job on a host. Enqueue it by name: enqueue({ENTRYPOINT!r}, payload).")
    hook = None if _app is None else _app.entrypoint_hook
    if hook is None:
        missing = "its app declares none" if _app is not None else "it runs without an app"
        raise AppError(
            f"{ENTRYPOINT}: host {job.process.host} has no entry point, {missing}. "
            f"Put @app.entrypoint on a function of the app and start the hosts of queue {job.queue} with --app."
        )
    return hook(job) if takes_argument(hook) else hook()


entrypoint.__module__ = "farm"  # so that RQ, given the function itself, stores the name that others use
