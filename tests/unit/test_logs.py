"""How lines look, and that whoever logs never waits for who reads."""

import fcntl
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from farm import log_writer
from farm.log_writer import MAX_WAITING_BYTES, LogWriter
from farm.logs import _JsonFormatter, _TextFormatter
from tests.support.waiting import wait_until

SET_PIPE_SIZE = 1031


class Pipe:
    """A small pipe, and a writer for it."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        fcntl.fcntl(self.write_end, SET_PIPE_SIZE, 4096)
        self.writer = LogWriter(self.write_end, lambda lost: f"{lost} lost")

    def read(self) -> list[str]:
        """All lines until the end, which is there once the writer has written all."""
        data = b""
        reader = threading.Thread(target=self._close_when_written)
        reader.start()
        while chunk := os.read(self.read_end, 1 << 16):
            data += chunk
        reader.join()
        return data.decode().splitlines()

    def _close_when_written(self) -> None:
        self.writer.close()
        os.close(self.write_end)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    monkeypatch.setattr(log_writer, "CLOSE_SECONDS", 30.0)  # a slow machine is not the subject
    one = Pipe()
    yield one
    os.close(one.read_end)


def record(message: str = "hi", **extra: object) -> logging.LogRecord:
    return logging.getLogger("farm.test").makeRecord("farm.test", 30, "", 0, message, (), None, extra=extra or None)


def test_lines_go_out_whole_and_in_order(pipe: Pipe) -> None:
    lines = [f"{number} " + "x" * (number % 5000) for number in range(500)]
    for line in lines:
        pipe.writer.write(line)

    assert pipe.read() == lines


def test_what_nobody_reads_is_lost_counted_and_said(pipe: Pipe) -> None:
    line = "x" * 99_999
    kept = MAX_WAITING_BYTES // 100_000
    for _ in range(kept + 7):
        pipe.writer.write(line)

    said = pipe.read()
    assert said[:-1] == [line] * (len(said) - 1)
    assert len(said) - 1 + int(said[-1].removesuffix(" lost")) == kept + 7


def test_the_end_waits_for_a_reader_but_not_for_ever(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "CLOSE_SECONDS", 0.05)
    pipe.writer.write("x" * 10_000)
    pipe.writer.close()
    pipe.writer.write("too late")

    monkeypatch.setattr(log_writer, "CLOSE_SECONDS", 30.0)
    assert pipe.read() == ["x" * 10_000, "1 lost"]


def test_a_descriptor_that_somebody_made_non_blocking_loses_nothing(pipe: Pipe) -> None:
    os.set_blocking(pipe.write_end, False)
    lines = ["y" * 3000] * 100
    for line in lines:
        pipe.writer.write(line)

    assert pipe.read() == lines


def test_a_process_that_fails_says_all_before_it_is_gone() -> None:
    program = (
        "import logging; from farm import logs\n"
        "logs.configure('info', 'json', 'host', queued=True)\n"
        "logs.say('begun')\n"
        "for number in range(1000): logging.info('line %d', number)\n"
        "1 / 0"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30)

    entries = [json.loads(line) for line in run.stderr.splitlines()]
    assert run.returncode == 1
    assert [entry["message"] for entry in entries[:3]] == ["begun", "line 0", "line 1"]
    assert entries[-2]["message"] == "line 999"
    assert entries[-1]["level"] == "critical"
    assert entries[-1]["exception"].endswith("ZeroDivisionError: division by zero")


def test_a_process_whose_log_nobody_reads_ends() -> None:
    program = (
        "import logging; from farm import logs\n"
        "logs.configure('info', 'text', 'host', queued=True)\n"
        "for number in range(10000): logging.info('line %d', number)\n"
    )
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, SET_PIPE_SIZE, 4096)
    with subprocess.Popen([sys.executable, "-c", program], stderr=write_end) as process:
        os.close(write_end)
        wait_until(lambda: process.poll() is not None, "it has ended", timeout=20)
        assert process.returncode == 0
    os.close(read_end)


def test_a_json_line_has_the_fields_of_its_record_and_nothing_hides_what_every_line_has() -> None:
    formatter = _JsonFormatter("one")

    entry = json.loads(formatter.format(record("hello", fields={"job": "7", "level": "mine", "odd": {1}})))

    assert (entry["level"], entry["logger"], entry["source"], entry["message"]) == (
        "warning",
        "farm.test",
        "one",
        "hello",
    )
    assert (entry["job"], entry["odd"]) == ("7", "{1}")


def test_a_text_line_keeps_line_ends_and_tabs_and_shows_other_control_characters() -> None:
    line = _TextFormatter("host").format(record("a\tb\nc\x1b[0m\r\x9b", prefix="[who] "))

    assert line.endswith(" WARNING host: [who] a\tb\nc\\x1b[0m\\x0d\\x9b")
