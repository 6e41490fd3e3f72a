"""Notices that a Python file of the user changed, by looking at modification times."""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

SKIPPED_FOLDERS = frozenset({"node_modules", "site-packages", "__pycache__", "venv"})
FILE_LIMIT = 5_000
FOLDER_LIMIT = 2_000

INTERVAL_SECONDS = 1.0
COST_LIMIT = 20
"""A look that takes long is followed by a pause this many times as long."""


class Sources:
    """The .py files below some folders; hidden folders, environments and packages of others are left out.

    At most `FILE_LIMIT` files are watched; `complete` is false if there are more.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = list(dict.fromkeys(Path(folder).resolve() for folder in folders if Path(folder).is_dir()))
        self.complete = True
        self.next_look = 0.0
        """When to look again, monotonic time."""
        self._known = self._look()

    def changed(self) -> list[Path]:
        """Files that were written, added or removed since the last call. Empty if it is too early to look again."""
        if time.monotonic() < self.next_look:
            return []
        before, self._known = self._known, self._look()
        return sorted(
            Path(path) for path in before.keys() | self._known.keys() if before.get(path) != self._known.get(path)
        )

    def _look(self) -> dict[str, int]:
        began = time.monotonic()
        found: dict[str, int] = {}
        self.complete = True
        for folder in self._folders:
            found.update(self._modified(folder, FILE_LIMIT - len(found)))
        ended = time.monotonic()
        self.next_look = ended + max(INTERVAL_SECONDS, COST_LIMIT * (ended - began))
        return found

    def _modified(self, folder: Path, limit: int) -> Iterator[tuple[str, int]]:
        count = 0
        for visited, (root, folders, files) in enumerate(os.walk(folder)):
            if visited >= FOLDER_LIMIT:
                self.complete = False
                return
            folders[:] = sorted(name for name in folders if not _is_skipped(root, name))
            for name in files:
                if not name.endswith(".py"):
                    continue
                if count >= limit:
                    self.complete = False
                    return
                count += 1
                path = f"{root}/{name}"
                try:
                    yield path, os.stat(path).st_mtime_ns
                except OSError:  # gone since it was listed
                    continue


def _is_skipped(root: str, name: str) -> bool:
    return name.startswith(".") or name in SKIPPED_FOLDERS or os.path.exists(f"{root}/{name}/pyvenv.cfg")
