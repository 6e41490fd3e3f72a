"""Times as the scripts write and read them."""

from datetime import UTC, datetime
from importlib.resources import files

import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CLOCK = (files("farm.store") / "lua" / "include" / "clock.lua").read_text()
TO_ISO = CLOCK + "return to_iso(tonumber(ARGV[1]), tonumber(ARGV[2]))"
FROM_ISO = CLOCK + "local seconds = from_iso(ARGV[1]) return seconds and string.format('%.6f', seconds)"


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_scripts_write_and_read_times_as_python_does(redis_client: redis.Redis, moment: datetime) -> None:
    seconds, microseconds = int(moment.timestamp()), moment.microsecond
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    assert redis_client.eval(TO_ISO, 0, seconds, microseconds).decode() == text
    assert abs(float(redis_client.eval(FROM_ISO, 0, text)) - moment.timestamp()) < 1e-5


def test_text_that_is_no_time_has_no_seconds(redis_client: redis.Redis) -> None:
    assert [redis_client.eval(FROM_ISO, 0, text) for text in ("", "yesterday", "2026-01-02")] == [None, None, None]
