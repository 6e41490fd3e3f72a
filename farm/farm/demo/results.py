"""The outcomes of all jobs, collected by the service's own list of ids."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from farm.client import Client
from farm.demo.stage import Stage
from farm.errors import JobFailed, JobNotFound, ResultTimeout


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """What one job told, and where it ran last."""

    path: Path
    host: str
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Results:
    """Every job is in one of the three."""

    files: tuple[IndexedFile, ...]
    failures: tuple[str, ...]
    """The file and the reason of each job that ended without a result."""
    lost: tuple[str, ...]
    """Files whose job has no outcome."""

    def heaviest(self, count: int) -> list[IndexedFile]:
        """The files with the greatest syntax trees."""
        return sorted(self.files, key=lambda file: file.counts["nodes"], reverse=True)[:count]

    def sum(self, what: str) -> int:
        """One of the counts over all files."""
        return sum(file.counts[what] for file in self.files)


def collect(stage: Stage) -> Results:
    """Asks for each job that the service enqueued, once. Raises RedisError."""
    files, failures, lost = [], [], []
    with Client(connection=stage.redis_client, settings=stage.settings) as client:
        for job_id, path in stage.enqueued().items():
            job = client.job(job_id)
            try:
                files.append(IndexedFile(Path(path), job.status().host or "", job.result(timeout=0)))
            except JobFailed as error:
                failures.append(f"{path}: {error}")
            except (JobNotFound, ResultTimeout) as error:
                lost.append(f"{path}: {error}")
    return Results(tuple(files), tuple(failures), tuple(lost))
