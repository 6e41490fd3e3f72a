"""What settings accept and refuse, and what a refusal says."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from farm_settings import (
    SETTINGS,
    AdmissionSettings,
    HostSettings,
    InvalidSetting,
    LeaseSettings,
    PoolSettings,
    RedisSettings,
    Settings,
    load,
)
from tests.support.wheel import ROOT

DESIGNED_DEFAULTS = {
    "redis_url": None,
    "prefix": "farm",
    "queues": ("default",),
    "app": None,
    "standby_coordinator": True,
    "threshold": 0.75,
    "memory_threshold": 0.9,
    "resume_margin": 0.05,
    "admission": "hold",
    "max_deferral": None,
    "max_deferral_action": "event",
    "heartbeat_interval": 1.0,
    "suspect_after": 3.0,
    "host_timeout": 10.0,
    "leader_ttl": 3.0,
    "drain_timeout": 3600.0,
    "max_crashes": 3,
    "max_host_losses": 10,
    "on_lost": "rerun",
    "labels": (),
    "process_mode": "reuse",
    "executor": "process",
    "start_method": "template",
    "max_jobs_per_process": None,
    "max_process_age": None,
    "recycle_memory_mb": None,
    "initialize_timeout": 60.0,
    "preload_timeout": 300.0,
    "close_timeout": 10.0,
    "memory_warn_mb": 1000.0,
    "memory_limit_mb": None,
    "ping_interval": 2.5,
    "ping_timeout": 60.0,
    "high_ping_threshold": 0.5,
    "http_proxy": None,
    "async_concurrency": 1,
    "result_ttl": 500,
    "log_level": "info",
    "log_format": "text",
}

REFUSED = [
    ("threshold", "0"),
    ("threshold", "1.01"),
    ("threshold", "nan"),
    ("threshold", "high"),
    ("memory_threshold", "-0.1"),
    ("resume_margin", "-0.1"),
    ("heartbeat_interval", "0"),
    ("drain_timeout", "-5"),
    ("drain_timeout", "5 fortnights"),
    ("host_timeout", "inf"),
    ("ping_timeout", "s"),
    ("processes", "0"),
    ("processes", "2.5"),
    ("processes", "many"),
    ("processes", "unlimited"),
    ("idle_processes", "-1"),
    ("max_crashes", "0"),
    ("max_jobs", "0"),
    ("memory_limit_mb", "0"),
    ("result_ttl", "-2"),
    ("name", "my host"),
    ("name", "häst"),
    ("name", "a:b"),
    ("prefix", "farm*"),
    ("queues", ","),
    ("redis_url", "localhost:6379"),
    ("redis_url", "http://localhost"),
    ("burst", "maybe"),
    ("admission", "open"),
    ("on_lost", "retry"),
    ("executor", "fiber"),
    ("log_level", "loud"),
    ("log_format", "%(asctime)s %(message)s"),
    ("app", "calls.py"),
    ("app", "my calls"),
    ("job_class", "Job"),
    ("serializer", "xml"),
    ("exception_handlers", "handler"),
    ("async_concurrency", "0"),
]

ACCEPTED = [
    ("drain_timeout", "30", 30.0),
    ("drain_timeout", "30s", 30.0),
    ("drain_timeout", "5m", 300.0),
    ("drain_timeout", "1h", 3600.0),
    ("drain_timeout", "1.5 H", 5400.0),
    ("ping_interval", "250ms", 0.25),
    ("max_deferral", "off", None),
    ("max_deferral", "1d", 86400.0),
    ("memory_warn_mb", "off", None),
    ("memory_limit_mb", "1500.5", 1500.5),
    ("processes", "12", 12),
    ("idle_processes", "0", 0),
    ("burst", "yes", True),
    ("standby_coordinator", "0", False),
    ("queues", "high, default ,high", ("high", "default")),
    ("labels", "gpu,zone=eu", ("gpu", "zone=eu")),
    ("path", "/a:/b:", ("/a", "/b")),
    ("on_lost", "FAIL", "fail"),
    ("log_level", "WARN", "warning"),
    ("result_ttl", "-1", -1),
    ("result_ttl", "0", 0),
    ("result_ttl", "2h", 7200),
    ("app", "shop.calls:app", "shop.calls:app"),
    ("serializer", "json", "json"),
    ("redis_url", "unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
    ("name", "host-1.eu_west", "host-1.eu_west"),
    ("exception_handlers", "a.b,c.d", ("a.b", "c.d")),
]


def value_of(settings: Settings, name: str) -> object:
    return next(value for setting, value in settings.values() if setting.name == name)


def test_defaults_are_as_designed() -> None:
    settings = load(environ={})

    assert {name: value_of(settings, name) for name in DESIGNED_DEFAULTS} == DESIGNED_DEFAULTS
    assert set(settings.origins.values()) == {"default"}
    assert settings.warnings == ()


def test_every_setting_is_explained() -> None:
    assert all(setting.description and setting.kind.expects for setting in SETTINGS.values())


@pytest.mark.parametrize(("name", "text", "value"), ACCEPTED)
def test_a_value_is_read_from_its_variable(name: str, text: str, value: object) -> None:
    settings = load(environ={f"FARM_{name.upper()}": text})

    assert value_of(settings, name) == value
    assert settings.origins[name] == "environment"


@pytest.mark.parametrize(("name", "text"), REFUSED)
def test_a_refusal_names_setting_value_source_and_remedy(name: str, text: str) -> None:
    variable = f"FARM_{name.upper()}"

    with pytest.raises(InvalidSetting) as refusal:
        load(environ={variable: text})

    message = str(refusal.value)
    assert message.startswith(f"{name}: {text!r} (from {variable}) cannot be used: ")
    assert f"Change {variable}, or unset it" in message
    assert re.search("expected|name the module", message)


@pytest.mark.parametrize(("name", "text"), REFUSED)
def test_what_the_environment_may_not_say_no_other_layer_may(name: str, text: str) -> None:
    with pytest.raises(InvalidSetting, match=re.escape(SETTINGS[name].flag)):
        load(flags={name: text}, environ={})
    with pytest.raises(InvalidSetting, match=re.escape(f"App({name}=...)")):
        load(app={name: text}, environ={})


@pytest.mark.parametrize(("name", "value"), [("threshold", True), ("processes", False), ("drain_timeout", [1])])
def test_values_of_the_app_are_checked_for_their_type(name: str, value: object) -> None:
    with pytest.raises(InvalidSetting, match=name):
        load(app={name: value}, environ={})


def test_an_app_switches_a_limit_off_with_none() -> None:
    settings = load(app={"memory_warn_mb": None}, environ={})

    assert settings.pool.memory_warn_mb is None
    assert settings.origins["memory_warn_mb"] == "app"


def test_unlimited_processes_are_refused_in_words_for_now() -> None:
    with pytest.raises(InvalidSetting, match="unlimited is not supported yet; expected a whole number"):
        load(environ={"FARM_PROCESSES": "unlimited"})


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"FARM_RESUME_MARGIN": "0.8"}, "resume_margin must be less than threshold"),
        ({"FARM_SUSPECT_AFTER": "10"}, "suspect_after must be less than host_timeout"),
        ({"FARM_HEARTBEAT_INTERVAL": "3s"}, "heartbeat_interval must be less than suspect_after"),
        ({"FARM_PREFIX": "rq"}, "prefix must not be the same as rq_prefix"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused_with_both_sources(
    variables: dict[str, str], sentence: str
) -> None:
    with pytest.raises(InvalidSetting) as refusal:
        load(environ=variables)

    message = str(refusal.value)
    assert sentence in message
    assert f"from {next(iter(variables))}" in message
    assert "from the default" in message


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (LeaseSettings, {"suspect_after": 20}),
        (AdmissionSettings, {"threshold": 0.05}),
        (PoolSettings, {"processes": 0}),
        (PoolSettings, {"proceses": 1}),
        (RedisSettings, {"prefix": "rq"}),
    ],
)
def test_a_section_made_by_hand_is_checked_as_well(section: type[LeaseSettings], values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        section(**values)


def test_a_section_made_by_hand_does_not_look_at_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("PROCESSES", "FARM_PROCESSES", "URL", "NAME", "QUEUES", "APP"):
        monkeypatch.setenv(variable, "7")

    assert PoolSettings().processes is None
    assert RedisSettings().url is None
    assert HostSettings().queues == ("default",)


def test_a_section_does_not_change() -> None:
    section = load(environ={}).pool

    with pytest.raises(ValidationError, match="frozen"):
        section.processes = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    "url", ["redis://user:secret@db:6379/0", "redis://:secr@et@db", "redis://db/0?password=secret"]
)
def test_a_refusal_hides_passwords(url: str) -> None:
    with pytest.raises(InvalidSetting) as refusal:
        load(environ={"FARM_REDIS_URL": url.replace("redis:", "http:")})

    assert "secr" not in str(refusal.value)
    assert "***" in str(refusal.value)


def test_a_misspelt_variable_is_a_warning_with_the_nearest_name() -> None:
    settings = load(environ={"FARM_PROCESES": "4", "FARM_X": "1", "FARM_FLAGS": "{}", "FARM_USER_PYTHONPATH": "/a"})

    assert len(settings.warnings) == 2
    assert settings.warnings[0] == ("FARM_PROCESES is set, but no setting has this name: did you mean FARM_PROCESSES?")
    assert settings.warnings[1].startswith("FARM_X is set")


def test_a_misspelt_flag_or_argument_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(InvalidSetting, match=r"--treshold: there is no setting 'treshold'. Did you mean threshold\?"):
        load(flags={"treshold": 1}, environ={})
    with pytest.raises(InvalidSetting, match=r"App\(idle=...\): there is no setting"):
        load(app={"idle": 1}, environ={})


def test_rqs_own_variables_are_honoured() -> None:
    settings = load(
        environ={"RQ_KEY_PREFIX": "{tenant}", "RQ_JOB_CLASS": "shop.jobs.Job", "RQ_QUEUE_CLASS": "shop.jobs.Queue"}
    )

    assert settings.redis.rq_prefix == "{tenant}"
    assert settings.jobs.job_class == "shop.jobs.Job"
    assert settings.jobs.queue_class == "shop.jobs.Queue"


def test_our_variable_counts_before_rqs() -> None:
    settings = load(environ={"RQ_JOB_CLASS": "shop.jobs.Old", "FARM_JOB_CLASS": "shop.jobs.New"})

    assert settings.jobs.job_class == "shop.jobs.New"


def test_the_path_is_the_current_folder_then_pythonpath(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    direct = load(environ={"PYTHONPATH": "/a::/b"})
    isolated = load(environ={"FARM_USER_PYTHONPATH": "/a:/b", "FARM_PATH": f"{tmp_path}:/a:/b"})

    assert direct.host.path == isolated.host.path == (str(tmp_path), "/a", "/b")
    assert direct.origins["path"] == isolated.origins["path"] == "default"


def test_a_path_of_the_users_own_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    settings = load(environ={"FARM_PATH": "/srv:jobs", "PYTHONPATH": "/a"})

    assert settings.host.path == ("/srv", str(tmp_path / "jobs"))
    assert settings.origins["path"] == "environment"


@pytest.mark.parametrize("profile", ["development.env", "production.env"])
def test_the_example_profiles_are_valid(profile: str) -> None:
    lines = (ROOT / "settings" / profile).read_text().splitlines()
    variables = dict(
        line.removeprefix("# ").split("=", 1) for line in lines if re.match(r"(# )?FARM_[A-Z_]+=\S+$", line)
    )

    settings = load(environ=variables)

    assert settings.warnings == ()
    assert len(variables) > 5
