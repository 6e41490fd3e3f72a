"""The handlers process: what handlers are told, and what becomes of the others when one of them breaks."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from farm_settings import Settings, load
from farm_worker import handlers as module
from farm_worker.handlers import Handlers
from tests.support.waiting import wait_until

Use = Callable[[Handlers], Awaitable[Any]]
HEAD = """
import asyncio, os, sys, time
import farm

def note(text):
    with open({notes!r}, "a") as file:
        file.write(f"{{text}}\\n")

app = farm.App()
"""


def children() -> set[psutil.Process]:
    """All that the test's process has started and that lives."""
    return set(psutil.Process().children(recursive=True))


class Notes:
    """What the handlers of an app of some text wrote, one line each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "notes"

    @property
    def lines(self) -> list[str]:
        return self._file.read_text().splitlines() if self._file.exists() else []

    def run(self, text: str, function: Use, events: tuple[str, ...] = ("host_full",)) -> Any:
        """Runs `function` with the handlers of an app of this text, then closes them."""
        (self._folder / "handled.py").write_text(HEAD.format(notes=str(self._file)) + text)

        async def main() -> Any:
            handlers = Handlers(_settings(self._folder), dict(os.environ), host="one", events=events)
            try:
                return await function(handlers)
            finally:
                await handlers.close()

        return asyncio.run(main())

    async def until(self, *lines: str) -> None:
        await asyncio.to_thread(wait_until, lambda: self.lines == list(lines), f"noted: {lines}", 20)


def _settings(folder: Path) -> Settings:
    return load({"app": "handled", "path": str(folder)}, environ={})


@pytest.fixture
def notes(user_folder: Path) -> Notes:
    return Notes(user_folder)


async def tell_of_load(handlers: Handlers) -> None:
    handlers.tell("host_full", reason="busy", load=0.9)


def test_handlers_are_called_in_order_plain_or_async_with_or_without_argument(notes: Notes) -> None:
    notes.run(
        """
@app.on("host_full")
def first(event): note(f"first {event.name} {event.host} {event.reason} {event.load} {event.pid} {event.facts}")

@app.on("host_full")
async def second():
    await asyncio.sleep(0)
    note(f"second {id(asyncio.get_running_loop())}")

@app.on("host_full")
async def third(event): note(f"third {id(asyncio.get_running_loop())} {event.at.tzinfo}")

@app.on("host_available")
def other(): note("never")
""",
        tell_of_load,
    )

    first, second, third = notes.lines
    assert first == "first host_full one busy 0.9 None {}"
    assert third == f"third {second.removeprefix('second ')} UTC", "one loop for all"


def test_an_event_is_dated_when_it_happened(notes: Notes) -> None:
    before = time.time()
    notes.run('@app.on("host_full")\ndef tell(event): note(event.at.timestamp())\n', tell_of_load)

    assert before <= float(notes.lines[0]) <= time.time()


def test_what_nobody_handles_costs_no_process(notes: Notes) -> None:
    async def tell(handlers: Handlers) -> Any:
        handlers.tell("host_full", load=1.0)
        return handlers.pid, handlers.wants("host_full"), children()

    before = children()
    assert notes.run("", tell, events=()) == (None, False, before)


def test_an_event_without_handler_is_not_kept(notes: Notes) -> None:
    async def tell(handlers: Handlers) -> Any:
        for _ in range(2 * module.MAX_WAITING):
            handlers.tell("job_launched", job="a")
        return handlers.wants("host_full"), handlers.wants("job_launched"), handlers.dropped

    assert notes.run("", tell) == (True, False, 0)


def test_a_handler_that_raises_stops_no_other_and_is_logged(notes: Notes, caplog: pytest.LogCaptureFixture) -> None:
    text = """
@app.on("host_full")
def leaves(): sys.exit(3)

@app.on("host_full")
def raises(event): raise LookupError("no such pager \\udc80")

@app.on("host_full")
async def tells(): note("told")
"""

    async def twice(handlers: Handlers) -> Any:
        await tell_of_load(handlers)
        await notes.until("told")
        pid = handlers.pid
        await tell_of_load(handlers)
        await notes.until("told", "told")
        return pid == handlers.pid

    assert notes.run(text, twice), "it is the same process"
    assert "handler of host_full: handled.leaves raised SystemExit: 3" in caplog.text
    assert "handler of host_full: handled.raises raised LookupError: no such pager" in caplog.text
    assert 'raise LookupError("no such pager' in caplog.text, "the end of the traceback"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("time.sleep(3600)", "not done within 1 s in handled.breaks, handler of host_full"),
        ("signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32)); time.sleep(3600)", "not done within 1 s"),
        ("os._exit(4)", "ended: exit code 4 in handled.breaks, handler of host_full"),
        ("os.kill(os.getpid(), 11)", "ended: killed by signal 11 in handled.breaks"),
        ("subprocess.Popen(['sleep', '3600']); os._exit(4)", "ended: exit code 4"),
    ],
)
def test_a_handler_that_breaks_its_process_costs_no_other_its_events(
    notes: Notes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    monkeypatch.setattr(module, "CALL_SECONDS", 1.0)
    monkeypatch.setattr(module, "RESTART_PAUSE_SECONDS", 0.05)
    text = f"""
import signal, subprocess

@app.on("host_full")
def before(event): note(f"before {{event.load}}")

@app.on("host_full")
def breaks(event):
    if event.load == 1: {body}

@app.on("host_full")
def after(event): note(f"after {{event.load}}")
"""

    async def three(handlers: Handlers) -> Any:
        handlers.tell("host_full", load=1)
        handlers.tell("host_full", load=2)
        await notes.until("before 1", "after 1", "before 2", "after 2")
        return children()

    before = children()
    left = notes.run(text, three)

    assert len(left - before) == 1, "the new handlers process, and nothing that the old one started"
    assert said in caplog.text
    assert "It starts anew in 0.05 s; events wait: 2" in caplog.text


def test_a_process_that_goes_on_breaking_is_replaced_ever_later(
    notes: Notes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESTART_PAUSE_SECONDS", 0.01)

    async def until_mended(handlers: Handlers) -> None:
        await tell_of_load(handlers)
        await asyncio.to_thread(wait_until, lambda: "starts anew in 0.08 s" in caplog.text, "four starts", 20)
        (notes._folder / "flag").touch()
        await notes.until("told")

    text = f"""
if not os.path.exists({str(notes._folder / "flag")!r}): 1 / 0

@app.on("host_full")
def tell(): note("told")
"""
    notes.run(text, until_mended)

    pauses = [line.split()[4] for line in caplog.text.splitlines() if line.startswith("It starts anew")]
    assert pauses[:4] == ["0.01", "0.02", "0.04", "0.08"]
    assert "importing 'handled' raised ZeroDivisionError" in caplog.text


def test_what_comes_while_too_much_waits_is_dropped_and_counted(
    notes: Notes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DROPPED_SECONDS", 0.1)
    monkeypatch.setattr(module, "CLOSE_SECONDS", 20.0)

    async def flood(handlers: Handlers) -> int:
        for number in range(module.MAX_WAITING + 50):
            handlers.tell("host_full", load=number)
        await asyncio.to_thread(wait_until, lambda: "dropped" in caplog.text, "the line", 20)
        return handlers.dropped

    dropped = notes.run('@app.on("host_full")\ndef tell(event): note(event.load)\n', flood)

    assert dropped == 50
    assert notes.lines == [str(number) for number in range(module.MAX_WAITING)]
    lines = [record.getMessage() for record in caplog.records if "dropped" in record.getMessage()]
    assert lines == ["50 events dropped: 1000 wait for the app's handlers already"]


def test_what_waits_at_the_end_is_handled_and_the_process_ends_by_itself(notes: Notes) -> None:
    async def tell(handlers: Handlers) -> None:
        for _ in range(3):
            await tell_of_load(handlers)

    notes.run('import atexit\natexit.register(note, "exit")\n@app.on("host_full")\ndef tell(): note("told")\n', tell)

    assert notes.lines == ["told", "told", "told", "exit"]


def test_the_end_does_not_wait_for_a_handler_that_hangs(
    notes: Notes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.5)

    async def tell(handlers: Handlers) -> None:
        await tell_of_load(handlers)
        await tell_of_load(handlers)
        await notes.until("called")

    before = children()
    notes.run('@app.on("host_full")\ndef tell():\n    note("called")\n    time.sleep(3600)\n', tell)

    assert "the host ends, and 2 events were not handled" in caplog.text
    assert children() == before


def test_an_event_that_cannot_be_told_is_logged_and_stops_no_other(
    notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    async def tell(handlers: Handlers) -> None:
        handlers.tell("host_full", reason="\udc80")
        handlers.tell("host_full", reason=object())
        await tell_of_load(handlers)

    with caplog.at_level(logging.ERROR):
        notes.run('@app.on("host_full")\ndef tell(event): note(event.reason)\n', tell)

    assert notes.lines == ["busy"]
    assert caplog.text.count("host_full can't be told to its handlers") == 2
