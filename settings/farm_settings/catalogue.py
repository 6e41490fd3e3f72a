"""Every setting by its one flat name: where it lives, what it expects, which variables it is read from."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic.fields import FieldInfo

from farm_settings.admission import AdmissionSettings
from farm_settings.farm import JobSettings, LeaseSettings
from farm_settings.host import HostSettings
from farm_settings.logs import LogSettings
from farm_settings.pool import PoolSettings
from farm_settings.redis import RedisSettings
from farm_settings.section import Section
from farm_settings.values import Kind

ENVIRONMENT_PREFIX = "FARM_"

SECTIONS: Mapping[str, type[Section]] = {
    "redis": RedisSettings,
    "host": HostSettings,
    "pool": PoolSettings,
    "admission": AdmissionSettings,
    "lease": LeaseSettings,
    "jobs": JobSettings,
    "logs": LogSettings,
}

HANDED_OVER = frozenset({"FARM_FLAGS", "FARM_USER_PYTHONPATH"})
"""Variables that one entry of the farm leaves for the next. They are not settings."""

_NAMES = {("redis", "url"): "redis_url"}
"""Fields whose flat name is not their own."""

_VARIABLES = {
    "rq_prefix": ("RQ_KEY_PREFIX",),
    "exit_when_idle": ("FARM_EXIT_WHEN_IDLE", "FARM_MAX_IDLE_TIME"),
    "job_class": ("FARM_JOB_CLASS", "RQ_JOB_CLASS"),
    "queue_class": ("FARM_QUEUE_CLASS", "RQ_QUEUE_CLASS"),
}
"""Settings that RQ's own variables or names also reach. RQ reads its prefix from nowhere else, so neither do we."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting."""

    name: str
    section: str
    field: str
    kind: Kind
    default: object
    description: str
    variables: tuple[str, ...]
    """Environment variables it is read from, the first one set wins."""

    @property
    def flag(self) -> str:
        """The option on the command line."""
        return f"--{self.name.replace('_', '-')}"


def _setting(section: str, field: str, information: FieldInfo) -> Setting:
    name = _NAMES.get((section, field), field)
    return Setting(
        name=name,
        section=section,
        field=field,
        kind=next(item for item in information.metadata if isinstance(item, Kind)),
        default=information.default,
        description=information.description or "",
        variables=_VARIABLES.get(name, (f"{ENVIRONMENT_PREFIX}{name.upper()}",)),
    )


SETTINGS: Mapping[str, Setting] = {
    setting.name: setting
    for section, model in SECTIONS.items()
    for setting in (_setting(section, field, information) for field, information in model.model_fields.items())
}
"""All settings, in the order in which they are shown."""


def nearest(name: str) -> str | None:
    """The setting whose name looks most like this one, if any does."""
    return next(iter(get_close_matches(name.lower(), SETTINGS, n=1, cutoff=0.6)), None)
