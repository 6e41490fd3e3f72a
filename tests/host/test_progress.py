"""A running job says how far it is, and is asked to end: through Redis, its host, its process, and back."""

from pathlib import Path

import pytest

import farm as library
from tests.support.farm import Farm
from tests.support.waiting import wait_until

MODULE = """
import time
import farm


def count_to(total):
    for number in range(1, total + 1):
        farm.current_job().progress(number / total, f"page {number} of {total}")
    return total


def work_until_canceled(heed):
    job = farm.current_job()
    job.progress(0.5, "half")
    while not (heed and job.is_cancelled):
        time.sleep(0.01)
    return "cleaned up"
"""


@pytest.fixture
def client(farm: Farm, user_folder: Path) -> library.Client:
    """A client of a farm with one host, whose jobs are `talk.*`."""
    (user_folder / "talk.py").write_text(MODULE)
    farm.host("one")
    return library.Client(connection=farm.redis)


def test_progress_is_seen_while_the_job_runs_and_stays_when_it_ended(farm: Farm, client: library.Client) -> None:
    job = client.queue().enqueue("talk.work_until_canceled", True)

    half = wait_until(job.progress, "it says how far it is")
    assert (half.fraction, half.text) == (0.5, "half")
    assert "50% half" in farm.command("job", job.id).stdout
    assert "50% half" in farm.command("host", "one").stdout
    process = client.host("one").job(job.id)
    assert process is not None
    assert process.progress == half

    assert job.cancel(grace=60) == "stopping"
    assert job.result(timeout=10) == "cleaned up"
    assert job.progress() == half


def test_the_last_word_of_a_job_shorter_than_a_beat_is_kept(farm: Farm, client: library.Client) -> None:
    job = client.queue().enqueue("talk.count_to", 1000)

    assert job.result(timeout=20) == 1000
    last = job.progress()
    assert last is not None
    assert (last.fraction, last.text) == (1.0, "page 1000 of 1000")


def test_a_job_that_does_not_heed_is_stopped_when_its_grace_is_over(farm: Farm, client: library.Client) -> None:
    job = client.queue().enqueue("talk.work_until_canceled", False)
    wait_until(job.progress, "it runs")

    assert job.cancel(grace=0.2) == "stopping"
    with pytest.raises(library.JobFailed, match="stopped"):
        job.result(timeout=20)
    assert job.status().status == "stopped"
    assert job.progress() is not None
    farm.wait_for(farm.enqueue("add", 1, 2))
