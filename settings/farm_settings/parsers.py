"""How a text from a flag or the environment, or a value from an app, becomes the checked value of a setting.

A parser raises `ValueError`: empty when what the setting expects says it all, with a text when there is something
better to say.
"""

import math
import os
import re
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

OFF_WORDS = ("off", "none")
TRUE_WORDS = ("true", "yes", "on", "1")
FALSE_WORDS = ("false", "no", "off", "0")
SECONDS_PER_UNIT = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LEVEL_SYNONYMS = {"warn": "warning", "fatal": "critical"}

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-z]*)")
NAME = re.compile(r"[A-Za-z0-9_.-]+")
LABEL = re.compile(r"[A-Za-z0-9_.=-]+")
PREFIX = re.compile(r"[A-Za-z0-9_.:{}-]+")
DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_APP = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*)?")


def parse_number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def parse_integer(value: object, least: int) -> int:
    number = int(value) if isinstance(value, str) else parse_number(value)
    if number != int(number) or number < least:
        raise ValueError
    return int(number)


def parse_share(value: object) -> float:
    number = parse_number(value)
    if not 0 < number <= 1:
        raise ValueError
    return number


def parse_margin(value: object) -> float:
    number = parse_number(value)
    if not 0 <= number < 1:
        raise ValueError
    return number


def parse_seconds(value: object) -> float:
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip().lower())
        if match is None or match[2] not in SECONDS_PER_UNIT:
            raise ValueError
        seconds = float(match[1]) * SECONDS_PER_UNIT[match[2]]
    else:
        seconds = parse_number(value)
    if not 0 < seconds < math.inf:
        raise ValueError
    return seconds


def parse_retention(value: object) -> int:
    """Seconds that something is kept. RQ's two special values stay: 0 not at all, -1 for ever."""
    if value in (0, -1, "0", "-1") and not isinstance(value, bool):
        return int(str(value))
    seconds = parse_seconds(value)
    if seconds != int(seconds):
        raise ValueError
    return int(seconds)


def parse_megabytes(value: object) -> float:
    number = parse_number(value)
    if number <= 0:
        raise ValueError
    return number


def parse_boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word not in TRUE_WORDS + FALSE_WORDS:
        raise ValueError
    return word in TRUE_WORDS


def parse_lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def parse_level(value: object) -> object:
    word = parse_lower(value)
    return LEVEL_SYNONYMS.get(word, word) if isinstance(word, str) else word


def parse_log_format(value: object) -> object:
    if isinstance(value, str) and "%(" in value:
        raise ValueError("logging format strings are not taken; expected text or json")
    return parse_lower(value)


def parse_processes(value: object) -> int:
    if parse_lower(value) == "unlimited":
        raise ValueError("unlimited is not supported yet; expected a whole number, 1 or more")
    return parse_integer(value, least=1)


def parse_text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError
    return value.strip()


def matching(pattern: re.Pattern[str]) -> Callable[[object], str]:
    def parse(value: object) -> str:
        text = parse_text(value)
        if not pattern.fullmatch(text):
            raise ValueError
        return text

    return parse


def parse_app(value: object) -> str:
    text = matching(_APP)(value)
    if text.endswith(".py"):
        raise ValueError(f"name the module, not its file: {text.removesuffix('.py')}")
    return text


def parse_address(value: object) -> str:
    text = parse_text(value)
    if not text.startswith(("redis://", "rediss://", "unix://", "redis+sentinel://", "rediss+sentinel://")):
        raise ValueError
    return text


def parse_file(value: object) -> str:
    return os.path.expanduser(parse_text(value))


def parse_folder(value: object) -> str:
    return os.path.abspath(parse_file(value))


def parse_serializer(value: object) -> str:
    text = parse_text(value)
    return text if text in ("json", "pickle") else matching(DOTTED)(text)


def items(separator: str, parse: Callable[[object], str]) -> Callable[[object], tuple[str, ...]]:
    """Parser of a list: one text with separators, or a sequence. Repeated items are dropped, the order is kept."""

    def parse_items(value: object) -> tuple[str, ...]:
        if isinstance(value, str):
            value = [item for item in value.split(separator) if item.strip()]
        if not isinstance(value, list | tuple):
            raise ValueError
        return tuple(dict.fromkeys(parse(item) for item in value))

    return parse_items


def at_least_one(value: object) -> tuple[str, ...]:
    texts = items(",", parse_text)(value)
    if not texts:
        raise ValueError
    return texts


def or_off(parse: Callable[[object], Value]) -> Callable[[object], Value | None]:
    def parse_or_off(value: object) -> Value | None:
        return None if value is None or parse_lower(value) in OFF_WORDS else parse(value)

    return parse_or_off


def or_none(parse: Callable[[object], Value]) -> Callable[[object], Value | None]:
    return lambda value: None if value is None else parse(value)
