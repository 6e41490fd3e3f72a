"""The life of one real process: warming, taking jobs, giving them back, ending."""

import os
import pickle
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from textwrap import dedent
from typing import Any

import psutil
import pytest
from rq import Queue
from rq.webhook import Webhook

from farm.packed import unpack
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.protocol import InitializeFailed, Ready
from tests.support.child_harness import USER_MODULES, ChildHarness
from tests.support.outcomes import value
from tests.support.waiting import wait_until


def run(child: ChildHarness, queue: Queue, function: str, *arguments: Any) -> Any:
    outcome = child.run(queue.enqueue(f"jobs_under_test.{function}", args=arguments))
    assert outcome.kind == "finished", outcome.summary
    return value(outcome)


def record_of(queue: Queue, function: str, *arguments: Any) -> dict[bytes, bytes]:
    job = queue.enqueue(f"jobs_under_test.{function}", args=arguments)
    record: dict[bytes, bytes] = queue.connection.hgetall(job.key)
    return record


class TestWarming:
    APP = """
        import asyncio, farm
        app = farm.App()

        def note(text):
            with open(LOG, "a") as file:
                file.write(text + "\\n")

        @app.prewarm
        def plain(process):
            process.userdata["plain"] = process.number

        @app.prewarm
        def opened():
            note("open")
            yield
            note("close")

        @app.prewarm
        async def coroutine(process):
            process.userdata["loop"] = id(asyncio.get_running_loop())

        @app.prewarm
        async def opened_later(process):
            note("open later")
            yield
            note("close later")
    """

    @pytest.fixture
    def app(self, user_folder: Path, tmp_path: Path) -> Path:
        log = tmp_path / "log"
        (user_folder / "warm_app.py").write_text(f"LOG = {str(log)!r}\n{dedent(self.APP)}")
        return log

    def test_every_kind_of_prewarm_runs_in_order_and_closes_in_reverse(
        self, redis_url: str, queue: Queue, user_folder: Path, app: Path
    ) -> None:
        with ChildHarness(redis_url, path=[str(user_folder), USER_MODULES], app="warm_app", process=3) as child:
            assert child.receive(Ready).pid == child.process.pid
            assert run(child, queue, "userdata", "plain") == 3
            assert run(child, queue, "userdata", "loop") == run(child, queue, "loop_id")
            assert child.close() == 0
        assert app.read_text().split("\n") == ["open", "open later", "close later", "close", ""]

    def test_a_teardown_that_fails_does_not_stop_the_others(self, redis_url: str, user_folder: Path) -> None:
        (user_folder / "app_closing.py").write_text(
            "import farm, pathlib, sys\n"
            "app = farm.App()\n"
            "@app.prewarm\ndef first():\n    yield\n    pathlib.Path(__file__).with_name('closed').touch()\n"
            "@app.prewarm\ndef second():\n    yield\n    sys.exit(5)\n"
        )
        with ChildHarness(redis_url, path=[str(user_folder)], app="app_closing") as child:
            child.receive(Ready)
            assert child.close() == 0
        assert (user_folder / "closed").exists()

    PREWARM = "import farm, sys\napp = farm.App()\n@app.prewarm\n"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (PREWARM + "def warm():\n    1 / 0\n", "prewarm function broken_app.warm raised ZeroDivisionError"),
            (PREWARM + "async def warm():\n    1 / 0\n", "prewarm function broken_app.warm raised ZeroDivisionError"),
            (PREWARM + "def warm():\n    sys.exit(1)\n", "prewarm function broken_app.warm raised SystemExit"),
            (PREWARM + "def warm():\n    return\n    yield\n", "broken_app.warm ended without reaching its yield"),
            ("import no_such_dependency\n", "importing 'broken_app' raised ModuleNotFoundError"),
            ("def (\n", "importing 'broken_app' raised SyntaxError"),
            ("raise SystemExit(0)\n", "importing 'broken_app' raised SystemExit"),
            ("import farm\nfarm.App().run()\n", "app.run() was called while 'broken_app' was imported"),
            ("value = 1\n", "module 'broken_app' has no App"),
        ],
    )
    def test_what_keeps_it_from_warming_is_reported(
        self, redis_url: str, user_folder: Path, text: str, expected: str
    ) -> None:
        (user_folder / "broken_app.py").write_text(text)
        with ChildHarness(redis_url, path=[str(user_folder)], app="broken_app") as child:
            assert expected in child.receive(InitializeFailed).error
            assert child.process.wait(10) != 0

    def test_the_report_ends_with_the_end_of_the_traceback(self, redis_url: str, user_folder: Path) -> None:
        (user_folder / "failing_app.py").write_text(
            "import farm\napp = farm.App()\ndef inner():\n    raise OSError('no disk')\n"
            "@app.prewarm\ndef warm():\n    inner()\n"
        )
        with ChildHarness(redis_url, path=[str(user_folder)], app="failing_app") as child:
            lines = child.receive(InitializeFailed).error.splitlines()
        assert lines[0] == "prewarm function failing_app.warm raised OSError: no disk"
        assert lines[-1] == "OSError: no disk"
        assert any("in inner" in line for line in lines)

    @pytest.mark.parametrize(
        ("setting", "given"),
        [("serializer", "nowhere.Codec"), ("job_class", "os.path"), ("exception_handlers", ["nowhere.handle"])],
    )
    def test_a_name_in_the_settings_that_cannot_be_imported_is_named(
        self, redis_url: str, setting: str, given: object
    ) -> None:
        with ChildHarness(redis_url, **{setting: given}) as child:
            assert child.receive(InitializeFailed).error.startswith(setting.upper())

    def test_each_process_draws_its_own_random_numbers(self, redis_url: str, user_folder: Path, queue: Queue) -> None:
        (user_folder / "seeded_app.py").write_text("import random, farm\nrandom.seed(1)\napp = farm.App()\n")
        drawn = set()
        for _ in range(2):
            with ChildHarness(redis_url, path=[str(user_folder)], app="seeded_app") as child:
                child.receive(Ready)
                drawn.add(value(child.run(queue.enqueue("random.random"))))
        assert len(drawn) == 2


class TestSurroundings:
    def test_the_users_path_and_environment_are_put_back(self, redis_url: str, queue: Queue, user_folder: Path) -> None:
        handed_over = {
            "FARM_FLAGS": "{}",
            "FARM_USER_PYTHONPATH": "/somewhere",
            "FARM_PATH": f"{os.getcwd()}:/somewhere",
        }
        environment = {**os.environ, **handed_over, "FARM_REDIS_URL": "redis://kept", "OWN": "kept"}
        with ChildHarness(
            redis_url, path=[str(user_folder), USER_MODULES], environment=environment, python_path="/somewhere"
        ) as child:
            child.receive(Ready)
            seen = run(child, queue, "environment")
        assert not seen.keys() & handed_over.keys()
        assert (seen["PYTHONPATH"], seen["FARM_REDIS_URL"], seen["OWN"]) == ("/somewhere", "redis://kept", "kept")

    def test_modules_of_the_user_cannot_stand_in_for_ours(
        self, redis_url: str, queue: Queue, user_folder: Path
    ) -> None:
        for name in ("redis", "rq", "queue", "msgspec", "farm", "types", "app"):
            (user_folder / f"{name}.py").write_text("raise RuntimeError('a module of the user')\n")
        with ChildHarness(redis_url, path=[str(user_folder), USER_MODULES]) as child:
            child.receive(Ready)
            assert run(child, queue, "add", 1, 2) == 3
            assert child.run(queue.enqueue("jobs_under_test.fail")).summary == "RuntimeError: boom"

    def test_another_prefix_of_rq_is_used(self, redis_url: str, queue: Queue) -> None:
        with ChildHarness(redis_url, path=[USER_MODULES], rq_prefix="{other}") as child:
            child.receive(Ready)
            job = queue.enqueue("jobs_under_test.save_meta", 5)
            assert child.run(job).kind == "finished"
        key = f"{{other}}:job:{job.id}"
        assert pickle.loads(queue.connection.hget(key, "meta")) == {"value": 5}
        queue.connection.delete(key)

    def test_what_a_job_starts_does_not_hold_the_channels(self, child: ChildHarness, queue: Queue) -> None:
        assert (
            value(child.run(queue.enqueue("os.system", args=("test -z \"$(find /proc/self/fd -lname 'socket:*')\"",))))
            == 0
        )


class TestTokens:
    def test_a_job_without_its_token_waits(self, child: ChildHarness, queue: Queue, tmp_path: Path) -> None:
        path = tmp_path / "ran"
        held = child.send_job(b"held", record_of(queue, "append", str(path), "held"))
        assert run(child, queue, "add", 1, 2) == 3
        assert held == 1
        assert not path.exists()

    def test_a_job_taken_back_never_runs_and_the_next_one_does(
        self, child: ChildHarness, queue: Queue, tmp_path: Path
    ) -> None:
        path = tmp_path / "ran"
        busy = child.start_record(b"busy", record_of(queue, "swallow_and_return", 0.3))
        sent = [child.start_record(b"job", record_of(queue, "append", str(path), "ran")) for _ in range(3)]
        wait_until(lambda: child.peek() == 3, "only the first job is begun")
        assert child.take_back() == sent
        last = child.start_record(b"last", record_of(queue, "append", str(path), "last"))
        assert [child.receive(Outcome).sequence for _ in range(2)] == [busy, last]
        assert path.read_text() == "last\n"

    def test_each_job_runs_exactly_once_or_is_taken_back(
        self, child: ChildHarness, queue: Queue, tmp_path: Path
    ) -> None:
        path = tmp_path / "ran"
        path.touch()
        record = record_of(queue, "nothing")
        returned: list[int] = []
        outcomes: list[int] = []
        for number in range(150):
            sent = [child.start_record(b"job", record) for _ in range(1 + number % 7)]
            if number % 3:
                returned += child.take_back()
            expected = set(range(1, sent[-1] + 1)) - set(returned)
            while len(outcomes) < len(expected):
                outcomes.append(child.receive(Outcome).sequence)
        assert len(set(returned)) == len(returned)
        assert outcomes == sorted(set(range(1, sent[-1] + 1)) - set(returned))
        assert returned
        assert outcomes

    def test_many_frames_of_jobs_taken_back_do_not_block_the_host(self, child: ChildHarness, queue: Queue) -> None:
        record = {**record_of(queue, "nothing"), b"description": b"x" * 200_000}
        for _ in range(50):  # far more than the socket holds
            child.send_job(b"recalled", record)
        assert run(child, queue, "add", 1, 2) == 3

    def test_a_token_before_its_frame_ends_the_process(self, child: ChildHarness, queue: Queue) -> None:
        child.send_tokens(1)
        child.send_job(b"first", record_of(queue, "nothing"))
        assert child.receive(Outcome).sequence == 1
        child.send_tokens(2)
        child._sequence = 6
        child.send_job(b"seventh", record_of(queue, "nothing"))
        assert child.process.wait(10) != 0


class TestEnd:
    def test_it_ends_after_the_jobs_that_it_has_tokens_for(self, child: ChildHarness, queue: Queue) -> None:
        sent = [child.start_record(b"job", record_of(queue, "nothing")) for _ in range(5)]
        child.close_tokens()
        assert [child.receive(Outcome).sequence for _ in sent] == sent
        assert child.close() == 0

    def test_it_ends_when_the_stream_ends(self, child: ChildHarness) -> None:
        child.stream.shutdown(1)
        assert child.process.wait(10) == 0

    def test_it_ends_before_it_was_initialized(self, redis_url: str) -> None:
        with ChildHarness(redis_url) as child:
            child.stream.close()
            assert child.process.wait(10) == 0

    def test_term_ends_it_at_once_also_in_a_job(self, child: ChildHarness, queue: Queue) -> None:
        child.start_record(b"busy", record_of(queue, "loop_for_ever"))
        wait_until(lambda: not child.peek(), "the job is begun")
        child.process.terminate()
        assert child.process.wait(10) == -signal.SIGTERM

    def test_a_key_pressed_in_the_terminal_does_not_end_it(self, child: ChildHarness, queue: Queue) -> None:
        child.process.send_signal(signal.SIGINT)
        assert run(child, queue, "add", 1, 2) == 3

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
    def test_a_busy_process_dies_with_its_host(self, redis_url: str, queue: Queue, tmp_path: Path) -> None:
        job = queue.enqueue("jobs_under_test.loop_for_ever", job_timeout=-1)
        code = (
            "import redis, os\n"
            "from rq.job import Job\n"
            "from farm_worker.pool.protocol import Ready\n"
            "from tests.support.child_harness import USER_MODULES, ChildHarness\n"
            f"child = ChildHarness({redis_url!r}, path=[{USER_MODULES!r}])\n"
            "child.receive(Ready)\n"
            f"child.start(Job.fetch({job.id!r}, connection=redis.Redis.from_url({redis_url!r})))\n"
            "while child.peek(): pass\n"
            "print(child.process.pid, flush=True)\n"
            "os.kill(os.getpid(), 9)\n"
        )
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join([root, *sys.path])
        parent = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            check=False,
        )
        pid = int(parent.stdout)
        wait_until(lambda: not psutil.pid_exists(pid), f"process {pid} is gone", 10)


def test_webhooks_are_sent_when_redis_has_the_outcome(child: ChildHarness, queue: Queue) -> None:
    requests: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requests.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/"
        hooks = [Webhook(url, "finished", method="POST"), Webhook(url, "failed", method="POST")]
        try:
            job = queue.enqueue("jobs_under_test.fail", webhooks=hooks)
            outcome = child.run(job)
            assert outcome.kind == "failed"
            assert not requests, "the outcome is known to the host alone"
            fields = iter(unpack(outcome.packed)[7])
            queue.connection.hset(job.key, mapping=dict(zip(fields, fields, strict=True)))
            wait_until(lambda: len(requests) == 1, "the webhook was sent")
        finally:
            server.shutdown()
            thread.join()
    assert b"RuntimeError: boom" in requests[0]
