"""The layout of the repository: what can be imported, what the wheel holds, how long and how named modules are."""

import importlib.util
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.wheel import ROOT, build_wheel

COMPONENTS = {"farm": "farm", "worker": "farm_worker", "settings": "farm_settings"}
LONG, TOO_LONG = 300, 400
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "common", "misc", "types", "constants", "base"}
NOT_OURS = {".git", ".venv", "dist", "build", "__pycache__"}
MACHINE_PATH = re.compile(r"(?<![\w.~$}>-])/(?:home|Users|root|work|mnt)/[\w.-]+")
REGISTRY = re.compile(
    r"files\.python" r"hosted\.org|//py" r"pi\.org/simple|extra-index" r"-url|find" r"-links", re.IGNORECASE
)


@pytest.mark.parametrize("name", ["worker", "settings", "tests"])
def test_component_folders_are_no_import_names(name: str, tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-P", "-c", f"import importlib.util as u; print(u.find_spec({name!r}))"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert found.stdout.strip() == "None"


@pytest.mark.parametrize("package", COMPONENTS.values())
def test_our_packages_are_regular_typed_packages(package: str) -> None:
    spec = importlib.util.find_spec(package)

    assert spec is not None
    assert spec.origin is not None, f"{package} was found as an empty namespace"
    assert (Path(spec.origin).parent / "py.typed").is_file()


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_folder_holds_no_module_beside_its_package(component: str) -> None:
    assert list((ROOT / component).glob("*.py")) == []
    assert [folder.parent.name for folder in (ROOT / component).glob("*/__init__.py")] == [COMPONENTS[component]]


def test_the_wheel_holds_three_packages_with_all_their_files(tmp_path: Path) -> None:
    names = zipfile.ZipFile(build_wheel(tmp_path)).namelist()

    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == set(COMPONENTS.values())
    for component, package in COMPONENTS.items():
        for path in _files(ROOT / component / package):
            assert path.relative_to(ROOT / component).as_posix() in names


def test_no_module_is_too_long(request: pytest.FixtureRequest) -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in _modules()}
    reporter = request.config.pluginmanager.getplugin("terminalreporter")
    for path, lines in sorted(lengths.items()):
        if reporter is not None and LONG < lines <= TOO_LONG:
            reporter.write_line(
                f"\n{path.relative_to(ROOT)} has {lines} lines; something in it wants a name of its own"
            )

    assert {path.relative_to(ROOT).as_posix(): lines for path, lines in lengths.items() if lines > TOO_LONG} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [path for path in _modules() if path.stem in NAMES_THAT_SAY_NOTHING] == []


def test_no_text_names_a_path_of_the_machine_it_was_written_on() -> None:
    assert list(_lines_with(MACHINE_PATH)) == []


def test_no_text_names_a_registry_of_packages() -> None:
    assert list(_lines_with(REGISTRY)) == []


def test_importing_farm_is_cheap() -> None:
    run = subprocess.run(
        [sys.executable, "-P", "-c", "import farm, sys; print(*sorted(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    loaded = set(run.stdout.split())

    assert loaded & {"redis", "rq", "rich", "click", "pydantic", "psutil", "msgspec", "asyncio", "farm_worker"} == set()


def _modules() -> Iterator[Path]:
    for component, package in COMPONENTS.items():
        yield from (ROOT / component / package).rglob("*.py")


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(
            part in NOT_OURS or part.endswith(("_cache", ".egg-info")) for part in path.relative_to(ROOT).parts
        )
        if path.is_file() and not hidden and ".hypothesis" not in path.parts:
            yield path


def _lines_with(pattern: re.Pattern[str]) -> Iterator[str]:
    for path in _files(ROOT):
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.search(line):
                yield f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
