"""A flag counts before the environment, the environment before the app, the app before the default."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from farm_settings import SETTINGS, Settings, load

SECONDS = st.floats(0.01, 1e6, allow_nan=False)
COUNTS = st.integers(1, 10_000)
WORDS = st.lists(st.text("abcxyz-", min_size=1, max_size=5), min_size=1, max_size=3, unique=True).map(tuple)

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "processes": COUNTS,
    "idle_processes": COUNTS,
    "drain_timeout": SECONDS,
    "ping_timeout": SECONDS,
    "max_deferral": SECONDS,
    "memory_limit_mb": SECONDS,
    "threshold": st.floats(0.06, 1.0),
    "queues": WORDS,
    "labels": WORDS,
    "burst": st.booleans(),
    "standby_coordinator": st.booleans(),
    "on_lost": st.sampled_from(["rerun", "fail"]),
    "log_level": st.sampled_from(["debug", "info", "warning", "error"]),
    "name": st.text("abc123_.-", min_size=1, max_size=9),
}

layers = st.fixed_dictionaries({}, optional=VALUES)


def as_text(value: object) -> str:
    """The value as it is written in a variable."""
    return ",".join(value) if isinstance(value, tuple) else str(value)


def values_of(settings: Settings) -> dict[str, object]:
    return {setting.name: value for setting, value in settings.values()}


@given(flags=layers, environment=layers, app=layers)
def test_the_first_layer_that_has_a_value_decides(
    flags: dict[str, Any], environment: dict[str, Any], app: dict[str, Any]
) -> None:
    variables = {f"FARM_{name.upper()}": as_text(value) for name, value in environment.items()}

    settings = load(flags=flags, app=app, environ=variables)

    defaults = values_of(load(environ={}))
    assert values_of(settings) == defaults | app | environment | flags
    for name in SETTINGS:
        in_order = [("flag", flags), ("environment", environment), ("app", app)]
        expected = next((origin for origin, layer in in_order if name in layer), "default")
        assert settings.origins[name] == expected


@given(values=layers)
def test_text_and_value_mean_the_same(values: dict[str, Any]) -> None:
    texts = {name: as_text(value) for name, value in values.items()}

    assert values_of(load(flags=texts, environ={})) == values_of(load(app=values, environ={}))


@given(names=st.sets(st.sampled_from(sorted(VALUES))))
def test_empty_variables_and_flags_without_a_value_count_as_not_given(names: set[str]) -> None:
    variables = {f"FARM_{name.upper()}": " " for name in names}

    settings = load(flags=dict.fromkeys(names), environ=variables)

    assert values_of(settings) == values_of(load(environ={}))
