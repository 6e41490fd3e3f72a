"""While every host is full, jobs wait in their queue and are shown as deferred; then they run in their order."""

from pathlib import Path

from farm.keys import Keys, RqKeys
from tests.support.farm import Farm
from tests.support.waiting import wait_until

KEYS = Keys()
RQ_KEYS = RqKeys()


def test_jobs_wait_in_order_while_all_hosts_say_they_are_full(farm: Farm, tmp_path: Path) -> None:
    loads = {name: tmp_path / f"load-{name}" for name in ("one", "two")}
    for name, file in loads.items():
        file.write_text("1.0")
        farm.environment["LOAD_FILE"] = str(file)
        farm.host(name, ready=False, app="load_from_file")
    for name in loads:
        farm.wait_for_state(name, "full")
    farm.wait_for_leader()

    jobs = farm.enqueue_many("note", [(str(number),) for number in range(50)])
    first = farm.enqueue("note", "first", at_front=True)
    order = [job.id for job in (first, *jobs)]

    index = wait_until(lambda: farm.redis.zcard(KEYS.deferred("default")) == 51, "51 jobs are in the index")
    assert index
    assert {job_id.decode() for job_id in farm.redis.zrange(KEYS.deferred("default"), 0, -1)} == set(order)
    assert farm.waiting() == order
    assert set(farm.statuses([first, *jobs])) == {"queued"}
    assert farm.notes() == []
    shown = farm.command("status")
    assert shown.returncode == 0, shown.stderr
    assert "queue default is deferred since" in shown.stdout
    assert "because every host is full (one=1.000, two=1.000): 51 jobs wait" in shown.stdout
    assert shown.stdout.count("the app's own load 1.00 is at or over the threshold 0.75") == 2

    loads["two"].write_text("0.1")

    wait_until(farm.notes, "the first one starts soon after", 6)
    farm.wait_for(first, *jobs)
    assert farm.notes() == ["first", *(str(number) for number in range(50))]
    assert {farm.fetch(job).worker_name for job in (first, *jobs)} == {"two"}
    wait_until(lambda: not farm.redis.exists(KEYS.deferral("default")), "the deferral ends")
    assert not farm.redis.exists(KEYS.deferred("default"))
    assert farm.count("deferred") == 51
    assert [len(farm.events(name)) for name in ("deferral.began", "deferral.ended")] == [1, 1]


def test_jobs_without_any_host_are_shown_as_deferred_and_run_when_one_comes(farm: Farm) -> None:
    farm.coordinator()
    job = farm.enqueue("add", 1, 2)

    wait_until(lambda: farm.redis.exists(KEYS.deferral("default")), "the queue is deferred")
    assert farm.redis.hget(KEYS.deferral("default"), "reason") == b"no host"
    assert "no live host (1 job waits)" in farm.command("status").stdout

    farm.host("one")
    assert farm.wait_for(job).return_value() == 3
    wait_until(lambda: not farm.redis.exists(KEYS.deferral("default")), "the deferral ends")
