"""The state gate: each scenario is run by RQ's own workers and by the farm, and leaves the same in Redis.

What differs on purpose stands in `differences`. A scenario that needs a moment more on the farm, as what follows the
end of a job runs in a process, is looked at until it is the same.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from farm.redis_server import RedisServer
from farm.store.connection import connect
from tests.rq_state import control, endings, enqueueing
from tests.rq_state.differences import CHOSEN, chosen, matches
from tests.rq_state.dump import dump
from tests.rq_state.scenario import Scenario, scenarios_of
from tests.rq_state.stages import EitherStage, FarmStage, StockStage
from tests.rq_state.webhook_server import WebhookServer
from tests.support import leaks
from tests.support.farm import USER_MODULES, Farm
from tests.support.waiting import wait_until

SCENARIOS = [one for module in (enqueueing, endings, control) for one in scenarios_of(module)]
PATIENCE_SECONDS = 5.0
DATABASE_OF_STOCK = "1"


class Gate:
    """Both stages, each on a Redis of its own."""

    def __init__(self, stock: StockStage, farm: FarmStage, hooks: dict[EitherStage, WebhookServer]) -> None:
        self.stock = stock
        self.farm = farm
        self._hooks = hooks

    def play(self, stage: EitherStage, scenario: Scenario) -> None:
        self._hooks[stage].received.clear()
        stage.play(scenario)

    def seen(self, stage: EitherStage) -> dict[str, Any]:
        return dump(stage.redis) | {"webhooks": self._hooks[stage].seen()}


@pytest.fixture(scope="module")
def gate(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    folder = tmp_path_factory.mktemp("rq-state")
    redis_server.start()
    names = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    # The mark of the session is missing: the check after each test must not take these processes for forgotten ones.
    environment = kept | {"HOME": str(folder), leaks.SHARED_MARK: "1"}
    url = redis_server.url.removesuffix("0") + DATABASE_OF_STOCK
    with connect(redis_server.url) as client, connect(url) as stock_client:
        client.flushall()
        hooks_of_stock, hooks_of_farm = WebhookServer(stock_client), WebhookServer(client)
        stock = StockStage(stock_client, url, hooks_of_stock.url, environment, folder / "stock.log")
        farm = Farm(redis_server.url, environment, folder)
        try:
            with hooks_of_stock.open(), hooks_of_farm.open():
                farm_stage = FarmStage(farm, hooks_of_farm.url)
                yield Gate(stock, farm_stage, {stock: hooks_of_stock, farm_stage: hooks_of_farm})
        finally:
            stock.close()
            farm.close()
            print((folder / "stock.log").read_text())


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_what_stands_in_redis_is_the_same(gate: Gate, scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(USER_MODULES))  # for what is enqueued by reference
    gate.play(gate.stock, scenario)
    expected = gate.seen(gate.stock)
    gate.play(gate.farm, scenario)

    def wrong() -> tuple[dict[str, Any], list[str]]:
        found = differing(expected, gate.seen(gate.farm))
        expected_differences = chosen(scenario.name)
        unlisted = {
            path: pair for path, pair in found.items() if not any(one.covers(path) for one in expected_differences)
        }
        missing = [
            path for one in expected_differences for path in one.paths if not any(map(partial(matches, path), found))
        ]
        return unlisted, missing

    with suppress(AssertionError):
        wait_until(lambda: not any(wrong()), "both left the same", PATIENCE_SECONDS)
    unlisted, missing = wrong()
    gate.farm.start()
    assert not unlisted, "not the same, RQ's first:\n" + "\n".join(
        f"{path}\n  {ours[0]!r}\n  {ours[1]!r}" for path, ours in unlisted.items()
    )
    assert not missing, f"listed in differences.py, and the same now: {missing}"


def test_each_chosen_difference_names_scenarios_that_there_are() -> None:
    assert {name for one in CHOSEN for name in one.scenarios} <= {one.name for one in SCENARIOS}


def differing(expected: dict[str, Any], found: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Path → RQ's value and ours."""
    missing = "(nothing)"
    pairs = {path: (expected.get(path, missing), found.get(path, missing)) for path in sorted({*expected, *found})}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}
