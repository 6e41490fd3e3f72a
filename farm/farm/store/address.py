"""Which Redis a command uses.

In order: the setting `REDIS_URL` (flag or `FARM_REDIS_URL`), `RQ_REDIS_URL`, the address that a running `farm up` of
this user left in its state folder, and redis://localhost:6379/0 as rq does.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from farm.errors import SettingsError

DEFAULT_URL = "redis://localhost:6379/0"
ADDRESS_FILE = "address.json"

START_TIME_TOLERANCE_SECONDS = 2.0
"""Start times are told relative to the boot time, which moves a little when the clock is set."""


class _RedisSetting(Protocol):
    @property
    def url(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Address:
    """Where Redis is, and how that is known. The URL may hold a password: show it with `hide_password`."""

    url: str
    source: str


def resolve(
    settings: _RedisSetting, environ: Mapping[str, str] | None = None, state_folder: Path | None = None
) -> Address:
    """The Redis to use. `state_folder` is where a running `farm up` is looked for, by default this user's.

    Always gives an address; whether anything answers there is not tried.
    """
    variables = os.environ if environ is None else environ
    if settings.url:
        from_environment = variables.get("FARM_REDIS_URL") == settings.url
        return Address(settings.url, "FARM_REDIS_URL" if from_environment else "redis_url")
    if variables.get("RQ_REDIS_URL"):
        return Address(variables["RQ_REDIS_URL"], "RQ_REDIS_URL")
    left = _left_by_farm_up(state_folder, variables)
    if left:
        return Address(left, "farm up")
    return Address(DEFAULT_URL, "default")


def find_state_folder(environ: Mapping[str, str]) -> Path:
    """The folder for what outlives a command: `$XDG_STATE_HOME/rq-farm`, else `~/.local/state/rq-farm`.

    Not created here. Raises SettingsError where the user has no home.
    """
    base = Path(environ.get("XDG_STATE_HOME", ""))
    if base.is_absolute():  # the XDG specification ignores relative ones
        return base / "rq-farm"
    try:
        home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    except RuntimeError:
        raise SettingsError(
            "There is no folder to keep state in: neither XDG_STATE_HOME nor HOME is set, and the user has no home. "
            "Set XDG_STATE_HOME to a folder that can be written."
        ) from None
    return home / ".local" / "state" / "rq-farm"


@contextmanager
def left_for_others(url: str, state_folder: Path) -> Iterator[None]:
    """While in this context, commands of this user find `url` by themselves, as long as this process lives.

    Raises SettingsError if the state folder cannot be written.
    """
    path = state_folder / ADDRESS_FILE
    record = {"url": url, "pid": os.getpid(), "started_at": psutil.Process().create_time()}
    try:
        state_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f"{ADDRESS_FILE}.{os.getpid()}")
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(record), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise SettingsError(
            f"The state folder {state_folder} cannot be written: {error.strerror}. Set XDG_STATE_HOME to one that can."
        ) from error
    try:
        yield
    finally:
        if _read(path) == record:
            path.unlink(missing_ok=True)


def _left_by_farm_up(state_folder: Path | None, environ: Mapping[str, str]) -> str | None:
    try:
        path = (state_folder or find_state_folder(environ)) / ADDRESS_FILE
    except SettingsError:
        return None
    record = _read(path)
    if record is None:
        return None
    if not _is_alive(record):
        try:
            path.unlink(missing_ok=True)
        except OSError:  # read-only: it is ignored all the same
            return None
        return None
    return str(record["url"])


def _read(path: Path) -> dict[str, object] | None:
    """The record in the file; None if there is none that can be read."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("url"), str) else None


def _is_alive(record: dict[str, object]) -> bool:
    """Whether the very process that wrote the record lives, not another one that got its id."""
    pid, started_at = record.get("pid"), record.get("started_at")
    if not isinstance(pid, int) or not isinstance(started_at, (int, float)):
        return False
    try:
        return abs(psutil.Process(pid).create_time() - started_at) <= START_TIME_TOLERANCE_SECONDS
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
