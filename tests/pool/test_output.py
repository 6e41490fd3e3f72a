"""What jobs print and log, as it leaves their process: whole lines, each bound to its job, and not too many."""

import logging
import os
from pathlib import Path

import pytest
from rq import Queue

from farm_worker.pool.allowance import JOB
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.output_lines import MAX_LINE, NOTHING, mark
from farm_worker.pool.protocol import Output, Ready
from tests.support.child_harness import USER_MODULES, ChildHarness
from tests.support.waiting import wait_until


@pytest.fixture
def said(child: ChildHarness, queue: Queue) -> "Said":
    return Said(child, queue)


class Said:
    """Runs jobs of `saying_jobs` and collects what they said."""

    def __init__(self, child: ChildHarness, queue: Queue) -> None:
        self.child = child
        self.queue = queue
        self.raw = b""
        self.outcome: Outcome | None = None

    def by(self, function: str, *arguments: object, **named: object) -> list[Output]:
        """Messages of one job, which are all there are before its outcome."""
        job = self.queue.enqueue_call(f"saying_jobs.{function}", args=arguments, kwargs=named, timeout=30)
        sequence = self.child.start(job)
        messages: list[Output] = []
        while isinstance(message := self.child.receive_any(), Output):
            assert message.sequence == sequence
            messages.append(message)
        assert isinstance(message, Outcome)
        assert message.kind == "finished", message.summary
        self.outcome = message
        self.drain()
        return messages

    def drain(self) -> None:
        try:
            while data := os.read(self.child.lines.output, 1 << 16):
                self.raw += data
        except BlockingIOError:
            pass


def lines(messages: list[Output]) -> list[tuple[str, str]]:
    return [(message.source, message.text) for message in messages]


def test_a_print_is_a_line_of_its_job(said: Said) -> None:
    assert lines(said.by("say_twice", "hi")) == [("stdout", "hi 1"), ("stderr", "hi 2")]
    assert lines(said.by("say", "two\nlines")) == [("stdout", "two"), ("stdout", "lines")]
    assert said.by("say_nothing") == []
    assert said.raw == b""


def test_a_line_without_an_end_is_said_before_the_outcome(said: Said) -> None:
    assert lines(said.by("say_without_end", "no end")) == [("stdout", "a whole line"), ("stdout", "no end")]
    assert lines(said.by("say")) == [("stdout", "hello")]


def test_a_log_record_keeps_its_level_its_logger_and_its_extra(said: Said) -> None:
    (message,) = said.by("log", customer=7, of={"a": [1]})

    assert (message.source, message.level, message.logger) == ("log", logging.WARNING, "shop.bill")
    assert message.text == "customer 7 owes"
    assert message.fields == {"customer": 7, "of": {"a": [1]}}


def test_a_logged_exception_comes_with_its_traceback(said: Said) -> None:
    (message,) = said.by("log_an_error")

    assert message.text == "could not bill"
    assert message.level == logging.ERROR
    assert message.exception.startswith("Traceback")
    assert message.exception.endswith("LookupError: no customer 7")


def test_extra_values_that_json_does_not_know_do_no_harm(said: Said) -> None:
    (message,) = said.by("log_odd_values")

    assert message.text == "odd \\udcff"
    assert set(message.fields) == {"big", "bad", "nan", "circle", "a_set", "of"}
    assert message.fields["bad"] == "\\udcff"


@pytest.mark.parametrize(
    ("function", "text"),
    [("log_with_handler_of_its_own", "mine: said once"), ("log_after_basic_config", "forced: said once")],
)
def test_what_a_handler_of_the_user_writes_is_said_once(said: Said, function: str, text: str) -> None:
    assert lines(said.by(function)) == [("stderr", text)]


def test_threads_and_tasks_of_a_job_speak_for_it(said: Said) -> None:
    assert [text for _, text in lines(said.by("say_in_threads"))] == ["in a thread", "in a thread with context"]
    assert [text for _, text in lines(said.by("say_in_tasks"))] == ["task 1", "task 2"]


def test_programs_and_forks_of_a_job_write_to_the_pipe_and_leave_the_messages_whole(said: Said) -> None:
    assert said.by("say_from_below") == []
    assert said.raw.splitlines() == [b"from a program", b"and its errors", b"from C code", b"to our stream"]

    said.raw = b""
    messages = said.by("say_in_a_fork")  # newer Pythons warn of forks beside threads
    assert [message.text for message in messages if message.source == "stdout"] == ["printed by the parent"]
    assert said.raw.splitlines() == [b"WARNING shop.bill: logged in a fork", b"printed in a fork"] or (
        said.raw.splitlines() == [b"printed in a fork", b"WARNING shop.bill: logged in a fork"]
    )


def test_bytes_and_halves_of_characters_are_shown_readably(said: Said) -> None:
    assert [text for _, text in lines(said.by("say_bytes"))] == ["grün", "not \\xff text", "half of a pair \\udcff"]


def test_a_stream_is_all_that_programs_expect_of_one(said: Said) -> None:
    assert [text for _, text in lines(said.by("use_stream_as_a_file"))] == ["one", "two", "three", "four"]
    assert said.outcome is not None
    assert said.outcome.kind == "finished", said.outcome.summary


def test_a_replaced_stdout_is_put_back_after_the_job(said: Said) -> None:
    assert lines(said.by("replace_stdout")) == [("stdout", "through a wrapper")]
    assert lines(said.by("say", "directly")) == [("stdout", "directly")]


def test_a_progress_bar_is_one_line_as_it_was_last(said: Said) -> None:
    assert lines(said.by("show_progress")) == [("stderr", "100 %")]


def test_a_long_line_is_cut_with_a_mark(said: Said) -> None:
    (message,) = said.by("say_long_line", 100_000)

    assert message.text == "x" * MAX_LINE + f" … {100_000 - MAX_LINE:,} more characters not shown"


def test_a_flood_is_cut_with_a_mark_that_counts_the_rest(said: Said) -> None:
    messages = said.by("say_lines", 5000)

    shown = [message for message in messages if message.dropped == NOTHING]
    assert [message.text for message in shown[: JOB.lines]] == [f"line {number}" for number in range(JOB.lines)]
    assert len(shown) + sum(message.dropped[0] for message in messages) == 5000
    assert messages[-1].dropped != NOTHING
    assert len(said.by("say")) == 1, "the next job has an allowance of its own"


def test_a_gigabyte_in_prints_costs_next_to_nothing(said: Said) -> None:
    messages = said.by("flood_with_prints", 1000)

    assert sum(len(message.text) for message in messages) < 3 * JOB.size
    assert sum(message.dropped[1] for message in messages) > 900_000_000
    assert [message.text for message in messages if message.source == "log"] == ["after the flood"]
    assert len(said.by("say")) == 1
    assert mark((1000, 1_000_000_000)) == "… 1,000 lines (1.0 GB) not shown"


def test_a_job_goes_on_while_its_host_takes_nothing_in(said: Said, tmp_path: Path) -> None:
    done = tmp_path / "done"
    job = said.queue.enqueue_call("saying_jobs.say_lines", args=(900, "x" * 1000, str(done)), timeout=30)
    sequence = said.child.start(job)
    wait_until(done.exists, "the job said more than the socket holds, while nobody reads")
    shown = dropped = 0
    while isinstance(message := said.child.receive_any(), Output):
        shown += message.dropped == NOTHING
        dropped += message.dropped[0]
    assert isinstance(message, Outcome)
    assert message.sequence == sequence
    assert dropped > 0
    assert shown + dropped == 900


def test_a_time_limit_in_the_middle_of_output_leaves_the_messages_whole(said: Said) -> None:
    for _ in range(5):
        job = said.queue.enqueue_call("saying_jobs.say_until_timeout", timeout=1)
        sequence = said.child.start(job)
        while isinstance(message := said.child.receive_any(), Output):
            assert message.sequence == sequence
        assert isinstance(message, Outcome)
        assert "JobTimeoutException" in message.summary


def test_what_is_said_while_warming_up_belongs_to_no_job(redis_url: str, queue: Queue) -> None:
    with ChildHarness(redis_url, path=[USER_MODULES], app="saying_app") as child:
        messages = []
        while isinstance(message := child.receive_any(), Output):
            messages.append(message)
        assert isinstance(message, Ready)
        assert [(one.sequence, one.source, one.text) for one in messages] == [
            (0, "stdout", "imported"),
            (0, "log", "prewarmed"),
        ]


def test_what_a_thread_wrote_without_an_end_is_said_by_its_job(said: Said) -> None:
    assert lines(said.by("say_without_end_in_a_thread")) == [("stdout", "in a thread, no end")]
    assert lines(said.by("say")) == [("stdout", "hello")]
