"""Looks at every job for what nobody answers for, twice where once is not enough. Mends nothing."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from farm.coordinator.reconciliation import NEED_A_SECOND_LOOK, pause_after
from farm.store.reconcile import PAGE_SIZE, QUEUES_AT_ONCE, Leftover, LeftoverReader, Page

Tell = Callable[[str], None]

SHARE_OF_TIME = 0.25
"""Of Redis's: somebody waits."""


async def look_deeply(reader: LeftoverReader, queues: Sequence[str], wait: float, tell: Tell) -> list[Leftover]:
    """All that is left over. With `wait` 0 what would need a second look is left out. Raises redis-py's errors."""
    first = await _look_at_all(reader, queues, tell)
    certain = {leftover for leftover in first if leftover.kind not in NEED_A_SECOND_LOOK}
    suspects = first - certain
    if wait <= 0 or not suspects:
        return sorted(certain)
    await _wait(wait, len(suspects), tell)
    return sorted(certain | (suspects & await _look_again(reader, suspects)))


async def _look_at_all(reader: LeftoverReader, queues: Sequence[str], tell: Tell) -> set[Leftover]:
    found: set[Leftover] = set()
    for start in range(0, len(queues), QUEUES_AT_ONCE):
        found.update(await reader.look_over_queues(queues[start : start + QUEUES_AT_ONCE]))
    cursor, seen = 0, 0
    clock = asyncio.get_running_loop().time
    while True:
        started = clock()
        page = await reader.page(cursor)
        found.update(await reader.look_over(page))
        cursor, seen = page.cursor, seen + len(page)
        tell(f"looked at {seen} jobs and runs")
        if cursor == 0:
            return found
        await asyncio.sleep(pause_after(clock() - started, SHARE_OF_TIME))


async def _wait(seconds: float, suspects: int, tell: Tell) -> None:
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    while (left := end - clock()) > 0:
        tell(f"{suspects} may only be on their way: second look in {left:.0f} s")
        await asyncio.sleep(min(1.0, left))


async def _look_again(reader: LeftoverReader, suspects: Iterable[Leftover]) -> set[Leftover]:
    popped_from = sorted({suspect.queue for suspect in suspects if suspect.kind == "popped"})
    jobs = sorted({suspect.id for suspect in suspects if suspect.kind != "popped"})
    found: set[Leftover] = set()
    for start in range(0, len(popped_from), QUEUES_AT_ONCE):
        found.update(await reader.look_over_queues(popped_from[start : start + QUEUES_AT_ONCE]))
    for start in range(0, len(jobs), PAGE_SIZE):
        found.update(await reader.look_over(Page(0, tuple(jobs[start : start + PAGE_SIZE]), ())))
    return found
