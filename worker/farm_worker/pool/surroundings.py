"""The process around the jobs: its signals, environment and import path, and putting back what a job changed."""

import ctypes
import gc
import math
import os
import resource
import signal
import socket
import sys
import threading
import time
from _signal import getsignal  # type: ignore[import-not-found]  # without the enums of `signal`, which cost 20 times
from _thread import _count as thread_count  # a tenth of the price of `enumerate`
from collections.abc import Callable, Sequence
from contextlib import suppress

from farm.flags import VARIABLE as FLAGS
from farm.isolation import user_environment
from farm_worker.pool.descriptors import StandardDescriptors
from farm_worker.pool.left_children import ChildList, children, end_left
from farm_worker.pool.left_threads import left_threads
from farm_worker.pool.protocol import Initialize
from farm_worker.pool.touched import touched

PR_SET_PDEATHSIG = 1
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")

_OWN_SIGNALS = (signal.SIGALRM, signal.SIGTERM, signal.SIGINT)
"""Their handlers are ours, whatever an imported module makes of them."""
_SIGNALS = tuple(
    int(getattr(signal, f"SIG{name}"))
    for name in ("ALRM", "TERM", "INT", "CHLD", "HUP", "QUIT", "USR1", "USR2", "PIPE")
)
"""Those that programs handle."""
_JOB_ID = b"RQ_JOB_ID"
LOOK_SECONDS = 0.02
"""Between two looks at what code in C may have changed: the folder, the umask, the user, the standard descriptors, the
children. What Python code changed is noted, and put back after its job."""
_LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]


def die_with_parent() -> None:
    """Asks the system to kill this process when its host dies; Linux only.

    Elsewhere, and in the moment before this call, the end of the channels tells an idle process.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def take_signals() -> None:
    """A key pressed in the host's terminal is the host's affair. TERM ends the process at once, busy or not.

    A graceful end is asked for by closing the channels; so whoever sends TERM has decided against one, and a handler
    that raised could be swallowed by a job.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def restore_environment(initialize: Initialize) -> None:
    """The environment and the limit of descriptors that the user has, and what RQ tells its jobs by variables."""
    original = user_environment(dict(os.environ))
    for name in os.environ.keys() - original.keys() | {FLAGS, "PYTHONPATH"}:
        os.environ.pop(name, None)
    if initialize.python_path is not None:
        os.environ["PYTHONPATH"] = initialize.python_path
    os.environ["RQ_KEY_PREFIX"] = initialize.rq_prefix
    os.environ["RQ_WORKER_ID"] = initialize.host
    if initialize.http_proxy is not None:
        for name in PROXY_VARIABLES:
            os.environ.setdefault(name, initialize.http_proxy)
    if initialize.descriptor_limit is not None:
        with suppress(ValueError, OSError):  # somebody lowered the hard limit meanwhile
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (initialize.descriptor_limit, hard))


def use_path(folders: Sequence[str]) -> None:
    """The user's modules come first, as in the user's own programs. Call it after our own imports."""
    sys.path[:0] = folders


class Surroundings:
    """What jobs share in a process, as it was when the process was warm."""

    def __init__(self) -> None:
        self._own_handlers = {int(number): getsignal(number) for number in _OWN_SIGNALS}
        self._is_root = os.geteuid() == 0
        self._children = children()
        self._child_list = ChildList()
        self._descriptors = StandardDescriptors()
        self._looked_at = -math.inf
        self._limits = [resource.getrlimit(kind) for kind in _LIMITS]
        self._touched = touched()
        self._looks = True
        """Whether all is looked at after this job, noted or not."""
        self.settle()

    def settle(self) -> None:
        """Takes what is there now for what every job is to find: its modules were imported and may have changed it."""
        self._folder = os.getcwd()
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._handlers = [self._own_handlers.get(number, getsignal(number)) for number in _SIGNALS]
        self._environ = os.environ
        self._environment = os.environ._data.copy()  # type: ignore[attr-defined]  # noqa: SLF001 - its public face decodes each value
        self._path = sys.path.copy()
        self._values = socket.getdefaulttimeout(), gc.isenabled(), sys.gettrace(), sys.getprofile()
        self._threads = threading.enumerate()
        self._thread_count = thread_count()

    def left(self, package: Callable[[], str]) -> str:
        """What a job left behind that can't be put back; empty when the next job may come.

        Ends its processes, and its hold on signals.
        `package` tells the top-level package of the job. This runs after each job, so it looks before it acts.
        """
        touched = self._touched
        if touched.handlers:  # first: one of the job's could raise amid what is to be said
            self._restore_handlers()
        now = time.monotonic()
        self._looks = looks = now - self._looked_at > LOOK_SECONDS
        if looks:
            self._looked_at = now
        problem = self._restore_limits() if touched.limits else ""
        if looks or touched.user:
            problem = self._look_at_user() or problem
        if looks or touched.children:
            problem = self._look_at_children() or problem
        if thread_count() != self._thread_count:
            problem = self._look_at_threads(package()) or problem
        return problem

    def restore(self) -> None:
        """Puts back all else that a job changed. As `left`, it looks before it acts."""
        touched, looks = self._touched, self._looks
        if looks or touched.umask:
            os.umask(self._umask)
            touched.umask = False  # last, here and below: what puts something back touches it
        if looks or touched.folder:
            self._look_at_folder()
        if touched.environment or os.environ is not self._environ:
            self._restore_environment()
        values = socket.getdefaulttimeout(), gc.isenabled(), sys.gettrace(), sys.getprofile()
        if values != self._values or sys.path != self._path:
            self._restore_values()
        if looks or touched.descriptors:
            self._look_at_descriptors()

    def _look_at_user(self) -> str:
        self._touched.user = False
        if self._is_root and os.geteuid() != 0:  # nobody else can become somebody else
            return "it changed the user that it runs as"
        return ""

    def _look_at_children(self) -> str:
        self._touched.children = False
        if not self._children and not self._child_list.may_have_some():
            return ""
        killed = end_left(self._children)
        return f"it left processes, which were killed: {', '.join(killed)}" if killed else ""

    def _look_at_folder(self) -> None:
        if _folder() != self._folder:
            with suppress(OSError):  # deleted meanwhile
                os.chdir(self._folder)
        self._touched.folder = False

    def _look_at_descriptors(self) -> None:
        if not self._descriptors.are_intact():
            self._descriptors.restore()
        self._touched.descriptors = False

    def _look_at_threads(self, package: str) -> str:
        left = left_threads(self._threads, package)
        self._threads = threading.enumerate()
        self._thread_count = thread_count()
        return f"it left threads: {', '.join(left)}" if left else ""

    def _restore_handlers(self) -> None:
        for number, handler in zip(_SIGNALS, self._handlers, strict=True):
            if getsignal(number) is not handler and handler is not None:
                signal.signal(number, handler)
        self._touched.handlers = False

    def _restore_environment(self) -> None:
        self._touched.environment = False  # first: a thread may change it meanwhile
        os.environ = self._environ  # noqa: B003 - the object, should a job have put another in its place
        found: dict[bytes, bytes] = self._environ._data  # type: ignore[attr-defined]  # noqa: SLF001 - see `settle`
        wanted = self._environment
        if (job_id := found.get(_JOB_ID)) is not None:
            wanted[_JOB_ID] = job_id  # each job sets its own
        for name in found.keys() - wanted.keys():
            del os.environb[name]
        for name, value in wanted.items():
            if found.get(name) != value:
                os.environb[name] = value

    def _restore_values(self) -> None:
        sys.path[:] = self._path
        timeout, collects, trace, profile = self._values
        socket.setdefaulttimeout(timeout)
        (gc.enable if collects else gc.disable)()
        sys.settrace(trace)
        sys.setprofile(profile)

    def _restore_limits(self) -> str:
        for kind, limits in zip(_LIMITS, self._limits, strict=True):
            if resource.getrlimit(kind) != limits:
                try:
                    resource.setrlimit(kind, limits)
                except (ValueError, OSError):
                    return "it lowered a resource limit for good"
        self._touched.limits = False
        return ""


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""
