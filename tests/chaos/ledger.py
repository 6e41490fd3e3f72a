"""The ledger: what the jobs themselves said of their runs, in a file that no fault reaches."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class Run:
    """One run of a job. Times are seconds of the machine's monotonic clock."""

    job_id: str
    number: int
    """Of this job, from 1."""
    attempt: int
    fence: int
    host: str
    pid: int
    begun: float
    ended: float | None = None
    how: str = ""
    """`ended`, `raised` or `crashed` (it ends its process); empty if it did not come to its end."""


class Ledger:
    """`folder` holds the file, and one file per job that counts its runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "runs").mkdir(parents=True)
        self._file = folder / "ledger"

    def read(self) -> dict[str, list[Run]]:
        """All runs by job, in the order of beginning."""
        runs: dict[str, list[Run]] = {}
        by_number: dict[tuple[str, int], Run] = {}
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        for line in lines:
            what, at, job_id, number, attempt, fence, host, pid = line.split("\t")
            key = (job_id, int(number))
            if what == "begun":
                run = Run(job_id, key[1], int(attempt), int(fence), host, int(pid), float(at))
                by_number[key] = run
                runs.setdefault(job_id, []).append(run)
            else:
                by_number[key].ended, by_number[key].how = float(at), what
        return runs
