"""`import farm` loads nothing heavy and nothing of the user's; its names come when they are used."""

import subprocess
import sys
from pathlib import Path

import pytest

import farm
from farm import errors

HEAVY = {"redis", "rq", "pydantic", "pydantic_settings", "click", "rich", "psutil", "msgspec", "asyncio", "typing"}


def run(code: str, cwd: Path) -> str:
    result = subprocess.run(
        [sys.executable, "-P", "-S", "-c", f"import sys; sys.path += {sys.path!r}; {code}"],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_importing_farm_loads_nothing_heavy(tmp_path: Path) -> None:
    loaded = run("before = set(sys.modules); import farm; print(*(set(sys.modules) - before))", tmp_path)

    assert set(loaded.split()) & HEAVY == set()
    assert set(loaded.split()) == {"farm", "farm.errors"}


def test_importing_the_isolation_loads_only_itself(tmp_path: Path) -> None:
    code = "import os; before = set(sys.modules); import farm.__main__; print(*(set(sys.modules) - before))"
    loaded = run(code, tmp_path)

    assert set(loaded.split()) == {"farm", "farm.errors", "farm.isolation", "farm.__main__"}


@pytest.mark.parametrize("name", farm.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(farm, name) is not None
    assert name in dir(farm)


def test_every_error_is_public() -> None:
    names = {name for name, value in vars(errors).items() if isinstance(value, type)}

    assert names <= set(farm.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'farm' has no attribute 'Farm'"):
        _ = farm.Farm  # type: ignore[attr-defined]
