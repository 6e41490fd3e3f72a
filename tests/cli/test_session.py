"""A command's session: which Redis, said first; and errors as one line and a code."""

import socket
from concurrent.futures import ThreadPoolExecutor

import click
import pytest
from click.testing import CliRunner

from farm import errors
from farm.cli import exit_codes, group
from farm.cli.group import CommandTable
from farm.cli.session import open_session
from farm_settings import InvalidSetting


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> dict[str, click.Command]:
    """Commands for the group to find in place of the real ones."""
    table: dict[str, click.Command] = {}
    monkeypatch.setattr(CommandTable, "get_command", lambda self, ctx, name: table.get(name))
    return table


def invoke(commands: dict[str, click.Command], command: click.Command, **variables: str) -> tuple[int, str, str]:
    commands["try"] = command
    result = CliRunner().invoke(group.command_line, ["try"], env=variables)
    return result.exit_code, result.stdout, result.stderr


def test_the_first_line_says_which_redis(commands: dict[str, click.Command], redis_url: str) -> None:
    @click.command()
    def command() -> None:
        with open_session() as session:
            click.echo(session.redis_client.ping())

    code, stdout, stderr = invoke(commands, command, FARM_REDIS_URL=redis_url, FARM_BRUST="1")

    assert (code, stdout) == (exit_codes.OK, "True\n")
    assert stderr.splitlines()[0].startswith("Redis: ")
    assert stderr.splitlines()[0].endswith("(FARM_REDIS_URL)")
    assert stderr.splitlines()[1].startswith("Warning: FARM_BRUST is set")


def test_prefixes_come_from_the_settings(commands: dict[str, click.Command], redis_url: str) -> None:
    @click.command()
    def command() -> None:
        session = open_session({"redis_url": redis_url, "prefix": None})
        click.echo(f"{session.keys.load} {session.rq_keys.queues} {session.settings.origins['redis_url']}")

    code, stdout, _ = invoke(commands, command, FARM_PREFIX="f2", RQ_KEY_PREFIX="r2")

    assert (code, stdout) == (exit_codes.OK, "f2:load r2:queues flag\n")


def test_no_answer_is_one_line_with_the_remedies_and_code_3(commands: dict[str, click.Command]) -> None:
    @click.command()
    def command() -> None:
        open_session()

    code, _, stderr = invoke(commands, command, FARM_REDIS_URL="redis://me:secret@127.0.0.1:1/0")

    assert code == exit_codes.NO_REDIS
    lines = stderr.splitlines()
    assert lines[0] == "Redis: redis://me:***@127.0.0.1:1/0 (FARM_REDIS_URL)"
    assert lines[1].startswith("Error: Redis at redis://me:***@127.0.0.1:1/0 does not answer")
    assert len(lines) == 2
    assert "farm up" in lines[1]


def test_a_connection_lost_in_the_middle_ends_the_command_likewise(
    commands: dict[str, click.Command], redis_url: str
) -> None:
    @click.command()
    def command() -> None:
        session = open_session()
        session.redis_client.connection_pool.disconnect()
        raise ConnectionResetError("connection reset by peer")

    code, _, stderr = invoke(commands, command, FARM_REDIS_URL=redis_url)

    assert code == exit_codes.NO_REDIS
    assert "does not answer: connection reset by peer" in stderr


def test_what_answers_and_is_no_redis_is_told_as_such(commands: dict[str, click.Command]) -> None:
    @click.command()
    def command() -> None:
        open_session()

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as threads:
        said = threads.submit(_answer_like_a_web_server, server)
        url = f"redis://127.0.0.1:{server.getsockname()[1]}"
        code, _, stderr = invoke(commands, command, FARM_REDIS_URL=url)
        said.result(timeout=10)

    assert code == exit_codes.NO_REDIS
    assert f"Error: what answers at {url} is no Redis" in stderr


def _answer_like_a_web_server(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(1024)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidSetting("x"), exit_codes.USAGE),
        (errors.SettingsError("x"), exit_codes.USAGE),
        (errors.RedisTooOld("x"), exit_codes.NO_REDIS),
        (errors.JobNotFound("x"), exit_codes.NOT_FOUND),
        (errors.ResultTimeout("x"), exit_codes.TIMEOUT),
        (errors.JobFailed("x"), exit_codes.FAILED),
        (errors.AppError("x"), exit_codes.FAILED),
    ],
)
def test_each_kind_of_error_has_its_code(commands: dict[str, click.Command], error: Exception, code: int) -> None:
    @click.command()
    def command() -> None:
        raise error

    assert invoke(commands, command) == (code, "", "Error: x\n")


def test_an_error_that_is_nobodys_is_not_hidden(commands: dict[str, click.Command]) -> None:
    @click.command()
    def command() -> None:
        raise ZeroDivisionError

    commands["try"] = command
    result = CliRunner().invoke(group.command_line, ["try"])

    assert isinstance(result.exception, ZeroDivisionError)
