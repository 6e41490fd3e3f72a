"""A password in an address is never shown, wherever the address is."""

import pytest

import farm_settings
from farm.store import connection


@pytest.mark.parametrize(
    "address",
    [
        "redis://:secret@host:6379/0",
        "redis://user:secret@host/0",
        "rediss://user:se@cr/et@host:6379",
        "redis://host/0?password=secret&db=1",
        "unix:///tmp/redis.sock?password=secret",
        "redis://host:6379/0",
        "redis+sentinel://user:secret@host:26379,other:26379/master/0?sentinel_password=secret",
    ],
)
def test_no_part_of_a_password_is_shown_and_both_places_hide_alike(address: str) -> None:
    shown = connection.hide_password(address)
    assert shown == farm_settings.hide_password(address)
    assert "secret" not in shown
    assert "cr/et" not in shown
    assert "host" in shown or "redis.sock" in shown
