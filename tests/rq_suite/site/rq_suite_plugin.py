"""A plugin of pytest for RQ's own tests: puts the farm's workers in the places of RQ's, and writes outcomes down."""

import json
import os
from pathlib import Path

import pytest
import rq
import rq.worker
import rq.worker.worker_classes
import rq.worker_pool

import farm_worker.rq

IN_THE_CALLING_PROCESS = ("test_worker.py", "test_webhooks.py")
"""There RQ's `SimpleWorker` stays: the first tests that class, the second counts calls of mocks, which no other process
can do."""

_SimpleWorker = rq.SimpleWorker
_failed: dict[str, bool] = {}

for module in (rq, rq.worker, rq.worker.worker_classes, rq.worker_pool):
    module.Worker = module.SimpleWorker = farm_worker.rq.Worker
for module in (rq.worker, rq.worker.worker_classes):
    module.RoundRobinWorker = farm_worker.rq.RoundRobinWorker
    module.RandomWorker = farm_worker.rq.RandomWorker


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After the test modules were imported."""
    for item in items:
        if item.path.name in IN_THE_CALLING_PROCESS and hasattr(item.module, "SimpleWorker"):
            item.module.SimpleWorker = _SimpleWorker


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """One of the three reports of a test; a skipped one is none."""
    name = report.nodeid.removeprefix("tests/")
    if report.failed or not report.skipped:
        _failed[name] = _failed.get(name, False) or report.failed
    if report.skipped:
        _failed.pop(name, None)


def pytest_sessionfinish() -> None:
    """Name → whether it failed."""
    Path(os.environ["RQ_SUITE_REPORT"]).write_text(json.dumps(_failed))
