"""examples/django_shop: a host for a Django project."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import redis

import farm
from tests.support.example import running
from tests.support.wheel import ROOT

FARM = str(Path(sys.executable).with_name("farm"))
MIGRATE = """
import django
django.setup()
from django.core.management import call_command
call_command("migrate", run_syncdb=True, verbosity=0)
from orders.models import Order
for number in range(1, 6):
    Order.objects.create(customer=f"customer {number}", net=100.0 * number)
"""


@pytest.fixture
def shop(tmp_path: Path, farm_environment: dict[str, str]) -> Path:
    """A copy of the project, with five orders in its database."""
    folder = shutil.copytree(
        ROOT / "examples/django_shop", tmp_path / "shop", ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3")
    )
    environment = {**farm_environment, "DJANGO_SETTINGS_MODULE": "shop_settings"}
    subprocess.run([sys.executable, "-c", MIGRATE], cwd=folder, env=environment, check=True, timeout=60)
    return folder


@pytest.mark.parametrize("start_method", ["template", pytest.param("spawn", marks=pytest.mark.slow)])
def test_jobs_use_the_models_and_leave_no_connection_to_the_next(
    start_method: str, shop: Path, farm_environment: dict[str, str], redis_client: redis.Redis
) -> None:
    environment = {**farm_environment, "FARM_THRESHOLD": "1", "FARM_START_METHOD": start_method}
    with running([FARM, "worker", "--app", "farm_app"], shop, environment, redis_client):
        queue = farm.Client(farm_environment["FARM_REDIS_URL"]).queue("orders", timeout=3600)
        jobs = [queue.enqueue("orders.jobs.bill", order) for order in range(1, 6)]
        bills = [job.result(timeout=30) for job in jobs]
        missing = queue.enqueue("orders.jobs.bill", 4711)
        with pytest.raises(farm.JobFailed, match="Order matching query does not exist"):
            missing.result(timeout=30)
        limit = redis_client.hget(f"rq:job:{jobs[0].id}", "timeout")

    assert [bill["gross"] for bill in bills] == [119.0, 238.0, 357.0, 476.0, 595.0]
    assert limit == b"3600"
