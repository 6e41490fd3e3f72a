"""A host read and steered from outside: its processes, its jobs, how many processes it keeps warm, drain."""

import pytest

import farm as library
from farm.errors import HostNotFound
from farm.host_handle import HostHandle
from farm.keys import Keys
from tests.support.farm import SHORT_TIMES, Farm
from tests.support.waiting import wait_until

KEYS = Keys()


def handle(farm: Farm, name: str = "one") -> HostHandle:
    """Over the client's connection, which the farm of the test closes."""
    return library.Client(connection=farm.redis).host(name)


def warm(host: HostHandle) -> list[int]:
    """Numbers of the processes that wait for jobs, if no others are there."""
    processes = host.processes
    return [process.number for process in processes] if all(each.state == "ready" for each in processes) else []


def test_a_host_tells_of_its_processes_and_of_the_jobs_they_run(farm: Farm) -> None:
    member = farm.host("one", processes=2, idle_processes=1)
    job = farm.enqueue("wait_for_go")
    pid = farm.pid_of(job)

    with library.host("one", farm.url) as host:
        running = wait_until(lambda: host.job(job.id), "the beat tells of the job")
        assert (running.pid, running.state, running.queue, running.attempt) == (pid, "busy", "default", 1)
        assert running.function == "system_jobs.wait_for_go"
        assert host.state == "available"
        assert 0.0 <= host.load <= 1.0
        first = running.job_seconds or 0.0
        wait_until(lambda: (job_of(host, job.id).job_seconds or 0) > first, "its time goes on with the beats")
        assert host.job("another") is None
        farm.go()
        farm.wait_for(job)
        wait_until(lambda: host.job(job.id) is None, "the beat tells that it ended")
        wait_until(lambda: 1 in [process.jobs_done for process in host.processes], "it was counted", 15)
        assert member.pid not in [process.pid for process in host.processes]


def job_of(host: HostHandle, job_id: str) -> library.ProcessView:
    process = host.job(job_id)
    assert process is not None
    return process


def test_the_target_is_raised_and_lowered_while_the_host_runs(farm: Farm) -> None:
    member = farm.host("one", processes=4, idle_processes=1)
    host = handle(farm)
    assert host.idle_processes == 1

    host.set_idle_processes(3)
    wait_until(lambda: len(warm(host)) == 3, "two more are warm")
    assert host.idle_processes == 3

    host.set_idle_processes(1)
    wait_until(lambda: warm(host) == [1], "the youngest are closed, long before they would be for want of work")
    assert host.idle_processes == 1
    assert farm.events("process.ended") == [], "nothing of it is out of the ordinary"

    host.set_idle_processes(0)
    wait_until(lambda: not host.processes, "none is kept")
    farm.wait_for(farm.enqueue("add", 1, 2))

    host.set_idle_processes(99)
    wait_until(lambda: len(warm(host)) == 4, "as many as there are slots")
    assert host.idle_processes == 4
    wait_until(lambda: "asked to keep 99 idle processes, keeps 4" in member.says, "the host says so")


@pytest.mark.slow
def test_what_is_wanted_no_more_gives_the_settings_back_and_nonsense_changes_nothing(farm: Farm) -> None:
    member = farm.host("one", processes=3, idle_processes=1)
    host = handle(farm)
    host.set_idle_processes(2)
    wait_until(lambda: len(warm(host)) == 2, "one more is warm")

    farm.redis.hset(KEYS.desired("one"), mapping={"idle_processes": "-1", "drain": "1", "colour": "blue"})
    wait_until(lambda: member.says.count("makes no sense") == 3, "each is said")
    beat = farm.published("one")["beat_at"]
    wait_until(lambda: farm.published("one")["beat_at"] > beat, "one more beat")
    assert member.says.count("makes no sense") == 3, "once"
    assert (host.state, host.idle_processes) == ("available", 2)

    farm.redis.delete(KEYS.desired("one"))
    wait_until(lambda: len(warm(host)) == 1, "it keeps what its settings say")


def test_a_host_started_anew_does_as_its_settings_say(farm: Farm) -> None:
    member = farm.host("one", processes=2, idle_processes=1)
    host = handle(farm)
    host.set_idle_processes(2)
    wait_until(lambda: len(warm(host)) == 2, "one more is warm")

    assert member.stop() == 0
    assert not farm.redis.keys("farm:host:*")
    farm.host("one", processes=2, idle_processes=1)
    assert host.idle_processes == 1
    wait_until(lambda: len(warm(host)) == 1, "one is warm")


def test_what_is_wanted_outlives_a_new_identity_of_the_same_host(farm: Farm) -> None:
    farm.host("one", processes=2, idle_processes=1, host_timeout=4, suspect_after=2)
    host = handle(farm)
    host.set_idle_processes(2)
    wait_until(lambda: len(warm(host)) == 2, "one more is warm")
    before = farm.published("one")["identity"]

    farm.redis.hset(KEYS.identities, "one", "given up")
    farm.redis.zincrby(KEYS.hosts, -100, "one")
    farm.wait_for_identity_after(before, timeout=20)
    assert farm.redis.hgetall(KEYS.desired("one")) == {b"idle_processes": b"2"}
    wait_until(lambda: len(warm(host)) == 2 and host.idle_processes == 2, "it keeps two")


def test_a_drain_that_was_asked_for_ends_the_host_after_its_jobs(farm: Farm) -> None:
    member = farm.host("one")
    running = farm.enqueue("wait_for_go")
    farm.pid_of(running)
    waiting = farm.enqueue("note", "later")

    shown = farm.command("drain", "one", "--exit")
    assert shown.returncode == 0, shown.stderr
    farm.wait_for_state("one", "draining")
    wait_until(lambda: farm.waiting() == [waiting.id], "what waits is for others")
    farm.go()

    assert member.wait() == 0
    assert farm.status(running) == "finished"
    assert not farm.redis.keys("farm:host:*")
    with pytest.raises(HostNotFound):
        _ = handle(farm).state


def test_a_drained_host_stays_lets_its_jobs_end_and_takes_jobs_again_when_it_is_resumed(farm: Farm) -> None:
    member = farm.host("one", processes=1)
    host = handle(farm)
    running = farm.enqueue("wait_for_go")
    farm.pid_of(running)
    waiting = [farm.enqueue("note", "first"), farm.enqueue("note", "second")]
    farm.redis.lmove("rq:queue:default", KEYS.inbox("one", farm.published("one")["identity"]), "LEFT", "RIGHT")

    timed_out = farm.command("drain", "one", "--wait", "2")
    assert timed_out.returncode == 5, timed_out.stderr
    assert "1 job still runs on host one" in timed_out.stderr
    assert running.id in timed_out.stdout
    assert farm.waiting() == [job.id for job in waiting], "what was not begun is back, in its order"
    assert "until `farm resume`" in farm.published("one")["reason"]
    assert host.idle_processes == 1, "it beats on, and keeps its processes"
    farm.go()
    assert farm.command("drain", "one", "--wait", "20").returncode == 0
    assert farm.status(running) == "finished"
    assert farm.notes() == []
    deferred = lambda: farm.command("jobs", "--status", "deferred").stdout.count("\tdeferred\t")  # noqa: E731
    wait_until(lambda: deferred() == 2, "what waits is deferred")

    resumed = farm.command("resume", "one")
    assert resumed.returncode == 0, resumed.stderr
    farm.wait_for(*waiting)
    assert farm.notes() == ["first", "second"]
    assert host.state == "available"
    assert member.process.poll() is None
    host.drain()
    farm.wait_for_state("one", "draining")
    assert member.stop() == 0, "a drained host is asked to stop as any other"


@pytest.mark.slow
def test_a_drain_outlives_the_host_and_only_a_resume_ends_it(farm: Farm) -> None:
    member = farm.host("one", **SHORT_TIMES)
    host = handle(farm)
    host.set_idle_processes(1)
    host.drain()
    farm.wait_for_state("one", "draining")
    member.kill_tree()

    again = farm.host("one", ready=False, **SHORT_TIMES)
    wait_until(lambda: "drained, as asked" in again.says, "it hears of it", 30)
    farm.wait_for_state("one", "draining")
    assert farm.redis.hgetall(KEYS.desired("one")) == {b"drain": b"stay"}
    job = farm.enqueue("note", "ran")
    farm.redis.delete(KEYS.desired("one"))
    beat = farm.published("one")["beat_at"]
    wait_until(lambda: farm.published("one")["beat_at"] > beat, "it beats")
    assert host.state == "draining", "that nobody wants it any more ends no drain"

    assert farm.command("resume", "one").returncode == 0
    farm.wait_for(job)


@pytest.mark.slow
def test_jobs_that_come_while_hosts_are_drained_and_resumed_in_turn_each_run_once(farm: Farm) -> None:
    farm.host("one", processes=2, threshold=1)
    farm.host("two", processes=2, threshold=1)
    hosts = [handle(farm, "one"), handle(farm, "two")]
    jobs = []
    for turn in range(6):
        jobs += farm.enqueue_many("note", [(f"{turn}-{number}",) for number in range(300)])
        drained = hosts[turn % 2]
        drained.drain()
        assert drained.wait_until_drained(20)
        jobs += farm.enqueue_many("note", [(f"{turn}-{number}",) for number in range(300, 400)])
        drained.resume()

    farm.wait_for(*jobs, timeout=40)
    assert sorted(farm.notes()) == sorted(f"{turn}-{number}" for turn in range(6) for number in range(400))
    assert farm.count("finished") == 2400
