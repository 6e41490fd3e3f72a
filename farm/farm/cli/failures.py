"""What goes wrong in a command, told in one line on stderr and an exit code."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from farm import errors
from farm.cli import exit_codes
from farm_settings import InvalidSetting

ADDRESS_IN_USE = "farm.cli.failures.address"
"""Where a session leaves the address of Redis in the context of the command."""

_EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (InvalidSetting, exit_codes.USAGE),
    (errors.SettingsError, exit_codes.USAGE),
    (errors.RedisError, exit_codes.NO_REDIS),
    (errors.JobNotFound, exit_codes.NOT_FOUND),
    (errors.HostNotFound, exit_codes.NOT_FOUND),
    (errors.ResultTimeout, exit_codes.TIMEOUT),
    (errors.FarmError, exit_codes.FAILED),
)


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Ends the command with a line and a code when an error of ours, or one of the connection, leaves this context."""
    try:
        with _connection_errors_made_ours():
            yield
    except (errors.FarmError, InvalidSetting) as error:
        click.echo(f"Error: {error}", err=True)
        code = next(code for kind, code in _EXIT_CODES if isinstance(error, kind))
        raise click.exceptions.Exit(code) from error


@contextmanager
def _connection_errors_made_ours() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        address = click.get_current_context().find_root().meta.get(ADDRESS_IN_USE)
        if address is None or "farm.store.connection" not in sys.modules:
            raise
        from farm.store.connection import readable_errors  # noqa: PLC0415 (commands without Redis never load it)

        with readable_errors(address):
            raise error
