"""The leases that this host serves, as far as it knows: for those who compare that with what Redis says."""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import chain

from farm_worker.dealing import Dealing
from farm_worker.endings import lost_ending
from farm_worker.hand_back import HandBack
from farm_worker.outcomes import Outcomes
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.reasons import Reason
from farm_worker.starts import Starts
from farm_worker.taking import Taking


class Leases:
    """Of jobs that processes have, or are to get, or had."""

    def __init__(
        self,
        dealing: Dealing,
        outcomes: Outcomes,
        back: HandBack,
        requests: tuple[Starts, Taking],
        wake: asyncio.Event,
    ) -> None:
        self._dealing = dealing
        self._outcomes = outcomes
        self._back = back
        self._starts, self._taking = requests
        self._wake = wake

    def served(self) -> dict[str, Assignment]:
        """Token → job, of all that processes have or are to get."""
        return {one.token: one for one in chain(self._dealing.dealt(), self._dealing.held)}

    def unknown(self, tokens: Iterable[str]) -> set[str]:
        """Those of leases that nobody here works on, and that no exchange under way can be about to bring."""
        known = self.served().keys() | self._back.tokens() | set(self._outcomes.tokens())
        start = self._starts.batch
        under_way = (*self._taking.under_way, *([start.name] if start else ()))
        return {token for token in tokens if token not in known and not token.startswith(under_way)}

    def drop(self, token: str) -> None:
        """Redis gave this job to others, or knows nothing of it: it ends here, and nothing is said of it."""
        held = self._dealing.held
        for process in self._dealing.processes:
            if any(one.token == token for one in process.assignments):
                held.put_first(process.take_back())
                for begun in process.running:
                    if begun.token == token:
                        process.stop(begun, Reason.LEASE_LOST)
        held.drop(token)
        self._wake.set()

    def disown(self, assignments: Sequence[Assignment]) -> None:
        """Leases that nothing is known of: the jobs run again, but for those that must not run twice."""
        for assignment in assignments:
            if assignment.must_not_run_twice:
                self._outcomes.add(lost_ending(assignment))
            else:
                self._back.add(assignment)
        self._wake.set()
