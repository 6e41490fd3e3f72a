"""`farm worker` and `farm coordinator`: options become settings, and every option of `rq worker` has an answer."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from rq.cli import main as rq_command_line

from farm.cli import command_line, exit_codes, worker
from farm.cli.rq_options import REFUSED, REFUSED_SWITCHES
from farm.flags import take_flags
from farm_settings import SETTINGS, load

SAMPLE_VALUES = {
    "serializer": "json",
    "path": "/srv/jobs",
    "queue_class": "shop.Queue",
    "job_class": "shop.Job",
    "url": "redis://localhost:6379/3",
    "logging_level": "WARNING",
    "name": "host-7",
    "results_ttl": "77",
    "exception_handler": "shop.handle",
    "pid": "/run/farm.pid",
    "max_jobs": "3",
    "max_idle_time": "9",
    "dequeue_strategy": "round_robin",
}
SAMPLE_SETTINGS: dict[str, tuple[str, object]] = {
    "serializer": ("serializer", "json"),
    "path": ("path", ("/srv/jobs",)),
    "queue_class": ("queue_class", "shop.Queue"),
    "job_class": ("job_class", "shop.Job"),
    "url": ("redis_url", "redis://localhost:6379/3"),
    "logging_level": ("log_level", "warning"),
    "name": ("name", "host-7"),
    "results_ttl": ("result_ttl", 77),
    "exception_handler": ("exception_handlers", ("shop.handle",)),
    "pid": ("pid_file", "/run/farm.pid"),
    "max_jobs": ("max_jobs", 3),
    "max_idle_time": ("exit_when_idle", 9.0),
    "dequeue_strategy": ("dequeue_strategy", "round_robin"),
    "burst": ("burst", True),
    "verbose": ("log_level", "debug"),
    "quiet": ("log_level", "warning"),
}
RQ_OPTIONS = [option for option in rq_command_line.commands["worker"].params if isinstance(option, click.Option)]
REFUSED_SPELLINGS = {spelling for spellings in (*REFUSED, *REFUSED_SWITCHES) for spelling in spellings}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What would have been started in place of this process: module and flags."""
    calls: list[tuple[str, dict[str, Any]]] = []

    def start(module: str, arguments: list[str], variables: dict[str, str]) -> None:
        assert arguments == []
        calls.append((module, take_flags(dict(variables))))

    monkeypatch.setattr("farm.cli.worker.run_isolated", start)
    monkeypatch.setattr("farm.cli.coordinator.run_isolated", start)
    for variable in ("PYTHONPATH", "FARM_USER_PYTHONPATH", "FARM_PATH", "FARM_REDIS_URL", "RQ_REDIS_URL", "RQ_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    return calls


def invoke(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(command_line, arguments, env=variables)


def flags_of(started: Sequence[tuple[str, dict[str, Any]]], *arguments: str, **variables: str) -> dict[str, Any]:
    result = invoke("worker", *arguments, **variables)
    assert result.exit_code == exit_codes.OK, result.output
    module, flags = started[-1]
    assert module == "farm_worker"
    return flags


def test_without_options_nothing_is_overridden(started: list[tuple[str, dict[str, Any]]]) -> None:
    assert flags_of(started) == {}


def test_queues_are_arguments(started: list[tuple[str, dict[str, Any]]]) -> None:
    assert flags_of(started, "high", "default", "--burst") == {"queues": ["high", "default"], "burst": True}


def test_queues_are_not_given_twice() -> None:
    result = invoke("worker", "high", "--queues", "low")

    assert result.exit_code == exit_codes.USAGE
    assert "both as arguments and as --queues" in result.stderr


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "rq_prefix"])
def test_every_setting_is_an_option_of_the_worker(name: str) -> None:
    option = next(option for option in worker.command.params if option.name == name)

    assert SETTINGS[name].flag in option.opts


def test_options_of_all_kinds_become_settings(started: list[tuple[str, dict[str, Any]]]) -> None:
    flags = flags_of(
        started, "--processes", "4", "--threshold=0.6", "--drain-timeout", "5m", "--no-standby-coordinator", "-P", "/a"
    )

    settings = load(flags=flags, environ={})
    assert settings.pool.processes == 4
    assert settings.admission.threshold == 0.6
    assert settings.host.drain_timeout == 300.0
    assert settings.host.standby_coordinator is False
    assert settings.host.path == ("/a",)
    assert settings.origins["processes"] == "flag"


@pytest.mark.parametrize(
    ("words", "queues", "seconds"),
    [
        (["--exit-when-idle"], ("default",), 30.0),
        (["--exit-when-idle", "high", "low"], ("high", "low"), 30.0),
        (["high", "--exit-when-idle", "--burst"], ("high",), 30.0),
        (["--exit-when-idle", "2m", "high"], ("high",), 120.0),
        (["--exit-when-idle=5", "2m"], ("2m",), 5.0),
        (["--exit-when-idle", "off", "high"], ("high",), None),
        (["--max-idle-time", "5", "high"], ("high",), 5.0),
    ],
)
def test_exit_when_idle_may_stand_without_a_value_and_takes_no_queue_for_one(
    words: list[str], queues: tuple[str, ...], seconds: float | None, started: list[tuple[str, dict[str, Any]]]
) -> None:
    settings = load(flags=flags_of(started, *words), environ={})

    assert (settings.host.queues, settings.host.exit_when_idle) == (queues, seconds)


def test_exit_when_idle_is_known_by_the_name_that_rq_has_for_it() -> None:
    assert load(environ={"FARM_MAX_IDLE_TIME": "90"}).host.exit_when_idle == 90.0
    assert load(environ={"FARM_MAX_IDLE_TIME": "90", "FARM_EXIT_WHEN_IDLE": "3m"}).host.exit_when_idle == 180.0


@pytest.mark.parametrize("command", ["worker", "coordinator"])
def test_a_mistake_is_told_before_anything_starts(command: str, started: list[tuple[str, dict[str, Any]]]) -> None:
    from_flag = invoke(command, "--host-timeout", "1")
    from_environment = invoke(command, FARM_THRESHOLD="75")

    assert from_flag.exit_code == from_environment.exit_code == exit_codes.USAGE
    assert "suspect_after (3, from the default) and host_timeout (1, from --host-timeout)" in from_flag.stderr
    assert "threshold: '75' (from FARM_THRESHOLD)" in from_environment.stderr
    assert started == []


def test_the_coordinator_takes_its_settings(started: list[tuple[str, dict[str, Any]]]) -> None:
    result = invoke("coordinator", "-u", "redis://localhost:6379/5", "--leader-ttl", "5s", "-v")

    assert result.exit_code == exit_codes.OK, result.output
    assert started == [
        ("farm.coordinator", {"redis_url": "redis://localhost:6379/5", "leader_ttl": "5s", "log_level": "debug"})
    ]


@pytest.mark.parametrize(
    ("option", "spelling"), [(option, spelling) for option in RQ_OPTIONS for spelling in option.opts]
)
def test_every_option_of_rq_worker_has_the_same_meaning_or_is_refused_by_name(
    option: click.Option, spelling: str, started: list[tuple[str, dict[str, Any]]]
) -> None:
    name = str(option.name)
    if name in ("config", "log_format"):
        return  # their own tests stand below
    arguments = [spelling] if option.is_flag else [spelling, SAMPLE_VALUES.get(name, "1")]

    result = invoke("worker", *arguments)

    if spelling in REFUSED_SPELLINGS:
        assert result.exit_code == exit_codes.USAGE
        assert f"{spelling}" in result.stderr
        assert "of rq worker is not taken: " in result.stderr
        assert started == []
        return
    assert result.exit_code == exit_codes.OK, result.output
    settings = load(flags=started[-1][1], environ={})
    if name == "with_scheduler":
        assert set(settings.origins.values()) == {"default"}
    else:
        setting, value = SAMPLE_SETTINGS[name]
        assert {item.name: given for item, given in settings.values()}[setting] == value


def test_refused_options_name_one_of_ours_that_exists() -> None:
    ours = {spelling for option in worker.command.params for spelling in option.opts}

    for sentence in (*REFUSED.values(), *REFUSED_SWITCHES.values()):
        named = {word.strip(".,:") for word in sentence.split() if word.startswith("--")}
        assert named <= ours
        assert named or "nothing to set" in sentence


def test_exception_handlers_may_be_repeated(started: list[tuple[str, dict[str, Any]]]) -> None:
    flags = flags_of(started, "--exception-handler", "shop.first", "--exception-handler", "shop.second")

    assert load(flags=flags, environ={}).jobs.exception_handlers == ("shop.first", "shop.second")


def test_a_path_given_keeps_pythonpath(started: list[tuple[str, dict[str, Any]]]) -> None:
    flags = flags_of(started, "-P", "/src", "--path", "/more", FARM_USER_PYTHONPATH="/lib")

    assert flags["path"] == ["/src", "/more", "/lib"]


def test_verbose_and_quiet_exclude_each_other() -> None:
    assert invoke("worker", "-v", "-q").exit_code == exit_codes.USAGE


def test_log_formats_of_rq_are_refused_with_ours() -> None:
    result = invoke("worker", "--log-format", "%(asctime)s %(message)s")

    assert result.exit_code == exit_codes.USAGE
    assert "expected text or json" in result.stderr


def test_a_variable_of_rq_that_means_nothing_here_is_a_warning(started: list[tuple[str, dict[str, Any]]]) -> None:
    result = invoke("worker", RQ_WORKER_CLASS="shop.Worker")

    assert result.exit_code == exit_codes.OK
    assert "Warning: RQ_WORKER_CLASS is set, but a host does not use it" in result.stderr


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "rq_settings.py").write_text(
        "import os\nprint('hello')\n"
        "REDIS_HOST = 'db'\nREDIS_PORT = 6380\nREDIS_PASSWORD = 'p/w'\nREDIS_SSL = 'true'\n"
        "QUEUES = ['high', 'low']\nNAME = 'box-' + str(1 + 1)\nlower = 1\n"
    )
    return tmp_path


def test_a_configuration_module_of_rq_is_read(config: Path, started: list[tuple[str, dict[str, Any]]]) -> None:
    flags = flags_of(started, "-c", "rq_settings", "-P", str(config))

    assert flags["redis_url"] == "rediss://:p%2Fw@db:6380/0"
    assert flags["queues"] == ["high", "low"]
    assert flags["name"] == "box-2"
    assert "rq_settings" not in sys.modules


def test_sentinels_in_a_configuration_module_of_rq_become_an_address(
    tmp_path: Path, started: list[tuple[str, dict[str, Any]]]
) -> None:
    (tmp_path / "rq_settings.py").write_text(
        "SENTINEL = {'INSTANCES': [('one', 26379), ('two', 26380)], 'MASTER_NAME': 'm', 'DB': 2, 'PASSWORD': 'p/w',"
        " 'SENTINEL_KWARGS': {'password': 's'}}\n"
    )

    flags = flags_of(started, "-c", "rq_settings", "-P", str(tmp_path))

    assert flags["redis_url"] == "redis+sentinel://:p%2Fw@one:26379,two:26380/m/2?sentinel_password=s"


def test_flags_and_environment_count_before_the_configuration_module(
    config: Path, started: list[tuple[str, dict[str, Any]]]
) -> None:
    flags = flags_of(
        started, "mine", FARM_PATH=str(config), RQ_CONFIG="rq_settings", FARM_NAME="n", RQ_REDIS_URL="redis://db/1"
    )

    assert flags == {"queues": ["mine"]}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("DICT_CONFIG = {'version': 1}", "--log-level"),
        ("raise RuntimeError('broken here')", "cannot be imported: RuntimeError: broken here"),
    ],
)
def test_a_configuration_module_that_cannot_be_used_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "rq_settings.py").write_text(text)

    result = invoke("worker", "-c", "rq_settings", "-P", str(tmp_path))

    assert result.exit_code == exit_codes.USAGE
    assert sentence in result.stderr


def test_flags_are_handed_over_once() -> None:
    environ = {"FARM_FLAGS": json.dumps({"burst": True}), "HOME": "/"}

    assert take_flags(environ) == {"burst": True}
    assert take_flags(environ) == {}
    assert environ == {"HOME": "/"}


def test_a_setting_that_does_nothing_yet_is_taken_with_a_warning(started: list[tuple[str, dict[str, Any]]]) -> None:
    result = CliRunner().invoke(command_line, ["worker", "--queue-class", "shop.Queue"])
    assert result.exit_code == 0
    assert "Warning: queue_class (from the flag) has no effect in this version" in result.stderr
    assert started
