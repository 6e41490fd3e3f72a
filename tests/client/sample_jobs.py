"""Functions that the tests enqueue."""

import time
from pathlib import Path
from typing import Any


def add(one: int, other: int = 1) -> int:
    return one + other


async def add_slowly(one: int, other: int = 1) -> int:
    return one + other


def give_back(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def nothing() -> None:
    return None


def fail(text: str) -> None:
    raise ValueError(text)


def fail_until(path: str) -> str:
    if not Path(path).exists():
        raise ValueError("broken")
    return Path(path).name


def wait_for(path: str) -> str:
    deadline = time.monotonic() + 30
    while not Path(path).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return "seen"


class Account:
    def __init__(self, balance: int) -> None:
        self.balance = balance

    def add(self, amount: int) -> int:
        return self.balance + amount


class WritesAFileWhenUnpickled:
    """What an attacker would put where others unpickle."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))
