"""`farm redis`: a command line to the Redis that the farm uses, where no redis-cli is installed."""

import os
import shlex
import sys
from collections.abc import Iterator, Sequence

import click

from farm.cli import exit_codes
from farm.cli.replies import as_json, as_text
from farm.cli.session import open_session
from farm.store.console import Console, ErrorReply, open_console

EXAMPLES = """
\b
Examples:
  farm redis ZRANGE farm:load 0 -1 WITHSCORES    the farm at a glance
  farm redis HGETALL farm:host:calls-1           one host
  farm redis                                     a prompt; or commands from a file: farm redis < commands.txt
  farm redis --json HGETALL farm:counts:default
"""

_WAYS_OUT = ("exit", "quit")


@click.command(epilog=EXAMPLES, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--redis-url", metavar="URL", help="Redis to use instead of the one that the settings name.")
@click.option("--json", "json_wanted", is_flag=True, help="Print each reply as one line of JSON.")
@click.argument("words", metavar="[COMMAND [ARGUMENT ...]]", nargs=-1, type=click.UNPROCESSED)
def command(redis_url: str | None, json_wanted: bool, words: tuple[str, ...]) -> None:
    """Send commands to the Redis that the farm uses: COMMAND, or one from each line of standard input.

    Replies are shown as a person reads them. Bytes that cannot be printed are escaped; nothing is unpickled.
    Ends with code 1 if Redis answered with an error.
    """
    with open_session({"redis_url": redis_url}) as session, open_console(session.redis_client) as console:
        commands = [words] if words else _commands_from_input()
        succeeded = True
        for typed in commands:
            succeeded = _run(console, typed, json_wanted) and succeeded
    raise click.exceptions.Exit(exit_codes.OK if succeeded else exit_codes.FAILED)


def _commands_from_input() -> Iterator[Sequence[str]]:
    """The words of each line. A line that cannot be split ends the command where a script wrote it."""
    for line in _lines_with_prompt() if sys.stdin.isatty() else sys.stdin:
        try:
            words = shlex.split(line, comments=False)
        except ValueError as error:
            if not sys.stdin.isatty():
                raise click.UsageError(f"{line.strip()!r} is no command: {error}. Check its quotes.") from None
            click.echo(f"(error) {error}", err=True)
            continue
        if words and words[0].lower() in _WAYS_OUT:
            return
        if words:
            yield words


def _lines_with_prompt() -> Iterator[str]:
    import readline  # noqa: F401, PLC0415  gives input() its history; only a terminal needs it

    while True:
        try:
            yield input("redis> ")
        except (EOFError, KeyboardInterrupt):
            click.echo()
            return


def _run(console: Console, words: Sequence[str], json_wanted: bool) -> bool:
    """Prints the replies to one command. Returns whether none was an error."""
    succeeded = True
    try:
        for reply in console.execute([os.fsencode(word) for word in words]):
            click.echo(as_json(words, reply) if json_wanted else as_text(words, reply))
            succeeded = succeeded and not isinstance(reply, ErrorReply)
    except KeyboardInterrupt:  # a person ends MONITOR or a blocking command so, and that is no error
        raise click.exceptions.Exit(exit_codes.OK) from None
    return succeeded
