"""What a command that talks to Redis works with."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Self

import click

from farm.cli.failures import ADDRESS_IN_USE, told_in_one_line
from farm.keys import Keys, RqKeys
from farm.store.address import Address, resolve
from farm.store.connection import check_version, connect, hide_password, readable_errors
from farm_settings import Settings, load

if TYPE_CHECKING:
    import redis


@dataclass(frozen=True, slots=True)
class Session:
    """Settings, and an open connection. As a context manager it closes the connection at the end."""

    settings: Settings
    address: Address
    redis_client: "redis.Redis"
    keys: Keys
    rq_keys: RqKeys

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.redis_client.close()


def open_session(flags: Mapping[str, object] = MappingProxyType({})) -> Session:
    """Reads the settings, says on stderr which Redis is used, and connects.

    `flags` are names of settings in lower case → values; None counts as not given. What goes wrong here ends the
    command with one line on stderr: code 2 for settings, 3 for Redis. Errors of the farm and of the connection that
    come up later in the command end it likewise.
    """
    with told_in_one_line():
        settings = load(flags={name: value for name, value in flags.items() if value is not None})
        address = resolve(settings.redis)
        click.echo(f"Redis: {hide_password(address.url)} ({address.source})", err=True)
        for warning in settings.warnings:
            click.echo(f"Warning: {warning}", err=True)
        client = connect(address.url)
        click.get_current_context().find_root().meta[ADDRESS_IN_USE] = address.url
        click.get_current_context().call_on_close(client.close)
        with readable_errors(address.url):
            check_version(client.info("server"), address.url)
        return Session(settings, address, client, Keys(settings.redis.prefix), RqKeys(settings.redis.rq_prefix))
