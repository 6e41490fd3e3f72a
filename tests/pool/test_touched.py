"""What jobs touch of their process is noted, however they get at it."""

import subprocess
import sys

import pytest

LOOK = """
import os, resource, signal
from os import environ as known, environb
from signal import signal as handle
from farm_worker.pool.touched import Touched

os.environ["THERE"] = "1"
touched = Touched()
assert not (touched.limits or touched.handlers or touched.environment)
{act}
assert touched.{what}
"""


@pytest.mark.parametrize(
    ("what", "act"),
    [
        ("environment", "os.environ['A'] = '1'"),
        ("environment", "known['A'] = '1'"),
        ("environment", "environb[b'A'] = b'1'"),
        ("environment", "known.pop('THERE')"),
        ("environment", "del environb[b'THERE']"),
        ("environment", "known.update(A='1')"),
        ("environment", "os.environ.setdefault('A', '1')"),
        ("environment", "os.environ |= {'A': '1'}"),
        ("environment", "known.clear()"),
        ("handlers", "signal.signal(signal.SIGHUP, signal.SIG_IGN)"),
        ("handlers", "handle(signal.SIGHUP, signal.SIG_IGN)"),
        (
            "handlers",
            "import asyncio\n"
            "async def main(): asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, print)\n"
            "asyncio.run(main())",
        ),
        ("limits", "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))"),
    ],
)
def test_a_touch_is_noted(what: str, act: str) -> None:
    code = LOOK.format(what=what, act=act)
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
