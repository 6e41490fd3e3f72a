"""Amounts as people type and read them: memory, rates."""

import math
import re

import click

from farm_settings.parsers import SECONDS_PER_UNIT, parse_seconds

BYTES_PER_MB = 1_000_000

_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_RATE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(?:/\s*(s|m|h|d))?", re.IGNORECASE)


def size(text: str) -> int:
    """Bytes: `16G` is 16 · 10⁹, `16GiB` is 16 · 2³⁰. Raises click.BadParameter."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or (match[3] and not match[2]):
        raise click.BadParameter(f"{text!r} is no amount of memory; expected one with a unit, as in 300M, 16G or 16GiB")
    unit = match[2].lower()
    return int(float(match[1]) * (_BINARY[unit] if match[3] else _FACTORS[unit]))


def duration(text: str | float) -> float:
    """Seconds, 0 among them. Raises click.BadParameter."""
    try:
        return 0.0 if str(text).strip() == "0" else parse_seconds(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no length of time; expected seconds, or a number with a unit, as in 0.4, 300ms, 2s or 5m"
        ) from None


def rate(text: str) -> float:
    """A second: `50/s`, `3000/m`. Raises click.BadParameter."""
    match = _RATE.fullmatch(text.strip())
    if match is None or not float(match[1]):
        raise click.BadParameter(f"{text!r} is no rate; expected jobs in a time, as in 50/s, 3000/m or 100000/h")
    return float(match[1]) / SECONDS_PER_UNIT[(match[2] or "s").lower()]


def memory(count: float) -> str:
    """Three digits at most, in the unit that has them: `14.4 GB`."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor * 0.9995:
            return f"{digits(count / factor)} {unit}"
    return f"{count:.0f} bytes"


def digits(number: float) -> str:
    """A number in three digits, more only before the point: `0.0416`, `7.5`, `120`, `12000`."""
    if number == 0 or math.isinf(number):
        return "0" if number == 0 else "no limit"
    decimals = max(2 - math.floor(math.log10(abs(number))), 0)
    text = f"{number:.{min(decimals, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def time_taken(number: float) -> str:
    """`2 s`, `1.5 ms`."""
    return f"{digits(number)} s" if number >= 1 else f"{digits(number * 1000)} ms"
