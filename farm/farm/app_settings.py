"""The settings that `App(...)` takes, by name and type.

They stand here once more, apart from `farm_settings`, because every process of a pool imports the app, and reading
settings takes a validation library that no process needs. A test holds the two lists together.
"""

from collections.abc import Sequence
from typing import Literal, TypedDict

Seconds = float | str
"""Seconds, or a text with a unit as in `5m`."""


class AppSettings(TypedDict, total=False):
    """Settings below flag and environment, above the default. `farm settings` says what each one means."""

    redis_url: str
    prefix: str
    rq_prefix: str

    name: str
    queues: Sequence[str] | str
    app: str
    path: Sequence[str] | str
    labels: Sequence[str] | str
    drain_timeout: Seconds
    standby_coordinator: bool
    burst: bool
    max_jobs: int | None
    exit_when_idle: Seconds | None
    pid_file: str | None
    dequeue_strategy: Literal["default", "random", "round_robin"]

    processes: int
    idle_processes: int
    process_mode: Literal["reuse", "fresh"]
    executor: Literal["process", "thread"]
    start_method: Literal["template", "spawn"]
    max_jobs_per_process: int | None
    max_process_age: Seconds | None
    recycle_memory_mb: float | None
    initialize_timeout: Seconds
    preload_timeout: Seconds
    close_timeout: Seconds
    max_concurrent_initializations: int
    memory_warn_mb: float | None
    memory_limit_mb: float | None
    ping_interval: Seconds
    ping_timeout: Seconds
    high_ping_threshold: Seconds
    http_proxy: str | None
    async_concurrency: int

    threshold: float
    memory_threshold: float
    resume_margin: float
    admission: Literal["hold", "strict"]
    max_deferral: Seconds | None
    max_deferral_action: Literal["event", "fail"]

    heartbeat_interval: Seconds
    suspect_after: Seconds
    host_timeout: Seconds
    leader_ttl: Seconds
    max_crashes: int
    max_host_losses: int
    on_lost: Literal["rerun", "fail"]

    result_ttl: int | str
    serializer: str | None
    job_class: str | None
    queue_class: str | None
    exception_handlers: Sequence[str] | str

    log_level: Literal["debug", "info", "warning", "error", "critical"]
    log_format: Literal["text", "json"]
    log_jobs: Literal["limited", "all", "failures"]
    log_load: bool
