"""The command line: one module per command, imported when it is used."""

from farm.cli.group import command_line as command_line
