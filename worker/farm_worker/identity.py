"""Who this host is: its machine, and the name under which it registers."""

import os
import platform
import re
import secrets
import socket
from pathlib import Path

import psutil

from farm.errors import NameInUse
from farm.store.hosts import HostStore, NameTaken, Registration


class NameGone(NameInUse):
    """The name that this host had chosen by itself was given to another one while it was silent."""


def hostname() -> str:
    """The machine's name, in the letters that a host's name may have."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname()) or "host"


def boot_id() -> str:
    """The same for all processes of one machine until it restarts."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"{platform.node()}-{int(psutil.boot_time())}"


def pid_namespace() -> str:
    """Where process ids mean what they mean here: containers of one machine have each their own."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


async def register(store: HostStore, name: str | None, *, again: bool = False) -> Registration:
    """Registers as `name`, or as the machine with a suffix when that is taken. Raises NameInUse for a given name.

    `again`: this host bore the name before, and was given up.
    """
    wanted = name or hostname()
    answer = await store.register(wanted, again=again)
    if isinstance(answer, NameTaken) and _is_dead_here(answer):
        answer = await store.register(wanted, dead_pid=answer.pid, again=again)
    if isinstance(answer, Registration):
        return answer
    if name is not None:
        raise NameInUse(
            f"a host named {name} is alive: process {answer.pid} on {answer.hostname or 'an unknown machine'}, "
            f"last beat {answer.age:.1f} s ago. Choose another --name, or stop that one."
        )
    answer = await store.register(f"{wanted}-{secrets.token_hex(2)}")
    if isinstance(answer, Registration):
        return answer
    raise NameInUse(f"no free name found for this host, tried {wanted} and one with a suffix; give one with --name")


def _is_dead_here(taken: NameTaken) -> bool:
    """The name's holder ran on this machine since its last start, where we would see its process, and is gone."""
    if (taken.boot_id, taken.pid_namespace) != (boot_id(), pid_namespace()):
        return False
    return taken.pid != os.getpid() and not psutil.pid_exists(taken.pid)
