"""What a type checker tells a user of the client."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.wheel import ROOT

SERVICE = Path(__file__).parent / "service.py"


@pytest.mark.slow  # run by `make types`
@pytest.mark.timeout(180)  # mypy reads RQ, redis-py and pydantic from scratch
def test_a_type_checker_knows_arguments_results_and_options(tmp_path: Path) -> None:
    run = subprocess.run(
        [
            *[sys.executable, "-m", "mypy", "--strict", "--explicit-package-bases", "--follow-imports=silent"],
            *["--config-file=", "--hide-error-context", "--no-error-summary", f"--cache-dir={tmp_path}", str(SERVICE)],
        ],
        env={"MYPYPATH": ":".join(str(ROOT / name) for name in ("farm", "worker", "settings")), "PATH": "/usr/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    found = {
        (int(line), code) for line, code in re.findall(r"service\.py:(\d+): error: .*\[([\w-]+)\]$", run.stdout, re.M)
    }
    expected = {number: line.split("# expect: ")[1].split() for number, line in _expectations()}

    assert {line for line, _ in found} == set(expected), run.stdout + run.stderr
    assert all(code in expected[line] for line, code in found), run.stdout


def _expectations() -> list[tuple[int, str]]:
    return [(n, line) for n, line in enumerate(SERVICE.read_text().splitlines(), 1) if " # expect: " in line]
