"""Runs of jobs counted in a folder, one file each: that needs no Redis, which may be what fails.

The fixture `effects` is such a folder, `system_jobs.mark_and_pause` counts in it.
"""

import os
from pathlib import Path

from tests.support.waiting import wait_until


def wait_for_runs(effects: Path, jobs: int) -> None:
    """Until so many jobs have begun."""
    wait_until(lambda: jobs_begun(effects) == jobs, f"{jobs} jobs run")


def jobs_begun(effects: Path) -> int:
    """How many: cheap enough to ask again and again amid thousands."""
    return len(os.listdir(effects))


def runs(effects: Path) -> list[int]:
    """How often each job began."""
    return [file.stat().st_size for file in effects.iterdir()]
