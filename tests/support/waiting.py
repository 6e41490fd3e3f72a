"""Waiting for something that another process does."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

CHECK_INTERVAL_SECONDS = 0.01


def wait_until(predicate: Callable[[], T], description: str, timeout: float = 10.0) -> T:
    """Returns the first true value of `predicate`. Fails the test with `description` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout:g} s still not true: {description} (last value: {value!r})")
        time.sleep(CHECK_INTERVAL_SECONDS)


def wait_out(seconds: float) -> None:
    """For how long something has to last, where that is what the test is about."""
    since = time.monotonic()
    wait_until(lambda: time.monotonic() - since >= seconds, f"{seconds:g} s have passed", seconds + 10)
