"""What tools that report errors get from a host."""

from pathlib import Path

import pytest

from tests.support.farm import Farm
from tests.support.sentry_intake import SentryIntake
from tests.support.waiting import wait_until

pytest.importorskip("sentry_sdk")

APP = """
import farm, sentry_sdk
sentry_sdk.init({dsn!r})
app = farm.App()

@app.load
def load():
    return 0.1
"""


@pytest.mark.parametrize("process_mode", ["reuse", pytest.param("fresh", marks=pytest.mark.slow)])
def test_sentry_hears_of_each_failed_job_once(farm: Farm, user_folder: Path, process_mode: str) -> None:
    with SentryIntake() as intake:
        (user_folder / "reporting.py").write_text(APP.format(dsn=intake.dsn))
        farm.host(app="reporting", process_mode=process_mode, processes=2)
        jobs = [farm.queue().enqueue("jobs_under_test.fail", f"number {number}") for number in range(5)]
        farm.wait_for(*jobs, status="failed")
        wait_until(lambda: len(intake.bodies) >= 5, "all are reported")
        farm.members[0].stop()
        assert len(intake.bodies) == 5
