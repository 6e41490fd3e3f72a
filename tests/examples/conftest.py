"""The examples, as their reader has them."""

import shutil
from pathlib import Path

import pytest

from tests.support.wheel import ROOT


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """A copy, whose load does not count what other tests do to the CPU at the same time."""
    folder = shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    calls = (folder / "calls.py").read_text()
    assert "max(host.cpu, host.busy / 24)" in calls
    (folder / "calls.py").write_text(calls.replace("max(host.cpu, host.busy / 24)", "host.busy / 24"))
    return folder
