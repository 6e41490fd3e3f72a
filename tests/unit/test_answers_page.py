"""docs/answers.md: each question has an answer, a command, and a test that there is."""

import ast
import re

import pytest

from tests.support.wheel import ROOT

PAGE = (ROOT / "docs/answers.md").read_text()
SECTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
TABLE = re.findall(r"^\| (\d+) \| \[(.*?)\]\(#(.*?)\)", PAGE, re.MULTILINE)


def title(section: str) -> str:
    return section.partition("\n")[0]


def test_the_table_leads_to_each_question() -> None:
    anchors = [re.sub(r"[^\w -]", "", title(section).lower()).replace(" ", "-") for section in SECTIONS]

    assert len(SECTIONS) == 12
    assert [anchor for _, _, anchor in TABLE] == anchors
    assert [number for number, _, _ in TABLE] == [title(section).partition(".")[0] for section in SECTIONS]


@pytest.mark.parametrize("section", SECTIONS, ids=title)
def test_each_answer_has_a_command_and_names_a_test_that_there_is(section: str) -> None:
    file, name = re.search(r"^Test: `(.*?)::(.*?)`$", section, re.MULTILINE).groups()
    functions = (node for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef))

    assert name in {function.name for function in functions}
    assert re.search(r"^```\n.+?^```", section, re.MULTILINE | re.DOTALL)
