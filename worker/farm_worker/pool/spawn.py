"""Starts one child interpreter with its channels. Used for the processes of the pool and for the hooks process."""

import functools
import os
import site
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

_PACKAGES = ("farm", "farm_worker", "farm_settings")
_APPEND_AND_RUN = """\
import runpy, sys
module, count = sys.argv[1], int(sys.argv[2])
sys.path.extend(folder for folder in sys.argv[3:3 + count] if folder not in sys.path)
sys.argv[1:] = sys.argv[3 + count:]
runpy.run_module(module, run_name="__main__", alter_sys=True)"""


@dataclass(frozen=True, slots=True)
class Spawned:
    """A started child and the parent's ends of its channels."""

    process: subprocess.Popen[bytes]
    stream: socket.socket
    token_write: int | None
    token_read: int | None
    """The same open pipe end that the child reads: what is read here, the child does not get."""


def spawn(module: str, *, with_tokens: bool, environment: Mapping[str, str] | None = None) -> Spawned:
    """Runs `python -P -m MODULE STREAM_FD [TOKEN_FD]` in a process group of its own; it inherits stdout and stderr.

    `environment` replaces ours; `PYTHONPATH` never gets through, the child sets up the user's path itself. Returns once
    the program was executed, a millisecond or two. Raises OSError when there is no room for another process.

    Call it in the main thread: a child may ask to be killed with its parent, and to Linux that is the thread.
    """
    with ExitStack() as on_error, ExitStack() as child_ends:
        stream, child_stream = socket.socketpair()
        on_error.callback(stream.close)
        child_ends.callback(child_stream.close)
        descriptors = [child_stream.fileno()]
        token_read = token_write = None
        if with_tokens:
            token_read, token_write = os.pipe()
            for descriptor in (token_read, token_write):
                on_error.callback(os.close, descriptor)
                os.set_blocking(descriptor, False)
            descriptors.append(token_read)
        process = subprocess.Popen(
            _command(module, descriptors),
            stdin=subprocess.DEVNULL,
            env=_environment(environment),
            pass_fds=descriptors,
            close_fds=True,
            process_group=0,
        )
        on_error.pop_all()
    stream.setblocking(False)
    return Spawned(process, stream, token_write, token_read)


def _command(module: str, descriptors: list[int]) -> list[str]:
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
