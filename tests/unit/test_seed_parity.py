"""docs/seed-parity.md: complete, and each row shown by a test that there is."""

import ast
import re
from functools import cache

import pytest

from tests.support.wheel import ROOT

PAGE = (ROOT / "docs/seed-parity.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("|") and not line.startswith(("| Seed |", "|---"))
]
OF_THE_SEED = re.findall(
    r"\w+",
    """
    initialize_process_fnc job_entrypoint_fnc num_idle_processes initialize_timeout close_timeout inference_executor
    job_executor_type mp_ctx memory_warn_mb memory_limit_mb http_proxy loop session_end_fnc
    MAX_CONCURRENT_INITIALIZATIONS start aclose launch_job processes get_by_job_id target_idle_processes
    set_target_idle_processes process_created process_started process_ready process_job_launched process_closed
    initialize join kill exitcode killed pid started uptime process_kind id running_job user_arguments status
    userdata executor_type add_shutdown_callback shutdown log_context_fields ThreadJobExecutor do_inference
""",
)


def test_nothing_of_the_seed_is_missing() -> None:
    seed = " ".join(row[0] for row in ROWS)

    assert [name for name in OF_THE_SEED if not re.search(rf"\b{name}\b", seed)] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: re.sub(r"\W+", " ", row[0]).strip()[:40])
def test_each_row_says_what_is_here_and_names_a_test_that_there_is(row: list[str]) -> None:
    assert len(row) == 5
    assert row[1]
    file, _, name = row[4].strip("`").partition("::")
    assert name in _tests_of(file)


@cache
def _tests_of(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text())
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))
