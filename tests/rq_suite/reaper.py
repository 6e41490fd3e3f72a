"""`python reaper.py COMMAND…`: runs it, and waits for what its processes leave behind, at once.

Where nobody does, or a slow init, a killed process stays in the list for a while, and RQ's tests take it for alive.
"""

import os
import subprocess
import sys

from farm_worker.pool.left_children import adopt_orphans


def main(command: list[str]) -> int:
    """The command's exit code."""
    adopt_orphans()
    pid = subprocess.Popen(command).pid
    while True:
        ended, status = os.wait()
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
