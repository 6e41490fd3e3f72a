"""One host: what it serves and when it ends."""

from pydantic import Field

from farm_settings.section import Section
from farm_settings.values import (
    AppModule,
    Boolean,
    CountOrOff,
    DequeueStrategy,
    Duration,
    DurationOrOff,
    File,
    HostName,
    ImportPath,
    Labels,
    Queues,
)


class HostSettings(Section):
    """What a host is called, what it serves, and when it ends."""

    name: HostName = Field(
        default=None, description="name of the host. Without it the machine's, with a suffix when taken"
    )
    queues: Queues = Field(default=("default",), description="queues to serve, the first before the others")
    app: AppModule = Field(default=None, description="module with the App: prewarm, hooks, entrypoint")
    path: ImportPath = Field(
        default=(), description="folders to import jobs from. Without it the current folder, then PYTHONPATH"
    )
    labels: Labels = Field(default=(), description="words that jobs may require of a host")
    drain_timeout: Duration = Field(default=3600.0, description="how long running jobs may go on after a stop")
    standby_coordinator: Boolean = Field(default=True, description="start a coordinator here when none leads")
    burst: Boolean = Field(default=False, description="end when all queues are empty")
    max_jobs: CountOrOff = Field(default=None, description="end after so many jobs")
    exit_when_idle: DurationOrOff = Field(
        default=None, description="end once nothing ran here and nothing waited in the queues for so long"
    )
    pid_file: File = Field(default=None, description="file to write the process id to")
    dequeue_strategy: DequeueStrategy = Field(default="default", description="order in which the queues are asked")
