"""The programs in examples/ do what they say, each as a process of its own."""

import asyncio
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import httpx
import pytest
import redis

from tests.support.example import running
from tests.support.wheel import ROOT

FARM = str(Path(sys.executable).with_name("farm"))
HOOKS_THERE_ARE = {"prewarm", "load", "queue", "run"}
LINES_OF_CALLS = 35


@pytest.mark.parametrize("command", [[FARM, "worker", "calls", "--app", "calls"], [sys.executable, "calls.py"]])
def test_an_app_bills_the_orders_of_a_producer_that_knows_only_rq(
    command: list[str], examples: Path, farm_environment: dict[str, str], redis_client: redis.Redis
) -> None:
    with running(command, examples, farm_environment, redis_client):
        run = subprocess.run(
            [sys.executable, "plain_rq.py", farm_environment["FARM_REDIS_URL"], "1", "7", "100"],
            cwd=examples,
            env=farm_environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=40,
        )

    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [
        "1: {'order': 1, 'customer': 'customer 1', 'net': 10.0, 'gross': 10.81}",
        "7: {'order': 7, 'customer': 'customer 7', 'net': 70.0, 'gross': 83.3}",
        "100: {'order': 100, 'customer': 'customer 100', 'net': 1000.0, 'gross': 1200.0}",
    ]


def test_a_failed_bill_tells_its_producer_why(
    examples: Path, farm_environment: dict[str, str], redis_client: redis.Redis
) -> None:
    with running([FARM, "worker", "calls", "--app", "calls"], examples, farm_environment, redis_client):
        run = subprocess.run(
            [sys.executable, "plain_rq.py", farm_environment["FARM_REDIS_URL"], "4711"],
            cwd=examples,
            env=farm_environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=40,
        )

    assert run.returncode == 1
    assert "LookupError: there is no order 4711" in run.stderr


def test_a_service_waits_for_bills_in_its_handlers(
    examples: Path, farm_environment: dict[str, str], redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARM_REDIS_URL", farm_environment["FARM_REDIS_URL"])
    module = _load(examples / "fastapi_service.py")

    async def order_bills(*orders: int) -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=module.service)
        async with (
            module.service.router.lifespan_context(module.service),
            httpx.AsyncClient(transport=transport, base_url="http://shop", timeout=40) as client,
        ):
            return await asyncio.gather(*(client.post(f"/bills/{order}") for order in orders))

    with running([FARM, "worker", "calls", "--app", "calls"], examples, farm_environment, redis_client):
        found, missing = asyncio.run(order_bills(7, 4711))

    assert (found.status_code, found.json()["gross"]) == (200, 83.3)
    assert missing.status_code == 422
    assert "there is no order 4711" in missing.text


def test_the_app_is_thirty_lines_and_uses_only_hooks_that_there_are() -> None:
    text = (ROOT / "examples/calls.py").read_text()

    assert len(text.splitlines()) <= LINES_OF_CALLS
    assert set(re.findall(r"\bapp\.(\w+)", text)) == HOOKS_THERE_ARE


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
