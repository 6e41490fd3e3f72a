"""examples/hooks.py: every hook of an app, and the order in which they run."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from farm import App
from tests.support.wheel import ROOT

IN_A_PROCESS = [
    "preload",
    "arguments",
    "prewarm, on device 1",
    "around_job, attempt 1",
    "entrypoint, with {'net': 100} and {'de': 1.19}",
    "shutdown callback",
    "around_job, after its yield",
    "prewarm, after its yield",
]
TOLD = [
    "on process_created",
    "on process_started",
    "on process_ready",
    "on host_available",
    "on job_launched",
    "on job_finished",
    "on host_draining: takes no new jobs, running ones may end",
    "on process_closed: drained",
]


@pytest.mark.usefixtures("redis_client")
def test_all_hooks_run_in_the_order_that_is_documented(tmp_path: Path, farm_environment: dict[str, str]) -> None:
    shutil.copy(ROOT / "examples/hooks.py", tmp_path)
    run = subprocess.run(
        [sys.executable, "hooks.py"],
        cwd=tmp_path,
        env=farm_environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )

    assert run.returncode == 0, run.stderr
    said = re.findall(r"pid \d+: (.*)", run.stderr)
    assert [text for text in said if text in IN_A_PROCESS] == IN_A_PROCESS, run.stderr
    assert [text for text in said if text.startswith("on ")] == TOLD, run.stderr
    assert said.count("load") == 1, run.stderr
    assert said.index("accept") < said.index("around_job, attempt 1"), run.stderr


def test_the_example_has_every_hook() -> None:
    text = (ROOT / "examples/hooks.py").read_text()
    no_hooks = {"queue", "run", "runner"}

    hooks = {name for name, member in vars(App).items() if callable(member) and not name.startswith("_")} - no_hooks

    assert set(re.findall(r"@app\.(\w+)", text)) == hooks
