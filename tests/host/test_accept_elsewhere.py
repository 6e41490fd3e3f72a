"""What one host declines, another gets; what all decline is deferred with their reasons, and blocks nothing.

The coordinator has to respect what hosts declined for these.
"""

import json
from pathlib import Path

from farm.keys import Keys
from tests.support.farm import Farm
from tests.support.waiting import wait_until

KEYS = Keys()

APP = """
import os
import farm

app = farm.App()

@app.load
def load():
    return 0.1

@app.accept
def accept(job):
    {body}
"""


def write(folder: Path, body: str) -> None:
    (folder / "choosy.py").write_text(APP.format(body=body))


def test_a_job_that_one_host_declines_runs_on_the_other(farm: Farm, user_folder: Path) -> None:
    write(user_folder, "return os.environ['FARM_NAME'] == 'two' or 'not here'")
    farm.host("one", app="choosy")
    farm.host("two", app="choosy")
    jobs = farm.enqueue_many("add", [(1, number) for number in range(20)])

    farm.wait_for(*jobs, timeout=30)
    assert {farm.fetch(job).worker_name for job in jobs} == {"two"}


def test_a_job_that_all_decline_is_deferred_with_their_reasons_and_runs_when_one_accepts(
    farm: Farm, user_folder: Path, tmp_path: Path
) -> None:
    well = tmp_path / "well"
    write(
        user_folder,
        f"return 'note' in job.function or os.path.exists({str(well)!r}) or os.environ['FARM_NAME'] + ' is no place'",
    )
    farm.host("one", app="choosy")
    farm.host("two", app="choosy")
    job = farm.enqueue("add", 1, 2)

    def facts() -> dict[str, object]:
        found: dict[str, object] = json.loads(farm.command("job", job.id, "--json").stdout)
        return found

    wait_until(lambda: facts()["status"] == "deferred", "the job is deferred", 30)
    reason = str(facts()["deferred_reason"])
    assert "one is no place" in reason
    assert "two is no place" in reason
    behind = farm.enqueue_many("note", [(str(number),) for number in range(10)])
    farm.wait_for(*behind)
    assert farm.count("declined") < 100, "nobody is asked again and again"
    well.touch()
    assert farm.wait_for(job, timeout=30).return_value() == 3


def test_a_job_that_the_function_fails_on_stops_no_other(farm: Farm, user_folder: Path) -> None:
    write(user_folder, "return bool(1 / job.args[0]) if job.args[0] == 0 else True")
    farm.host("one", app="choosy")
    well = farm.enqueue("note", "x", 0.0)
    farm.wait_for(well)
    bad = farm.enqueue("add", 0, 1)
    others = farm.enqueue_many("add", [(1, number) for number in range(50)])

    farm.wait_for(*others, timeout=40)
    assert farm.status(bad) == "queued"
    farm.wait_for_state("one", "available")
    shown = json.loads(farm.command("job", bad.id, "--json").stdout)
    assert all("ZeroDivisionError" in one["reason"] for one in shown["declined"])


def test_jobs_of_a_host_that_cannot_be_asked_run_elsewhere(farm: Farm, user_folder: Path) -> None:
    write(user_folder, "return os.environ['FARM_NAME'] == 'two' or 1 / 0")
    farm.host("one", app="choosy")
    farm.host("two", app="choosy")
    jobs = farm.enqueue_many("add", [(1, number) for number in range(20)])

    farm.wait_for(*jobs, timeout=40)
    assert {farm.fetch(job).worker_name for job in jobs} == {"two"}
    assert farm.redis.exists(KEYS.host("one"))
