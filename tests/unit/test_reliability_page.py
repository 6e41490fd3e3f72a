"""docs/reliability.md: a row for each fault, each shown by a test that there is."""

import ast
import re
from functools import cache

import pytest

from tests.support.wheel import ROOT

PAGE = (ROOT / "docs/reliability.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| F")]
FAULTS = [f"F{number:02}" for number in range(1, 80)]
PROMISE = (
    "a job that Redis accepted is run at least once and its outcome is recorded exactly once; it runs again only if "
    "its host or process was lost or you asked for retries; it is never dropped because hosts are busy; a job that "
    "keeps killing its process is parked with the evidence."
)


@pytest.mark.parametrize("page", ["docs/reliability.md", "README.md"])
def test_the_promise_is_given_in_these_words(page: str) -> None:
    text = " ".join((ROOT / page).read_text().replace("*", "").split())

    assert PROMISE.lower() in text.lower()


def test_each_fault_has_its_row() -> None:
    assert [row[0] for row in ROWS] == FAULTS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_row_says_what_happens_and_names_tests_that_there_are(row: list[str]) -> None:
    assert len(row) == 4
    assert row[1]
    assert row[2]
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row[3])
    assert named, "no test, and the row does not say why"
    assert [name for file, name in named if name not in _tests_of(file)] == []


@cache
def _tests_of(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text())
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))
