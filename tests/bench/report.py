"""Tables of a run, for a terminal and for a page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.bench.figures import Spread, ratios, spread_of
from tests.bench.workload import Record, Workload

OURS = "farm"
NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """Cells as text; the first row is the head."""

    title: str
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    """What went wrong, a line for each row that it concerns."""


def table(workload: Workload, records: Iterable[Record]) -> Table:
    """A row for each system and mode, in the order in which they were first measured in round 1."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record.workload == workload.name:
            groups.setdefault((record.system, record.mode), []).append(record)
    figures = [each for each in workload.figures if any(each.key in _keys(group) for group in groups.values())]
    ours = [group for (system, _), group in groups.items() if system == OURS]
    rated = [each for each in figures if each.ratio and ours and len(groups) > len(ours)]
    head = ["system", *(each.title for each in figures), *(f"farm ÷ it: {each.title}" for each in rated)]
    rows = [
        (
            _label(system, mode),
            *(cell(spread_of(group, each.key), each.digits) for each in figures),
            *(NOTHING if system == OURS else cell(ratios(ours[0], group, each.key), 2) for each in rated),
        )
        for (system, mode), group in sorted(groups.items(), key=lambda item: item[0][0] != OURS)
    ]
    return Table(workload.title, (tuple(head), *rows), tuple(_failures(groups)))


def as_text(shown: Table) -> str:
    """For a terminal."""
    widths = [max(map(len, column)) for column in zip(*shown.rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) if not number else cell.rjust(width) for number, (cell, width) in enumerate(cells))
        for cells in (zip(row, widths, strict=True) for row in shown.rows)
    ]
    return "\n".join([shown.title, "", *lines, *shown.notes])


def as_markdown(shown: Table) -> str:
    """For a page."""
    head, *rows = (f"| {' | '.join(row)} |" for row in shown.rows)
    notes = [f"- {note}" for note in shown.notes]
    return "\n".join(
        [f"{shown.title}.", "", head, "|---" * len(shown.rows[0]) + "|", *rows, *([""] if notes else []), *notes]
    )


def page(
    header: Mapping[str, str],
    settings: Mapping[str, Mapping[str, str]],
    tables: Mapping[str, Table],
) -> str:
    """All of a run as markdown: what it stood on, how each system was set up, a table for each workload."""
    lines = [f"- {name}: {text}" for name, text in header.items()]
    lines += ["", "| system | mode | set up as |", "|---|---|---|"]
    lines += [f"| {system} | {mode} | {text} |" for system, modes in settings.items() for mode, text in modes.items()]
    for name, shown in tables.items():
        lines += ["", f"### {name}", "", as_markdown(shown)]
    return "\n".join(lines) + "\n"


def cell(spread: Spread | None, digits: int) -> str:
    """The middle, and the extremes if they differ."""
    if spread is None:
        return NOTHING
    median, least, greatest = (f"{value:,.{digits}f}" for value in (spread.median, spread.least, spread.greatest))
    return median if least == greatest else f"{median} ({least}–{greatest})"


def _label(system: str, mode: str) -> str:
    return system if mode == "default" else f"{system}, {mode}"


def _keys(group: Sequence[Record]) -> set[str]:
    return {key for record in group for key in record.figures}


def _failures(groups: Mapping[tuple[str, str], Sequence[Record]]) -> Iterable[str]:
    for (system, mode), group in groups.items():
        failed = [record for record in group if record.error]
        if failed:
            yield f"{_label(system, mode)}: failed in {len(failed)} of {len(group)} rounds: {failed[0].error}"
