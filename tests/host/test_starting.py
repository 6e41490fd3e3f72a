"""A host that cannot start says what is wrong and what to do, and leaves nothing."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
import redis
from rq import Queue

import farm
import farm_settings
import farm_worker
from farm.redis_server import RedisServer
from tests.support.farm import COMMANDS

FARM = str(COMMANDS / "farm")


def start(environment: dict[str, str], *flags: str, **settings: str) -> subprocess.CompletedProcess[str]:
    given = {f"FARM_{name.upper()}": value for name, value in settings.items()}
    return subprocess.run(
        [FARM, "worker", *flags], env=environment | given, capture_output=True, text=True, check=False, timeout=40
    )


def test_a_host_without_redis_says_where_it_looked(farm_environment: dict[str, str], tmp_path: Path) -> None:
    run = start(farm_environment | {"FARM_REDIS_URL": f"unix://{tmp_path}/nobody.sock"})
    assert run.returncode == 3
    assert "nobody.sock" in run.stderr.splitlines()[-1] or "nobody.sock" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_wrong_password_is_named_and_not_shown(farm_environment: dict[str, str], tmp_path: Path) -> None:
    with RedisServer(tmp_path / "guarded", tcp=True, append_only=False) as server:
        port = server.url.rpartition(":")[2]
        run = start(farm_environment | {"FARM_REDIS_URL": f"redis://:wrong-one@127.0.0.1:{port}"})
    assert run.returncode == 3
    assert "password" in run.stderr.lower()
    assert "wrong-one" not in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", "1.5"),
        pytest.param("threshold", "nan", marks=pytest.mark.slow),
        pytest.param("processes", "0", marks=pytest.mark.slow),
        ("processes", "many"),
        pytest.param("heartbeat_interval", "-1", marks=pytest.mark.slow),
        ("host_timeout", "1"),
        ("name", "with space"),
        pytest.param("admission", "perhaps", marks=pytest.mark.slow),
        pytest.param("log_level", "loud", marks=pytest.mark.slow),
    ],
)
def test_a_setting_out_of_range_is_named_with_its_value(
    farm_environment: dict[str, str], name: str, value: str
) -> None:
    command = [sys.executable, "-P", "-m", "farm_worker"]
    environment = farm_environment | {f"FARM_{name.upper()}": value}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=40)
    assert run.returncode == 2
    error = run.stderr.splitlines()[-1]
    assert error.startswith("Error: ")
    assert f"FARM_{name.upper()}" in error
    assert value in error
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no module"),
        pytest.param("import no_such_dependency", "no_such_dependency", marks=pytest.mark.slow),
        pytest.param("raise RuntimeError('broken on purpose')", "broken on purpose", marks=pytest.mark.slow),
        ("def (:", "SyntaxError"),
        pytest.param("value = 1", "App", marks=pytest.mark.slow),
        pytest.param("import farm\napp = farm.App(no_such_setting=1)", "no_such_setting", marks=pytest.mark.slow),
        ("import farm\napp = farm.App(threshold=7)", "threshold"),
    ],
    ids=["missing", "dependency", "raises", "syntax", "no app", "unknown setting", "bad value"],
)
def test_an_app_that_cannot_be_used_is_named(
    farm_environment: dict[str, str], user_folder: Path, text: str | None, said: str
) -> None:
    if text is not None:
        (user_folder / "broken_app.py").write_text(text)
    run = start(farm_environment, path=str(user_folder), app="broken_app")
    assert run.returncode in (1, 2)
    assert run.stderr.rstrip().count("Error: ") >= 1
    assert "broken_app" in run.stderr or "App(" in run.stderr
    assert said in run.stderr


def test_a_farm_that_is_not_installed_and_only_on_the_path_runs_jobs_too(
    farm_environment: dict[str, str], redis_client: redis.Redis, tmp_path: Path, user_folder: Path
) -> None:
    # Its coordinator, too, has to be found by an interpreter that knows nothing of PYTHONPATH.
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    (packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    (user_folder / "user_jobs.py").write_text("def hello(): return 'hello'")
    job = Queue("default", connection=redis_client).enqueue("user_jobs.hello", result_ttl=60)

    folders = [*(str(Path(package.__file__).parents[1]) for package in (farm, farm_worker, farm_settings)), user_folder]
    run = subprocess.run(
        [python, "-m", "farm", "worker", "--burst", "--processes", "1", "--threshold", "1"],
        env=farm_environment | {"PYTHONPATH": os.pathsep.join(map(str, folders))},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=40,
    )

    assert run.returncode == 0, run.stderr
    assert job.return_value(refresh=True) == "hello"
