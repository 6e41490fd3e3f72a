"""Entry points that a user's folder cannot break.

The current folder and `PYTHONPATH` stand before the standard library and before our dependencies, so a user's
`queue.py` or `redis.py` would be imported in place of the real ones. Entry processes therefore run with `python -P` and
without `PYTHONPATH`; what was taken away is kept in two variables for the processes that import the user's code:

- `FARM_PATH`: the folders to import it from, unless the user set this himself;
- `FARM_USER_PYTHONPATH`: the original `PYTHONPATH`, as it was.

Imports nothing but `os` and `sys`: until the new process runs, everything else may be the user's.
"""

import os
import sys

OUR_PACKAGES = ("farm", "farm_worker", "farm_settings")

_RUN_WITH_FOLDERS = (
    "import sys; sys.path += [folder for folder in {folders!r} if folder not in sys.path]; "
    "import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
)


def is_isolated() -> bool:
    """Whether this process can import no module of the user's by mistake."""
    return sys.flags.safe_path and not os.environ.get("PYTHONPATH")


def run_isolated(module: str, arguments: list[str], variables: dict[str, str] | None = None) -> None:
    """Replaces this process by `python -P -m module` with the arguments. Never returns.

    `variables` are set beside those of this process. Raises OSError if the interpreter cannot be started.
    """
    environment = isolated_environment({**os.environ, **(variables or {})})
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    command = isolated_command(module, arguments, environment)
    os.execve(command[0], command, environment)  # noqa: S606 (our own interpreter, and no shell wanted)


def isolated_command(module: str, arguments: list[str], environment: dict[str, str]) -> list[str]:
    """The command that runs a module of ours isolated, in an environment made by `isolated_environment`.

    Where our packages were found through the user's path, those folders come last on the new process's path.
    """
    folders = _folders_with_our_packages(environment)
    if not folders:
        return [sys.executable, "-P", "-m", module, *arguments]
    return [sys.executable, "-P", "-c", _RUN_WITH_FOLDERS.format(folders=folders, module=module), *arguments]


def isolated_environment(environment: dict[str, str]) -> dict[str, str]:
    """The variables for an isolated process: `PYTHONPATH` moved into variables of ours."""
    isolated = dict(environment)
    python_path = isolated.pop("PYTHONPATH", "")
    if python_path:
        isolated["FARM_USER_PYTHONPATH"] = python_path
    if not isolated.get("FARM_PATH"):
        isolated["FARM_PATH"] = _default_path(isolated)
    return isolated


def user_environment(environment: dict[str, str]) -> dict[str, str]:
    """The variables as the user had them, for processes that run his code: the reverse of `isolated_environment`."""
    original = dict(environment)
    if original.get("FARM_PATH") == _default_path(original):
        del original["FARM_PATH"]
    if "FARM_USER_PYTHONPATH" in original:
        original["PYTHONPATH"] = original.pop("FARM_USER_PYTHONPATH")
    return original


def _default_path(environment: dict[str, str]) -> str:
    return os.pathsep.join([os.getcwd(), *_entries(environment, "FARM_USER_PYTHONPATH")])


def _entries(environment: dict[str, str], variable: str) -> list[str]:
    return [entry for entry in environment.get(variable, "").split(os.pathsep) if entry]


def _folders_with_our_packages(environment: dict[str, str]) -> list[str]:
    """Folders of the user's path that hold a package of ours: the very one that runs now, or one of its siblings."""
    own_package = os.path.dirname(os.path.realpath(__file__))
    candidates = [*_entries(environment, "FARM_PATH"), *_entries(environment, "FARM_USER_PYTHONPATH")]
    found = []
    for folder in dict.fromkeys(map(os.path.abspath, candidates)):
        is_own = os.path.realpath(os.path.join(folder, "farm")) == own_package
        if is_own or any(os.path.isfile(os.path.join(folder, name, "__init__.py")) for name in OUR_PACKAGES[1:]):
            found.append(folder)
    return found
