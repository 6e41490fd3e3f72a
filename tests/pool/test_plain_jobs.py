"""Plain jobs run without RQ's job, unless somebody looks at it. It must not show: each ends as it does the long way."""

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from rq import Queue, Retry
from rq.job import Job

from farm_worker.pool.outcome import Outcome
from farm_worker.pool.protocol import CancelJob, Dirty, JobLimit, Message, Output, Ping, Progress, Ready, encode
from tests.support import leaks
from tests.support.child_harness import FENCE, PATIENCE_SECONDS, TOKEN_OF_ALL, USER_MODULES, ChildHarness
from tests.support.outcomes import error, returned, value, written

APPS = {
    "short": "import farm\napp = farm.App()\n",
    "long": "import farm\napp = farm.App()\n@app.around_job\ndef nothing(job):\n    yield\n",
}
"""A function around its jobs, which does nothing, sends them the long way."""
DATES = {b"started_at", b"ended_at", b"last_heartbeat"}
FRAMES_OF_OURS = re.compile(r'^  File "[^"]*/farm_worker/.*\n(?:    .*\n)*', re.MULTILINE)
"""In tracebacks of what fails before it reaches the user's code."""
Change = Callable[[dict[bytes, bytes]], dict[bytes, bytes]]


class Way:
    """A warm process that runs all jobs in one of the two ways."""

    def __init__(self, name: str, folder: Path, redis_url: str) -> None:
        self.name = name
        (folder / f"{name}_app.py").write_text(APPS[name])
        self._start = lambda: ChildHarness(
            redis_url,
            path=[USER_MODULES, str(folder)],
            app=f"{name}_app",
            exception_handlers=["looking_jobs.note"],
        )
        self._child: ChildHarness | None = None

    @property
    def child(self) -> ChildHarness:
        if self._child is not None and not self._child.at_rest:
            self.end()
        if self._child is None:
            self._child = self._start()
            leaks.shared_pids.add(self._child.process.pid)
            self._child.receive(Ready)
        self._child.said.clear()
        return self._child

    def end(self) -> None:
        if self._child is not None:
            self._child.__exit__()
            leaks.shared_pids.discard(self._child.process.pid)
            self._child = None


class Both:
    """Runs one job in both ways, and sees what comes of it."""

    def __init__(self, ways: dict[str, Way], client: redis.Redis) -> None:
        self._ways = ways
        self._client = client
        self.queue = Queue("default", connection=client)

    def enqueue(self, function: str, *arguments: Any, **options: Any) -> Job:
        return self.queue.enqueue(f"looking_jobs.{function}", args=arguments, **options)

    def run(self, job: Job, change: Change = dict, job_id: bytes | None = None) -> tuple[Outcome, dict[str, Any]]:
        """The outcome the short way, and all that was written and said of it: the same as the long way."""
        record = change(self._client.hgetall(job.key) | {b"farm_fence": FENCE})
        short, long = (self._observe(self._ways[name], job, record, job_id) for name in ("short", "long"))
        differing = {name: (seen, long[1][name]) for name, seen in short[1].items() if seen != long[1][name]}
        assert differing == {}
        return short

    def _observe(
        self, way: Way, job: Job, record: dict[bytes, bytes], job_id: bytes | None
    ) -> tuple[Outcome, dict[str, Any]]:
        client, child = self._client, way.child
        client.delete(job.key, "test:handled")
        client.hset(job.key, mapping={**record, b"status": b"started", b"worker_name": b"host-1"})
        started = job.id.encode() if job_id is None else job_id
        sequence = child.start_record(started, record)
        said = list(messages_of(child))
        outcome = said.pop()
        assert isinstance(outcome, Outcome)
        assert outcome.sequence == sequence
        return outcome, {
            "outcome": (outcome.kind, outcome.summary, outcome.again, outcome.repeat),
            **masked(outcome, started),
            # The function around the job gets time of its own, and the host is told.
            "said": [shown(message) for message in said if not isinstance(message, JobLimit)],
            "handled": client.lrange("test:handled", 0, -1),
            "record": client.hgetall(job.key),
        }


def messages_of(child: ChildHarness) -> Iterator[Message]:
    while True:
        message = child.receive_any()
        yield message
        if isinstance(message, Outcome):
            return


def masked(outcome: Outcome, job_id: bytes) -> dict[str, Any]:
    """What is written, readable, and without what differs from run to run."""
    end = vars(written(outcome, job_id, TOKEN_OF_ALL)).copy()
    flat = end["fields"]
    changed = dict(zip(flat[::2], flat[1::2], strict=True))
    assert changed.keys() >= DATES
    for name in ("started_at", "ended_at", "seconds"):
        end[name] = end[name] > 0
    end["fields"] = {name: text for name, text in changed.items() if name not in DATES}
    end["result"] = repr(returned(outcome))
    end["error"] = re.sub("0x[0-9a-f]+", "0x", FRAMES_OF_OURS.sub("", error(outcome))) if end["error"] else ""
    return end


def shown(message: Message) -> object:
    if isinstance(message, Output):
        return message.source, message.text, message.level, message.fields
    if isinstance(message, Progress):
        return message.fraction, message.text
    return message.reason if isinstance(message, Dirty) else type(message).__name__


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Way]]:
    made: dict[str, Way] = {}
    yield made
    for way in made.values():
        way.end()


@pytest.fixture
def both(
    ways: dict[str, Way], redis_url: str, redis_client: redis.Redis, tmp_path_factory: pytest.TempPathFactory
) -> Both:
    if not ways:
        folder = tmp_path_factory.mktemp("apps")
        ways.update({name: Way(name, folder, redis_url) for name in APPS})
    return Both(ways, redis_client)


def test_both_ways_are_taken(ways: dict[str, Way], both: Both) -> None:
    assert value(ways["short"].child.run(both.enqueue("give", 1))) == (1, "unset"), "it imports the module"
    assert value(ways["short"].child.run(both.enqueue("kind_of_record"))) == "UnreadJob"
    assert value(ways["long"].child.run(both.enqueue("kind_of_record"))) == "Job"


@pytest.mark.parametrize(
    ("function", "arguments", "kind"),
    [
        ("give", (1,), "finished"),
        ("give", (None,), "finished"),
        ("say_nothing_of_itself", (), "finished"),
        ("look", (1, "two", [3]), "finished"),
        ("change", (), "finished"),
        ("change_by_name_alone", (), "finished"),
        ("change_and_fail", (), "failed"),
        ("change_its_call", (), "finished"),
        ("forget_an_attribute", (), "failed"),
        ("save_meta", (), "finished"),
        ("compare", (), "finished"),
        ("compare_first", (), "finished"),
        ("hash_first", (), "finished"),
        ("show_first", (), "finished"),
        ("list_attributes_first", (), "finished"),
        ("copy_itself", ("copy",), "finished"),
        ("copy_itself", ("deepcopy",), "finished"),
        ("copy_itself", ("pickle",), "finished"),
        ("look_from_threads", (8,), "finished"),
        ("fail", (), "failed"),
        ("fail", ("odd \udcff text\n" * 100,), "failed"),
        ("leave", (7,), "failed"),
        ("interrupt", (), "failed"),
        ("claim_to_be_cancelled", (), "failed"),
        ("again", (2,), "failed"),
        ("again", (2, 30), "failed"),
        ("wait_a_moment", (), "finished"),
        ("wait_and_fail", (), "failed"),
        ("leave_a_task", (), "finished"),
        ("generate", (), "failed"),
        ("return_lock", (), "failed"),
        ("store", ("look",), "finished"),
        ("store", ("exit",), "failed"),
        ("tell", (1,), "finished"),
        ("call_back", (), "finished"),
        ("log_fields", (), "finished"),
        ("sleep", (0,), "finished"),
        ("give", (), "failed"),
        ("Box.static", (1,), "finished"),
        ("falsy", (), "failed"),
        ("no_function", (), "failed"),
        ("unknown", (), "failed"),
    ],
)
def test_a_job_ends_alike(both: Both, function: str, arguments: tuple[Any, ...], kind: str) -> None:
    outcome, _ = both.run(both.enqueue(function, *arguments))
    assert outcome.kind == kind, outcome.summary


@pytest.mark.parametrize("function", ["no_such_module.function", "colorsys.rgb_to_hsv", "nothing", "", "time.time"])
def test_a_function_that_is_not_imported_ends_alike(both: Both, function: str) -> None:
    both.run(both.queue.enqueue(function, 0.1, 0.2, 0.3))


@pytest.mark.parametrize(
    ("options", "function"),
    [
        ({"result_ttl": 0}, "give"),
        ({"result_ttl": -1}, "give"),
        ({"result_ttl": 10**18}, "give"),
        ({"failure_ttl": 5}, "fail"),
        ({"failure_ttl": 0}, "fail"),
        ({"ttl": 100}, "look"),
        ({"job_timeout": -1}, "look"),
        ({"job_timeout": 3600}, "look"),
        ({"retry": Retry(max=2)}, "fail"),
        ({"retry": Retry(max=2, interval=[5, 6])}, "fail"),
        ({"retry": Retry(max=2, enqueue_at_front=True)}, "fail"),
        ({"retry": Retry(max=2)}, "return_lock"),
        ({"meta": {"a": 1}}, "look"),
        ({"description": "a\nb"}, "look"),
        ({"at_front": True}, "look"),
        ({"job_id": "an-id_of-their-own"}, "look"),
    ],
)
def test_options_count_alike(both: Both, options: dict[str, Any], function: str) -> None:
    argument = (1,) if function == "give" else ()
    both.run(both.enqueue(function, *argument, **options))


@pytest.mark.parametrize("job_id", [b"report:7", b"\xff\xfe", b"with space", "é".encode(), b"nul\0byte", b"x" * 500])
@pytest.mark.parametrize("function", ["look", "say_nothing_of_itself", "fail"])
def test_odd_ids_are_alike(both: Both, job_id: bytes, function: str) -> None:
    both.run(both.enqueue(function), job_id=job_id)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        *((name, text) for name in ("created_at", "enqueued_at", "ended_at") for text in ("yesterday", "\xff")),
        ("enqueued_at", ""),
        ("created_at", "2020-01-01T00:00:00Z"),
        ("created_at", "2020-01-01T00:00:00"),
        *(("timeout", text) for text in ("soon", "", "0", "-5", "10m", "1" + "0" * 400, "1.5", "\xff")),
        *(("result_ttl", text) for text in ("never", "", "-7", "9" * 30)),
        *(("failure_ttl", text) for text in ("never", "", "9" * 30)),
        *(("retries_left", text) for text in ("many", "0", "-1", "1")),
        *(("status", text) for text in ("unheard of", "", "finished")),
        *(("data", text) for text in ("", "no pickle", "\x80\x04]\x94.")),
        *(("description", text) for text in ("", "\xff")),
        *(("origin", text) for text in ("", "another", "\xff")),
        *(("farm_crashes", text) for text in ("3", "many")),
        ("enqueue_at_front", "perhaps"),
        ("group_id", "g"),
        ("rate_limit_key", "k"),
        ("repeats_left", "1"),
        ("success_callback_timeout", "long"),
        ("something_else", "x"),
        ("result", "no pickle"),
        ("meta", "no pickle"),
    ],
)
@pytest.mark.parametrize("function", ["say_nothing_of_itself", "fail", "look"])
def test_hostile_records_end_alike(both: Both, field: str, text: str, function: str) -> None:
    job = both.enqueue(function)
    both.run(job, lambda record: {**record, field.encode(): text.encode("latin-1")})


def test_a_record_without_its_date_ends_alike(both: Both) -> None:
    both.run(both.enqueue("say_nothing_of_itself"), lambda record: {**record, b"created_at": b""})


@pytest.mark.parametrize("missing", ["created_at", "enqueued_at", "description", "timeout", "origin", "status", "data"])
def test_records_that_lack_something_end_alike(both: Both, missing: str) -> None:
    job = both.enqueue("give", 1)
    both.run(job, lambda record: {name: text for name, text in record.items() if name != missing.encode()})


def test_a_record_with_next_to_nothing_ends_alike(both: Both) -> None:
    job = both.enqueue("give", 1)
    few = (b"data", b"created_at", b"enqueued_at", b"farm_fence", b"origin")
    both.run(job, lambda record: {name: record[name] for name in few})


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the jobs, here: what is enqueued of it names it as they know it."""
    monkeypatch.syspath_prepend(USER_MODULES)
    monkeypatch.delitem(sys.modules, "looking_jobs", raising=False)
    return importlib.import_module("looking_jobs")


@pytest.mark.parametrize("way", ["look", "bind", "fail"])
def test_arguments_that_look_around_while_they_are_read_see_the_same(
    ways: dict[str, Way], both: Both, looking: Any, way: str
) -> None:
    both.run(both.enqueue("give", looking.Curious(way)))
    assert value(ways["short"].child.run(both.enqueue("give", 1))) == (1, "unset"), "nothing of it stays"


def test_a_time_limit_holds_alike(both: Both) -> None:
    outcome, _ = both.run(both.enqueue("sleep", 20, job_timeout=1))
    assert outcome.summary.startswith("JobTimeoutException")
    assert outcome.seconds < 15


def test_a_time_limit_holds_alike_while_arguments_are_read(both: Both, looking: Any) -> None:
    outcome, _ = both.run(both.enqueue("give", looking.Curious("slow"), job_timeout=1, retry=Retry(max=2)))
    assert outcome.summary.startswith("JobTimeoutException")
    assert outcome.again == "back"


def test_what_a_job_binds_ends_with_it(ways: dict[str, Way], both: Both) -> None:
    assert ways.keys() == APPS.keys()
    for way in ways.values():
        assert way.child.run(both.enqueue("bind")).kind == "finished"
        assert value(way.child.run(both.enqueue("give", 1))) == (1, "unset")


@pytest.mark.parametrize("function", ["is_cancelled", "Box.is_cancelled"])
@pytest.mark.parametrize("name", APPS)
def test_who_asked_for_the_end_before_the_job_began_is_heard(
    ways: dict[str, Way], both: Both, name: str, function: str
) -> None:
    job, child = both.enqueue(function), ways[name].child
    sequence = child.send_job(job.id.encode(), both.queue.connection.hgetall(job.key) | {b"farm_fence": FENCE})
    control = child.lines.control
    control.setblocking(True)
    control.settimeout(PATIENCE_SECONDS)
    control.sendall(encode(CancelJob(sequence, "early")) + encode(Ping(1)))
    while b"pong" not in control.recv(1 << 16):
        pass
    child.send_tokens(sequence)
    assert value(child.receive(Outcome)) is True
