"""Jobs and records that make no sense: each is failed or set aside with the reason, and the others go on."""

import os
from pathlib import Path

import pytest

from farm.keys import Keys, RqKeys
from tests.support.farm import Farm
from tests.support.user_modules.jobs_under_test import Evil
from tests.support.waiting import wait_until

KEYS = Keys()
RQ_KEYS = RqKeys()

pytestmark = pytest.mark.usefixtures("logs_of_shared_farm")


@pytest.fixture
def farm(clean_shared_farm: Farm) -> Farm:
    return clean_shared_farm


def still_works(farm: Farm) -> bool:
    """The same processes run the next job: no host was given up, none started anew."""
    jobs = farm.enqueue_many("add", [(1, 2)] * 4)
    farm.wait_for(*jobs)
    hosts = [member for member in farm.members if member.process.poll() is None]
    return len(hosts) == len(farm.members) and farm.redis.hgetall(KEYS.epochs)[b"one"] == b"1"


def plant(farm: Farm, job_id: bytes | str, **fields: object) -> None:
    """A job's hash as somebody wrote it, and its id in the queue."""
    if fields:
        farm.redis.hset(RQ_KEYS.job("") + (job_id if isinstance(job_id, str) else job_id.decode()), mapping=fields)
    farm.redis.sadd(RQ_KEYS.queues, RQ_KEYS.queue("default"))
    farm.redis.rpush(RQ_KEYS.queue("default"), job_id)


def reason_in_quarantine(farm: Farm, job_id: str) -> str:
    wait_until(lambda: farm.redis.zscore(KEYS.quarantine, job_id), f"{job_id} is in quarantine")
    return farm.redis.hget(KEYS.quarantine_reasons, job_id).decode()


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("no_such_module.function", "there is no module 'no_such_module' in"),
        ("system_jobs.no_such_function", "no_such_function"),
        ("nonsense", "nonsense"),
    ],
)
def test_a_job_of_an_unknown_function_fails_and_names_it(farm: Farm, function: str, said: str) -> None:
    job = farm.queue().enqueue(function)
    farm.wait_for(job, status="failed")
    assert said in farm.error_of(job)
    assert still_works(farm)


def test_a_payload_that_cannot_be_decoded_fails_the_job(farm: Farm) -> None:
    record = {"status": "queued", "origin": "default", "data": b"\x80 this is no pickle", "failure_ttl": 60}
    plant(farm, "undecodable", **record)
    wait_until(lambda: farm.status("undecodable") == "failed", "the job failed")
    result = farm.queue().fetch_job("undecodable").latest_result()
    assert "DeserializationError" in result.exc_string
    assert still_works(farm)


def test_a_result_that_cannot_be_encoded_fails_the_job_and_says_so(farm: Farm) -> None:
    job = farm.enqueue("lock")
    farm.wait_for(job, status="failed")
    assert "cannot pickle '_thread.lock' object" in farm.error_of(job)
    assert still_works(farm)


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "queued", "origin": "default"},
        {"origin": "default", "data": b"x"},
        {"status": "queued", "data": b"x"},
        {"status": "queued", "origin": "", "data": b"x"},
    ],
)
def test_a_hash_that_lacks_what_makes_a_job_is_quarantined(farm: Farm, fields: dict[str, object]) -> None:
    job_id = "lacks-" + "-".join({"status", "origin", "data"} - fields.keys() or {"queue"})
    plant(farm, job_id, **fields)
    assert reason_in_quarantine(farm, job_id) == "the hash of the job lacks status, data or origin"
    assert job_id in {event["job"] for event in farm.events("job.quarantined")}
    assert still_works(farm)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("timeout", "soon", "timeout"),
        ("created_at", "yesterday", "Invalid isoformat string: 'yesterday'"),
        ("enqueued_at", b"\xff\xfe", "can't decode byte 0xff"),
        ("retries_left", "many", "b'many'"),
        ("result_ttl", "long", "b'long'"),
    ],
)
def test_a_job_with_a_field_that_cannot_be_read_fails_and_says_why(
    farm: Farm, field: str, value: bytes | str, said: str
) -> None:
    job = farm.queue().create_job("system_jobs.add", (1, 2))
    job.save()
    plant(farm, job.id, status="queued", **{field: value})
    wait_until(lambda: farm.status(job.id) == "failed", "the job failed")
    farm.redis.hdel(RQ_KEYS.job(job.id), field)  # so that plain rq can read the rest
    assert f"the record of job {job.id} cannot be read" in farm.error_of(job)
    assert said in farm.error_of(job)
    assert still_works(farm)


@pytest.mark.parametrize(
    "fields", [{"meta": b"no pickle"}, {"farm_crashes": "none", "farm_losses": "none"}, {"farm_on_lost": "perhaps"}]
)
def test_fields_that_the_job_can_do_without_do_not_stop_it(farm: Farm, fields: dict[str, object]) -> None:
    job = farm.queue().create_job("system_jobs.add", (1, 2))
    job.save()
    plant(farm, job.id, status="queued", **fields)
    assert farm.wait_for(job).return_value() == 3


def test_a_key_of_a_job_that_is_no_hash_is_quarantined(farm: Farm) -> None:
    farm.redis.set(RQ_KEYS.job("text"), "not a hash", ex=60)
    plant(farm, "text")
    assert reason_in_quarantine(farm, "text") == "the key of the job is not a hash"
    assert still_works(farm)


def test_an_id_without_a_record_is_dropped(farm: Farm) -> None:
    plant(farm, "nothing")
    wait_until(lambda: farm.waiting() == [], "it is taken")
    assert still_works(farm)
    assert not farm.redis.exists(RQ_KEYS.job("nothing"))


@pytest.mark.parametrize(
    "job_id",
    [
        "",
        " ",
        "two words",
        "../../x",
        "{}",
        "a:b:c",
        ":",
        "line\nbreak",
        "größer 漢字 🚜",
        "x" * 5000,
        "%s{0}|",
        "'\"\\",
        "-1",
        "..",
        "null\0byte",
    ],
    ids=repr,
)
def test_a_job_with_an_odd_id_runs(farm: Farm, job_id: str) -> None:
    template = farm.queue().create_job("system_jobs.add", (1, 2), result_ttl=60)
    record = template.to_dict() | {"status": "queued"}
    plant(farm, job_id, **record)
    wait_until(lambda: farm.status(job_id) == "finished", "it ran")
    assert farm.redis.xlen(RQ_KEYS.results(job_id)) == 1
    assert farm.redis.zscore(RQ_KEYS.finished("default"), job_id)
    assert farm.redis.ttl(RQ_KEYS.job(job_id)) > 0


def test_an_id_that_is_no_text_runs(farm: Farm) -> None:
    template = farm.queue().create_job("system_jobs.add", (1, 2), result_ttl=60)
    key = RQ_KEYS.job("").encode() + b"\xff\xfe"
    farm.redis.hset(key, mapping=template.to_dict() | {"status": "queued"})
    farm.redis.rpush(RQ_KEYS.queue("default"), b"\xff\xfe")
    wait_until(lambda: farm.redis.hget(key, "status") in (b"finished", b"failed"), "it ended")
    assert still_works(farm)


def test_a_queue_whose_key_is_no_list_is_named_and_the_others_go_on(farm: Farm) -> None:
    farm.redis.delete(RQ_KEYS.queue("low"))
    farm.redis.sadd(RQ_KEYS.queues, RQ_KEYS.queue("low"))
    farm.redis.set(RQ_KEYS.queue("low"), "no list", ex=60)

    wait_until(lambda: any(event["queue"] == "low" for event in farm.events("queue.unreadable")), "the event")
    assert still_works(farm)
    assert "rq:queue:low is no key of RQ's type" in farm.command("status").stdout

    farm.redis.delete(RQ_KEYS.queue("low"))
    assert farm.wait_for(farm.queue("low").enqueue("system_jobs.add", 1, 2)).return_value() == 3


def test_meta_that_runs_a_command_runs_it_neither_in_a_host_nor_in_the_coordinator(farm: Farm, tmp_path: Path) -> None:
    blocking = [farm.enqueue("wait_for_go") for _ in range(3)]
    for job in blocking:
        farm.pid_of(job)
    waiting = farm.enqueue("add", 1, 2, meta={"evil": Evil(str(tmp_path))})
    canceled = farm.enqueue("add", 1, 2, meta={"evil": Evil(str(tmp_path))})
    farm.redis.hset(RQ_KEYS.job(canceled.id), "status", "canceled")
    quarantined = farm.enqueue("add", 1, 2, meta={"evil": Evil(str(tmp_path))})
    farm.redis.hdel(RQ_KEYS.job(quarantined.id), "data")
    dependent = farm.enqueue("add", 1, 2, meta={"evil": Evil(str(tmp_path))}, depends_on=waiting)
    scheduled = farm.queue().create_job("system_jobs.add", (1, 2), meta={"evil": Evil(str(tmp_path))})
    farm.queue().schedule_job(scheduled, scheduled.created_at)
    assert farm.command("status").returncode == 0
    assert farm.command("job", waiting.id).returncode == 0
    readers = {os.getpid()}  # plain rq read it here, to enqueue the dependent one
    assert {int(file.name) for file in tmp_path.iterdir()} <= readers, "nobody read it while the jobs waited"
    readers |= {farm.pid_of(job) for job in blocking}

    farm.go()

    wait_until(lambda: {farm.status(job) for job in (waiting, dependent, scheduled)} == {"finished"}, "they ran")
    reason_in_quarantine(farm, quarantined.id)
    assert {int(file.name) for file in tmp_path.iterdir()} <= readers, "only processes that run jobs read it"
    farm.redis.expire(RQ_KEYS.job(canceled.id), 60)
