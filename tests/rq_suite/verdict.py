"""What the outcomes of RQ's tests mean, beside the list of those that are excused."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """Names of tests, `file::class::test`."""

    passed: int
    excused: tuple[str, ...]
    """Failed, as the list says."""
    failed: tuple[str, ...]
    """And the list does not say so."""
    needless: tuple[str, ...]
    """On the list, and passed."""
    unknown: tuple[str, ...]
    """On the list, and not run."""

    @property
    def good(self) -> bool:
        """Nothing failed that is not excused, and the list is honest."""
        return bool(self.passed) and not (self.failed or self.needless or self.unknown)

    def lines(self, reasons: Mapping[str, str]) -> list[str]:
        """For people."""
        told = [f"excused: {name}: {reasons[name]}" for name in self.excused]
        told += [f"FAILED: {name}" for name in self.failed]
        told += [f"PASSED, but is on the list of excused tests, take it off: {name}" for name in self.needless]
        told += [f"NOT RUN, but is on the list of excused tests: {name}" for name in self.unknown]
        return [*told, f"{self.passed} passed, {len(self.excused)} excused, {len(self.failed)} failed"]


def judge(failed: Mapping[str, bool], reasons: Mapping[str, str]) -> Verdict:
    """`failed`: name of each test that was run → whether it failed."""
    return Verdict(
        passed=sum(not one for one in failed.values()),
        excused=tuple(sorted(name for name, one in failed.items() if one and name in reasons)),
        failed=tuple(sorted(name for name, one in failed.items() if one and name not in reasons)),
        needless=tuple(sorted(name for name in reasons if failed.get(name) is False)),
        unknown=tuple(sorted(reasons.keys() - failed.keys())),
    )
