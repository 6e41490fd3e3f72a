"""What is seen while the show goes on: a table of hosts above a bar in a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from farm.demo.moment import Moment
from farm.demo.stage import HOSTS
from farm.store.snapshot import HostView

REFRESH_PER_SECOND = 8
LINE_INTERVAL_SECONDS = 2.0

_STYLES = {"available": "green", "full": "yellow", "starting": "dim"}


class Screen(Protocol):
    """Where the show is seen."""

    def say(self, text: str) -> None:
        """What happens next, or just did."""

    def show(self, moment: Moment) -> None:
        """How things stand."""


@contextmanager
def screen() -> Iterator[Screen]:
    """For stdout, whatever it is."""
    console = Console(highlight=False)
    if not console.is_terminal or console.is_dumb_terminal:
        yield PlainScreen()
        return
    with Live(console=console, refresh_per_second=REFRESH_PER_SECOND) as live:
        yield LiveScreen(console, live)


class PlainScreen:
    """Lines, for pipes and for terminals that cannot go back."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._next_line = 0.0

    def say(self, text: str) -> None:
        """One line, with the seconds since the beginning."""
        print(f"[{time.monotonic() - self._began:5.1f} s] {text}", flush=True)

    def show(self, moment: Moment) -> None:
        """One line, unless there was one just now."""
        if time.monotonic() < self._next_line:
            return
        self._next_line = time.monotonic() + LINE_INTERVAL_SECONDS
        hosts = "; ".join(" ".join(_cells(name, moment.host(name))[:4]) for name in HOSTS)
        print(f"           {_numbers(moment)} | {hosts}", flush=True)


class LiveScreen:
    """A picture that is drawn anew, with what was said above it."""

    def __init__(self, console: Console, live: Live) -> None:
        self._console = console
        self._live = live
        self._progress = Progress(
            TextColumn("files"), BarColumn(bar_width=40), MofNCompleteColumn(), TimeElapsedColumn(), console=console
        )
        self._task = self._progress.add_task("files", total=None)

    def say(self, text: str) -> None:
        """A line above the picture."""
        self._console.print(Text.assemble(("> ", "bold"), text))

    def show(self, moment: Moment) -> None:
        """The picture, drawn anew."""
        self._progress.update(self._task, total=moment.total, completed=moment.finished)
        table = Table("host", "state", "load", "busy", "why", box=None, pad_edge=False, header_style="dim")
        for name in HOSTS:
            cells = _cells(name, moment.host(name))
            table.add_row(*cells, style=_STYLES.get(cells[1], "red"))
        self._live.update(Group("", table, "", self._progress, _numbers(moment)))


def _cells(name: str, host: HostView | None) -> tuple[str, str, str, str, str]:
    """Name, state, load, busy processes, and why."""
    if host is None:
        return name, "not there", "-", "-", ""
    state = host.state if host.standing == "live" else host.standing
    busy = f"{host.fields.get('busy', '-')}/{host.fields.get('slots', '-')}"
    return name, state, host.fields.get("load", "-"), busy, host.reason


def _numbers(moment: Moment) -> str:
    return (
        f"{moment.finished}/{moment.total} finished, {len(moment.deferred)} deferred, {moment.running} running, "
        f"{moment.queued - len(moment.deferred)} waiting"
    )
