"""What jobs touch of their process is noted, however they get at it."""

import os
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
assert not any(vars(touched).values())
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
        ("folder", "os.chdir('/')"),
        ("folder", "import contextlib\nwith contextlib.chdir('/'): pass"),
        ("folder", "os.fchdir(os.open('/', os.O_RDONLY))"),
        ("umask", "os.umask(0o22)"),
        pytest.param("user", "os.seteuid(65534)", marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root")),
        ("descriptors", "os.dup2(os.open('/dev/null', os.O_WRONLY), 1)"),
        ("descriptors", "os.close(1)"),
        ("descriptors", "os.closerange(1, 2)"),
        ("children", "import subprocess\nsubprocess.Popen(['true']).wait()"),
        ("children", "import subprocess\nsubprocess.run('true', close_fds=False, shell=True)"),
        ("children", "os.system('true')"),
        ("children", "os.popen('true').close()"),
        ("children", "os.waitpid(os.fork() or os._exit(0), 0)"),
        ("children", "os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)"),
        ("children", "os.spawnlp(os.P_WAIT, 'true', 'true')"),
        (
            "children",
            "import multiprocessing\n"
            "process = multiprocessing.get_context('spawn').Process(target=print)\n"
            "process.start()\n"
            "process.join()",
        ),
        (
            "children",
            "import asyncio\n"
            "async def main(): await (await asyncio.create_subprocess_exec('true')).wait()\n"
            "asyncio.run(main())",
        ),
    ],
)
def test_a_touch_is_noted(what: str, act: str) -> None:
    code = LOOK.format(what=what, act=act)
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_what_stands_for_a_function_of_the_system_can_what_that_can() -> None:
    code = (
        "import os\n"
        "from farm_worker.pool.touched import Touched\n"
        "before = os.chdir in os.supports_fd\n"
        "Touched()\n"
        "assert os.chdir in os.supports_fd and before\n"
        "assert os.chdir.__name__ == 'chdir' and os.dup2.__doc__\n"
        "os.dup2(fd=1, fd2=2, inheritable=False)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_a_descriptor_beyond_the_standard_ones_is_no_touch() -> None:
    code = (
        "import os\n"
        "from farm_worker.pool.touched import Touched\n"
        "touched = Touched()\n"
        "os.close(os.open('/dev/null', os.O_RDONLY))\n"
        "assert not touched.descriptors\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
