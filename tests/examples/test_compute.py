"""examples/compute.py: what the machine has and uses, in the log."""

import re
import sys
from pathlib import Path

import redis

import farm
from tests.support.example import running
from tests.support.waiting import wait_until
from tests.support.wheel import ROOT

LINE = re.compile(r"cpu=\d\.\d\d cores=[\d.]+ memory=[\d.]+/[\d.]+GB slots=(\d)/2 load=\d\.\d\d threshold=0\.75")


def test_each_beat_logs_cpu_cores_memory_slots_load_and_threshold(
    tmp_path: Path, farm_environment: dict[str, str], redis_client: redis.Redis
) -> None:
    text = (ROOT / "examples/compute.py").read_text()
    (tmp_path / "compute.py").write_text(text.replace("max(host.cpu, host.memory_share)", "host.busy / 100"))
    environment = {**farm_environment, "FARM_IDLE_PROCESSES": "2"}
    with running([sys.executable, "compute.py", "--name", "one"], tmp_path, environment, redis_client) as said:
        job = farm.Client(farm_environment["FARM_REDIS_URL"]).queue("compute").enqueue("compute.burn", 3)
        wait_until(lambda: "1" in LINE.findall(said()), "a line tells of the busy slot", 20)
        assert job.result(timeout=20) is None
        assert re.search(r"process 1 of one is warm", said())
        assert re.search(r"process 2 of one is warm", said())
