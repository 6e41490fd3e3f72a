"""Options of commands, one for each setting: name, help and kind of value come from the settings themselves."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from farm_settings import SETTINGS, Setting, Settings, show
from farm_settings.parsers import OFF_WORDS

REPEATABLE = ("path", "exception_handlers")
"""Lists that are given one item at a time, as with rq."""

WITHOUT_EFFECT = frozenset({"queue_class"})
"""Settings that nothing reads in this version. They are taken, and a warning says so."""

BARE = {"exit_when_idle": "30"}
"""Settings whose own option may be given without a value, and what it stands for then."""

TITLES = {
    "redis": "Redis",
    "host": "Host",
    "pool": "Processes",
    "admission": "Load",
    "lease": "Leases",
    "jobs": "Jobs",
    "logs": "Logs",
}


class SettingOption(click.Option):
    """The option of one setting. Values stay as they are typed: `load` checks those of all layers alike."""

    def __init__(self, setting: Setting, spellings: Sequence[str] = ()) -> None:
        self.section = setting.section
        is_flag = isinstance(setting.default, bool)
        name = setting.flag.removeprefix("--")
        own = [f"--{name}/--no-{name}"] if is_flag else [setting.flag]
        super().__init__(
            [*spellings, *own, setting.name],
            is_flag=is_flag,
            default=None,
            multiple=setting.name in REPEATABLE,
            metavar=None if is_flag else setting.kind.metavar,
            help=_help(setting),
        )


class SettingsCommand(click.Command):
    """A command whose help shows the options of settings in groups."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the command line. An option that may stand without a value never takes an argument for one."""
        return super().parse_args(ctx, _with_values(args))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the groups of settings, then the command's other options."""
        shown = [(option, record) for option in _options(self, ctx) if (record := option.get_help_record(ctx))]
        for section, title in TITLES.items():
            _write_group(formatter, title, [record for option, record in shown if _section(option) == section])
        _write_group(formatter, "Other options", [record for option, record in shown if _section(option) is None])


def setting_options(sections: Sequence[str], spellings: Mapping[str, Sequence[str]]) -> Iterator[click.Parameter]:
    """An option for each setting of the sections. `spellings` adds others: name of the setting → spellings."""
    for setting in SETTINGS.values():
        # RQ reads the prefix of its keys from its own variable only; an option would split the two.
        if setting.section in sections and setting.name != "rq_prefix":
            yield SettingOption(setting, spellings.get(setting.name, ()))


def given_settings(parameters: Mapping[str, Any]) -> dict[str, object]:
    """Those of a command's parameters that are settings and were given, ready for `load(flags=...)`."""
    return {name: value for name, value in parameters.items() if name in SETTINGS and value not in (None, ())}


def without_effect(settings: Settings) -> Iterator[str]:
    """A warning for each setting that was given and does nothing in this version."""
    for name in sorted(WITHOUT_EFFECT):
        if (origin := settings.origins[name]) != "default":
            yield f"{name} (from the {origin}) has no effect in this version"


def _with_values(args: Sequence[str]) -> list[str]:
    """The command line with the value of each option that was given without one."""
    bare = {SETTINGS[name].flag: value for name, value in BARE.items()}
    words: list[str] = []
    for number, word in enumerate(args):
        if word == "--":
            return [*words, *args[number:]]
        following = args[number + 1] if number + 1 < len(args) else ""
        has_value = following[:1].isdigit() or following.startswith(".") or following.lower() in OFF_WORDS
        words.append(f"{word}={bare[word]}" if word in bare and not has_value else word)
    return words


def _help(setting: Setting) -> str:
    text = f"{setting.description[0].upper()}{setting.description[1:]}."
    if setting.name in BARE:
        text += f" Without a value {BARE[setting.name]} s."
    if setting.name in WITHOUT_EFFECT:
        return f"{text} No effect in this version."
    default = setting.default
    return text if default in (None, ()) else f"{text} [default: {show(default)}]"


def _options(command: click.Command, ctx: click.Context) -> list[click.Option]:
    return [parameter for parameter in command.get_params(ctx) if isinstance(parameter, click.Option)]


def _section(option: click.Parameter) -> str | None:
    return option.section if isinstance(option, SettingOption) else None


def _write_group(formatter: click.HelpFormatter, title: str, records: list[tuple[str, str]]) -> None:
    if records:
        with formatter.section(title):
            formatter.write_dl(records)
