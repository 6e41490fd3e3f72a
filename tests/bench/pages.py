"""Where a run is kept, and how its last tables get into the documents."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.picture import Panel, draw, panel
from tests.bench.workload import Record

BEGIN = "<!-- what follows is written by `make bench PUBLISH=1` -->"
PICTURE = "benchmarks.svg"


def keep_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """All that was measured."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(facts, indent=1))


def keep(folder: Path, facts: Mapping[str, Any], text: str, picture: str) -> None:
    """What was measured, its tables, its picture."""
    keep_facts(folder, facts)
    (folder / "tables.md").write_text(text)
    (folder / "picture.svg").write_text(picture)


def publish(docs: Path, text: str, picture: str) -> None:
    """Puts the tables at the end of benchmarks.md, and the picture beside it."""
    page = docs / "benchmarks.md"
    page.write_text(replaced(page.read_text(), text))
    (docs / PICTURE).write_text(picture)


def picture(header: Mapping[str, str], records: Sequence[Record]) -> str:
    """What is asked first as bars, with what it was measured on below."""
    return draw(panels(records), "; ".join(header[name] for name in ("date", "run", "busy") if name in header))


def replaced(page: str, text: str) -> str:
    """The page with `text` in place of what follows the mark. Raises ValueError if there is no mark."""
    head, mark, _ = page.partition(BEGIN)
    if not mark:
        raise ValueError(f"the page has no line {BEGIN!r} after which the tables would stand")
    return f"{head}{BEGIN}\n\n{text}"


def panels(records: Sequence[Record]) -> list[Panel]:
    """The two questions asked first: how many, and how soon."""
    drained = panel(
        "Empty jobs a second, two processes, results stored (pale: fastest settings, no results); logarithmic",
        [record for record in records if record.workload == "drain"],
        "jobs_per_second",
        pale="fast",
        greatest_first=True,
    )
    started = panel(
        "Idle: ms from the call of enqueue to the start of the job, median (less is better); logarithmic",
        [record for record in records if record.workload == "latency" and record.mode == "default"],
        "start_p50",
        pale="",
        greatest_first=False,
    )
    return [each for each in (drained, started) if each.bars]
