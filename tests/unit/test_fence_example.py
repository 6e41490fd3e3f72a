"""The example of docs/jobs.md: what an attempt writes that was given up is refused by its fence token."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import farm
from farm.context import CurrentJob, CurrentProcess, running_job
from tests.support.wheel import ROOT


def test_what_an_older_attempt_writes_late_is_refused() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE accounts (customer TEXT, balance INTEGER, fence INTEGER)")
    connection.execute("INSERT INTO accounts VALUES ('ann', 0, 0)")

    @contextmanager
    def database() -> Iterator[sqlite3.Connection]:
        yield connection

    names: dict[str, Any] = {"farm": farm, "database": database}
    exec(example("WHERE customer"), names)

    def run(fence: int, amount: int) -> int:
        job = CurrentJob(cast("Any", SimpleNamespace(id="a")), "default", 1, CurrentProcess("one", 1, 1), fence=fence)
        token = running_job.set(job)
        try:
            names["set_balance"]("ann", amount)
        finally:
            running_job.reset(token)
        (balance,) = connection.execute("SELECT balance FROM accounts").fetchone()
        return int(balance)

    assert run(fence=1_700_000_000_000_000, amount=5) == 5
    assert run(fence=1_700_000_000_000_007, amount=4) == 4
    assert run(fence=1_700_000_000_000_007, amount=6) == 6, "an attempt may write more than once"
    assert run(fence=1_700_000_000_000_000, amount=5) == 6, "it was given up"
    connection.close()


def example(words: str) -> str:
    """The block of Python on the page that has these words."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "jobs.md").read_text(), re.DOTALL)
    (found,) = (block for block in blocks if words in block)
    return str(found)
