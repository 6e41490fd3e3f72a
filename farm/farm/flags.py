"""How a command hands its flags over to the isolated process that it becomes: in one variable, as JSON."""

import json
from collections.abc import Mapping, MutableMapping
from typing import Any

VARIABLE = "FARM_FLAGS"


def hand_over(flags: Mapping[str, object]) -> dict[str, str]:
    """The variables that carry the flags: names of settings in lower case → values as given."""
    return {VARIABLE: json.dumps(dict(flags))}


def take_flags(environ: MutableMapping[str, str]) -> dict[str, Any]:
    """The flags handed over, for `load(flags=...)`. They are removed: nothing started from here sees them."""
    text = environ.pop(VARIABLE, "")
    flags = json.loads(text) if text else {}
    if not isinstance(flags, dict):
        raise TypeError(f"{VARIABLE} holds {type(flags).__name__}, not the flags of a command; unset it")
    return flags
