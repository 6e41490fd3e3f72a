"""One real process and real jobs of RQ: how each ending is reported."""

import base64
import os
import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from rq import Callback, Queue, Repeat, Retry
from rq.job import Job

from farm_worker.pool.outcome import Outcome
from farm_worker.pool.protocol import Ready
from tests.support.child_harness import USER_MODULES, ChildHarness
from tests.support.outcomes import error, fields, returned, value, written

YEAR = 31536000


@pytest.fixture
def child(used_child: ChildHarness) -> ChildHarness:
    """Most of these tests say what a job does, not what its process does: one process serves them all."""
    return used_child


def enqueue(queue: Queue, function: str, *arguments: Any, **options: Any) -> Job:
    return queue.enqueue(f"jobs_under_test.{function}", args=arguments, **options)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_a_job_finishes_with_its_value(child: ChildHarness, queue: Queue) -> None:
    outcome = child.run(enqueue(queue, "add", 2, 3))
    end = written(outcome)
    assert (outcome.kind, end.result_type, value(outcome)) == ("finished", 1, 5)
    assert (end.ttl, outcome.again, end.error) == (500, "", b"")
    assert 0 <= outcome.seconds <= end.ended_at - end.started_at + 1


def test_only_the_times_of_an_ordinary_job_are_written(child: ChildHarness, queue: Queue) -> None:
    outcome = child.run(enqueue(queue, "add", 2, 3))
    changed = fields(outcome)
    assert changed.keys() == {"started_at", "ended_at", "last_heartbeat"}
    ended_at = datetime.strptime(changed["ended_at"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert abs(ended_at - datetime.fromtimestamp(written(outcome).ended_at, UTC)) < timedelta(milliseconds=1)


def test_none_is_stored_as_no_value(child: ChildHarness, queue: Queue) -> None:
    assert written(child.run(enqueue(queue, "nothing"))).result == b""


def test_rq_reads_back_what_was_encoded(child: ChildHarness, queue: Queue, redis_client: redis.Redis) -> None:
    good, bad = enqueue(queue, "add", [1], [2]), enqueue(queue, "fail")
    for job in (good, bad):
        outcome = child.run(job)
        end = written(outcome)
        entry = {"type": end.result_type, "return_value": end.result, "exc_string": end.error}
        redis_client.xadd(f"rq:results:{job.id}", {name: text for name, text in entry.items() if text != b""})
    assert good.latest_result().return_value == [1, 2]
    assert "RuntimeError: boom" in bad.latest_result().exc_string


def test_the_ttl_of_the_job_counts_before_the_setting(child: ChildHarness, queue: Queue) -> None:
    assert written(child.run(enqueue(queue, "add", 1, 1, result_ttl=9))).ttl == 9
    outcome = child.run(enqueue(queue, "add", 1, 1, result_ttl=0))
    end = written(outcome)
    assert (end.ttl, end.result_type, end.result) == (0, 0, b"")
    assert written(child.run(enqueue(queue, "add", 1, 1, result_ttl=-1))).ttl == -1


def test_a_raised_exception_is_a_failure_with_the_users_traceback(child: ChildHarness, queue: Queue) -> None:
    outcome = child.run(enqueue(queue, "fail"))
    end = written(outcome)
    assert (outcome.kind, end.result_type, end.ttl, outcome.again) == ("failed", 2, YEAR, "")
    assert outcome.summary == "RuntimeError: boom"
    text = error(outcome)
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith("RuntimeError: boom\n")
    assert "jobs_under_test.py" in text
    assert "farm_worker" not in text


def test_the_failure_ttl_of_the_job_is_used(child: ChildHarness, queue: Queue) -> None:
    assert written(child.run(enqueue(queue, "fail", failure_ttl=5))).ttl == 5


@pytest.mark.parametrize(("function", "name"), [("leave", "SystemExit"), ("interrupt", "KeyboardInterrupt")])
def test_a_job_cannot_end_its_process_by_an_exception(
    child: ChildHarness, queue: Queue, function: str, name: str
) -> None:
    outcome = child.run(enqueue(queue, function))
    assert outcome.kind == "failed"
    assert outcome.summary.startswith(name)
    assert child.run(enqueue(queue, "add", 1, 1)).kind == "finished"


def test_an_exception_without_a_text_is_a_failure_like_others(child: ChildHarness, queue: Queue) -> None:
    outcome = child.run(enqueue(queue, "fail_unprintably"))
    assert outcome.summary == "Unprintable: <its text cannot be shown>"
    assert "Unprintable" in error(outcome)


def test_texts_that_are_no_unicode_are_stored_all_the_same(child: ChildHarness, queue: Queue) -> None:
    outcome = child.run(enqueue(queue, "fail", "\ud800\x00é"))
    assert "\\ud800" in error(outcome)
    assert "\\ud800" in outcome.summary


def test_a_result_that_cannot_be_encoded_fails_the_job_and_says_so(child: ChildHarness, queue: Queue) -> None:
    outcome = child.run(enqueue(queue, "return_lock", retry=Retry(max=3)))
    assert (outcome.kind, outcome.again) == ("failed", "")
    assert "the job ran, but its result of type lock cannot be encoded" in error(outcome)


def test_a_result_that_is_not_kept_need_not_be_encodable(child: ChildHarness, queue: Queue) -> None:
    assert child.run(enqueue(queue, "return_lock", result_ttl=0)).kind == "finished"


def test_an_unknown_function_says_what_is_missing(child: ChildHarness, queue: Queue) -> None:
    outcome = child.run(queue.enqueue("no_such_module.function"))
    assert "Invalid attribute name: no_such_module.function: there is no module 'no_such_module'" in error(outcome)
    outcome = child.run(enqueue(queue, "no_such_function"))
    assert "module jobs_under_test has no no_such_function" in error(outcome)


def test_a_module_that_cannot_be_imported_says_why(redis_url: str, queue: Queue, user_folder: Path) -> None:
    (user_folder / "broken_jobs.py").write_text("import not_installed_here\ndef job(): pass\n")
    with ChildHarness(redis_url, path=[str(user_folder)]) as child:
        child.receive(Ready)
        outcome = child.run(queue.enqueue("broken_jobs.job"))
    assert "importing broken_jobs raised ModuleNotFoundError: No module named 'not_installed_here'" in error(outcome)


class TestRetries:
    def test_a_failure_with_retries_left_goes_back_to_its_queue(self, child: ChildHarness, queue: Queue) -> None:
        outcome = child.run(enqueue(queue, "fail", retry=Retry(max=2)))
        end = written(outcome)
        assert (outcome.kind, outcome.again, outcome.repeat, end.result_type) == ("failed", "back", False, 0)
        assert end.error == b""
        assert fields(outcome)["retries_left"] == "1"

    def test_intervals_are_taken_as_rq_takes_them(self, child: ChildHarness, queue: Queue) -> None:
        job = enqueue(queue, "fail", retry=Retry(max=3, interval=[10, 20]))
        taken = []
        for _ in range(3):
            outcome = child.run(job)
            taken.append((outcome.again, written(outcome).delay))
            queue.connection.hset(job.key, "retries_left", fields(outcome)["retries_left"])
        assert taken == [("scheduled", 10), ("scheduled", 10), ("scheduled", 20)]
        assert child.run(job).again == ""

    def test_a_retry_may_go_to_the_front(self, child: ChildHarness, queue: Queue) -> None:
        outcome = child.run(enqueue(queue, "fail", retry=Retry(max=2, enqueue_at_front=True)))
        assert outcome.again == "front"

    def test_a_returned_retry_goes_again_and_is_counted(self, child: ChildHarness, queue: Queue) -> None:
        outcome = child.run(enqueue(queue, "again"))
        assert (outcome.kind, written(outcome).result_type, outcome.again) == ("failed", 4, "back")
        assert isinstance(returned(outcome), Retry)
        assert fields(outcome)["number_of_retries"] == "1"

    def test_a_returned_retry_may_be_scheduled(self, child: ChildHarness, queue: Queue) -> None:
        outcome = child.run(enqueue(queue, "again", 2, 30, True))
        assert (outcome.again, written(outcome).delay) == ("scheduled", 30)
        assert fields(outcome)["enqueue_at_front_on_retry"] == "1"

    def test_the_last_returned_retry_fails_the_job(self, child: ChildHarness, queue: Queue) -> None:
        job = enqueue(queue, "again", 2)
        queue.connection.hset(job.key, "number_of_retries", 2)
        outcome = child.run(job)
        end = written(outcome)
        assert (outcome.kind, end.result_type, outcome.again, end.error) == ("failed", 5, "", b"")

    def test_a_retry_under_json_is_recorded_as_rq_does(self, redis_url: str, redis_client: redis.Redis) -> None:
        queue = Queue("default", connection=redis_client, serializer="json")
        with ChildHarness(redis_url, path=[USER_MODULES], serializer="json") as child:
            child.receive(Ready)
            outcome = child.run(enqueue(queue, "again"))
        assert base64.b64decode(written(outcome).result) == b'"Unserializable return value"'


class TestRepeats:
    def test_a_finished_job_repeats_at_once(self, child: ChildHarness, queue: Queue) -> None:
        outcome = child.run(enqueue(queue, "add", 1, 1, repeat=Repeat(times=3)))
        assert (outcome.kind, outcome.again, outcome.repeat, written(outcome).result_type) == (
            "finished",
            "back",
            True,
            1,
        )
        assert fields(outcome)["repeats_left"] == "2"

    def test_intervals_are_used_up_one_by_one(self, child: ChildHarness, queue: Queue) -> None:
        outcome = child.run(enqueue(queue, "add", 1, 1, repeat=Repeat(times=3, interval=[5, 60])))
        assert (outcome.again, written(outcome).delay) == ("scheduled", 5)
        assert fields(outcome)["repeat_intervals"] == "[60]"

    def test_a_failed_job_does_not_repeat(self, child: ChildHarness, queue: Queue) -> None:
        assert child.run(enqueue(queue, "fail", repeat=Repeat(times=3))).again == ""


class TestCallbacks:
    def test_the_success_callback_gets_the_result(self, child: ChildHarness, queue: Queue, tmp_path: Path) -> None:
        path = tmp_path / "calls"
        job = enqueue(queue, "add", 1, 2, meta={"path": str(path)}, on_success=Callback("jobs_under_test.on_success"))
        assert child.run(job).kind == "finished"
        assert lines(path) == [f"success {job.id} 3 finished"]

    def test_a_failing_success_callback_fails_the_job(self, child: ChildHarness, queue: Queue, tmp_path: Path) -> None:
        path = tmp_path / "calls"
        job = enqueue(
            queue,
            "add",
            1,
            2,
            meta={"path": str(path)},
            on_success=Callback("jobs_under_test.on_success_fails"),
            on_failure=Callback("jobs_under_test.on_failure"),
        )
        outcome = child.run(job)
        assert (outcome.kind, outcome.summary) == ("failed", "ValueError: the callback failed")
        assert lines(path) == [f"failure {job.id} ValueError the callback failed True"]

    def test_a_success_callback_may_change_how_long_the_job_is_kept(self, child: ChildHarness, queue: Queue) -> None:
        callback = Callback("jobs_under_test.on_success_keeps_longer")
        outcome = child.run(enqueue(queue, "add", 1, 2, result_ttl=0, on_success=callback))
        assert (written(outcome).ttl, value(outcome)) == (99, 3)

    def test_a_failing_failure_callback_replaces_the_error(self, child: ChildHarness, queue: Queue) -> None:
        outcome = child.run(enqueue(queue, "fail", on_failure=Callback("jobs_under_test.on_failure_fails")))
        assert outcome.summary == "LookupError: the failure callback failed"

    def test_a_callback_that_hangs_is_ended_by_its_own_limit(self, child: ChildHarness, queue: Queue) -> None:
        callback = Callback("jobs_under_test.on_failure_hangs", timeout=1)
        outcome = child.run(enqueue(queue, "fail", on_failure=callback))
        assert outcome.summary == "JobTimeoutException: Task exceeded maximum timeout value (1 seconds)"

    def test_exception_handlers_run_until_one_ends_the_chain(
        self, redis_url: str, queue: Queue, tmp_path: Path
    ) -> None:
        path = tmp_path / "calls"
        names = ["handle_and_go_on", "handle_and_stop", "handle_and_go_on"]
        handlers = [f"jobs_under_test.{name}" for name in names]
        with ChildHarness(redis_url, path=[USER_MODULES], exception_handlers=handlers) as child:
            child.receive(Ready)
            assert child.run(enqueue(queue, "fail", meta={"path": str(path)})).summary == "RuntimeError: boom"
        assert lines(path) == ["second handler RuntimeError", "first handler RuntimeError"]

    def test_a_failing_exception_handler_changes_nothing(self, redis_url: str, queue: Queue) -> None:
        handlers = ["jobs_under_test.handler_fails"]
        with ChildHarness(redis_url, path=[USER_MODULES], exception_handlers=handlers) as child:
            child.receive(Ready)
            assert child.run(enqueue(queue, "fail")).summary == "RuntimeError: boom"


class TestTimeouts:
    def test_a_loop_in_python_is_ended(self, child: ChildHarness, queue: Queue) -> None:
        outcome = child.run(enqueue(queue, "loop_for_ever", job_timeout=1))
        assert outcome.summary == "JobTimeoutException: Task exceeded maximum timeout value (1 seconds)"
        assert "loop_for_ever" in error(outcome)
        assert outcome.seconds >= 1

    def test_no_alarm_comes_after_the_job(self, child: ChildHarness, queue: Queue) -> None:
        assert child.run(enqueue(queue, "add", 1, 1, job_timeout=1)).kind == "finished"
        outcome = child.run(enqueue(queue, "swallow_and_return", 1.5, job_timeout=-1))
        assert value(outcome) == "in time"

    def test_a_job_may_answer_its_limit_with_a_result(self, child: ChildHarness, queue: Queue) -> None:
        outcome = child.run(enqueue(queue, "swallow_and_return", 30, job_timeout=1))
        assert value(outcome) == "JobTimeoutException"

    def test_an_endless_limit_is_none(self, child: ChildHarness, queue: Queue) -> None:
        assert child.run(enqueue(queue, "add", 1, 1, job_timeout=10**15)).kind == "finished"

    @pytest.mark.parametrize("function", ["sleep", "block", "block_in_a_task"])
    def test_a_coroutine_is_ended_and_its_loop_lives_on(self, child: ChildHarness, queue: Queue, function: str) -> None:
        arguments = (30,) if function == "sleep" else ()
        outcome = child.run(enqueue(queue, function, *arguments, job_timeout=1))
        assert outcome.summary == "JobTimeoutException: Task exceeded maximum timeout value (1 seconds)"
        assert value(child.run(enqueue(queue, "double", 4)))[0] == 8


class TestCoroutines:
    def test_a_coroutine_job_returns_its_value_and_knows_its_job(self, child: ChildHarness, queue: Queue) -> None:
        job = enqueue(queue, "double", 21)
        assert value(child.run(job)) == (42, job.id, job.id)

    def test_all_coroutines_of_a_process_share_one_loop(self, child: ChildHarness, queue: Queue) -> None:
        assert value(child.run(enqueue(queue, "loop_id"))) == value(child.run(enqueue(queue, "loop_id")))

    def test_tasks_that_a_job_leaves_are_cancelled(self, child: ChildHarness, queue: Queue, tmp_path: Path) -> None:
        path = tmp_path / "tasks"
        assert child.run(enqueue(queue, "leave_a_task", str(path))).kind == "finished"
        assert lines(path) == ["cancelled"]


class TestWhatAJobSees:
    def test_it_sees_itself_and_its_process(self, child: ChildHarness, queue: Queue) -> None:
        job = enqueue(queue, "describe_self", meta={"colour": "blue"})
        child.start(job, attempt=4)
        assert value(child.receive(Outcome)) == {
            "rq": job.id,
            "id": job.id,
            "queue": "default",
            "attempt": 4,
            "meta": {"colour": "blue"},
            "host": "host-1",
            "seen": 1,
            "same": True,
            "RQ_JOB_ID": job.id,
            "RQ_WORKER_ID": "host-1",
        }
        assert value(child.run(enqueue(queue, "describe_self")))["seen"] == 2

    def test_it_has_a_connection_to_redis(self, child: ChildHarness, queue: Queue) -> None:
        job = enqueue(queue, "save_meta", 12)
        assert "meta" not in fields(child.run(job))
        assert job.get_meta(refresh=True) == {"value": 12}

    def test_what_it_changes_in_its_record_is_written(self, child: ChildHarness, queue: Queue) -> None:
        outcome = child.run(enqueue(queue, "change_own_record"))
        changed = fields(outcome)
        assert (changed["result_ttl"], changed["description"], written(outcome).ttl) == ("77", "changed", 77)
        assert not changed.keys() & {"status", "meta", "data", "origin"}

    def test_a_record_that_it_broke_fails_the_job(self, child: ChildHarness, queue: Queue) -> None:
        assert child.run(enqueue(queue, "break_own_record")).kind == "failed"
        assert child.run(enqueue(queue, "add", 1, 1)).kind == "finished"

    def test_the_next_job_finds_the_process_as_it_was(self, child: ChildHarness, queue: Queue, tmp_path: Path) -> None:
        before = value(child.run(enqueue(queue, "surroundings")))
        assert child.run(enqueue(queue, "make_a_mess", str(tmp_path))).kind == "finished"
        assert value(child.run(enqueue(queue, "surroundings"))) == before
        assert child.run(enqueue(queue, "loop_for_ever", job_timeout=1)).kind == "failed"

    @pytest.mark.parametrize("function", ["fork_and_return", "fork_and_exit"])
    def test_a_process_that_it_forked_never_acts_as_the_worker(
        self, child: ChildHarness, queue: Queue, tmp_path: Path, function: str
    ) -> None:
        assert value(child.run(enqueue(queue, function, str(tmp_path)))) == "parent"
        assert (tmp_path / "fork").exists()
        assert value(child.run(enqueue(queue, "process_id"))) == child.process.pid


class TestRecords:
    def test_meta_is_unpickled_only_in_the_process(self, child: ChildHarness, queue: Queue, tmp_path: Path) -> None:
        job = enqueue(queue, "nothing")
        evil = b"\x80\x04cjobs_under_test\n_mark\n" + pickle.dumps((str(tmp_path),), protocol=2)[2:-1] + b"R."
        queue.connection.hset(job.key, "meta", evil)
        assert child.run(job).kind == "finished"
        assert [path.name for path in tmp_path.iterdir() if path.name.isdigit()] == [str(child.process.pid)]
        assert str(os.getpid()) not in {path.name for path in tmp_path.iterdir()}

    @pytest.mark.parametrize("payload", [b"", b"nonsense", b"\x80\x04cno_such_module\nname\n.", b"N."])
    def test_a_payload_that_cannot_be_decoded_fails_without_a_retry(
        self, child: ChildHarness, queue: Queue, payload: bytes
    ) -> None:
        job = enqueue(queue, "nothing", retry=Retry(max=5))
        queue.connection.hset(job.key, "data", payload)
        outcome = child.run(job)
        assert (outcome.kind, outcome.again, written(outcome).result_type) == ("failed", "", 2)
        assert f"the payload of job {job.id} cannot be decoded" in outcome.summary

    def test_unpickling_that_exits_fails_the_job(self, child: ChildHarness, queue: Queue) -> None:
        job = enqueue(queue, "nothing")
        queue.connection.hset(job.key, "meta", b"csys\nexit\n(I9\ntR.")
        assert child.run(job).summary == "SystemExit: 9"
        assert child.run(enqueue(queue, "add", 1, 1)).kind == "finished"

    @pytest.mark.parametrize(
        ("field", "text"),
        [("timeout", "soon"), ("created_at", "yesterday"), ("retries_left", "many"), ("status", "unheard of")],
    )
    def test_a_field_that_makes_no_sense_fails_the_job(
        self, child: ChildHarness, redis_client: redis.Redis, queue: Queue, field: str, text: str
    ) -> None:
        job = enqueue(queue, "nothing", failure_ttl=60)
        record = {**redis_client.hgetall(job.key), field.encode(): text.encode()}
        child.start_record(job.id.encode(), record)
        outcome = child.receive(Outcome)
        assert (outcome.kind, outcome.again, written(outcome).ttl) == ("failed", "", 60)
        assert "Error" in error(outcome)

    def test_a_record_without_anything_fails(self, child: ChildHarness) -> None:
        child.start_record(b"empty", {})
        assert child.receive(Outcome).summary.startswith("NoSuchJobError")

    @pytest.mark.parametrize("job_id", [b"report:7", b"\xff\xfe", b"with space", b"nul\0byte", "é".encode()])
    def test_ids_that_rq_would_refuse_today_run(
        self, child: ChildHarness, redis_client: redis.Redis, queue: Queue, job_id: bytes
    ) -> None:
        record = redis_client.hgetall(enqueue(queue, "add", 1, 2).key)
        child.start_record(job_id, record)
        assert value(child.receive(Outcome)) == 3

    def test_what_the_host_needs_is_taken_from_the_record(self, child: ChildHarness, queue: Queue) -> None:
        first = enqueue(queue, "nothing")
        job = enqueue(queue, "nothing")
        queue.connection.hset(
            job.key,
            mapping={
                "group_id": "g",
                "rate_limit_key": "k",
                "rate_limit_concurrency": 2,
                "dependency_ids": f'["{first.id}"]',
            },
        )
        end = written(child.run(job))
        assert (end.group, end.rate_limit_key) == (b"g", b"k")

    def test_a_job_class_of_the_user_runs_its_jobs(self, redis_url: str, queue: Queue, user_folder: Path) -> None:
        (user_folder / "own_jobs.py").write_text(
            "from rq.job import Job\nclass Loud(Job):\n    def perform(self):\n        return f'{super().perform()}!'\n"
        )
        with ChildHarness(redis_url, path=[USER_MODULES, str(user_folder)], job_class="own_jobs.Loud") as child:
            child.receive(Ready)
            assert value(child.run(enqueue(queue, "add", 1, 2))) == "3!"
