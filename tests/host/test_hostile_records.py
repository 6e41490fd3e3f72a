"""Records with fields that nobody should write: each job ends, with a reason where it failed, and no host minds."""

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rq.job import Callback, Job, JobStatus

from farm.keys import Keys, RqKeys
from tests.support.farm import Farm
from tests.support.waiting import wait_until

KEYS, RQ_KEYS = Keys(), RqKeys()
YEARS = 10 * 365 * 24 * 3600

NUMBERS = (
    *("", "abc", "-1", "0", "-5", "1.5", "nan", "inf", "-inf", "1e400", "1e18", " 1 ", "0x10", "1_000", "٣", "None"),
    *(str(2**53 + 1), str(2**63 - 1), str(2**63), str(10**400), "1" * 5000, b"\xff", b"\0"),
)
DATES = (
    *("", "abc", "-1", "1e10", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"),
    *("2038-01-19T03:14:08Z", "2016-12-31T23:59:60Z", "2026-03-29T02:30:00+02:00", "10000-01-01T00:00:00Z", b"\xff"),
)
TEXTS = (
    "",
    " ",
    ":",
    "a\r\nb",
    "a|b|c",
    "größer 漢字 🚜",
    "x" * 5000,
    "../..",
    "{}",
    "%s%n",
    b"\xff\xfe",
    b"\0",
    "null",
)
LISTS = ("", "[]", "null", "[-1]", "[1e400]", f"[{10**30}]", '["x"]', "{}", "[[", "5", '"a"', "[" * 5000, "[NaN]")
NUMBER_FIELDS = (
    *("timeout", "ttl", "result_ttl", "failure_ttl", "number_of_retries", "rate_limit_concurrency"),
    *("success_callback_timeout", "failure_callback_timeout", "stopped_callback_timeout", "enqueue_at_front"),
    *("allow_dependency_failures", "enqueue_at_front_on_retry", "farm_crashes", "farm_losses", "farm_drains"),
    *("farm_fence", "farm_ended"),
)
FIELDS: dict[str, tuple[str | bytes, ...]] = (
    dict.fromkeys(NUMBER_FIELDS, NUMBERS)
    | dict.fromkeys(("created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat"), DATES)
    | dict.fromkeys(("retry_intervals", "repeat_intervals", "webhooks", "dependency_ids", "farm_evidence"), LISTS)
    | dict.fromkeys(
        (
            *("description", "group_id", "worker_name", "dependency_id", "rate_limit_key", "farm_on_lost", "meta"),
            *("farm_progress", "farm_used", "result", "exc_info", "success_callback_name", "failure_callback_name"),
            "origin",
        ),
        TEXTS,
    )
    | {"status": tuple(text for text in TEXTS if text != "")}
)
ODD_FIELDS = st.sampled_from(sorted(FIELDS)).flatmap(
    lambda name: st.tuples(st.just(name), st.sampled_from(FIELDS[name]) | st.binary(max_size=12))
)
ODD_RECORDS = st.lists(ODD_FIELDS, min_size=1, max_size=3).map(dict)

pytestmark = pytest.mark.usefixtures("logs_of_shared_farm")
numbers = itertools.count()


@pytest.fixture
def farm(clean_shared_farm: Farm) -> Farm:
    return clean_shared_farm


def plant(farm: Farm, function: str, *arguments: Any, fields: dict[str, Any]) -> str:
    """A job's record, altered, and its id in the queue."""
    record = farm.queue().create_job(f"system_jobs.{function}", arguments, result_ttl=60, failure_ttl=60).to_dict()
    job_id = f"odd-{next(numbers)}"
    farm.redis.hset(RQ_KEYS.job(job_id), mapping=record | {"status": "queued"} | fields)
    farm.redis.sadd(RQ_KEYS.queues, RQ_KEYS.queue("default"))
    farm.redis.rpush(RQ_KEYS.queue("default"), job_id)
    return job_id


def is_over(farm: Farm, job_id: str) -> bool:
    """It has ended, is in quarantine with a reason, or waits for its next retry."""
    if farm.redis.zscore(KEYS.quarantine, job_id) is not None:
        return bool(farm.redis.hget(KEYS.quarantine_reasons, job_id))
    status = farm.redis.hget(RQ_KEYS.job(job_id), "status")
    return status in (None, b"finished", b"failed", b"scheduled", b"canceled", b"stopped", b"deferred")


def forget(farm: Farm, job_id: str) -> None:
    farm.redis.delete(RQ_KEYS.job(job_id), RQ_KEYS.results(job_id))


def same_hosts(farm: Farm) -> bool:
    return all(member.process.poll() is None for member in farm.members) and [
        farm.redis.hget(KEYS.epochs, name) for name in ("one", "two")
    ] == [b"1", b"1"]


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(records=st.lists(st.tuples(st.sampled_from(["add", "fail"]), ODD_RECORDS), min_size=4, max_size=10))
def test_jobs_of_odd_records_end_and_the_hosts_go_on(farm: Farm, records: list[tuple[str, dict[str, Any]]]) -> None:
    planted = {
        plant(farm, function, *((1, 2) if function == "add" else ()), fields=fields): fields
        for function, fields in records
    }

    for job_id, fields in planted.items():
        wait_until(lambda job_id=job_id: is_over(farm, job_id), f"the job with {fields!r:.300} is over")
        forget(farm, job_id)
    assert same_hosts(farm)


@pytest.mark.parametrize("ttl", ["abc", "nan", "inf", "1e400", str(2**63), str(10**400), "0x10", "-7"])
def test_a_job_that_crashes_fails_whatever_its_failure_ttl_is(farm: Farm, ttl: str) -> None:
    crashed = {"farm_crashes": 2}  # so that this one is the last

    job_id = plant(farm, "die_until", 9, fields={"failure_ttl": ttl, **crashed})

    wait_until(lambda: farm.status(job_id) == "failed", "it failed")
    forget(farm, job_id)
    assert same_hosts(farm)


@pytest.mark.parametrize("status", ["", " ", "QUEUED", "running", "created queued", b"\xff"], ids=repr)
def test_a_job_with_a_status_that_rq_does_not_know_is_quarantined(farm: Farm, status: str | bytes) -> None:
    job_id = plant(farm, "add", 1, 2, fields={"status": status})

    wait_until(lambda: farm.redis.zscore(KEYS.quarantine, job_id), "it is in quarantine")
    assert farm.redis.hget(KEYS.quarantine_reasons, job_id) == b"the status of the job is none that RQ knows"
    forget(farm, job_id)


@pytest.mark.parametrize("status", ["finished", "failed", "stopped", "canceled", "scheduled", "deferred"])
def test_an_id_of_a_job_that_is_not_to_run_is_dropped_and_counted(farm: Farm, status: str) -> None:
    dropped = farm.count("dropped")

    job_id = plant(farm, "add", 1, 2, fields={"status": status})

    wait_until(lambda: farm.count("dropped") == dropped + 1, "it is dropped")
    assert farm.status(job_id) == status
    forget(farm, job_id)


def test_an_id_that_stands_twice_in_its_queue_runs_once_and_may_be_used_again(farm: Farm) -> None:
    job = farm.queue().create_job("system_jobs.count_run", result_ttl=60)
    job.save()
    job.set_status(JobStatus.QUEUED)
    dropped = farm.count("dropped")
    farm.redis.sadd(RQ_KEYS.queues, RQ_KEYS.queue("default"))
    farm.redis.rpush(RQ_KEYS.queue("default"), job.id, job.id)

    assert farm.wait_for(job).return_value() == 1
    wait_until(lambda: farm.count("dropped") == dropped + 1, "the second one is dropped")
    again = farm.queue().enqueue("system_jobs.count_run", job_id=job.id)
    assert farm.wait_for(again).return_value() == 2


KEPT: dict[str, Callable[[Farm, Job], bool]] = {
    "for ever": lambda farm, job: farm.redis.ttl(job.key) == -1 and farm.redis.xlen(RQ_KEYS.results(job.id)) == 1,
    "not": lambda farm, job: not farm.redis.exists(job.key, RQ_KEYS.results(job.id)),
    "500 s": lambda farm, job: 490 <= farm.redis.ttl(job.key) <= 500,
    "a year": lambda farm, job: 364 * 86400 < farm.redis.ttl(job.key) <= 365 * 86400,
    "10 years": lambda farm, job: YEARS - 60 < farm.redis.ttl(job.key) <= YEARS,
}


@pytest.mark.parametrize(
    ("function", "options", "kept"),
    [
        ("nothing", {"result_ttl": -1}, "for ever"),
        ("nothing", {"result_ttl": 0}, "not"),
        ("nothing", {"result_ttl": None}, "500 s"),
        ("nothing", {"result_ttl": YEARS}, "10 years"),
        ("nothing", {"ttl": YEARS, "job_timeout": YEARS}, "500 s"),
        ("nothing", {"job_timeout": -1}, "500 s"),
        ("nothing", {"job_timeout": None}, "500 s"),
        ("fail", {"failure_ttl": None}, "a year"),
        ("fail", {"failure_ttl": -1}, "for ever"),
        ("fail", {"failure_ttl": 0}, "not"),
    ],
    ids=str,
)
def test_limits_and_times_to_live_mean_what_rq_says(
    farm: Farm, function: str, options: dict[str, Any], kept: str
) -> None:
    counted = "finished" if function == "nothing" else "failed"
    before = farm.count(counted)

    job = farm.queue().enqueue(f"jobs_under_test.{function}", **options)

    wait_until(lambda: farm.count(counted) == before + 1, f"it {counted}")
    assert KEPT[kept](farm, job)
    forget(farm, job.id)


@pytest.mark.parametrize("options", [{"job_timeout": 0}, {"ttl": 0}, {"ttl": -1}], ids=str)
def test_limits_that_make_no_sense_are_refused_before_anything_is_written(farm: Farm, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"not allowed|greater than 0"):
        farm.queue().enqueue("system_jobs.add", 1, 2, **options)
    assert farm.waiting() == []


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("raise RuntimeError('no such luck')", "RuntimeError: no such luck"),
        ("import not_there", "No module named 'not_there'"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("while True: pass", "Task exceeded maximum timeout value (2 seconds)"),
        ("def broken(:", "SyntaxError"),
    ],
    ids=["raises", "imports what is not there", "exits", "hangs", "is no Python"],
)
def test_a_module_that_cannot_be_imported_fails_its_job_within_its_limit(farm: Farm, module: str, said: str) -> None:
    name = f"bad_module_{next(numbers)}"
    (farm.folder / f"{name}.py").write_text(module)
    job = farm.queue().enqueue("runpy.run_path", str(farm.folder / f"{name}.py"), job_timeout=2)

    farm.wait_for(job, status="failed")
    assert said in farm.error_of(job)
    assert same_hosts(farm)


def test_an_error_with_a_text_that_would_fill_the_memory_is_cut(farm: Farm) -> None:
    job = farm.queue().enqueue("hostile_jobs.fail_at_length", 50_000_000)

    farm.wait_for(job, status="failed")
    error = farm.error_of(job)
    assert len(error) < 1_100_000
    assert "characters left out" in error
    assert error.startswith("Traceback")


def test_a_cycle_of_dependencies_waits_and_stops_nobody(farm: Farm) -> None:
    first = farm.queue().create_job("system_jobs.add", (1, 2), status=JobStatus.DEFERRED)
    first.save()
    second = farm.queue().enqueue("system_jobs.add", 1, 2, depends_on=first)
    farm.redis.sadd(f"rq:job:{second.id}:dependents", first.id)
    farm.redis.sadd(f"rq:job::{first.id}:dependencies", second.id)

    assert farm.wait_for(farm.enqueue("add", 1, 2)).return_value() == 3
    assert (farm.status(first), farm.status(second)) == ("deferred", "deferred")
    for job in (first, second):
        farm.redis.delete(job.key, f"rq:job:{job.id}:dependents", f"rq:job::{job.id}:dependencies")
    farm.redis.delete(RQ_KEYS.dependent("default"))


def test_a_job_due_long_ago_or_in_a_far_year_harms_no_other(farm: Farm) -> None:
    past, far = (farm.queue().enqueue_at(datetime(year, 1, 19), "system_jobs.add", 1, 2) for year in (1971, 2039))
    soon = farm.queue().enqueue_in(timedelta(seconds=0), "system_jobs.add", 1, 2)

    farm.wait_for(past, soon)
    assert farm.status(far) == "scheduled"
    far.delete()


def test_a_success_callback_that_deletes_its_job_leaves_no_stump(farm: Farm) -> None:
    job = farm.queue().enqueue("system_jobs.add", 1, 2, on_success=Callback("hostile_jobs.delete_it"))

    wait_until(lambda: farm.redis.lrange("test:callbacks", 0, -1) == [job.id.encode()], "the callback ran")
    assert farm.wait_for(farm.enqueue("add", 1, 2)).return_value() == 3
    assert not farm.redis.exists(job.key, RQ_KEYS.results(job.id))


def test_what_a_job_makes_of_its_meta_and_of_its_record_is_kept_and_stops_nobody(farm: Farm) -> None:
    job = farm.queue().enqueue("hostile_jobs.write_nonsense_into_its_record")

    wait_until(lambda: farm.status(job) == "finished", "it is finished")
    assert farm.redis.hget(job.key, "meta") == b"\xff no pickle"
    assert farm.redis.xlen(RQ_KEYS.results(job.id)) == 1
    assert same_hosts(farm)
