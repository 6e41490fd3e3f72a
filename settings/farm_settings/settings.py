"""All settings together, and `load`, the only function that reads them from where users write them."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from farm_settings.admission import AdmissionSettings
from farm_settings.catalogue import ENVIRONMENT_PREFIX, HANDED_OVER, SECTIONS, SETTINGS, Setting, nearest
from farm_settings.errors import Given, Origin, explain, unknown
from farm_settings.farm import JobSettings, LeaseSettings
from farm_settings.host import HostSettings
from farm_settings.logs import LogSettings
from farm_settings.pool import PoolSettings
from farm_settings.redis import RedisSettings


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, in sections. A part of the farm is given the sections it needs, never the whole."""

    redis: RedisSettings
    host: HostSettings
    pool: PoolSettings
    admission: AdmissionSettings
    lease: LeaseSettings
    jobs: JobSettings
    logs: LogSettings
    origins: Mapping[str, Origin]
    """Name of each setting → where its value came from."""
    warnings: tuple[str, ...] = ()
    """What looks like a mistake and is no error: variables that no setting reads."""

    def values(self) -> Iterator[tuple[Setting, Any]]:
        """Each setting with its value, in the order in which they are shown."""
        for setting in SETTINGS.values():
            yield setting, getattr(getattr(self, setting.section), setting.field)


def load(
    flags: Mapping[str, object] = MappingProxyType({}),
    app: Mapping[str, object] = MappingProxyType({}),
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """The settings in force: a flag before the environment before the app's own before the default.

    Names in `flags` and `app` are lower case, as in `idle_processes`. A flag that is None and an empty variable count
    as not given; None in `app` says off, as the word `off` does anywhere. Raises InvalidSetting for a value that cannot
    be used and for a name that no setting has.
    """
    for name in flags.keys() - SETTINGS.keys():
        raise unknown(name, _flag(name))
    for name in app.keys() - SETTINGS.keys():
        raise unknown(name, f"App({name}=...)")
    given = {setting.name: _given(setting, flags, app, environ) for setting in SETTINGS.values()}
    sections: dict[str, Any] = {section: _section(section, given) for section in SECTIONS}
    origins: dict[str, Origin] = {name: value.origin for name, value in given.items()}
    return Settings(**sections, origins=MappingProxyType(origins), warnings=tuple(_warnings(environ)))


def default_path(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Where jobs are imported from when nobody said: the current folder, then the entries of the user's PYTHONPATH."""
    entries = environ.get("PYTHONPATH") or environ.get("FARM_USER_PYTHONPATH") or ""
    return (os.getcwd(), *(entry for entry in entries.split(os.pathsep) if entry))


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _given(
    setting: Setting, flags: Mapping[str, object], app: Mapping[str, object], environ: Mapping[str, str]
) -> Given:
    """The value of the first layer that has one."""
    if (value := flags.get(setting.name)) is not None:
        return Given(setting, value, "flag", setting.flag)
    for variable in setting.variables:
        if (text := environ.get(variable, "").strip()) and not _is_default_path(setting, text, environ):
            return Given(setting, text, "environment", variable)
    if setting.name in app:
        return Given(setting, app[setting.name], "app", f"App({setting.name}=...)")
    value = default_path(environ) if setting.name == "path" else setting.default
    return Given(setting, value, "default", "the default")


def _is_default_path(setting: Setting, text: str, environ: Mapping[str, str]) -> bool:
    """True for a FARM_PATH that the isolated start left: it holds the default, so nobody set it."""
    return setting.name == "path" and text == os.pathsep.join(default_path(environ))


def _section(section: str, given: Mapping[str, Given]) -> Any:
    own = {value.setting.field: value for value in given.values() if value.setting.section == section}
    try:
        return SECTIONS[section](**{field: value.value for field, value in own.items()})
    except ValidationError as error:
        raise explain(error, own) from None


def _warnings(environ: Mapping[str, str]) -> Iterator[str]:
    known = {variable for setting in SETTINGS.values() for variable in setting.variables} | HANDED_OVER
    for variable in sorted(environ):
        if variable.startswith(ENVIRONMENT_PREFIX) and variable not in known:
            suggestion = nearest(variable.removeprefix(ENVIRONMENT_PREFIX))
            hint = f"did you mean {SETTINGS[suggestion].variables[0]}?" if suggestion else "`farm settings` lists them."
            yield f"{variable} is set, but no setting has this name: {hint}"
