"""`python -m tests.rq_suite`: RQ's own tests, of the version that is installed, against `farm_worker.rq.Worker`.

They come from RQ's source distribution, downloaded at this moment. Each half runs on a Redis of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from farm.redis_server import RedisServer
from tests.rq_suite.excused import EXCUSED
from tests.rq_suite.verdict import judge

SITE = Path(__file__).parent / "site"
REAPER = Path(__file__).parent / "reaper.py"
HALVES = (
    ("worker",),  # mostly sleeps
    (
        *("job_dependency", "dependencies", "retry", "repeat", "callbacks", "webhooks", "results", "executions"),
        *("registry", "intermediate_queue", "rate_limit", "group", "job", "queue", "decorator", "commands"),
        "worker_registration",
    ),
)
LIMIT_SECONDS = 600


def main() -> int:
    """The exit code: 0 if all that is not excused passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.rq_suite", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="tests to run, as test_worker.py::TestWorker::test_max_jobs")
    names = parser.parse_args().names
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rq-suite-") as folder:
        source = download(Path(folder))
        halves = [names] if names else [[f"test_{name}.py" for name in half] for half in HALVES]
        with ThreadPoolExecutor(len(halves)) as threads:
            runs = [threads.submit(run, source, half, Path(folder) / str(number)) for number, half in enumerate(halves)]
            failed = {name: one for future in runs for name, one in future.result().items()}
        failed |= run_again(source, [name for name, one in failed.items() if one and name not in EXCUSED], Path(folder))
    reasons = {name: reason for name, reason in EXCUSED.items() if not names or name in failed}
    verdict = judge(failed, reasons)
    print("\n".join(verdict.lines(reasons)))
    print(f"RQ {version('rq')}, {time.monotonic() - begun:.0f} s")
    return 0 if verdict.good else 1


def download(folder: Path) -> Path:
    """RQ's tests in a folder that holds nothing else of it: what they test is the RQ that is installed."""
    wanted = f"rq=={version('rq')}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--no-binary", ":all:", "--no-build-isolation", "--dest", folder, wanted], check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as members:
        inside = [one for one in members.getmembers() if one.name.partition("/")[2].startswith("tests/")]
        members.extractall(folder / "unpacked", members=inside, filter="data")
    (source,) = (folder / "unpacked").iterdir()
    return source


def run(source: Path, names: Sequence[str], folder: Path) -> dict[str, bool]:
    """Name → whether it failed. What failed is shown."""
    report = folder / "report.json"
    with RedisServer(folder, tcp=True, append_only=False) as server:
        options = [
            "-q",
            "--tb=short",
            "-p",
            "rq_suite_plugin",
            "-p",
            "no:cacheprovider",
            "-W",
            "ignore",
            "--timeout=120",
        ]
        done = subprocess.run(
            [sys.executable, REAPER, sys.executable, "-m", "pytest", *options, *(f"tests/{name}" for name in names)],
            cwd=source,
            env=_environment(server.url, report),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    print(done.stdout, flush=True)
    failed: dict[str, bool] = json.loads(report.read_text())
    return failed


def run_again(source: Path, names: Sequence[str], folder: Path) -> dict[str, bool]:
    """Some of RQ's tests sleep and hope: what failed beside others gets another chance alone, and that is said."""
    if not names:
        return {}
    print(f"once more, alone: {', '.join(names)}", flush=True)
    return run(source, names, folder / "again")


def _environment(redis_url: str, report: Path) -> dict[str, str]:
    address = urlsplit(redis_url)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("FARM_", "RQ_", "PYTEST_"))}
    return own | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": str(SITE),
        "RQ_SUITE_PORT": str(address.port),
        "RQ_SUITE_PASSWORD": address.password or "",
        "RQ_SUITE_REPORT": str(report),
        "RQ_WORKER_CLASS": "farm_worker.rq.Worker",
        "RUN_SLOW_TESTS_TOO": "1",
    }


if __name__ == "__main__":
    sys.exit(main())
