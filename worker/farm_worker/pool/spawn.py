"""Starts one child interpreter: a process of the pool, their template, or one that runs hooks."""

import functools
import os
import site
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_PACKAGES = ("farm", "farm_worker", "farm_settings")
_children: list[subprocess.Popen[bytes]] = []
_APPEND_AND_RUN = """\
import runpy, sys
module, count = sys.argv[1], int(sys.argv[2])
sys.path.extend(folder for folder in sys.argv[3:3 + count] if folder not in sys.path)
sys.argv[1:] = sys.argv[3 + count:]
runpy.run_module(module, run_name="__main__", alter_sys=True)"""


class Child(Protocol):
    """A child of this program."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None:
        """Its return code once it has ended; None while it runs."""
        ...


@dataclass(frozen=True, slots=True)
class Spawned:
    """A started child with one stream, and the parent's end of that."""

    process: Child
    stream: socket.socket


def spawn(
    module: str, *, output: int, environment: Mapping[str, str] | None = None, inherit: Sequence[int] = ()
) -> Spawned:
    """Runs `module STREAM_FD [INHERITED_FD …]` as `start_interpreter` does."""
    stream, child_stream = socket.socketpair()
    try:
        process = start_interpreter(module, [child_stream.fileno(), *inherit], environment, output)
    except OSError:
        stream.close()
        raise
    finally:
        child_stream.close()
    stream.setblocking(False)
    return Spawned(process, stream)


def start_interpreter(
    module: str, descriptors: Sequence[int], environment: Mapping[str, str] | None = None, output: int | None = None
) -> subprocess.Popen[bytes]:
    """Runs `python -P -m MODULE DESCRIPTOR …` in a process group of its own; it inherits the descriptors.

    `output` becomes its stdout and stderr; without it, it inherits ours. `environment` replaces ours; `PYTHONPATH`
    never gets through, the child sets up the user's path itself. Returns once the program was executed, a millisecond
    or two. Raises OSError when there is no room for another process.

    Call it in the main thread: a child may ask to be killed with its parent, and to Linux that is the thread.
    """
    process = subprocess.Popen(
        _command(module, descriptors),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=_environment(environment),
        pass_fds=descriptors,
        close_fds=True,
        process_group=0,
    )
    note_child(process)
    return process


def note_child(process: "subprocess.Popen[bytes]") -> None:
    """Remembers that this program started it: see `own_children`."""
    _children[:] = [child for child in _children if child.returncode is None]
    _children.append(process)


def own_children() -> set[int]:
    """The processes that this program started and has not waited for. Any other child of it is an orphan."""
    return {child.pid for child in _children if child.returncode is None}


def _command(module: str, descriptors: Sequence[int]) -> list[str]:
    numbers = [str(descriptor) for descriptor in descriptors]
    folders = _folders_to_append()
    if not folders:
        return [sys.executable, "-P", "-m", module, *numbers]
    return [sys.executable, "-P", "-c", _APPEND_AND_RUN, module, str(len(folders)), *folders, *numbers]


def _environment(environment: Mapping[str, str] | None) -> dict[str, str]:
    base = os.environ if environment is None else environment
    return {name: value for name, value in base.items() if name != "PYTHONPATH"}


@functools.cache
def _folders_to_append() -> tuple[str, ...]:
    """Folders of ours on `sys.path` that a fresh interpreter would not have.

    They go to the end of the child's path and not into `PYTHONPATH`, which would put what lies beside our packages in
    front of the standard library.
    """
    on_path = {folder: Path(folder).resolve() for folder in sys.path if folder}
    ours = [
        folder for folder, path in on_path.items() if any((path / name / "__init__.py").is_file() for name in _PACKAGES)
    ]
    fresh = _fresh_path()
    return tuple(dict.fromkeys(folder for folder in ours if on_path[folder] not in fresh))


def _fresh_path() -> set[Path]:
    """Folders that `site` puts on the path of every interpreter: its own, and those named in its `.pth` files."""
    folders = {Path(folder) for folder in (*site.getsitepackages(), site.getusersitepackages())}
    named: set[Path] = set()
    for folder in folders:
        for file in folder.glob("*.pth") if folder.is_dir() else ():
            lines = file.read_text(errors="replace").splitlines()
            named.update(
                folder / line.strip() for line in lines if line.strip() and not line.startswith(("import ", "#"))
            )
    return {folder.resolve() for folder in folders | named}
