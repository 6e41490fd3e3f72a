"""Our wheel, built from the checkout and installed where nothing else of the checkout can be seen. Needs no network."""

import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Installation:
    """A virtual environment that holds our wheel."""

    folder: Path

    @property
    def commands(self) -> Path:
        """The folder with `python` and `farm`."""
        return self.folder / "bin"


def build_wheel(folder: Path) -> Path:
    """Builds the wheel into `folder`."""
    run = subprocess.run(
        [sys.executable, "-P", "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


def install_wheel(wheel: Path, folder: Path) -> Installation:
    """A clean virtual environment with the wheel; its dependencies are those of the environment that runs the tests.

    They come by a line in a `.pth` file. Such a line makes no `.pth` file of theirs count, so the editable install of
    the checkout stays out of sight.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    installation = Installation(folder)
    python = installation.commands / "python"
    own = _site_packages(python)
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    run = subprocess.run(
        [
            *[sys.executable, "-P", "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install"],
            *["--quiet", "--no-index", "--no-deps", "--ignore-installed", str(wheel)],
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return installation


def _site_packages(python: Path) -> Path:
    run = subprocess.run(
        [str(python), "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return Path(run.stdout.strip())
