"""The one error of this package, and the sentences it is told in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from farm_settings.catalogue import Setting, nearest
from farm_settings.values import hide_password

Origin = Literal["flag", "environment", "app", "default"]


class InvalidSetting(ValueError):
    """A setting has a value that cannot be used. The text names it, its value, where that came from, and the remedy."""


@dataclass(frozen=True, slots=True)
class Given:
    """A value of a setting, as it was given, and where."""

    setting: Setting
    value: object
    origin: Origin
    source: str
    """Where the value came from, by name: `--threshold`, `FARM_THRESHOLD`, `App(threshold=...)`, `default`."""


def show(value: object) -> str:
    """The value as it may be shown: passwords hidden, sequences as they would be typed."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | tuple):
        return ",".join(map(show, value)) or "-"
    return hide_password(str(value))


def unknown(name: str, source: str) -> InvalidSetting:
    """The error of a flag or argument that names no setting."""
    suggestion = nearest(name)
    hint = f"Did you mean {suggestion}?" if suggestion else "`farm settings` lists them all."
    return InvalidSetting(f"{source}: there is no setting {name!r}. {hint}")


def explain(error: ValidationError, given: Mapping[str, Given]) -> InvalidSetting:
    """The first problem of a section in our words. `given` is by the names of the section's fields."""
    details = error.errors(include_url=False)[0]
    if details["type"] == "conflict":
        return _explain_conflict(details, given)
    return _explain_value(details, given[str(details["loc"][0])])


def _explain_conflict(details: ErrorDetails, given: Mapping[str, Given]) -> InvalidSetting:
    first, second = (given[details["ctx"][key]] for key in ("first", "second"))
    return InvalidSetting(
        f"{first.setting.name} ({show(first.value)}, from {first.source}) and "
        f"{second.setting.name} ({show(second.value)}, from {second.source}) do not fit together: "
        f"{details['msg']}. Change one of them."
    )


def _explain_value(details: ErrorDetails, given: Given) -> InvalidSetting:
    reason = str(details.get("ctx", {}).get("error", "")) if details["type"] == "value_error" else ""
    # Errors of Python's own conversions say less than what the setting expects.
    if not reason or reason.startswith(("could not convert", "invalid literal", "Exceeds the limit")):
        reason = f"expected {given.setting.kind.expects}"
    default = show(given.setting.default)
    instead = f" for the default ({default})" if given.setting.default not in (None, ()) else ""
    remedies: dict[Origin, str] = {
        "flag": f"Change {given.source}, or leave it out{instead}.",
        "environment": f"Change {given.source}, or unset it{instead}.",
        "app": f"Change {given.source}, or leave it out{instead}.",
        "default": f"Set {given.setting.variables[0]}.",
    }
    return InvalidSetting(
        f"{given.setting.name}: {show(given.value)!r} (from {given.source}) cannot be used: {reason}. "
        f"{remedies[given.origin]}"
    )
