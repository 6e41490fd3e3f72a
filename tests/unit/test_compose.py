"""docker-compose.yml, the image and redis.conf fit together, and each service's command runs as the image would run it.

There need be no Docker: the wheel is installed in a clean virtual environment that stands for the image.
"""

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from rq import Queue
from rq.job import Job

from farm.redis_server import find_all
from farm_settings import SETTINGS, load
from tests.support.waiting import wait_until
from tests.support.wheel import ROOT, Installation, build_wheel, install_wheel

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ["coordinator", "worker"]
DOCKERFILE = (ROOT / "worker/Dockerfile").read_text()
REDIS_CONF = ROOT / "settings/redis.conf"
SECONDS_PER_UNIT = {"h": 3600, "m": 60, "s": 1}


def test_the_services_are_redis_a_coordinator_and_workers() -> None:
    assert set(SERVICES) == {"redis", "coordinator", "worker"}


def test_the_worker_can_be_scaled() -> None:
    worker = SERVICES["worker"]

    assert {"container_name", "hostname", "ports", "scale", "deploy"} & set(worker) == set()
    assert "FARM_NAME" not in worker["environment"]


@pytest.mark.parametrize("name", OURS)
def test_each_service_of_ours_waits_for_redis_and_tells_its_health_by_farm_status(name: str) -> None:
    assert SERVICES[name]["depends_on"] == {"redis": {"condition": "service_healthy"}}
    assert SERVICES[name]["healthcheck"]["test"] == ["CMD", "farm", "status", "--check"]


@pytest.mark.parametrize("name", OURS)
def test_each_variable_given_to_a_service_is_a_setting_with_a_good_value(name: str) -> None:
    environment = SERVICES[name]["environment"]

    settings = load(environ=environment)

    assert settings.warnings == ()
    assert set(environment) <= {variable for setting in SETTINGS.values() for variable in setting.variables}


def test_a_worker_has_a_little_longer_to_stop_than_its_jobs_have_to_end() -> None:
    drain_timeout = load(environ=SERVICES["worker"]["environment"]).host.drain_timeout
    grace_period = _seconds(SERVICES["worker"]["stop_grace_period"])

    assert drain_timeout + 5 <= grace_period <= drain_timeout + 60


def test_redis_uses_our_configuration_and_keeps_its_data() -> None:
    service = SERVICES["redis"]
    mounted = dict(volume.split(":")[:2] for volume in service["volumes"])

    assert mounted["./settings/redis.conf"] == service["command"][1]
    assert mounted["redis-data"] in service["command"]
    assert "redis-data" in COMPOSE["volumes"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"]), "a Redis without password must stay here"


def test_the_configuration_of_redis_loses_nothing_and_keeps_results_small() -> None:
    directives = _redis_directives()

    assert directives["appendonly"] == "yes"
    assert directives["maxmemory-policy"] == "noeviction"
    assert directives["stream-node-max-bytes"] == "300"


def test_a_server_starts_with_the_configuration(tmp_path: Path) -> None:
    socket = tmp_path / "redis.sock"
    arguments = [
        str(REDIS_CONF),
        "--port",
        "0",
        "--unixsocket",
        str(socket),
        "--dir",
        str(tmp_path),
        "--daemonize",
        "no",
    ]
    with _running([str(find_all()[0].path), *arguments], cwd=tmp_path, env={}) as server:
        wait_until(lambda: socket.exists() or server.poll() is not None, "the server listens or ended")
        with redis.Redis(unix_socket_path=str(socket)) as client:
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_job_code_comes_by_a_mount_or_in_an_image_built_on_ours() -> None:
    mounts = [volume.split("}:")[-1].split(":")[0] for volume in SERVICES["worker"]["volumes"]]
    image = (ROOT / "examples/image/Dockerfile").read_text()

    assert SERVICES["worker"]["environment"]["FARM_PATH"] in mounts
    assert f"FROM {SERVICES['worker']['image']}\n" in image
    assert "examples/image/Dockerfile" in (ROOT / "docker-compose.yml").read_text()


def test_the_image_is_built_in_two_stages_and_runs_isolated_without_root() -> None:
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]

    assert stages == ["python:${PYTHON}-slim"] * 2
    assert re.search(r"^USER (?!root|0)\w+$", last_stage, re.MULTILINE)
    assert re.search(r"^STOPSIGNAL SIGTERM$", last_stage, re.MULTILINE)
    assert 'CMD ["farm", "status", "--check"]' in last_stage
    assert _entrypoint()[:2] == ["python", "-I"]


def test_the_build_gets_the_sources_and_nothing_else() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert allowed >= {"farm/farm", "worker/farm_worker", "settings/farm_settings", "pyproject.toml"}
    assert all((ROOT / name).exists() for name in allowed)


@pytest.mark.skipif(not shutil.which("docker"), reason="needs docker")
def test_compose_itself_accepts_the_file() -> None:
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False, timeout=30).returncode != 0:
        pytest.skip("needs the compose plugin of docker")

    run = subprocess.run(
        ["docker", "compose", "config", "--quiet"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=30
    )

    assert run.returncode == 0, run.stderr


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """What the image holds: our wheel, its dependencies, and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("image")
    return install_wheel(build_wheel(folder / "wheel"), folder / "farm")


def test_the_wheel_works_without_the_checkout(image: Installation, tmp_path: Path) -> None:
    script = (
        "import farm, farm_worker, farm_settings; print(farm.__file__, farm_worker.__file__, farm_settings.__file__)"
    )
    run = subprocess.run(
        [str(image.commands / "python"), "-I", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert all(Path(file).is_relative_to(image.folder) for file in run.stdout.split())


@pytest.mark.parametrize("name", OURS)
def test_each_command_of_a_service_exists_in_the_image(name: str, image: Installation, tmp_path: Path) -> None:
    run = subprocess.run(
        [*_in_image(image, SERVICES[name]["command"]), "--help"],
        cwd=tmp_path,
        env=_environment(image, tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert run.returncode == 0, run.stderr
    assert "Usage: farm" in run.stdout


def test_the_services_together_are_healthy_run_a_job_and_stop_when_asked(
    image: Installation, tmp_path: Path, redis_url: str, redis_client: redis.Redis
) -> None:
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    (jobs / "mounted.py").write_text("def double(number):\n    return 2 * number\n")
    job = Queue("default", connection=redis_client).enqueue("mounted.double", 21, result_ttl=60)

    with _service("coordinator", image, redis_url, jobs), _service("worker", image, redis_url, jobs):
        wait_until(lambda: _is_healthy(image, redis_url, jobs), "the services are healthy", timeout=30)
        wait_until(lambda: job.get_status(refresh=True) == "finished", "the job finished", timeout=20)

    assert Job.fetch(job.id, connection=redis_client).return_value() == 42


@contextmanager
def _service(name: str, image: Installation, redis_url: str, jobs: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One service as a container would run it; asked to stop at the end, it must end well."""
    with _running(
        _in_image(image, SERVICES[name]["command"]),
        cwd=jobs,
        env=_environment(image, jobs) | SERVICES[name]["environment"] | _here(redis_url, jobs),
    ) as process:
        yield process
        process.send_signal(getattr(signal, re.findall(r"^STOPSIGNAL (\w+)$", DOCKERFILE, re.MULTILINE)[0]))
        assert process.wait(timeout=20) == 0


@contextmanager
def _running(command: list[str], *, cwd: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, cwd=cwd, env=env) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    process.kill()


def _is_healthy(image: Installation, redis_url: str, jobs: Path) -> bool:
    _, *command = SERVICES["worker"]["healthcheck"]["test"]
    environment = _environment(image, jobs) | _here(redis_url, jobs)
    program = str(image.commands / command[0])
    return subprocess.run([program, *command[1:]], env=environment, check=False, timeout=30).returncode == 0


def _here(redis_url: str, jobs: Path) -> dict[str, str]:
    """What stands for the names that only hold among containers."""
    return {"FARM_REDIS_URL": redis_url, "FARM_PATH": str(jobs)}


def _environment(image: Installation, home: Path) -> dict[str, str]:
    return {"PATH": f"{image.commands}:/usr/bin:/bin", "HOME": str(home)}


def _in_image(image: Installation, command: list[str]) -> list[str]:
    program, *arguments = _entrypoint()
    return [str(image.commands / program), *arguments, *command]


def _entrypoint() -> list[str]:
    (entrypoint,) = re.findall(r"^ENTRYPOINT (\[.*\])$", DOCKERFILE, re.MULTILINE)
    words = json.loads(entrypoint)
    assert isinstance(words, list)
    return words


def _seconds(text: str) -> int:
    return sum(int(number) * SECONDS_PER_UNIT[unit] for number, unit in re.findall(r"(\d+)([hms])", text))


def _redis_directives() -> dict[str, str]:
    lines = [line.split(maxsplit=1) for line in REDIS_CONF.read_text().splitlines()]
    return {words[0]: words[1].strip() for words in lines if len(words) == 2 and not words[0].startswith("#")}
