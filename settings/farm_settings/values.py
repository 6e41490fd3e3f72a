"""The kinds of values that settings have: a type, its parser, and a `Kind`, which says in words what is expected."""

import os
import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator

from farm_settings.parsers import (
    DOTTED,
    LABEL,
    NAME,
    PREFIX,
    at_least_one,
    items,
    matching,
    or_none,
    or_off,
    parse_address,
    parse_app,
    parse_boolean,
    parse_file,
    parse_folder,
    parse_integer,
    parse_level,
    parse_log_format,
    parse_lower,
    parse_margin,
    parse_megabytes,
    parse_processes,
    parse_retention,
    parse_seconds,
    parse_serializer,
    parse_share,
    parse_text,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a setting expects, in words."""

    expects: str
    """Completes the sentence "expected …"."""
    metavar: str = "TEXT"
    """How the value is called in help texts."""


def hide_password(text: str) -> str:
    """The text with the password of an address in it, if any, replaced by `***`."""
    without_login = re.sub(r"://([^:/@\s]*):\S*@", r"://\1:***@", text)
    return re.sub(r"([?&](?:sentinel_)?password=)[^&\s]*", r"\1***", without_login)


_SECONDS_EXPECTED = "a time above 0 in seconds or with a unit, as in 30, 30s, 5m or 1h"
_COUNT_EXPECTED = "a whole number, 1 or more"

Share = Annotated[float, BeforeValidator(parse_share), Kind("a number above 0 and at most 1, as in 0.75", "0..1")]
Margin = Annotated[float, BeforeValidator(parse_margin), Kind("a number from 0 to below 1, as in 0.05", "0..1")]
Duration = Annotated[float, BeforeValidator(parse_seconds), Kind(_SECONDS_EXPECTED, "SECONDS")]
DurationOrOff = Annotated[
    float | None, BeforeValidator(or_off(parse_seconds)), Kind(f"{_SECONDS_EXPECTED}, or off", "SECONDS")
]
Retention = Annotated[
    int,
    BeforeValidator(parse_retention),
    Kind("whole seconds or a time with a unit, as in 500 or 1h; 0 keeps nothing, -1 keeps for ever", "SECONDS"),
]
Count = Annotated[int, BeforeValidator(lambda value: parse_integer(value, least=1)), Kind(_COUNT_EXPECTED, "NUMBER")]
CountOrComputed = Annotated[
    int | None, BeforeValidator(or_none(lambda value: parse_integer(value, least=1))), Kind(_COUNT_EXPECTED, "NUMBER")
]
CountOrOff = Annotated[
    int | None,
    BeforeValidator(or_off(lambda value: parse_integer(value, least=1))),
    Kind(f"{_COUNT_EXPECTED}, or off", "NUMBER"),
]
IdleProcesses = Annotated[
    int | None,
    BeforeValidator(or_none(lambda value: parse_integer(value, least=0))),
    Kind("a whole number, 0 or more", "NUMBER"),
]
Processes = Annotated[int | None, BeforeValidator(or_none(parse_processes)), Kind(_COUNT_EXPECTED, "NUMBER")]
MegabytesOrOff = Annotated[
    float | None,
    BeforeValidator(or_off(parse_megabytes)),
    Kind("a number of megabytes above 0, as in 1000, or off", "MB"),
]
Boolean = Annotated[bool, BeforeValidator(parse_boolean), Kind("true or false", "BOOLEAN")]

OnLost = Annotated[Literal["rerun", "fail"], BeforeValidator(parse_lower), Kind("rerun or fail", "rerun|fail")]
ProcessMode = Annotated[Literal["reuse", "fresh"], BeforeValidator(parse_lower), Kind("reuse or fresh", "reuse|fresh")]
Executor = Annotated[
    Literal["process", "thread"], BeforeValidator(parse_lower), Kind("process or thread", "process|thread")
]
StartMethod = Annotated[
    Literal["template", "spawn"], BeforeValidator(parse_lower), Kind("template or spawn", "template|spawn")
]
Admission = Annotated[Literal["hold", "strict"], BeforeValidator(parse_lower), Kind("hold or strict", "hold|strict")]
DeferralAction = Annotated[Literal["event", "fail"], BeforeValidator(parse_lower), Kind("event or fail", "event|fail")]
DequeueStrategy = Annotated[
    Literal["default", "random", "round_robin"],
    BeforeValidator(parse_lower),
    Kind("default, random or round_robin", "default|random|round_robin"),
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error", "critical"],
    BeforeValidator(parse_level),
    Kind("debug, info, warning, error or critical", "LEVEL"),
]
LogFormat = Annotated[Literal["text", "json"], BeforeValidator(parse_log_format), Kind("text or json", "text|json")]
LogJobs = Annotated[
    Literal["limited", "all", "failures"],
    BeforeValidator(parse_lower),
    Kind("limited, all or failures", "limited|all|failures"),
]

Address = Annotated[
    str | None,
    BeforeValidator(or_none(parse_address)),
    Kind(
        "an address that begins with redis://, rediss://, unix:// or redis+sentinel://, as in redis://localhost:6379/0",
        "URL",
    ),
]
HostName = Annotated[
    str | None,
    BeforeValidator(or_none(matching(NAME))),
    Kind("a name of letters, digits and _ . - only", "NAME"),
]
Prefix = Annotated[
    str, BeforeValidator(matching(PREFIX)), Kind("a text of letters, digits and _ . : - { } only", "PREFIX")
]
AppModule = Annotated[
    str | None,
    BeforeValidator(or_none(parse_app)),
    Kind("a module, or a module and the name of the App in it, as in calls or shop.calls:app", "MODULE"),
]
Proxy = Annotated[str | None, BeforeValidator(or_none(parse_text)), Kind("the address of a proxy", "URL")]
File = Annotated[str | None, BeforeValidator(or_none(parse_file)), Kind("the path of a file", "FILE")]
ClassName = Annotated[
    str | None, BeforeValidator(or_none(matching(DOTTED))), Kind("a dotted name, as in package.module.Name", "CLASS")
]
Serializer = Annotated[
    str | None,
    BeforeValidator(or_none(parse_serializer)),
    Kind("json, pickle, or a dotted name, as in package.module.Name", "SERIALIZER"),
]
Queues = Annotated[
    tuple[str, ...],
    BeforeValidator(at_least_one),
    Kind("one or more names of queues with commas between, as in high,default", "NAMES"),
]
Labels = Annotated[
    tuple[str, ...],
    BeforeValidator(items(",", matching(LABEL))),
    Kind("words of letters, digits and _ . - = only, with commas between, as in gpu,eu", "WORDS"),
]
ImportPath = Annotated[
    tuple[str, ...],
    BeforeValidator(items(os.pathsep, parse_folder)),
    Kind(f"folders with {os.pathsep} between", "FOLDERS"),
]
Handlers = Annotated[
    tuple[str, ...],
    BeforeValidator(items(",", matching(DOTTED))),
    Kind("dotted names with commas between, as in package.module.function", "NAMES"),
]
