"""What a command of ours loads, seen from a process of its own."""

import subprocess
import sys
from collections.abc import Mapping, Sequence


def modules_of_rq(words: Sequence[str], environment: Mapping[str, str]) -> str:
    """The names of RQ's modules that are loaded after `farm WORDS`, as Python prints a list."""
    code = f"from farm.cli import command_line; command_line({list(words)!r}, standalone_mode=False)"
    run = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(sorted(n for n in sys.modules if n.split('.')[0] == 'rq'))"],
        env={**environment, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    return run.stdout.splitlines()[-1]
