"""What the app's own load function says. It is asked in the background, so no beat is later for it."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from farm.tasks import end
from farm_worker.hooks import Hooks
from farm_worker.pool.protocol import LoadAnswer

LEAST_ASK_SECONDS = 0.4
"""A beat that is brought forward uses the last answer."""
PATIENCE_SECONDS = 0.05
"""A beat waits this long for its answer, as most functions need much less; a later one counts at the next beat."""
UNANSWERED_ALLOWED = 2
"""Further beats while one question is open. A question has its own time limit; this is for one whose end hangs."""


class UserLoad:
    """Asks one question at a time."""

    def __init__(self, hooks: Hooks, timeout: float, on_news: Callable[[], None]) -> None:
        """`timeout` (seconds) of a question. `on_news`: after a beat has gone on, it worked or failed unlike before."""
        self._hooks = hooks
        self._timeout = timeout
        self._on_news = on_news
        self._answer: LoadAnswer | None = None
        self._question: asyncio.Task[None] | None = None
        self._asked_at = 0.0
        self._unanswered = 0
        self._is_waited_for = False

    async def ask(self, facts: Mapping[str, Any]) -> LoadAnswer | None:
        """The newest answer to questions like this; None before the first. Comes back within 50 ms."""
        now = time.monotonic()
        if now - self._asked_at >= LEAST_ASK_SECONDS:
            self._asked_at = now
            if self._question is None or self._question.done():
                self._unanswered = 0
                self._question = asyncio.create_task(self._ask(facts))
            else:
                self._unanswered += 1
        question = self._question
        if question is not None and not question.done():
            self._is_waited_for = True
            await asyncio.wait([question], timeout=PATIENCE_SECONDS)
            self._is_waited_for = False
            if self._unanswered > UNANSWERED_ALLOWED and not question.done():
                return self._no_answer()
        return self._answer

    async def close(self) -> None:
        """Asks no more."""
        if self._question is not None:
            await end([self._question])

    def _no_answer(self) -> LoadAnswer:
        return LoadAnswer(0, None, f"the load function has not answered for {self._unanswered} beats")

    async def _ask(self, facts: Mapping[str, Any]) -> None:
        before = self._answer
        try:
            self._answer = await self._hooks.load(facts, timeout=self._timeout)
        except Exception as error:  # noqa: BLE001 - whatever it is, the host goes on and says so
            self._answer = LoadAnswer(0, None, f"the load function cannot be asked: {type(error).__name__}: {error}")
        is_news = before is None or bool(before.error) != bool(self._answer.error)
        if is_news and not self._is_waited_for:
            self._on_news()
