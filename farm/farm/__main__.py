"""The command `farm`: starts itself again isolated from the user's folders, then runs the command line."""

import sys

from farm.isolation import is_isolated, run_isolated


def main() -> None:
    """Runs the command line with the arguments of this process, and ends the process."""
    if not is_isolated():
        run_isolated("farm", sys.argv[1:])
    # Only an isolated process may import more: see farm.isolation.
    from farm.cli import command_line  # noqa: PLC0415

    command_line(prog_name="farm")


if __name__ == "__main__":
    main()
