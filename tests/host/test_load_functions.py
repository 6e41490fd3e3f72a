"""Load functions that go wrong: the host says what is wrong, others take the jobs, and it comes back by itself."""

import json
from pathlib import Path

import pytest

from tests.support.farm import Farm
from tests.support.waiting import wait_until

BEATS = 3

pytestmark = pytest.mark.timeout(240)

APP = """
import json, math, os, time
import farm

FILE = os.environ["LOAD_FILE"]
app = farm.App()

@app.load
{define} load(host):
    with open(FILE) as file:
        todo = json.load(file)
    match todo:
        case "raise":
            raise LookupError("the meter is gone")
        case "hang":
            {sleep}(60)
        case "nan":
            return math.nan
        case "slow":
            {sleep}(2)
            return 0.1
        case "exit":
            os._exit(7)
    return todo
"""

KINDS = {"sync": {"define": "def", "sleep": "time.sleep"}}
KINDS["async"] = {"define": "async def", "sleep": "import asyncio; await asyncio.sleep"}

BROKEN = [
    ("raise", "load function loadapp.load raised LookupError: the meter is gone"),
    ("hang", "the load function did not answer within 1 s"),
    ("nan", "load function loadapp.load returned nan; it must return 0 to 1"),
    (-5, "load function loadapp.load returned -5; it must return 0 to 1"),
    (3, "load function loadapp.load returned 3; it must return 0 to 1"),
    ("slow", "the load function did not answer within 1 s"),
    ("exit", "ended: exit code 7"),
]


class Meter:
    """The host `one`, whose app's load is what a file says, and `two`, which is well."""

    def __init__(self, farm: Farm, folder: Path, kind: str) -> None:
        self.farm = farm
        self.file = folder / "load.json"
        self.says(0.1)
        (folder / "loadapp.py").write_text(APP.format(**KINDS[kind]))
        farm.environment["LOAD_FILE"] = str(self.file)
        farm.host("one", app="loadapp")
        farm.host("two", threshold=1)

    def says(self, what: object) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(what))
        new.rename(self.file)

    def beats_until(self, state: str, reason: str = "") -> int:
        """Regular beats, by the times of those that Redis has seen, until the host says this of itself."""
        seen: set[str] = set()

        def is_so() -> bool:
            published = self.farm.published("one")
            seen.add(published["beat_at"][:19])  # those that were brought forward come within the same second
            return published["state"] == state and reason in published["reason"]

        wait_until(is_so, f"host one is {state}: {reason}", 40)
        return len(seen) - 1


@pytest.fixture
def meter(farm: Farm, user_folder: Path, request: pytest.FixtureRequest) -> Meter:
    return Meter(farm, user_folder, getattr(request, "param", "sync"))


@pytest.mark.parametrize("meter", ["sync", pytest.param("async", marks=pytest.mark.slow)], indirect=True)
def test_a_host_with_a_broken_load_function_says_so_others_take_its_jobs_and_it_recovers(meter: Meter) -> None:
    for what, reason in BROKEN:
        meter.says(what)
        beats = meter.beats_until("unhealthy", reason)
        assert beats <= BEATS, (what, beats)
        published = meter.farm.published("one")
        assert (published["capacity"], published["load"]) == ("0", "1.0"), what

        jobs = [meter.farm.enqueue("add", number, 1) for number in range(4)]
        meter.farm.wait_for(*jobs)
        assert {meter.farm.fetch(job).worker_name for job in jobs} == {"two"}, what

        meter.says(0.1)
        meter.beats_until("available")
        assert meter.farm.published("one")["load"] == "0.1"


def test_a_load_function_that_hangs_holds_up_no_beat(meter: Meter) -> None:
    meter.says("hang")
    meter.beats_until("unhealthy")
    before = {meter.farm.published("one")["beat_at"]}

    def beats() -> set[str]:
        before.add(meter.farm.published("one")["beat_at"])
        return before if len(before) > 5 else set()

    wait_until(beats, "it beats on, a beat a second", 12)


def test_the_host_says_each_change_of_state_with_the_numbers(meter: Meter) -> None:
    meter.says(0.9)
    meter.beats_until("full")
    host = meter.farm.members[0]
    line = wait_until(lambda: [line for line in host.says.splitlines() if " full: " in line], "it is said")[0]

    assert "the app's own load 0.90 is at or over the threshold 0.75" in line
    assert all(word in line for word in ("cpu=", "cores=", "memory=", "slots=0/1", "load=0.90", "threshold=0.75"))
