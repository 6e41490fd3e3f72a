"""`farm settings` shows values and origins, and needs no Redis. The command line as a whole: help, version, errors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from farm.cli import command_line, exit_codes
from farm.cli.group import COMMANDS
from farm_settings import SETTINGS

FARM = Path(sys.executable).with_name("farm")
NO_REDIS = "redis://user:secret@127.0.0.1:1/0"


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    for variable in list(os.environ):
        if variable.startswith(("FARM_", "RQ_")) and variable != "RQ_FARM_TEST_SESSION":
            monkeypatch.delenv(variable)
    return CliRunner()


def test_the_table_has_every_setting_with_value_and_origin(runner: CliRunner) -> None:
    result = runner.invoke(command_line, ["settings"], env={"FARM_THRESHOLD": "0.5"})

    assert result.exit_code == exit_codes.OK
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert rows[0] == ["name", "value", "origin"]
    assert [row[0] for row in rows[1:]] == list(SETTINGS)
    assert ["threshold", "0.5", "environment"] in rows
    assert ["drain_timeout", "3600", "default"] in rows
    assert ["memory_limit_mb", "-", "default"] in rows


def test_no_redis_is_needed_and_the_password_is_hidden(runner: CliRunner) -> None:
    table = runner.invoke(command_line, ["settings"], env={"FARM_REDIS_URL": NO_REDIS})
    as_json = runner.invoke(command_line, ["settings", "--json"], env={"FARM_REDIS_URL": NO_REDIS})

    assert table.exit_code == as_json.exit_code == exit_codes.OK
    assert "redis://user:***@127.0.0.1:1/0" in table.output
    assert "secret" not in table.output + as_json.output


def test_json_has_typed_values_and_warnings(runner: CliRunner) -> None:
    result = runner.invoke(command_line, ["settings", "--json"], env={"FARM_QUEUES": "a,b", "FARM_BRUST": "1"})

    shown = json.loads(result.stdout)
    assert shown["settings"]["queues"]["value"] == ["a", "b"]
    assert shown["settings"]["queues"]["origin"] == "environment"
    assert shown["settings"]["memory_limit_mb"]["value"] is None
    assert shown["settings"]["threshold"] == {
        "value": 0.75,
        "origin": "default",
        "variable": "FARM_THRESHOLD",
        "flag": "--threshold",
        "description": SETTINGS["threshold"].description,
    }
    assert shown["warnings"] == ["FARM_BRUST is set, but no setting has this name: did you mean FARM_BURST?"]
    assert "Warning: FARM_BRUST" in result.stderr


def test_a_value_that_cannot_be_used_is_one_line_and_code_2(runner: CliRunner) -> None:
    result = runner.invoke(command_line, ["settings"], env={"FARM_THRESHOLD": "75"})

    assert result.exit_code == exit_codes.USAGE
    assert result.stderr.startswith("Error: threshold: '75' (from FARM_THRESHOLD) cannot be used")
    assert len(result.stderr.splitlines()) == 1


def test_help_lists_every_command_without_importing_it(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom farm.cli import command_line\n"
        "try: command_line(['--help'])\n"
        "finally: print(*(name for name in sys.modules if name.startswith(('redis', 'rq', 'rich', 'farm.store'))))"
    )
    result = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30
    )

    assert all(f"  {name} " in result.stdout for name in COMMANDS)
    assert "Examples:" in result.stdout
    assert result.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_there_and_explained(name: str, runner: CliRunner) -> None:
    group = command_line
    assert isinstance(group, click.Group)

    result = runner.invoke(group, [name, "--help"])

    assert result.exit_code == exit_codes.OK, result.output
    assert f"Usage: farm {name}" in runner.invoke(group, [name, "--help"], prog_name="farm").output
    assert "Example" in result.output


def test_version_names_what_matters_in_a_report(runner: CliRunner) -> None:
    result = runner.invoke(command_line, ["--version"])

    assert result.exit_code == exit_codes.OK
    assert result.stdout.startswith("farm ")
    assert "rq " in result.stdout
    assert "Python " in result.stdout


def test_an_unknown_command_is_code_2(runner: CliRunner) -> None:
    assert runner.invoke(command_line, ["wroker"]).exit_code == exit_codes.USAGE
