"""When a host takes more work, and what happens to work that has to wait."""

from typing import ClassVar

from pydantic import Field

from farm_settings.section import Section
from farm_settings.values import Admission, DeferralAction, DurationOrOff, Margin, Share


class AdmissionSettings(Section):
    """The lines above which a host is full, as shares from 0 to 1 of what it has."""

    threshold: Share = Field(
        default=0.75, description="load at which the host is full; at 1 only a load function of the app makes it so"
    )
    memory_threshold: Share = Field(default=0.9, description="share of the memory limit at which the host is full")
    resume_margin: Margin = Field(
        default=0.05, description="how far below the threshold the load must fall before the host takes more"
    )
    admission: Admission = Field(
        default="hold", description="a full host keeps as many jobs running as it has, or takes none"
    )
    max_deferral: DurationOrOff = Field(default=None, description="how long a job may be deferred")
    max_deferral_action: DeferralAction = Field(
        default="event", description="what happens then: an event, or the job is failed"
    )

    ascending: ClassVar[tuple[tuple[str, str], ...]] = (("resume_margin", "threshold"),)
