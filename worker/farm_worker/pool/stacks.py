"""What the threads of a process were doing: written by the process into the memory file that it shares with its host.

A fatal signal writes it, and so does `DUMP_SIGNAL`, by handlers in C that need neither the GIL nor a healthy
interpreter. Code of the user may take that signal over; then there is no text, or the process dies of it.
"""

import faulthandler
import os
import signal

DUMP_SIGNAL = signal.SIGUSR2
DUMP_SECONDS = 0.2
"""How long a process gets to write its stacks before it is killed."""
FATAL_SIGNALS = frozenset({"SIGSEGV", "SIGFPE", "SIGABRT", "SIGBUS", "SIGILL"})
MAX_CHARACTERS = 8_000
_OUR_THREAD = "farm_worker/pool/attendant.py"


def keep_stacks(descriptor: int) -> None:
    """In the process: from now on fatal signals and `DUMP_SIGNAL` write all stacks into this file."""
    file = os.fdopen(descriptor, "wb", buffering=0, closefd=False)
    faulthandler.enable(file=file, all_threads=True)
    faulthandler.register(DUMP_SIGNAL, file=file, all_threads=True, chain=False)


def arrange(text: str) -> str:
    """What a reader wants of a dump: the thread that got the signal first, none of ours, not too long."""
    sections = [section.strip("\n") for section in text.split("\n\n") if section.strip()]
    sections = [section for section in sections if _OUR_THREAD not in section]
    sections.sort(key=_rank)
    return "\n\n".join(sections)[:MAX_CHARACTERS]


def _rank(section: str) -> int:
    if section.startswith("Fatal Python error"):
        return 0
    return 1 if section.startswith("Current thread") else 2
