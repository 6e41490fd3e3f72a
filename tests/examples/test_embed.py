"""examples/embed.py: one model for all jobs of a host."""

import shutil
import sys
from pathlib import Path

import redis

import farm
from tests.support.example import running
from tests.support.wheel import ROOT


def test_all_jobs_use_the_one_model_of_their_host(
    tmp_path: Path, farm_environment: dict[str, str], redis_client: redis.Redis
) -> None:
    for name in ("embed.py", "rates.csv"):
        shutil.copy(ROOT / "examples" / name, tmp_path)
    environment = {**farm_environment, "FARM_THRESHOLD": "1"}
    with running([sys.executable, "embed.py"], tmp_path, environment, redis_client):
        texts = farm.Client(farm_environment["FARM_REDIS_URL"]).queue("texts")
        pairs = [("Vienna", "Vienna"), ("Vienna", "Vienne"), ("Vienna", "Bern"), ("", "Bern")] * 10
        results = [job.result(timeout=30) for job in [texts.enqueue("embed.compare", *pair) for pair in pairs]]

    same, near, far, empty = (result["similarity"] for result in results[:4])
    assert same == 1.0
    assert same > near > far >= empty == 0.0
    assert len({result["model"] for result in results}) == 1
    assert not {result["model"] for result in results} & {result["process"] for result in results}
