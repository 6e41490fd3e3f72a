"""A farm under faults that a seed draws: no job is lost, no outcome counts twice, each second run has its reason.

`make chaos` runs the same for ten minutes.
"""

import pytest

from tests.chaos.driver import Options, run


@pytest.mark.usefixtures("redis_url")  # the server of other tests runs beside it, and is none of the run's
@pytest.mark.timeout(240)
def test_no_job_is_lost_and_no_outcome_counts_twice_whatever_happens() -> None:
    report = run(Options(seed=140, seconds=14, processes=2, pause=0.7))

    assert not report.verdict.findings, report.text
    print(report.text)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_what_redis_loses_with_the_end_of_its_file_is_all_that_is_lost() -> None:
    report = run(Options(seed=8, seconds=90, everysec=True))

    assert not report.verdict.findings, report.text
