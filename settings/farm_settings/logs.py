"""What is logged, and how."""

from pydantic import Field

from farm_settings.section import Section
from farm_settings.values import Boolean, LogFormat, LogJobs, LogLevel


class LogSettings(Section):
    """What is logged, and how."""

    log_level: LogLevel = Field(default="info", description="least level that is logged")
    log_format: LogFormat = Field(default="text", description="lines for people, or one JSON object a line")
    log_jobs: LogJobs = Field(
        default="limited",
        description="starts and ends of jobs: up to 20 lines a second and the rest counted, all, or failures only",
    )
    log_load: Boolean = Field(default=False, description="a line with load, CPU, memory and slots at each heartbeat")
