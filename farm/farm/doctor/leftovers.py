"""What `farm doctor --deep` says of what nobody answers for. Pure: leftovers in, findings out."""

from collections.abc import Iterable, Sequence

from farm.doctor.finding import Finding
from farm.store.reconcile import KINDS, Kind, Leftover

SHOWN = 3
NAMES: dict[Kind, str] = {
    "started": "started, run by nobody",
    "queued": "queued, in no list",
    "popped": "popped, never started",
    "execution": "runs of jobs gone",
    "stump": "stumps of jobs",
}
REMEDY = "the coordinator mends it within a few minutes; see that one leads"


def leftovers(found: Iterable[Leftover], skipped: Sequence[Kind]) -> list[Finding]:
    """One finding for each kind. `skipped` are those for which the second look was not taken."""
    by_kind: dict[Kind, list[Leftover]] = {kind: [] for kind in KINDS}
    for leftover in found:
        by_kind[leftover.kind].append(leftover)
    return [_finding(kind, those, kind in skipped) for kind, those in by_kind.items()]


def _finding(kind: Kind, those: Sequence[Leftover], skipped: bool) -> Finding:
    if skipped:
        return Finding(NAMES[kind], "unknown", "needs a second look", "farm doctor --deep without --wait 0")
    if not those:
        return Finding(NAMES[kind], "ok", "none")
    ids = ", ".join(sorted({leftover.id for leftover in those})[:SHOWN])
    return Finding(NAMES[kind], "warning", f"{len(those)}, among them {ids}", REMEDY)
