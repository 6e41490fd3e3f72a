"""Runners: calls of any size and kind, what is told when there is no result, and how copies are kept alive."""

import asyncio
import os
import pickle
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

import farm
from farm import context, runner_frames
from farm.errors import RunnerBusy, RunnerDied, RunnerError, RunnerFailed, RunnerTimeout
from farm.runner_client import RunnerClient
from farm_settings import load
from farm_worker import runner_copy
from farm_worker.pool.protocol import RunnerOptions
from farm_worker.pool.reasons import ProcessEnd, Reason
from farm_worker.runners import Runners
from tests.pool.conftest import until

MODULE = """\
import asyncio, os, pickle, signal, sys, threading, time
import farm
app = farm.App()
"""

WORKBENCH = """
class Unpicklable(Exception):
    def __init__(self, first, second):
        super().__init__(first)

@app.runner("bench")
class Bench:
    def initialize(self):
        self.calls = 0
        self.thread = threading.get_ident()

    def run(self, data):
        self.calls += 1
        verb, value = data
        return getattr(self, verb)(value)

    def echo(self, value): return value
    def count(self, value): return self.calls
    def who(self, value):
        process = farm.current_process()
        return process.runner, process.copy, process.pid, process.host
    def in_main_thread(self, value): return threading.current_thread() is threading.main_thread()
    def total(self, value): return len(value), type(value).__name__, bytes(value[:3])
    def buffer(self, value): return pickle.PickleBuffer(bytearray(value))
    def pad(self, value): return "x" * value
    def divide(self, value): return 1 / value
    def odd(self, value): raise Unpicklable("odd", value)
    def local(self, value): return lambda: value
    def leave(self, value): sys.exit(value)
    def die(self, value): os.kill(os.getpid(), value)
    def exit(self, value): os._exit(value)
    def pause(self, value): time.sleep(value); return value
    def wait_for(self, path):
        open(path + ".begun", "w").close()
        while not os.path.exists(path): time.sleep(0.005)
        return self.calls
    def grow(self, value):
        self.kept = bytearray(os.urandom(1)) * value
        time.sleep(60)
    def note(self, path):
        with open(path, "a") as file: file.write("x")
"""

Use = Callable[["Bench"], Awaitable[Any]]


class Bench:
    """Runners of an app on a loop of the test's own, and a client for each."""

    def __init__(self, folder: Path, options: tuple[RunnerOptions, ...], settings: dict[str, object]) -> None:
        self.folder = folder
        self.ends: list[ProcessEnd] = []
        self.runners = Runners(
            options,
            load({"app": "shared", "path": str(folder), **settings}, environ={}),
            dict(os.environ),
            redis_url="redis://127.0.0.1:1/0",
            host="one",
            on_end=self.ends.append,
            on_change=lambda: None,
        )

    def client(self, name: str = "bench") -> RunnerClient:
        return RunnerClient(name, self.runners.paths[name])

    async def call(self, verb: str, value: Any = None, timeout: float = 30.0) -> Any:
        return await self.client().acall((verb, value), timeout=timeout)

    async def call_in_thread(self, verb: str, value: Any = None, timeout: float = 30.0) -> Any:
        return await asyncio.to_thread(self.client().call, (verb, value), timeout)

    async def begun(self, path: Path) -> None:
        await until(lambda: path.with_name(f"{path.name}.begun").exists(), f"{path.name} is waited for")


@pytest.fixture
def use(user_folder: Path) -> Callable[..., Any]:
    """Runs something with the runners of an app of this text."""

    def run(function: Use, text: str = WORKBENCH, *more: RunnerOptions, settings: Any = None, **values: Any) -> Any:
        (user_folder / "shared.py").write_text(MODULE + text)

        async def main() -> Any:
            bench = Bench(user_folder, more or (options(**values),), settings or {})
            try:
                await bench.runners.start()
                return await function(bench)
            finally:
                await bench.runners.close(5.0)

        return asyncio.run(main())

    return run


def options(name: str = "bench", **values: Any) -> RunnerOptions:
    """As `@app.runner` would declare it."""
    defaults = {"copies": 1, "batch": 1, "max_waiting": 100, "initialize_timeout": 30.0, "memory_limit_mb": None}
    return RunnerOptions(name=name, **(defaults | values))


class TestCalls:
    def test_a_result_comes_back_by_both_ways_of_calling(self, use: Callable[..., Any]) -> None:
        async def both(bench: Bench) -> Any:
            value = {"text": "ä", "numbers": [1, 2.5, None]}
            return value, await bench.call("echo", value), await bench.call_in_thread("echo", value)

        value, one, other = use(both)
        assert one == other == value

    def test_the_object_stays_and_its_code_runs_in_the_main_thread(self, use: Callable[..., Any]) -> None:
        async def several(bench: Bench) -> Any:
            assert await bench.call("in_main_thread")
            return [await bench.call("count") for _ in range(3)]

        assert use(several) == [2, 3, 4]

    def test_a_copy_knows_its_runner_and_its_index(self, use: Callable[..., Any]) -> None:
        async def ask(bench: Bench) -> Any:
            return await bench.call("who"), bench.runners.pids

        who, pids = use(ask)
        assert who == ("bench", 0, pids[0], "one")

    def test_buffers_travel_out_of_band_and_unchanged(self, use: Callable[..., Any]) -> None:
        async def there_and_back(bench: Bench) -> Any:
            data = bytearray(os.urandom(1 << 20)) * 30
            large = pickle.PickleBuffer(data)
            small = [pickle.PickleBuffer(bytearray([number] * 5000)) for number in range(50)]
            there = await bench.call("total", large)
            back = await bench.call_in_thread("buffer", large)
            many = await bench.call("echo", [large, *small, b""])
            assert back == data
            assert many[0] == data
            assert [bytes(each) for each in many[1:-1]] == [bytes([number]) * 5000 for number in range(50)]
            return there, data

        (length, kind, beginning), data = use(there_and_back)
        assert (length, kind, beginning) == (len(data), "bytearray", data[:3])

    def test_a_large_buffer_is_not_copied_into_the_pickle(self) -> None:
        data = bytearray(1 << 20)
        body, buffer = runner_frames.pickled(pickle.PickleBuffer(data))
        assert len(body) < 100
        data[7] = 7
        assert buffer[7] == 7

    def test_many_threads_and_coroutines_call_at_once(self, use: Callable[..., Any]) -> None:
        async def crowd(bench: Bench) -> Any:
            calls = [bench.call("echo", number) for number in range(40)]
            calls += [bench.call_in_thread("echo", number) for number in range(40, 80)]
            return await asyncio.gather(*calls)

        assert use(crowd, copies=2) == list(range(80))

    def test_a_forked_process_calls_too(self, use: Callable[..., Any]) -> None:
        async def fork(bench: Bench) -> Any:
            client = bench.client()
            await bench.call("echo")
            child = os.fork()
            if child == 0:
                with suppress(BaseException):
                    os._exit(client.call(("echo", 7)))
                os._exit(1)
            return os.waitstatus_to_exitcode((await asyncio.to_thread(os.waitpid, child, 0))[1])

        assert use(fork) == 7

    def test_run_and_initialize_may_be_coroutines_on_a_loop_that_stays(self, use: Callable[..., Any]) -> None:
        text = """
@app.runner("bench")
class Async:
    async def initialize(self):
        self.loop = asyncio.get_running_loop()
    async def run(self, data):
        await asyncio.sleep(0)
        return asyncio.get_running_loop() is self.loop
"""

        async def twice(bench: Bench) -> Any:
            return [await bench.call("x"), await bench.call("x")]

        assert use(twice, text) == [True, True]

    def test_a_class_needs_no_initialize(self, use: Callable[..., Any]) -> None:
        async def once(bench: Bench) -> Any:
            return await bench.client().acall(20)

        assert use(once, "@app.runner('bench')\nclass Plain:\n    def run(self, data): return data + 1\n") == 21

    def test_copies_share_the_calls(self, use: Callable[..., Any]) -> None:
        async def two_at_a_time(bench: Bench) -> Any:
            gate = bench.folder / "gate"
            held = asyncio.create_task(bench.call("wait_for", str(gate)))
            await bench.begun(gate)
            who = [await bench.call("who") for _ in range(5)]
            gate.touch()
            await held
            return {copy for _, copy, _, _ in who}, len(bench.runners.pids)

        free, processes = use(two_at_a_time, copies=2)
        assert len(free) == 1, "only the copy that is free takes calls"
        assert processes == 2

    def test_runners_call_each_other(self, use: Callable[..., Any]) -> None:
        text = """
@app.runner("double")
class Double:
    def run(self, data): return 2 * data
@app.runner("quadruple")
class Quadruple:
    def run(self, data): return farm.runner("double").call(farm.runner("double").call(data))
"""

        async def once(bench: Bench) -> Any:
            return await bench.client("quadruple").acall(3)

        assert use(once, text, options("double"), options("quadruple")) == 12


class TestFailures:
    def test_what_run_raises_is_raised_with_its_traceback(self, use: Callable[..., Any]) -> None:
        async def fail(bench: Bench) -> Any:
            with pytest.raises(ZeroDivisionError) as caught:
                await bench.call("divide", 0)
            assert await bench.call("divide", 2) == 0.5
            return caught.value

        error = use(fail)
        assert isinstance(error.__cause__, RunnerFailed)
        assert "runner 'bench' raised ZeroDivisionError" in str(error.__cause__)
        assert "in divide" in str(error.__cause__)

    @pytest.mark.parametrize(
        ("verb", "value", "expected"),
        [
            ("odd", "x", "raised Unpicklable: odd"),
            ("leave", 3, "raised SystemExit: 3"),
            ("local", 3, "its result of type function can't be pickled"),
        ],
    )
    def test_what_cannot_be_brought_over_is_told(
        self, use: Callable[..., Any], verb: str, value: Any, expected: str
    ) -> None:
        async def fail(bench: Bench) -> Any:
            with pytest.raises(RunnerFailed) as caught:
                await bench.call(verb, value)
            assert await bench.call("echo", 1) == 1, "it goes on"
            return str(caught.value)

        assert expected in use(fail)

    def test_data_that_cannot_be_pickled_is_refused_by_the_caller(self) -> None:
        with pytest.raises(RunnerFailed, match="data of type function can't be pickled"):
            RunnerClient("bench", "/nowhere").call(lambda: None)

    def test_data_that_the_runner_cannot_unpickle_is_told(self, use: Callable[..., Any]) -> None:
        async def fail(bench: Bench) -> Any:
            with pytest.raises(RunnerFailed) as caught:
                await bench.client().acall(_OnlyHere())
            return str(caught.value)

        assert "data can't be unpickled in the runner" in use(fail)

    def test_too_much_data_is_refused_before_it_is_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(runner_frames, "MAX_FRAME_BYTES", 1000)
        with pytest.raises(RunnerFailed, match=r"the data has .* bytes, and a call carries at most 1,000"):
            RunnerClient("bench", "/nowhere").call(b"x" * 1000)

    def test_too_large_a_result_is_told(self, use: Callable[..., Any]) -> None:
        async def fail(bench: Bench) -> Any:
            with pytest.raises(RunnerFailed) as caught:
                await bench.call("pad", 1000)
            return str(caught.value)

        limit = "import farm.runner_frames\nfarm.runner_frames.MAX_FRAME_BYTES = 1000\n"
        assert "the result has" in use(fail, limit + WORKBENCH)

    def test_a_runner_that_refuses_the_size_says_so_while_it_is_still_being_sent(self, use: Callable[..., Any]) -> None:
        async def fail(bench: Bench) -> Any:
            for call in (bench.call, bench.call_in_thread):
                with pytest.raises(RunnerFailed) as caught:
                    await call("echo", b"x" * (4 << 20))
            return str(caught.value)

        assert "the data has" in use(
            fail, "import farm.runner_frames\nfarm.runner_frames.MAX_FRAME_BYTES = 1 << 20\n" + WORKBENCH
        )

    @pytest.mark.parametrize(("verb", "value"), [("die", signal.SIGSEGV), ("die", signal.SIGKILL), ("exit", 3)])
    def test_a_call_in_flight_fails_at_once_when_its_copy_dies(
        self, use: Callable[..., Any], verb: str, value: int
    ) -> None:
        async def die(bench: Bench) -> Any:
            for call in (bench.call, bench.call_in_thread):
                with pytest.raises(RunnerDied, match="runner 'bench' died during the call"):
                    await call(verb, value)
            return await bench.call("echo", "again"), list(bench.ends)

        answer, ends = use(die)
        assert answer == "again", "the next call waits for the new copy"
        expected = (Reason.EXITED, 3, None) if verb == "exit" else (Reason.CRASHED, None, signal.Signals(value).name)
        assert {(end.reason, end.exit_code, end.signal) for end in ends} == {expected}
        assert all(f"copy 0 of runner 'bench' (pid {end.pid})" in end.sentence() for end in ends)

    def test_a_call_is_given_up_at_its_timeout_and_the_next_gets_its_own_answer(self, use: Callable[..., Any]) -> None:
        async def late(bench: Bench) -> Any:
            gate = bench.folder / "gate"
            for call in (bench.call, bench.call_in_thread):
                with pytest.raises(RunnerTimeout, match="did not answer within"):
                    await call("wait_for", str(gate), timeout=0.2)
            gate.touch()
            return await bench.call("echo", "mine")

        assert use(late) == "mine"

    def test_a_call_that_nobody_waits_for_any_more_is_not_done(self, use: Callable[..., Any]) -> None:
        async def give_up(bench: Bench) -> Any:
            gate, notes = bench.folder / "gate", bench.folder / "notes"
            held = asyncio.create_task(bench.call("wait_for", str(gate)))
            await bench.begun(gate)
            with pytest.raises(RunnerTimeout):
                await bench.call("note", str(notes), timeout=0.1)
            gate.touch()
            await held
            await bench.call("echo")
            return notes.exists()

        assert use(give_up) is False

    def test_more_calls_than_may_wait_are_refused_at_once(self, use: Callable[..., Any]) -> None:
        async def crowd(bench: Bench) -> Any:
            gate = bench.folder / "gate"
            held = asyncio.create_task(bench.call("wait_for", str(gate)))
            await bench.begun(gate)
            waiting = [asyncio.create_task(bench.call("echo", number)) for number in range(3)]
            await asyncio.sleep(0)
            for call in (bench.call, bench.call_in_thread):
                with pytest.raises(RunnerBusy, match="as many calls wait as its max_waiting allows"):
                    await call("echo", 4)
            gate.touch()
            await held
            return await asyncio.gather(*waiting)

        assert use(crowd, max_waiting=3) == [0, 1, 2]

    def test_a_caller_that_stands_still_keeps_nobody_from_being_served_for_ever(self, use: Callable[..., Any]) -> None:
        async def stall(bench: Bench) -> Any:
            connection = bench.client()._connect()
            connection.send(b"\1")
            with connection:
                return await bench.call("echo", 5)

        text = "import farm_worker.runner_door\nfarm_worker.runner_door.STALL_SECONDS = 0.3\n" + WORKBENCH
        assert use(stall, text) == 5

    def test_outside_of_a_host_there_are_none(self) -> None:
        with pytest.raises(RunnerError, match="this is not one of its processes"):
            farm.runner("bench")

    def test_a_name_that_is_not_declared_is_told_with_the_nearest(self, monkeypatch: pytest.MonkeyPatch) -> None:
        process = context.CurrentProcess("one", 1, os.getpid(), {"embed": "/nowhere"})
        monkeypatch.setattr(context, "_process", process)
        with pytest.raises(
            RunnerError, match=r"declares no runner of this name. Did you mean 'embed'\? There are: embed"
        ):
            farm.runner("embde")
        with pytest.raises(RunnerDied, match="its host has ended"):
            farm.runner("embed").call(1)
        with pytest.raises(RunnerError, match="timeout=0 must be"):
            farm.runner("embed").call(1, timeout=0)


class _OnlyHere:
    """Of a module that only the tests have."""

    def __reduce__(self) -> Any:
        return _OnlyHere, ()


class TestBatches:
    TEXT = """
@app.runner("bench", batch=4)
class Batched:
    def run(self, data):
        for each in data:
            if isinstance(each, str):
                if each == "fail": raise ValueError("all of them")
                if each == "short": return []
                open(each + ".begun", "w").close()
                while not os.path.exists(each): time.sleep(0.005)
        return [(each, len(data)) for each in data]
"""

    def test_calls_that_wait_are_done_together(self, use: Callable[..., Any]) -> None:
        async def crowd(bench: Bench) -> Any:
            gate = bench.folder / "gate"
            held = asyncio.create_task(bench.client().acall(str(gate)))
            await bench.begun(gate)
            waiting = [asyncio.create_task(bench.client().acall(number)) for number in range(6)]
            await asyncio.sleep(0.05)
            gate.touch()
            return await held, await asyncio.gather(*waiting)

        (_, first), others = use(crowd, self.TEXT, batch=4)
        assert first == 1
        assert [value for value, _ in others] == list(range(6)), "each gets its own"
        assert [size for _, size in others] == [4, 4, 4, 4, 2, 2]

    @pytest.mark.parametrize(
        ("verb", "error", "text"),
        [
            ("fail", ValueError, "all of them"),
            ("short", RunnerFailed, "returned a list of 0, not a list with a result for each of the 3 data"),
        ],
    )
    def test_all_of_a_batch_share_its_failure(
        self, use: Callable[..., Any], verb: str, error: type[Exception], text: str
    ) -> None:
        async def crowd(bench: Bench) -> Any:
            gate = bench.folder / "gate"
            held = asyncio.create_task(bench.client().acall(str(gate)))
            await bench.begun(gate)
            waiting = [asyncio.create_task(bench.client().acall(each)) for each in (1, verb, 2)]
            await asyncio.sleep(0.05)
            gate.touch()
            await held
            return await asyncio.gather(*waiting, return_exceptions=True)

        errors = use(crowd, self.TEXT, batch=4)
        assert [type(each) for each in errors] == [error] * 3
        assert all(text in str(each) for each in errors)


class TestKeeping:
    def test_a_copy_that_dies_time_and_again_is_started_later_each_time(self, use: Callable[..., Any]) -> None:
        async def die(bench: Bench) -> Any:
            delays = []
            for _ in range(3):
                with pytest.raises(RunnerDied):
                    await bench.call("die", signal.SIGKILL)
                await until(lambda: bench.runners.views[0].state == "waiting", "it waits")
                (copy,) = bench.runners._copies
                delays.append(copy._warm_ups.retry_at - copy._warm_ups.failed_at)
            return delays, await bench.call("echo", 1), bench.runners.views[0].restarts

        delays, answer, restarts = use(die)
        assert 0.5 <= delays[0] <= 1 <= delays[1] <= 2 <= delays[2] <= 4
        assert (answer, restarts) == (1, 3)

    def test_a_copy_that_served_for_long_is_replaced_at_once(
        self, use: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(runner_copy, "EARLY_END_SECONDS", 0.0)

        async def die(bench: Bench) -> Any:
            with pytest.raises(RunnerDied):
                await bench.call("die", signal.SIGKILL)
            await until(lambda: bench.ends, "it ended")
            reason = bench.runners.unhealthy_reason
            await bench.call("echo", 1)
            return bench.runners._copies[0]._warm_ups.failures, reason, bench.runners.unhealthy_reason

        failures, reason, later = use(die)
        assert failures == 0
        assert "runner 'bench' takes no calls, its last process ended: copy 0 of runner" in reason
        assert later is None

    def test_while_another_copy_serves_nothing_is_unhealthy(self, use: Callable[..., Any]) -> None:
        async def die(bench: Bench) -> Any:
            with pytest.raises(RunnerDied):
                await bench.call("die", signal.SIGKILL)
            await until(lambda: bench.ends, "it ended")
            return bench.runners.unhealthy_reason, await bench.call("echo", 1)

        assert use(die, copies=2) == (None, 1)

    @pytest.mark.parametrize(
        ("body", "reason", "text"),
        [
            ("1 / 0", Reason.INITIALIZE_ERROR, "ZeroDivisionError"),
            ("sys.exit(4)", Reason.INITIALIZE_ERROR, "SystemExit"),
            ("os._exit(4)", Reason.EXITED, "exited with code 4"),
            ("os.kill(os.getpid(), 11)", Reason.CRASHED, "SIGSEGV"),
            ("time.sleep(60)", Reason.INITIALIZE_TIMEOUT, "did not become ready in time"),
        ],
    )
    def test_one_that_cannot_be_initialized_is_unhealthy_until_it_can(
        self, use: Callable[..., Any], user_folder: Path, body: str, reason: Reason, text: str
    ) -> None:
        async def mend(bench: Bench) -> Any:
            told = bench.runners.unhealthy_reason
            (user_folder / "mended").touch()
            await bench.client().acall(1)
            return told, bench.ends[0], bench.runners.unhealthy_reason

        guard = f"if not os.path.exists({str(user_folder / 'mended')!r}): {body}"
        source = f"@app.runner('bench')\nclass Broken:\n    def initialize(self):\n        {guard}\n"
        source += "    def run(self, data): return data\n"
        told, end, later = use(mend, source, initialize_timeout=1.0 if "sleep" in body else 30.0)
        assert told.startswith("runner 'bench' takes no calls")
        assert text in told
        assert (end.reason, end.phase, end.abnormal) == (reason, "initialize", True)
        assert later is None

    def test_a_copy_over_its_memory_limit_is_killed(self, use: Callable[..., Any]) -> None:
        async def grow(bench: Bench) -> Any:
            with pytest.raises(RunnerDied):
                await bench.call("grow", 300_000_000)
            await until(lambda: bench.ends, "it ended")
            return bench.ends[0]

        end = use(grow, memory_limit_mb=200)
        assert end.reason is Reason.MEMORY_LIMIT
        assert end.last_memory > 200_000_000

    def test_one_that_does_not_answer_is_killed(self, use: Callable[..., Any]) -> None:
        async def freeze(bench: Bench) -> Any:
            os.kill(bench.runners.pids[0], signal.SIGSTOP)
            await until(lambda: bench.ends, "it was killed")
            return bench.ends[0].reason, await bench.call("echo", 1)

        settings = {"ping_interval": 0.5, "ping_timeout": 1}
        assert use(freeze, settings=settings) == (Reason.UNRESPONSIVE, 1)

    def test_one_that_is_busy_for_longer_than_the_ping_timeout_lives_on(self, use: Callable[..., Any]) -> None:
        async def be_busy(bench: Bench) -> Any:
            return await bench.call("pause", 2.5), len(bench.ends)

        assert use(be_busy, settings={"ping_interval": 0.5, "ping_timeout": 1}) == (2.5, 0)

    def test_recycling_ends_no_call_and_loses_none(self, use: Callable[..., Any]) -> None:
        async def recycle(bench: Bench) -> Any:
            gate = bench.folder / "gate"
            held = asyncio.create_task(bench.call("wait_for", str(gate)))
            await bench.begun(gate)
            before = bench.runners.pids
            waiting = [asyncio.create_task(bench.call("who")) for _ in range(3)]
            bench.runners.recycle()
            await asyncio.sleep(0.1)
            gate.touch()
            assert await held == 1
            pids = {pid for _, _, pid, _ in await asyncio.gather(*waiting)}
            return before, pids, [end.reason for end in bench.ends], bench.runners.unhealthy_reason

        before, pids, reasons, unhealthy = use(recycle)
        assert pids.isdisjoint(before)
        assert (reasons, unhealthy) == ([Reason.RECYCLED], None)

    def test_nothing_is_left_when_they_are_closed(self, use: Callable[..., Any]) -> None:
        async def look(bench: Bench) -> Any:
            held = asyncio.create_task(bench.call("pause", 60))
            await asyncio.sleep(0.2)
            pids, folder = bench.runners.pids, Path(bench.runners.paths["bench"]).parent
            assert folder.stat().st_mode & 0o777 == 0o700
            await bench.runners.close(0.0)
            with pytest.raises(RunnerDied):
                await held
            with pytest.raises(RunnerDied, match="its host has ended"):
                await bench.call("echo")
            return pids, folder

        pids, folder = use(look, copies=2)
        assert not any(psutil.pid_exists(pid) for pid in pids)
        assert not folder.exists()

    def test_the_folder_of_a_host_that_was_killed_is_removed_by_the_next(
        self, use: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        left = tmp_path / "farm-runners-left"
        left.mkdir()
        os.utime(left, (1, 1))

        async def look(bench: Bench) -> Any:
            os.utime(Path(bench.runners.paths["bench"]).parent, (1, 1))
            other = Bench(bench.folder, (options(),), {})
            await other.runners.close(0.0)
            return await bench.call("echo", 1)

        assert use(look) == 1
        assert not left.exists()
