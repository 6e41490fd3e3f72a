"""The kinds of values that settings have: how a text from a flag or the environment becomes a checked value.

Each kind is a type with a parser and a `Kind`, which says in words what is expected. A parser raises `ValueError`:
empty when the kind's own words say it all, with a text when there is something better to say.
"""

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator

Value = TypeVar("Value")

OFF_WORDS = ("off", "none")
TRUE_WORDS = ("true", "yes", "on", "1")
FALSE_WORDS = ("false", "no", "off", "0")
SECONDS_PER_UNIT = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LEVEL_SYNONYMS = {"warn": "warning", "fatal": "critical"}

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-z]*)")
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_PREFIX = re.compile(r"[A-Za-z0-9_.:{}-]+")
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_APP = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*)?")


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
    return re.sub(r"([?&]password=)[^&\s]*", r"\1***", without_login)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _integer(value: object, least: int) -> int:
    number = int(value) if isinstance(value, str) else _number(value)
    if number != int(number) or number < least:
        raise ValueError
    return int(number)


def _share(value: object) -> float:
    number = _number(value)
    if not 0 < number <= 1:
        raise ValueError
    return number


def _margin(value: object) -> float:
    number = _number(value)
    if not 0 <= number < 1:
        raise ValueError
    return number


def _seconds(value: object) -> float:
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip().lower())
        if match is None or match[2] not in SECONDS_PER_UNIT:
            raise ValueError
        seconds = float(match[1]) * SECONDS_PER_UNIT[match[2]]
    else:
        seconds = _number(value)
    if not 0 < seconds < math.inf:
        raise ValueError
    return seconds


def _retention(value: object) -> int:
    """Seconds that something is kept. RQ's two special values stay: 0 not at all, -1 for ever."""
    if value in (0, -1, "0", "-1") and not isinstance(value, bool):
        return int(str(value))
    seconds = _seconds(value)
    if seconds != int(seconds):
        raise ValueError
    return int(seconds)


def _megabytes(value: object) -> float:
    number = _number(value)
    if number <= 0:
        raise ValueError
    return number


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word not in TRUE_WORDS + FALSE_WORDS:
        raise ValueError
    return word in TRUE_WORDS


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _level(value: object) -> object:
    word = _lower(value)
    return LEVEL_SYNONYMS.get(word, word) if isinstance(word, str) else word


def _log_format(value: object) -> object:
    if isinstance(value, str) and "%(" in value:
        raise ValueError("logging format strings are not taken; expected text or json")
    return _lower(value)


def _processes(value: object) -> int:
    if _lower(value) == "unlimited":
        raise ValueError("unlimited is not supported yet; expected a whole number, 1 or more")
    return _integer(value, least=1)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError
    return value.strip()


def _matching(pattern: re.Pattern[str]) -> Callable[[object], str]:
    def parse(value: object) -> str:
        text = _text(value)
        if not pattern.fullmatch(text):
            raise ValueError
        return text

    return parse


def _app(value: object) -> str:
    text = _matching(_APP)(value)
    if text.endswith(".py"):
        raise ValueError(f"name the module, not its file: {text.removesuffix('.py')}")
    return text


def _address(value: object) -> str:
    text = _text(value)
    if not text.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError
    return text


def _file(value: object) -> str:
    return os.path.expanduser(_text(value))


def _folder(value: object) -> str:
    return os.path.abspath(_file(value))


def _serializer(value: object) -> str:
    text = _text(value)
    return text if text in ("json", "pickle") else _matching(_DOTTED)(text)


def _items(separator: str, parse: Callable[[object], str]) -> Callable[[object], tuple[str, ...]]:
    """Parser of a list: one text with separators, or a sequence. Repeated items are dropped, the order is kept."""

    def parse_items(value: object) -> tuple[str, ...]:
        if isinstance(value, str):
            value = [item for item in value.split(separator) if item.strip()]
        if not isinstance(value, list | tuple):
            raise ValueError
        return tuple(dict.fromkeys(parse(item) for item in value))

    return parse_items


def _at_least_one(value: object) -> tuple[str, ...]:
    items = _items(",", _text)(value)
    if not items:
        raise ValueError
    return items


def _or_off(parse: Callable[[object], Value]) -> Callable[[object], Value | None]:
    def parse_or_off(value: object) -> Value | None:
        return None if value is None or _lower(value) in OFF_WORDS else parse(value)

    return parse_or_off


def _or_none(parse: Callable[[object], Value]) -> Callable[[object], Value | None]:
    return lambda value: None if value is None else parse(value)


_SECONDS_EXPECTED = "a time above 0 in seconds or with a unit, as in 30, 30s, 5m or 1h"
_COUNT_EXPECTED = "a whole number, 1 or more"

Share = Annotated[float, BeforeValidator(_share), Kind("a number above 0 and at most 1, as in 0.75", "0..1")]
Margin = Annotated[float, BeforeValidator(_margin), Kind("a number from 0 to below 1, as in 0.05", "0..1")]
Duration = Annotated[float, BeforeValidator(_seconds), Kind(_SECONDS_EXPECTED, "SECONDS")]
DurationOrOff = Annotated[
    float | None, BeforeValidator(_or_off(_seconds)), Kind(f"{_SECONDS_EXPECTED}, or off", "SECONDS")
]
Retention = Annotated[
    int,
    BeforeValidator(_retention),
    Kind("whole seconds or a time with a unit, as in 500 or 1h; 0 keeps nothing, -1 keeps for ever", "SECONDS"),
]
Count = Annotated[int, BeforeValidator(lambda value: _integer(value, least=1)), Kind(_COUNT_EXPECTED, "NUMBER")]
CountOrComputed = Annotated[
    int | None, BeforeValidator(_or_none(lambda value: _integer(value, least=1))), Kind(_COUNT_EXPECTED, "NUMBER")
]
CountOrOff = Annotated[
    int | None,
    BeforeValidator(_or_off(lambda value: _integer(value, least=1))),
    Kind(f"{_COUNT_EXPECTED}, or off", "NUMBER"),
]
IdleProcesses = Annotated[
    int | None,
    BeforeValidator(_or_none(lambda value: _integer(value, least=0))),
    Kind("a whole number, 0 or more", "NUMBER"),
]
Processes = Annotated[int | None, BeforeValidator(_or_none(_processes)), Kind(_COUNT_EXPECTED, "NUMBER")]
MegabytesOrOff = Annotated[
    float | None,
    BeforeValidator(_or_off(_megabytes)),
    Kind("a number of megabytes above 0, as in 1000, or off", "MB"),
]
Boolean = Annotated[bool, BeforeValidator(_boolean), Kind("true or false", "BOOLEAN")]

OnLost = Annotated[Literal["rerun", "fail"], BeforeValidator(_lower), Kind("rerun or fail", "rerun|fail")]
ProcessMode = Annotated[Literal["reuse", "fresh"], BeforeValidator(_lower), Kind("reuse or fresh", "reuse|fresh")]
Executor = Annotated[Literal["process", "thread"], BeforeValidator(_lower), Kind("process or thread", "process|thread")]
StartMethod = Annotated[
    Literal["template", "spawn"], BeforeValidator(_lower), Kind("template or spawn", "template|spawn")
]
Admission = Annotated[Literal["hold", "strict"], BeforeValidator(_lower), Kind("hold or strict", "hold|strict")]
DeferralAction = Annotated[Literal["event", "fail"], BeforeValidator(_lower), Kind("event or fail", "event|fail")]
DequeueStrategy = Annotated[
    Literal["default", "random", "round_robin"],
    BeforeValidator(_lower),
    Kind("default, random or round_robin", "default|random|round_robin"),
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error", "critical"],
    BeforeValidator(_level),
    Kind("debug, info, warning, error or critical", "LEVEL"),
]
LogFormat = Annotated[Literal["text", "json"], BeforeValidator(_log_format), Kind("text or json", "text|json")]
LogJobs = Annotated[
    Literal["limited", "all", "failures"],
    BeforeValidator(_lower),
    Kind("limited, all or failures", "limited|all|failures"),
]

Address = Annotated[
    str | None,
    BeforeValidator(_or_none(_address)),
    Kind("an address that begins with redis://, rediss:// or unix://, as in redis://localhost:6379/0", "URL"),
]
HostName = Annotated[
    str | None,
    BeforeValidator(_or_none(_matching(_NAME))),
    Kind("a name of letters, digits and _ . - only", "NAME"),
]
Prefix = Annotated[
    str, BeforeValidator(_matching(_PREFIX)), Kind("a text of letters, digits and _ . : - { } only", "PREFIX")
]
AppModule = Annotated[
    str | None,
    BeforeValidator(_or_none(_app)),
    Kind("a module, or a module and the name of the App in it, as in calls or shop.calls:app", "MODULE"),
]
Proxy = Annotated[str | None, BeforeValidator(_or_none(_text)), Kind("the address of a proxy", "URL")]
File = Annotated[str | None, BeforeValidator(_or_none(_file)), Kind("the path of a file", "FILE")]
ClassName = Annotated[
    str | None, BeforeValidator(_or_none(_matching(_DOTTED))), Kind("a dotted name, as in package.module.Name", "CLASS")
]
Serializer = Annotated[
    str | None,
    BeforeValidator(_or_none(_serializer)),
    Kind("json, pickle, or a dotted name, as in package.module.Name", "SERIALIZER"),
]
Queues = Annotated[
    tuple[str, ...],
    BeforeValidator(_at_least_one),
    Kind("one or more names of queues with commas between, as in high,default", "NAMES"),
]
Labels = Annotated[
    tuple[str, ...], BeforeValidator(_items(",", _text)), Kind("words with commas between, as in gpu,eu", "WORDS")
]
ImportPath = Annotated[
    tuple[str, ...], BeforeValidator(_items(os.pathsep, _folder)), Kind(f"folders with {os.pathsep} between", "FOLDERS")
]
Handlers = Annotated[
    tuple[str, ...],
    BeforeValidator(_items(",", _matching(_DOTTED))),
    Kind("dotted names with commas between, as in package.module.function", "NAMES"),
]
