"""The documents say what is so: keys, settings, commands and links are held against the code."""

import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from farm.cli import command_line
from farm.cli.setting_options import WITHOUT_EFFECT
from farm.keys import Keys
from farm_settings import SETTINGS, Setting
from farm_settings.catalogue import HANDED_OVER
from tests.support.wheel import ROOT

DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*.py"),
        *(ROOT / "settings").glob("*.env"),
        *(ROOT / name for name in ("docker-compose.yml", "worker/Dockerfile", "examples/image/Dockerfile")),
    ]
)
PAGES = [path for path in DOCUMENTS if path.suffix == ".md"]
NAMES = [path.relative_to(ROOT).as_posix() for path in DOCUMENTS]
ARCHITECTURE_LINES = 120


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_every_variable_named_is_a_setting(path: Path) -> None:
    known = {variable for setting in SETTINGS.values() for variable in setting.variables} | HANDED_OVER

    named = set(re.findall(r"\bFARM_[A-Z_]*[A-Z]\b", path.read_text()))

    assert named - known == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_every_command_line_shown_is_understood(path: Path) -> None:
    for line in _command_lines(path.read_text()):
        _check_command_line(line)


def test_every_command_stands_in_the_readme() -> None:
    table = re.findall(r"^\| `farm ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE)

    assert sorted(table) == sorted(_group().list_commands(click.Context(_group())))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        place, _, anchor = target.partition("#")
        if place.startswith(("https://", "http://")):
            continue
        found = (path.parent / place).resolve() if place else path
        assert found.exists(), f"{path.name} links to {target}"
        assert found.is_relative_to(ROOT), f"{path.name} links out of the repository: {target}"
        if anchor:
            assert anchor in _anchors(found), f"{path.name} links to {target}"


def test_the_page_of_keys_holds_exactly_the_keys_of_the_code() -> None:
    page = (ROOT / "docs/keys.md").read_text()
    table = dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", page, re.MULTILINE))

    assert table == dict(_keys())


def test_the_page_of_settings_holds_exactly_the_settings_of_the_code() -> None:
    rows = [line for line in _settings_page().splitlines() if line.startswith("| `")]
    expected = [_settings_row(setting) for setting in SETTINGS.values()]

    assert rows == expected, "docs/settings.md should hold:\n" + "\n".join(expected)


def test_the_page_of_settings_names_those_without_effect() -> None:
    (paragraph,) = re.findall(r"^Without effect in this version.*?\n\n", _settings_page(), re.MULTILINE | re.DOTALL)

    assert set(re.findall(r"FARM_[A-Z_]+", paragraph)) == {setting.variables[0] for setting in _settings_never_read()}


def test_a_setting_that_nothing_reads_is_not_taken_in_silence() -> None:
    assert {setting.name for setting in _settings_never_read()} == WITHOUT_EFFECT


def test_the_architecture_fits_on_a_few_screens() -> None:
    assert len((ROOT / "docs/architecture.md").read_text().splitlines()) <= ARCHITECTURE_LINES


def _keys() -> Iterator[tuple[str, str]]:
    """Each key of ours with `<parameter>` in place of what varies, and type and lifetime from its docstring."""
    keys = Keys()
    for name, member in vars(Keys).items():
        if name.startswith("_") or not inspect.getdoc(member):
            continue
        if isinstance(member, property):
            key = getattr(keys, name)
        elif inspect.isfunction(member):
            parameters = list(inspect.signature(member).parameters)[1:]
            key = member(keys, *(f"<{parameter}>" for parameter in parameters))
        else:
            continue
        kind = (inspect.getdoc(member) or "").split()[0].strip(",:")
        lifetime = re.search(r"^\w+, (?:capped, )?(TTL|permanent)", inspect.getdoc(member) or "")
        yield key, f"{kind}, {lifetime[1]}" if lifetime else kind


def _settings_page() -> str:
    return (ROOT / "docs/settings.md").read_text()


def _settings_never_read() -> Iterator[Setting]:
    """Settings whose field is read nowhere below the command line."""
    modules = [*(ROOT / "farm/farm").rglob("*.py"), *(ROOT / "worker/farm_worker").rglob("*.py")]
    text = "\n".join(path.read_text() for path in modules if path.parent.name != "cli")
    for setting in SETTINGS.values():
        if not re.search(rf"\.{setting.field}\b", text) and setting.name != "redis_url":
            yield setting


def _settings_row(setting: Setting) -> str:
    value = setting.default
    if isinstance(value, bool):
        default = str(value).lower()
    elif isinstance(value, tuple):
        default = ",".join(value) or "–"
    elif isinstance(value, float):
        default = f"{value:g}"
    else:
        default = "–" if value is None else str(value)
    description = setting.description.replace("|", "\\|")
    return f"| `{setting.variables[0]}` | {default} | {description} |"


def _command_lines(text: str) -> Iterator[str]:
    """What stands in blocks and between back-ticks and begins with `farm`."""
    for block in re.findall(r"^```(?:sh)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from (line.strip() for line in block.splitlines() if line.strip().startswith("farm "))
    for inline in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)):
        command = re.sub(r"^(?:[A-Z_]+=\S+ )+", "", inline)
        if re.match(r"farm [a-z]", command):
            yield command


def _check_command_line(line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    context = click.Context(_group())
    assert words[0] in _group().list_commands(context), f"{line!r}: there is no such command"
    command = _group().get_command(context, words[0])
    assert command is not None
    if isinstance(command, click.Group) and words[1:]:
        assert words[1] in command.commands, f"{line!r}: {command.name} has no such command"
        command = command.commands[words[1]]
    known = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
    flags = {word.partition("=")[0] for word in words[1:] if word.startswith("--")}
    assert flags - known - {"--help"} == set(), f"{line!r}: {command.name} has no such option"


def _group() -> click.Group:
    assert isinstance(command_line, click.Group)
    return command_line


def _anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
