"""`farm settings`: every setting, its value, and where that came from. Needs no Redis."""

import click

from farm.cli.output import print_json, table
from farm_settings import Settings, hide_password, load, show

COLUMNS = ("name", "value", "origin")


@click.command(epilog="\b\nExamples:\n  farm settings\n  farm settings --json | jq .settings.threshold")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: values with their types, origins, warnings.")
def command(as_json: bool) -> None:
    """Show every setting, its value, and where that came from.

    Set one by the option of `farm worker` (--threshold), by a variable (FARM_THRESHOLD) or in the app
    (App(threshold=...)); the first of these wins. A dash is a value that the farm works out, or a limit that is off.
    """
    settings = load()
    if as_json:
        print_json({"settings": _as_json(settings), "warnings": settings.warnings})
    else:
        rows = [(setting.name, show(value), settings.origins[setting.name]) for setting, value in settings.values()]
        table("Settings", COLUMNS, rows)
    for warning in settings.warnings:
        click.echo(f"Warning: {warning}", err=True)


def _as_json(settings: Settings) -> dict[str, object]:
    return {
        setting.name: {
            "value": hide_password(value) if isinstance(value, str) else value,
            "origin": settings.origins[setting.name],
            "variable": setting.variables[0],
            "flag": setting.flag,
            "description": setting.description,
        }
        for setting, value in settings.values()
    }
