"""What jobs touched of their process, noted while they do it: to look at all of it after each job costs more.

A system call after some milliseconds of work takes ten times what it takes in a row of them, as nothing of it is in the
caches any more. What only code in C does, past Python's own functions, is not noted: see `Surroundings`.
"""

import _posixsubprocess
import _signal  # type: ignore[import-not-found]
import functools
import os
import posix
import resource
import subprocess
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

_ENVIRON: Any = type(os.environ)
_STANDARD_DESCRIPTORS = 3
_SETS_OF_FUNCTIONS: list[Any] = [os.supports_dir_fd, os.supports_effective_ids, os.supports_fd]


class Touched:
    """One for a process: puts itself around what jobs call. Whoever has looked at something makes it False again."""

    def __init__(self) -> None:
        self.limits = False
        """Limits of resources."""
        self.handlers = False
        """Handlers of signals."""
        self.environment = False
        """Variables, by any name that somebody has for `os.environ`."""
        self.folder = False
        """The current directory."""
        self.umask = False
        self.user = False
        """Whom the process runs as."""
        self.descriptors = False
        """Standard input, output or error."""
        self.children = False
        """Some were started."""
        self._note("limits", resource, ["setrlimit", "prlimit"])
        self._note("handlers", _signal, ["signal"])  # what `signal.signal` calls, whoever imported that
        self._note("environment", _ENVIRON, ["__setitem__", "__delitem__"])  # all else goes through these two
        self._note("environment", os, ["reload_environ"])  # Python 3.14
        modules: list[Any] = [os, posix]
        for module in modules:
            self._note("folder", module, ["chdir", "fchdir"])
            self._note("umask", module, ["umask"])
            self._note("user", module, ["setuid", "seteuid", "setreuid", "setresuid"])
            self._note("descriptors", module, ["dup2", "closerange"])
            self._note("children", module, ["posix_spawn", "posix_spawnp", "system"])
            module.close = self._noting_standard(module.close)
        self._note("children", _posixsubprocess, ["fork_exec"])
        self._note("children", subprocess, ["_fork_exec"])  # the same, by the name that `subprocess` has for it
        os.register_at_fork(after_in_parent=functools.partial(setattr, self, "children", True))

    def _note(self, what: str, owner: Any, names: Iterable[str]) -> None:
        for name in names:
            if (call := getattr(owner, name, None)) is not None:  # not each system and version has all of them
                setattr(owner, name, _replaced(call, self._noting(what, call)))

    def _noting(self, what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def note(*arguments: Any, **options: Any) -> Any:
            try:
                return call(*arguments, **options)
            finally:
                setattr(self, what, True)  # afterwards, as somebody may look meanwhile

        return note

    def _noting_standard(self, close: Callable[[int], None]) -> Callable[[int], None]:
        @functools.wraps(close)
        def note(fd: int) -> None:
            close(fd)
            if fd < _STANDARD_DESCRIPTORS:
                self.descriptors = True

        return note


def _replaced(call: Callable[..., Any], by: Callable[..., Any]) -> Callable[..., Any]:
    """What stands for another function is in the sets that tell what that can do, too."""
    for functions in _SETS_OF_FUNCTIONS:
        if call in functions:
            functions.add(by)
    return by


@cache
def touched() -> Touched:
    """That of this process. To be called before the user's modules are imported, which may keep what they find."""
    return Touched()
