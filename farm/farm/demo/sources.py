"""The input: source files of the Python standard library, as they lie on this machine."""

import os
import random
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from farm.demo.failure import DemoFailed

SKIPPED_FOLDERS = frozenset({"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "__pycache__"})
"""Packages of others, and tests, some of which are no valid Python on purpose."""

MOST_FILES = 700
FEWEST_FILES = 60
"""With fewer the show is over before anything is seen."""


def standard_library() -> list[Path]:
    """Files in a mixed order that is the same each time, `MOST_FILES` at most. Raises DemoFailed if there are few."""
    folder = _folder()
    files = sorted(_python_files(folder))
    if len(files) < FEWEST_FILES:
        raise DemoFailed(
            f"Only {len(files)} source files of the Python standard library are in {folder}, too few to show anything. "
            "Run it with a Python that has its sources, as python.org and every distribution offer."
        )
    random.Random(0).shuffle(files)  # noqa: S311  nothing is secret here
    return files[:MOST_FILES]


def short_name(path: Path) -> str:
    """A file's path within the standard library."""
    return path.relative_to(_folder()).as_posix()


def _folder() -> Path:
    return Path(sysconfig.get_path("stdlib"))


def _python_files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS]
        yield from (Path(root, name) for name in names if name.endswith(".py"))
