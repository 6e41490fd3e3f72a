"""What commands print: tables for people in a terminal, plain columns in a pipe, JSON when asked for."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

NOTHING = "-"
"""Stands for a value that there is none of, so that columns stay in place."""

SHORT = 12
"""Columns of cells this long at most keep their width where room is scarce; the others are folded."""


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints the rows on stdout.

    In a terminal: a table with its title, with styles unless `NO_COLOR` is set. Elsewhere: one line with the names of
    the columns, then one line a row, with tabs between; tabs and line ends within a cell become blanks.
    """
    if sys.stdout.isatty():
        _print_for_people(title, columns, rows)
    else:
        for row in (columns, *rows):
            click.echo("\t".join(" ".join(_text(cell).split()) or NOTHING for cell in row))


def print_json(value: object) -> None:
    """Prints the value on stdout as JSON, indented. What JSON has no form for becomes text."""
    click.echo(json.dumps(value, indent=2, default=_jsonable))


def printable(text: str, allowed: str = "") -> str:
    """The text with backslashes for what would steer a terminal or cannot be written: ids may hold anything."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in allowed else each.encode("unicode_escape").decode() for each in text
    )


def _text(cell: object) -> str:
    if cell is None:
        return NOTHING
    return printable(cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell), "\n\t\r")


def _jsonable(value: object) -> Any:
    return sorted(value, key=str) if isinstance(value, set | frozenset) else _text(value)


def _print_for_people(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    # rich takes longer to import than most commands run, and a pipe never needs it
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    cells = [[_text(cell) for cell in row] for row in rows]
    shown = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for number, column in enumerate(columns):
        widest = max([len(column), *(len(row[number]) for row in cells)])
        shown.add_column(Text(column), overflow="fold", no_wrap=widest <= SHORT)
    for row in cells:
        shown.add_row(*map(Text, row))
    Console(color_system=None if os.environ.get("NO_COLOR") else "auto").print(shown)
