"""A user's folder with modules named as ours, RQ's and the standard library's does no harm and is served as it is."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import redis
from rq import Queue
from rq.job import Job

FARM = Path(sys.executable).with_name("farm")

FOREIGN = 'raise RuntimeError(f"{__name__} of the user was imported in place of the real one")\n'

FOLDER = {
    "settings.py": 'COLOUR = "blue"\n',
    "worker.py": 'NAME = "my own worker"\n',
    "queue.py": FOREIGN,
    "redis.py": FOREIGN,
    "job.py": 'TITLE = "my own job"\n',
    "farm_jobs.py": """
        def hello(name):
            import job
            import settings
            import worker

            return f"hello {name}: {settings.COLOUR}, {worker.NAME}, {job.TITLE}"
        """,
}


@pytest.fixture
def hostile_folder(user_folder: Path) -> Path:
    for name, text in FOLDER.items():
        (user_folder / name).write_text(dedent(text))
    return user_folder


@pytest.mark.slow  # run by `make layout`
@pytest.mark.parametrize("place", ["PYTHONPATH", "the current folder", "both"])
def test_a_host_runs_jobs_from_a_folder_that_shadows_everything(
    place: str, hostile_folder: Path, tmp_path: Path, farm_environment: dict[str, str], redis_client: redis.Redis
) -> None:
    job = Queue("default", connection=redis_client).enqueue("farm_jobs.hello", "you", result_ttl=60)
    if place != "the current folder":
        farm_environment["PYTHONPATH"] = str(hostile_folder)

    run = subprocess.run(
        [str(FARM), "worker", "default", "--burst", "--processes", "1"],
        cwd=tmp_path if place == "PYTHONPATH" else hostile_folder,
        env=farm_environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )

    assert run.returncode == 0, run.stderr
    assert "in place of the real one" not in run.stderr
    ended = Job.fetch(job.id, connection=redis_client)
    assert ended.get_status(refresh=True) == "finished", run.stderr
    assert ended.return_value() == "hello you: blue, my own worker, my own job"


@pytest.mark.slow  # run by `make layout`
@pytest.mark.parametrize("command", [["status"], ["settings"], ["enqueue", "farm_jobs.hello", "you"], ["--help"]])
def test_each_command_starts_in_a_folder_that_shadows_everything(
    command: list[str], hostile_folder: Path, farm_environment: dict[str, str]
) -> None:
    farm_environment["PYTHONPATH"] = str(hostile_folder)

    run = subprocess.run(
        [str(FARM), *command],
        cwd=hostile_folder,
        env=farm_environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )

    assert run.returncode == 0, run.stderr
    assert "in place of the real one" not in run.stderr
