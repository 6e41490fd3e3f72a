"""docs/operating.md says what is so: its examples are run, in their order, against a farm."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from farm.cli import command_line
from farm.client import Client
from tests.client import sample_jobs
from tests.client.running import run_all
from tests.support.farm import KEYS, RQ_KEYS, Farm
from tests.support.waiting import wait_until
from tests.support.wheel import ROOT

PAGE = ROOT / "docs/operating.md"

SHOP = """
import time
import farm

def bill(number):
    while number == 1:
        farm.current_job().raise_if_cancelled()
        time.sleep(0.02)
"""


@pytest.fixture
def shop(farm: Farm, user_folder: Path) -> Farm:
    """The farm that the page speaks of."""
    (user_folder / "shop.py").write_text(SHOP)
    # Failed elsewhere: a host that ran short jobs would for a moment have the next one behind the first.
    options: dict[str, Any] = {"job_id": "bill-0", "description": "shop.bill(0)", "failure_ttl": 600}
    farm.queue("calls").enqueue(sample_jobs.fail, "no such customer", **options)
    run_all(farm.redis, "calls")
    with Client(farm.url) as client:
        for number in (9, 1):
            client.queue("calls", job_id=f"bill-{number}").enqueue("shop.bill", number)
        farm.redis.hdel(RQ_KEYS.job("bill-9"), "origin")
        farm.host("worker-1", queues="calls", threshold=1)
        wait_until(lambda: farm.status("bill-1") == "started", "the first runs", 20)
        client.queue("calls", job_id="bill-2").enqueue("shop.bill", 2)
    wait_until(lambda: _shows(farm, "bill-1"), "the host tells of it")
    return farm


def _shows(farm: Farm, job_id: str) -> bool:
    return job_id.encode() in b"".join(farm.redis.hvals(KEYS.processes("worker-1")))


def _examples() -> Iterator[tuple[str, str]]:
    """Command line and what it prints, as one line each."""
    for block in re.findall(r"^```console\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = example.partition("\n")
            yield command, " ".join(output.split())


def test_the_examples_print_what_the_page_says(shop: Farm) -> None:
    runner = CliRunner(env={"FARM_REDIS_URL": shop.url})
    for command, expected in _examples():
        output = runner.invoke(command_line, shlex.split(command)[1:]).output
        printed = " ".join(line for line in output.splitlines() if not line.startswith("Redis: "))
        pattern = re.escape(expected).replace("…", ".*?")
        assert re.fullmatch(pattern, " ".join(printed.split())), f"{command} printed:\n{output}"
    shop.wait_for(shop.queue("calls").fetch_job("bill-9"))
    assert shop.status("bill-1") == "stopped"
