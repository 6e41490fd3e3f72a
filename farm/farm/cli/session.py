"""What a command that talks to Redis works with."""

from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Self

import click

from farm.cli.failures import ADDRESS_IN_USE, told_in_one_line
from farm.keys import Keys, RqKeys
from farm.store.address import Address, resolve
from farm.store.connection import check_server, connect, readable_errors
from farm_settings import Settings, hide_password, load


class Session:
    """Settings, and a client of Redis. As a context manager it closes the connection at the end."""

    def __init__(self, settings: Settings, address: Address) -> None:
        self.settings = settings
        self.address = address
        self.redis_client = connect(address.url)
        self.keys = Keys(settings.redis.prefix)
        self.rq_keys = RqKeys(settings.redis.rq_prefix)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self.redis_client.close()


def open_session(flags: Mapping[str, object] = MappingProxyType({}), needs_version: bool = True) -> Session:
    """Reads the settings, says on stderr which Redis is used, and connects.

    `flags` are names of settings in lower case → values; None counts as not given. Without `needs_version` any server
    that answers will do, also one that refuses INFO. What goes wrong here ends the
    command with one line on stderr: code 2 for settings, 3 for Redis. Errors of the farm and of the connection that
    come up later in the command end it likewise. The connection is closed when the command ends, if not before.
    """
    context = click.get_current_context()
    with told_in_one_line():
        settings = load(flags=flags)
        address = resolve(settings.redis)
        click.echo(f"Redis: {hide_password(address.url)} ({address.source})", err=True)
        for warning in settings.warnings:
            click.echo(f"Warning: {warning}", err=True)
        session = Session(settings, address)
        context.call_on_close(session.close)
        context.find_root().meta[ADDRESS_IN_USE] = address.url
        if needs_version:
            check_server(session.redis_client, address.url)
        else:
            with readable_errors(address.url):
                session.redis_client.ping()
        return session
