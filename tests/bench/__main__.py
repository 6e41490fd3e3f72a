"""`make bench`: this project beside its peers, interleaved in one run. Measures and prints; asserts nothing."""

import argparse
import dataclasses
import json
import signal
import sys
from pathlib import Path
from typing import Any

from tests.bench import pages, report
from tests.bench.machine import after, header, settings
from tests.bench.run import run
from tests.bench.systems import SYSTEMS, chosen
from tests.bench.workload import QUICK, Record, Scale
from tests.bench.workloads import WORKLOADS

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "build" / "bench"
QUICK_WORKLOADS = ("drain", "latency")


def main() -> None:
    given = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    facts = json.loads(given.load.read_text()) if given.load else _measure(given)
    records = [Record(**record) for record in facts["records"]]
    tables = {
        name: report.table(workload, records)
        for name, workload in WORKLOADS.items()
        if any(record.workload == name for record in records)
    }
    for name, text in facts["header"].items():
        print(f"{name:<8} {text}")
    for name, shown in tables.items():
        print(f"\n{name}: {report.as_text(shown)}")
    text = report.page(facts["header"], facts["settings"], tables)
    picture = pages.picture(facts["header"], records)
    pages.keep(OUTPUT, facts, text, picture)
    print(f"\nkept in {OUTPUT.relative_to(ROOT)}", file=sys.stderr)
    if given.publish:
        pages.publish(ROOT / "docs", text, picture)


def _measure(given: argparse.Namespace) -> dict[str, Any]:
    names = given.workloads or (QUICK_WORKLOADS if given.quick else tuple(WORKLOADS))
    systems = chosen(given.peers)
    scale = QUICK if given.quick else Scale()
    rounds = given.rounds or (1 if given.quick else 3)
    facts: dict[str, Any] = {"header": header(systems), "settings": settings(systems), "records": []}
    facts["header"]["run"] = f"{rounds} round(s), interleaved{', quick: small numbers' if given.quick else ''}"
    records: list[Record] = []
    for record in run([WORKLOADS[name] for name in names], systems, rounds, scale, given.tries):
        records.append(record)
        facts["records"].append(dataclasses.asdict(record))
        facts["header"] |= after(records)
        pages.keep_facts(OUTPUT, facts)  # a run takes long: what was measured survives its end
    return facts


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=0, help="3, or 1 with --quick")
    parser.add_argument(
        "--tries", type=int, default=1, help="of a turn that neighbours on a shared machine disturb, at most; 1"
    )
    parser.add_argument("--quick", action="store_true", help="small numbers; drain and latency if nothing else is said")
    parser.add_argument("--workloads", type=str.split, default=[], help=f'of "{" ".join(WORKLOADS)}"; all')
    parser.add_argument(
        "--peers", type=_words, default=[], help=f'beginnings of "{", ".join(each.name for each in SYSTEMS)}"; all'
    )
    parser.add_argument("--load", type=Path, help="show a run that was kept (run.json) instead of measuring")
    parser.add_argument("--publish", action="store_true", help="put the tables and the picture into docs/")
    given = parser.parse_args()
    unknown = [name for name in given.workloads if name not in WORKLOADS]
    if unknown:
        parser.error(f"no workload {' '.join(unknown)}; there are {' '.join(WORKLOADS)}")
    return given


def _words(text: str) -> list[str]:
    """Separated by commas, or by spaces where there are none: names have spaces."""
    return [word.strip() for word in (text.split(",") if "," in text else text.split()) if word.strip()]


if __name__ == "__main__":
    main()
