"""What `farm up` writes: lines with the name of the child that said them, in colour where a person looks."""

import io
import sys
from collections.abc import Mapping
from typing import TextIO

_COLORS = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")


class Terminal:
    """Writes lines with a prefix. A terminal that is gone is no error: the children go on."""

    def __init__(self, environ: Mapping[str, str], stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        if isinstance(self._stream, io.TextIOWrapper):
            self._stream.reconfigure(errors="backslashreplace")  # no line is lost to a terminal of few letters
        self._colored = self._stream.isatty() and not environ.get("NO_COLOR")
        self._color_of: dict[str, str] = {}
        self._width = 0
        self._known: list[str] = []

    def register(self, *names: str) -> None:
        """Names that will write, so that their lines are aligned."""
        for name in names:
            self._color_of.setdefault(name, _COLORS[len(self._color_of) % len(_COLORS)])
            self._width = max(self._width, len(name))

    def leave_out(self, beginning: str) -> None:
        """Lines that begin so are not written any more: it was said already."""
        self._known.append(beginning)

    def line(self, name: str, text: str) -> None:
        """One line said by `name`."""
        if text.startswith(tuple(self._known)):
            return
        prefix = f"{name:<{self._width}} |"
        if self._colored:
            prefix = f"\x1b[{self._color_of.get(name, '0')}m{prefix}\x1b[0m"
        self._write(f"{prefix} {text}\n")

    def text(self, text: str) -> None:
        """Some lines as they are."""
        self._write(f"{text}\n")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            return
