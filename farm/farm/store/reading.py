"""Reading several keys as of one moment."""

from collections.abc import Sequence
from typing import Any

import redis


def read_together(client: Any, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The answer to each command. An error that concerns one command alone stands for nothing found.

    A server that is full refuses transactions: from that one they are read one after the other.
    """
    if not commands:
        return []
    try:
        answers = _execute(client, commands, transaction=True)
    except (redis.exceptions.OutOfMemoryError, redis.exceptions.ExecAbortError):
        answers = _execute(client, commands, transaction=False)
    return [None if isinstance(answer, redis.ResponseError) else answer for answer in answers]


def _execute(client: Any, commands: Sequence[tuple[Any, ...]], *, transaction: bool) -> list[Any]:
    with client.pipeline(transaction=transaction) as pipeline:
        for command in commands:
            pipeline.execute_command(*command)
        answers: list[Any] = pipeline.execute(raise_on_error=False)
        return answers
