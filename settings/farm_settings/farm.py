"""What the whole farm agrees on: leases, and what a job gets when nobody said otherwise."""

from typing import ClassVar

from pydantic import Field

from farm_settings.section import Section
from farm_settings.values import ClassName, Count, Duration, Handlers, OnLost, Retention, Serializer


class LeaseSettings(Section):
    """When a host counts as lost, and what happens to its jobs. All times in seconds."""

    heartbeat_interval: Duration = Field(default=1.0, description="how often a host publishes that it lives")
    suspect_after: Duration = Field(default=3.0, description="a host silent for so long gets nothing new")
    host_timeout: Duration = Field(default=10.0, description="a host silent for so long is lost and its jobs move")
    leader_ttl: Duration = Field(default=3.0, description="a leading coordinator silent for so long is replaced")
    max_crashes: Count = Field(default=3, description="crashes of its process after which a job is failed")
    max_host_losses: Count = Field(default=10, description="losses of its host after which a job is failed")
    on_lost: OnLost = Field(default="rerun", description="what happens to a running job whose host is lost")

    ascending: ClassVar[tuple[tuple[str, str], ...]] = (
        ("heartbeat_interval", "suspect_after"),
        ("suspect_after", "host_timeout"),
    )


class JobSettings(Section):
    """How jobs are read and kept. The defaults are RQ's."""

    result_ttl: Retention = Field(default=500, description="how long finished jobs are kept; 0 not at all, -1 for ever")
    serializer: Serializer = Field(default=None, description="json, pickle or a dotted name; RQ's default without it")
    job_class: ClassName = Field(default=None, description="class of jobs to use instead of rq.job.Job")
    queue_class: ClassName = Field(default=None, description="class of queues to use instead of rq.Queue")
    exception_handlers: Handlers = Field(default=(), description="functions called when a job fails, in order")
