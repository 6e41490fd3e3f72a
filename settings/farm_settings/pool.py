"""The processes of a host. A number left out is computed by the host from what the machine has."""

from pydantic import Field

from farm_settings.section import Section
from farm_settings.values import (
    Count,
    CountOrComputed,
    CountOrOff,
    Duration,
    DurationOrOff,
    Executor,
    IdleProcesses,
    MegabytesOrOff,
    Processes,
    ProcessMode,
    Proxy,
    StartMethod,
)


class PoolSettings(Section):
    """How many processes, how they start, and when they are replaced."""

    processes: Processes = Field(
        default=None, description="jobs at a time. Without it the CPUs allowed, divided among the hosts of the machine"
    )
    idle_processes: IdleProcesses = Field(
        default=None, description="processes kept warm. Without it the smaller of processes and CPUs"
    )
    process_mode: ProcessMode = Field(default="reuse", description="a process for many jobs, or a fresh one for each")
    executor: Executor = Field(default="process", description="what runs a job: a process or a thread")
    start_method: StartMethod = Field(
        default="template", description="how processes start: forked from a warmed template, or spawned"
    )
    max_jobs_per_process: CountOrOff = Field(default=None, description="replace a process after so many jobs")
    max_process_age: DurationOrOff = Field(default=None, description="replace a process after so long")
    recycle_memory_mb: MegabytesOrOff = Field(default=None, description="replace a process, between jobs, above this")
    initialize_timeout: Duration = Field(default=60.0, description="how long a process may take to become warm")
    preload_timeout: Duration = Field(default=300.0, description="how long the host's preload may take")
    close_timeout: Duration = Field(default=10.0, description="how long a process may take to end")
    max_concurrent_initializations: CountOrComputed = Field(
        default=None, description="processes that warm up at a time. Without it the smaller of CPUs and 4"
    )
    memory_warn_mb: MegabytesOrOff = Field(default=1000.0, description="memory of a process that is worth a warning")
    memory_limit_mb: MegabytesOrOff = Field(default=None, description="memory above which a process is killed")
    ping_interval: Duration = Field(default=2.5, description="how often a process is asked whether it answers")
    ping_timeout: Duration = Field(default=60.0, description="a process silent for so long is killed")
    high_ping_threshold: Duration = Field(default=0.5, description="an answer slower than this is worth a warning")
    http_proxy: Proxy = Field(default=None, description="proxy that jobs are told to use")
    async_concurrency: Count = Field(default=1, description="coroutine jobs that one process runs at a time")
