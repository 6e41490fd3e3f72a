"""What a job can do to its process: it harms that process at most."""

import resource
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rq import Queue

from farm_worker.pool.failure import full_text, summarize
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.protocol import Dirty
from tests.support.child_harness import PATIENCE_SECONDS, ChildHarness
from tests.support.outcomes import value


def enqueue(queue: Queue, function: str, *arguments: Any, **options: Any) -> Any:
    return queue.enqueue(f"around_jobs.{function}", args=arguments, **options)


def says_nothing_more(child: ChildHarness) -> bool:
    try:
        while child.receive_any():
            pass
    except (AssertionError, ConnectionError):
        return True
    return False


class TestF03Exit:
    @pytest.mark.parametrize("code", [0, 1, 3, 255])
    def test_an_exit_in_the_job_is_no_outcome(self, child: ChildHarness, queue: Queue, code: int) -> None:
        child.start(enqueue(queue, "exit_at_once", code))
        with pytest.raises((AssertionError, ConnectionError)):
            child.receive(Outcome)
        assert child.process.wait(PATIENCE_SECONDS) == code


class TestF04Exceptions:
    @pytest.mark.parametrize(
        ("function", "summary"),
        [("end_generator", "GeneratorExit"), ("fail_unreducibly", "Unreducible: cannot be pickled")],
    )
    def test_the_process_survives_them(self, child: ChildHarness, queue: Queue, function: str, summary: str) -> None:
        outcome = child.run(enqueue(queue, function))
        assert (outcome.kind, outcome.summary) == ("failed", summary)
        assert value(child.run(enqueue(queue, "add", 1, 2))) == 3

    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        base=st.sampled_from([Exception, BaseException, OSError, KeyError, SystemExit, KeyboardInterrupt]),
        arguments=st.lists(st.one_of(st.text(), st.binary(), st.integers(), st.none()), max_size=3),
        broken=st.sets(st.sampled_from(["__str__", "__repr__", "__reduce__"])),
    )
    def test_each_exception_has_a_text(self, base: type[BaseException], arguments: list[Any], broken: set[str]) -> None:
        def fail(_: Any, *__: Any) -> Any:
            raise ValueError("broken")

        kind = type("Strange", (base,), dict.fromkeys(broken, fail))
        with pytest.raises(kind) as raised:
            raise kind(*arguments)
        assert summarize(raised.value).startswith("Strange")
        assert "Strange" in full_text(raised.value)


class TestF13Descriptors:
    def test_a_job_that_closes_all_descriptors_ends_its_process_alone(self, child: ChildHarness, queue: Queue) -> None:
        child.start(enqueue(queue, "close_all"))
        assert says_nothing_more(child)
        child.process.wait(PATIENCE_SECONDS)

    def test_garbage_on_all_descriptors_reaches_nobody_who_believes_it(self, child: ChildHarness, queue: Queue) -> None:
        outcome = child.run(enqueue(queue, "write_garbage"))
        assert outcome.kind == "finished"
        assert value(child.run(enqueue(queue, "add", 1, 2))) == 3


class TestF05Memory:
    def test_a_job_without_memory_fails_and_the_next_one_has_what_there_was(
        self, child: ChildHarness, queue: Queue
    ) -> None:
        outcome = child.run(enqueue(queue, "use_up_address_space"))
        assert (outcome.kind, outcome.summary) == ("failed", "MemoryError")
        assert value(child.run(queue.enqueue("builtins.bytearray", args=(1_000,)))) == bytearray(1_000)
        assert value(child.run(queue.enqueue("resource.getrlimit", args=(resource.RLIMIT_AS,)))) == resource.getrlimit(
            resource.RLIMIT_AS
        )


class TestF16AtExit:
    def test_threads_and_exit_handlers_that_hang_do_not_hold_it_up(self, child: ChildHarness, queue: Queue) -> None:
        child.start(enqueue(queue, "hang_at_exit"))
        child.receive(Dirty)
        assert value(child.receive(Outcome)) == "fine"
        begun = time.monotonic()
        assert child.process.wait(PATIENCE_SECONDS) == 0
        assert time.monotonic() - begun < 8
