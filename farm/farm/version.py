"""The version of the installed distribution."""

from importlib.metadata import PackageNotFoundError, version


def _read() -> str:
    try:
        return version("rq-farm")
    except PackageNotFoundError:  # run from a folder, not installed
        return "0+unknown"


__version__ = _read()
