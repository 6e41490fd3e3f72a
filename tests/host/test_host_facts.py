"""`farm.host_facts()` in all code of the user's that a host runs: the numbers that the host publishes."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.farm import Farm
from tests.support.waiting import wait_until

APP = """
import dataclasses, os
import farm

app = farm.App()

def known():
    facts = farm.host_facts()
    return {**dataclasses.asdict(facts), "share": facts.memory_share}

@app.prewarm
def warm(process):
    process.userdata["warm"] = known()

@app.runner("teller")
class Teller:
    def initialize(self): ...
    def run(self, data): return known()

def in_job():
    return known()

def when_warm():
    return farm.current_process().userdata["warm"]

def of_runner():
    return farm.runner("teller").call(None)

def in_a_hostile_job():
    os.closerange(3, 256) if os.environ.get("CLOSE") else None
    os.chdir("/")
    return known()

@app.on("job_finished")
def heard(event):
    with open(os.environ["HEARD"], "a") as file:
        file.write(farm.host_facts().host + "\\n")
"""
WITH_LOAD = (
    APP
    + """
@app.load
def load(host):
    assert farm.host_facts() is host
    assert host.measured is False or 0 <= host.load <= 1
    return 0.25 if host.memory_share > 0 and host.threshold == 0.75 else 0.5
"""
)


@pytest.fixture
def app(user_folder: Path, farm: Farm, tmp_path: Path) -> str:
    (user_folder / "factsapp.py").write_text(APP)
    farm.environment["HEARD"] = str(tmp_path / "heard")
    return "factsapp"


def told(farm: Farm, function: str) -> dict[str, Any]:
    return farm.wait_for(farm.queue().enqueue(f"factsapp.{function}")).return_value()


def assert_as_published(farm: Farm, facts: dict[str, Any]) -> None:
    published = farm.published("one")
    for name in ("cpu_count", "threshold", "memory_total", "slots"):
        assert facts[name] == float(published[name])
    assert facts["host"] == "one"
    assert 0 < facts["share"] <= 1
    assert 0 < facts["memory_left"] < facts["memory_total"]
    assert all(0 <= facts[name] <= 1 for name in ("load", "cpu", "own_load", "others_load"))
    assert facts["sources"] == json.loads(published["sources"])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"process_mode": "fresh"},
        {"executor": "thread"},
        pytest.param({"start_method": "spawn"}, marks=pytest.mark.slow),
        pytest.param({"async_concurrency": 10}, marks=pytest.mark.slow),
    ],
    ids=lambda settings: "-".join(map(str, settings.values())) or "default",
)
def test_jobs_prewarm_functions_runners_and_handlers_read_what_the_host_published(
    farm: Farm, app: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    farm.host(threshold=1, app=app, **settings)

    assert_as_published(farm, told(farm, "in_job"))
    assert_as_published(farm, told(farm, "of_runner"))
    warm = told(farm, "when_warm")
    assert (warm["host"], warm["threshold"]) == ("one", 1.0)
    assert warm["cpu_count"] == float(farm.published("one")["cpu_count"])
    heard = tmp_path / "heard"
    wait_until(lambda: heard.exists() and "one\n" in heard.read_text(), "a handler was called, and knew its host")


def test_the_numbers_go_on_with_the_beats_also_while_redis_is_not_asked(farm: Farm, app: str) -> None:
    farm.host(threshold=1, app=app)
    first = told(farm, "in_job")
    later = wait_until(lambda: (facts := told(farm, "in_job"))["at"] > first["at"] and facts, "the host has beaten")
    assert later["busy"] in (0, 1)


def test_a_load_function_gets_the_same_type_and_can_ask_for_it(farm: Farm, app: str, user_folder: Path) -> None:
    (user_folder / "factsapp.py").write_text(WITH_LOAD)
    farm.host(app=app)
    assert farm.published("one")["load"] == "0.25"
    assert farm.published("one")["load_source"] == "app"
    assert told(farm, "in_job")["load"] == 0.25
