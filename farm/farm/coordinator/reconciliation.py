"""When what seems left over is mended, and how much of Redis looking may take. Pure: values in, value out."""

from collections.abc import Callable, Iterable

from farm.store.reconcile import Kind, Leftover

SECOND_LOOK_SECONDS = 60.0
"""What may only seem so, as it is on its way at this moment, must still be so after this."""

NEED_A_SECOND_LOOK: frozenset[Kind] = frozenset({"queued", "popped", "stump"})
"""The others are certain at once: the script that looks sees all that could answer for them in one step."""

SHARE_OF_TIME = 0.02
"""Looking takes at most this share of the time, and so of Redis's, while nobody waits for it."""

SUSPECTS_AT_MOST = 10_000


class Suspicion:
    """Remembers what was left over at the first look, until it is time for the second."""

    def __init__(self, clock: Callable[[], float], second_look_seconds: float = SECOND_LOOK_SECONDS) -> None:
        self._clock = clock
        self._second_look_seconds = second_look_seconds
        self._since: dict[Leftover, float] = {}

    def note(self, found: Iterable[Leftover]) -> list[Leftover]:
        """Takes what a look found; returns what needs no second one."""
        now, certain = self._clock(), []
        for leftover in found:
            if leftover.kind not in NEED_A_SECOND_LOOK:
                certain.append(leftover)
            elif len(self._since) < SUSPECTS_AT_MOST:
                self._since.setdefault(leftover, now)
        return certain

    def take_due(self) -> list[Leftover]:
        """Those whose time for the second look has come, which are then forgotten here."""
        limit = self._clock() - self._second_look_seconds
        due = [leftover for leftover, since in self._since.items() if since <= limit]
        for leftover in due:
            del self._since[leftover]
        return due

    def forget_all(self) -> None:
        """What was seen in another life of Redis says nothing."""
        self._since.clear()


def pause_after(seconds: float, share: float = SHARE_OF_TIME) -> float:
    """How long to leave Redis alone after a look that took so long."""
    return min(max(seconds * (1 / share - 1), 0.01), 5.0)
