"""What becomes of a job: its result, where it waits and why, and taking it back."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from rq.results import Result

from farm.client import Client, JobHandle, JobNotDecodable
from farm.client.jobs import BLOCKED_READS
from farm.errors import JobError, JobFailed, JobNotFound, RedisUnavailable, ResultTimeout
from farm.keys import Keys, RqKeys
from farm.redis_server import RedisServer
from farm.store.connection import connect
from farm.store.job_reader import JobReader
from tests.client import sample_jobs
from tests.client.counting import counting_client
from tests.client.running import a_worker_beside, run_all
from tests.support.waiting import wait_until

KEYS = Keys()


def test_a_result_of_none_is_a_result(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue().enqueue(sample_jobs.nothing)
    run_all(redis_client)

    assert job.result(timeout=0) is None


def test_who_waits_gets_the_result_when_the_job_ends(client: Client, redis_client: redis.Redis, tmp_path: Path) -> None:
    job = client.queue().enqueue(sample_jobs.wait_for, str(tmp_path / "go"))
    with a_worker_beside(redis_client):
        wait_until(lambda: job.status().status == "started", "the job runs")
        threading.Timer(0.2, (tmp_path / "go").touch).start()

        assert job.result(timeout=20) == "seen"


def test_a_failed_job_raises_its_traceback(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue(failure_ttl=60).enqueue(sample_jobs.fail, "no money")
    run_all(redis_client)

    with pytest.raises(JobFailed) as failure:
        job.result()
    assert str(failure.value).startswith(f"job {job.id} failed: ValueError: no money")
    assert "in fail\n" in str(failure.value)


def test_a_job_that_does_not_end_in_time_goes_on(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue().enqueue(sample_jobs.add, 1)

    with pytest.raises(ResultTimeout, match=r"0\.05 s"):
        job.result(timeout=0.05)
    run_all(redis_client)
    assert job.result(timeout=0) == 2


def test_a_job_that_is_not_there_is_said_so(client: Client) -> None:
    job = client.job("gone")

    for ask in (job.result, job.status, job.progress, job.cancel, job.delete):
        with pytest.raises(JobNotFound, match="gone"):
            ask()


def test_a_job_whose_result_is_not_kept_is_explained(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue(result_ttl=0).enqueue(sample_jobs.add, 1)
    run_all(redis_client)

    with pytest.raises(JobNotFound, match="result_ttl=0"):
        job.result()


def test_who_waits_for_a_job_that_is_canceled_or_deleted_is_told(client: Client) -> None:
    canceled, deleted = (client.queue().enqueue(sample_jobs.add, 1) for _ in range(2))
    threading.Timer(0.2, canceled.cancel).start()
    with pytest.raises(JobFailed, match="canceled"):
        canceled.result(timeout=20)

    threading.Timer(0.2, deleted.delete).start()
    with pytest.raises(JobNotFound):
        deleted.result(timeout=20)


def test_a_retried_job_is_waited_for_until_its_last_run(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue(retry=1, failure_ttl=60).enqueue(sample_jobs.fail, "again")
    run_all(redis_client)

    with pytest.raises(JobFailed, match="again"):
        job.result(timeout=5)
    assert job.status().retries_left == 0


def test_a_job_is_enqueued_and_its_result_had_in_two_messages(redis_client: redis.Redis) -> None:
    with counting_client(redis_client) as (client, messages), a_worker_beside(redis_client):
        client.queue().enqueue(sample_jobs.add, 1).result(timeout=20)
        messages.clear()

        assert client.queue().enqueue(sample_jobs.add, 1).result(timeout=20) == 2
    assert len(messages) == 2


def test_an_earlier_result_of_the_same_id_is_not_taken_for_that_of_the_new_job(
    client: Client, redis_client: redis.Redis
) -> None:
    queue = client.queue(job_id="nightly")
    assert _run_and_wait(queue.enqueue(sample_jobs.add, 1), redis_client) == 2
    job = queue.enqueue(sample_jobs.add, 2)

    with pytest.raises(ResultTimeout):
        job.result(timeout=0.1)
    assert _run_and_wait(job, redis_client) == 3


def _run_and_wait(job: JobHandle[int], redis_client: redis.Redis) -> int:
    run_all(redis_client)
    return job.result(timeout=5)


def test_a_requeued_job_is_waited_for_anew(client: Client, redis_client: redis.Redis, tmp_path: Path) -> None:
    job = client.queue(failure_ttl=60).enqueue(sample_jobs.fail_until, str(tmp_path / "repaired"))
    run_all(redis_client)
    with pytest.raises(JobFailed, match="broken"):
        job.result(timeout=5)
    (tmp_path / "repaired").touch()
    job.requeue()
    with a_worker_beside(redis_client):
        assert job.result(timeout=20) == "repaired"


def test_more_threads_than_connections_may_wait(redis_client: redis.Redis, redis_url: str, tmp_path: Path) -> None:
    with Client(redis_url) as client, a_worker_beside(redis_client), ThreadPoolExecutor(BLOCKED_READS * 3) as threads:
        job = client.queue().enqueue(sample_jobs.wait_for, str(tmp_path / "go"))
        waits = [threads.submit(job.result, 40) for _ in range(BLOCKED_READS * 3)]
        wait_until(lambda: _blocked(redis_client) == BLOCKED_READS, "as many wait with a connection as may")
        (tmp_path / "go").touch()

        assert {wait.result(timeout=40) for wait in waits} == {"seen"}


def test_a_wait_whose_connection_is_lost_says_so_and_the_next_one_has_another(
    client: Client, redis_client: redis.Redis
) -> None:
    job = client.queue().enqueue(sample_jobs.add, 1)
    with ThreadPoolExecutor(1) as threads:
        wait = threads.submit(job.result, 20)
        wait_until(lambda: _blocked(redis_client) == 1, "it waits")
        redis_client.client_kill_filter(_type="normal", skipme=True)
        with pytest.raises(RedisUnavailable, match="does not answer"):
            wait.result(timeout=20)

    run_all(redis_client)
    assert job.result(timeout=5) == 2


def _blocked(redis_client: redis.Redis) -> int:
    return int(redis_client.info("clients")["blocked_clients"])


@pytest.mark.parametrize("refused", ["blocking", "wrong type"])
def test_where_redis_lets_nobody_block_the_result_is_looked_for(own_redis: RedisServer, refused: str) -> None:
    with connect(own_redis.url) as admin, connect(own_redis.url) as connection, Client(connection=connection) as client:
        job = client.queue().enqueue(sample_jobs.nothing)
        if refused == "blocking":
            admin.execute_command("ACL", "SETUSER", "default", "-@blocking")
        else:
            admin.set(f"rq:results:{job.id}", "no stream", ex=60)
        threading.Timer(0.2, job.cancel).start()

        with pytest.raises(JobFailed, match="canceled"):
            job.result(timeout=20)


def test_a_wait_outlasts_a_client_that_waits_only_a_moment_for_each_answer(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    with redis.Redis.from_url(redis_url, socket_timeout=0.3) as connection, Client(connection=connection) as client:
        job = client.queue().enqueue(sample_jobs.wait_for, str(tmp_path / "go"))
        threading.Timer(1, (tmp_path / "go").touch).start()
        with a_worker_beside(redis_client):
            assert job.result(timeout=20) == "seen"


def test_a_pool_of_few_connections_is_shared_by_all_who_wait(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    pool = redis.ConnectionPool.from_url(redis_url, max_connections=8)
    with redis.Redis(connection_pool=pool) as connection, Client(connection=connection) as client:
        job = client.queue().enqueue(sample_jobs.wait_for, str(tmp_path / "go"))
        with a_worker_beside(redis_client), ThreadPoolExecutor(8) as threads:
            waits = [threads.submit(job.result, 40) for _ in range(8)]
            wait_until(lambda: _blocked(redis_client) == 4, "half of the connections wait")
            (tmp_path / "go").touch()

            assert {wait.result(timeout=40) for wait in waits} == {"seen"}


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_result_is_read_in_either_protocol(redis_url: str, redis_client: redis.Redis, protocol: int) -> None:
    with redis.Redis.from_url(redis_url, protocol=protocol) as connection, Client(connection=connection) as client:
        jobs = [client.queue().enqueue(sample_jobs.add, number) for number in range(2)]
        run_all(redis_client)

        assert [job.result(timeout=5) for job in jobs] == [1, 2]


def test_a_result_of_another_serializer_says_so(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue().enqueue(sample_jobs.add, 1)
    run_all(redis_client)

    with pytest.raises(JobNotDecodable, match="serializer"):
        client.job(job.id, serializer="json").result()


def test_a_waiting_job_that_is_canceled_does_not_run(client: Client, redis_client: redis.Redis) -> None:
    first, second = (client.queue().enqueue(sample_jobs.add, number) for number in range(2))

    assert first.cancel() == "canceled"
    assert first.status().status == "canceled"
    assert second.status().position == 0
    assert redis_client.zrange("rq:canceled:default", 0, -1) == [first.id.encode()]
    assert first.cancel() == "ended"


def test_canceling_a_running_job_tells_its_worker_to_stop_it(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue().enqueue(sample_jobs.add, 1)
    redis_client.hset(f"rq:job:{job.id}", mapping={"status": "started", "worker_name": "host-1"})
    with redis_client.pubsub() as commands:
        commands.subscribe("rq:pubsub:host-1")
        commands.get_message(timeout=5)

        assert job.cancel() == "stopping"
        message = commands.get_message(timeout=5)
    assert message is not None
    assert json.loads(message["data"]) == {"command": "stop-job", "job_id": job.id}
    assert job.status().status == "started"


@pytest.mark.parametrize(
    ("on_host", "expected"),
    [(True, {"command": "cancel-job", "grace": 2.5}), (False, {"command": "stop-job"})],
    ids=["host", "worker of plain rq"],
)
def test_a_running_job_is_given_a_grace_where_the_worker_knows_of_it(
    client: Client, redis_client: redis.Redis, on_host: bool, expected: dict[str, object]
) -> None:
    job = client.queue().enqueue(sample_jobs.add, 1)
    redis_client.hset(f"rq:job:{job.id}", mapping={"status": "started", "worker_name": "host-1"})
    if on_host:
        redis_client.hset(KEYS.identities, "host-1", "1-aa")
    with redis_client.pubsub() as commands:
        commands.subscribe("rq:pubsub:host-1")
        commands.get_message(timeout=5)

        assert job.cancel(grace=2.5) == "stopping"
        message = commands.get_message(timeout=5)
    assert message is not None
    assert json.loads(message["data"]) == {"job_id": job.id} | expected


def test_a_job_that_ends_as_it_is_told_to_stop_was_told_once(
    client: Client, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    from farm.client import jobs

    job = client.queue().enqueue(sample_jobs.add, 1)
    redis_client.hset(f"rq:job:{job.id}", mapping={"status": "started", "worker_name": "host-1"})
    told: list[str] = []

    def end_at_once(connection: object, worker: str, command: str, **words: object) -> None:
        told.append(command)
        redis_client.hset(f"rq:job:{job.id}", "status", "finished")
        redis_client.expire(f"rq:job:{job.id}", 500)

    monkeypatch.setattr(jobs, "send_command", end_at_once)

    assert job.cancel() == "stopping"
    assert told == ["stop-job"]


@pytest.mark.parametrize("grace", [-1, float("nan"), float("inf")])
def test_a_grace_that_is_no_length_of_time_is_refused(client: Client, grace: float) -> None:
    job = client.queue().enqueue(sample_jobs.add, 1)

    with pytest.raises(ValueError, match="grace"):
        job.cancel(grace)
    assert not job.status().ended


def test_a_waiting_job_needs_no_grace(client: Client) -> None:
    assert client.queue().enqueue(sample_jobs.add, 1).cancel(grace=60) == "canceled"


def test_a_job_that_starts_while_it_is_canceled_is_stopped_instead(
    client: Client, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    from farm.client.rq_queue import ClientJob

    job = client.queue().enqueue(sample_jobs.add, 1)
    cancel, starts = ClientJob.cancel, iter([True])

    def start_just_before(self: ClientJob, **options: object) -> object:
        if next(starts, False):
            redis_client.hset(f"rq:job:{job.id}", mapping={"status": "started", "worker_name": "host-1"})
        return cancel(self, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(ClientJob, "cancel", start_just_before)

    assert job.cancel() == "stopping"
    assert redis_client.hget(f"rq:job:{job.id}", "status") == b"started"


def test_a_deleted_job_leaves_nothing(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue().enqueue(sample_jobs.add, 1)
    job.delete()

    assert redis_client.keys("*") == [b"rq:queues"]


def test_an_evil_meta_is_never_decoded(client: Client, redis_client: redis.Redis, tmp_path: Path) -> None:
    import pickle

    job = client.queue().enqueue(sample_jobs.add, 1)
    evil = pickle.dumps(sample_jobs.WritesAFileWhenUnpickled(tmp_path / "evil"))
    redis_client.hset(f"rq:job:{job.id}", mapping={"meta": evil, "data": evil, "result": evil})
    job.status()
    with pytest.raises(ResultTimeout):
        job.result(timeout=0)
    job.cancel()
    job.delete()

    assert not (tmp_path / "evil").exists()


def test_status_tells_the_times_and_the_place_in_line(client: Client, redis_client: redis.Redis) -> None:
    redis_client.hset("rq:worker:plain", "birth", "now")
    redis_client.sadd("rq:workers:default", "rq:worker:plain")
    before = datetime.now(UTC)
    jobs = [client.queue(timeout=7).enqueue(sample_jobs.add, number) for number in range(3)]
    status = jobs[2].status()

    assert (status.status, status.queue, status.position, status.timeout) == ("queued", "default", 2, 7)
    assert status.enqueued_at is not None
    assert before <= status.enqueued_at <= datetime.now(UTC)
    assert status.sentence() == "queued, 2 jobs ahead of it"
    run_all(redis_client)
    status = jobs[2].status()
    assert (status.status, status.position, status.ended) == ("finished", None, True)
    assert status.started_at is not None
    assert status.ended_at is not None


def test_status_tells_that_a_queue_is_deferred_and_why(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue("calls").enqueue(sample_jobs.add, 1)
    since = datetime.now(UTC) - timedelta(minutes=1)
    redis_client.hset(
        KEYS.deferral("calls"), mapping={"since": f"{since.timestamp():.3f}", "reason": "every host is full"}
    )
    status = job.status()

    assert (status.status, status.deferred_reason, status.position) == ("deferred", "every host is full", 0)
    assert status.deferred_since == status.enqueued_at, "it came after the deferral began"
    redis_client.zadd(KEYS.deferred("calls"), {job.id: since.timestamp()})
    assert job.status().deferred_since == datetime.fromtimestamp(since.timestamp(), UTC)
    with pytest.raises(ResultTimeout, match="every host is full"):
        job.result(timeout=0)


def test_a_queue_that_nobody_serves_is_deferred_for_want_of_a_host(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue("calls").enqueue(sample_jobs.add, 1)
    seconds, _ = redis_client.time()
    redis_client.zadd(KEYS.hosts, {"h1": seconds})
    redis_client.hset(KEYS.host("h1"), "queues", "other,more")

    assert (job.status().status, job.status().deferred_reason) == ("deferred", "no host")
    redis_client.hset(KEYS.host("h1"), "queues", "other,calls")
    assert job.status().status == "queued"
    redis_client.zadd(KEYS.hosts, {"h1": seconds - 60})
    assert job.status().status == "deferred"
    redis_client.delete(KEYS.host("h1"))


def test_status_names_the_host_whose_inbox_holds_the_job(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue().enqueue(sample_jobs.add, 1)
    redis_client.hset(KEYS.identities, mapping={"h1": "1-aa", "h2": "4-bb"})
    redis_client.lmove("rq:queue:default", KEYS.inbox("h2", "4-bb"), "LEFT", "RIGHT")

    assert (job.status().status, job.status().host) == ("queued", "h2")
    assert job.status().sentence() == "queued, placed on h2"


def test_status_tells_the_lease_of_a_running_job(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue("a|b").enqueue(sample_jobs.add, 1)
    redis_client.hset(KEYS.identities, "h1", "3-aa")
    redis_client.hset(KEYS.running("h1", "3-aa"), job.id, f"{'f' * 32}|a|b|2|1700000000|fail|9")
    redis_client.hset(
        f"rq:job:{job.id}", mapping={"status": "started", "worker_name": "h1", "farm_crashes": 1, "farm_losses": 2}
    )
    status = job.status()

    assert (status.status, status.host, status.attempt, status.on_lost) == ("started", "h1", 2, "fail")
    assert (status.crashes, status.losses) == (1, 2)
    assert status.running_since == datetime.fromtimestamp(1_700_000_000, UTC)


def test_a_quarantined_job_is_told_with_the_reason_even_without_a_record(
    client: Client, redis_client: redis.Redis
) -> None:
    redis_client.set("rq:job:odd", "no hash", ex=60)
    redis_client.zadd(KEYS.quarantine, {"odd": 1})
    redis_client.hset(KEYS.quarantine_reasons, "odd", "the key of the job is not a hash")
    status = client.job("odd").status()

    assert (status.status, status.quarantine_reason) == ("quarantined", "the key of the job is not a hash")
    with pytest.raises(JobFailed, match="not a hash"):
        client.job("odd").result()


def test_progress_is_what_the_job_said_last(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue().enqueue(sample_jobs.add, 1)
    assert job.progress() is None

    said = '{"fraction": 0.25, "text": "page 3 of 12", "at": "2026-01-02T03:04:05Z"}'
    redis_client.hset(f"rq:job:{job.id}", "farm_progress", said)

    progress = job.progress()
    assert progress == job.status().progress
    assert progress is not None
    assert (progress.fraction, progress.text, progress.at) == (
        0.25,
        "page 3 of 12",
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )
    assert str(progress) == "25% page 3 of 12"


@pytest.mark.parametrize("said", ["", "25 %", "[1]", "{}", '{"fraction": 0.5, "text": "x", "at": 1e999}', "\xff"])
def test_progress_that_cannot_be_read_is_none(client: Client, redis_client: redis.Redis, said: str) -> None:
    job = client.queue().enqueue(sample_jobs.add, 1)
    redis_client.hset(f"rq:job:{job.id}", "farm_progress", said.encode("latin-1"))

    assert job.progress() is None


def test_unreadable_fields_are_left_out(client: Client, redis_client: redis.Redis) -> None:
    redis_client.hset(
        "rq:job:odd",
        mapping={
            "status": b"\xff",
            "timeout": "x",
            "created_at": "yesterday",
            "dependency_ids": "{",
            "farm_crashes": "y",
        },
    )
    status = client.job("odd").status()

    assert (status.timeout, status.created_at, status.depends_on, status.crashes) == (None, None, (), 0)
    redis_client.hset("rq:job:odd", mapping={"data": "x", "status": "odd"})
    with pytest.raises(JobError, match="odd"):
        client.job("odd").cancel()


def test_a_traceback_that_would_fill_the_memory_is_cut(redis_client: redis.Redis) -> None:
    import base64
    import zlib

    redis_client.hset("rq:job:big", mapping={"status": "failed", "created_at": "x"})
    packed = base64.b64encode(zlib.compress(b"a" * 50_000_000))
    redis_client.xadd("rq:results:big", {"type": Result.Type.FAILED.value, "exc_string": packed})
    redis_client.expire("rq:results:big", 60)
    outcome = JobReader(redis_client, KEYS, RqKeys()).outcome("big")

    assert outcome.traceback == "a" * 1_000_000


def test_a_redis_that_does_not_answer_is_named() -> None:
    with Client("redis://user:secret@127.0.0.1:1/0") as client, pytest.raises(RedisUnavailable) as failure:
        client.queue().enqueue(sample_jobs.add, 1)
    assert "127.0.0.1:1" in str(failure.value)
    assert "secret" not in str(failure.value)


def test_a_connection_of_ones_own_is_used_and_left_open(redis_client: redis.Redis) -> None:
    with Client(connection=redis_client) as client:
        job = client.queue().enqueue(sample_jobs.add, 1)
        run_all(redis_client)
        assert job.result(timeout=0) == 2

    assert redis_client.ping()
