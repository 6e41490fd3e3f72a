"""The fixture that finds what a test left behind must find it."""

import os
import subprocess
import sys

import psutil
import pytest
import redis

from tests.support import leaks
from tests.support.waiting import wait_until

ORPHAN = "import subprocess as s; null = s.DEVNULL; print(s.Popen(['sleep', '60'], stdout=null, stderr=null).pid)"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "PATIENCE_SECONDS", 0.2)


def test_a_child_left_running_is_found_and_ended() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        found = [process for process in leaks.survivors(()) if process.pid == child.pid]
        assert leaks.describe_and_kill(found) == [f"{child.pid}: sleep 60"]


def test_a_process_that_lost_its_parent_is_found() -> None:
    pid = int(subprocess.run([sys.executable, "-c", ORPHAN], capture_output=True, check=True).stdout)
    wait_until(lambda: psutil.Process(pid).ppid() != os.getpid(), "it is an orphan")
    found = [process for process in leaks.survivors(()) if process.pid == pid]
    assert leaks.describe_and_kill(found) == [f"{pid}: sleep 60"]


@pytest.mark.parametrize("key", ["farm:load", "farm:counts:default", "farm:host:a:1-x:inbox", "rq:queue:default"])
def test_a_permanent_key_is_no_leak(redis_client: redis.Redis, key: str) -> None:
    redis_client.set(key, 1)
    assert leaks.keys_without_end(redis_client) == []


@pytest.mark.keys_without_ttl("farm:host:a", "other:*")
@pytest.mark.parametrize("key", ["farm:host:a", "other:key"])
def test_another_key_needs_a_ttl_unless_the_test_permits_it(redis_client: redis.Redis, key: str) -> None:
    redis_client.set(key, 1)
    assert leaks.keys_without_end(redis_client) == [key]
    assert leaks.keys_without_end(redis_client, [key]) == []
    redis_client.expire(key, 60)
    assert leaks.keys_without_end(redis_client) == []


def test_a_finished_job_needs_a_ttl_unless_it_is_to_be_kept(redis_client: redis.Redis) -> None:
    redis_client.hset("rq:job:a", mapping={"status": "finished", "result_ttl": 500})
    redis_client.hset("rq:job:b", mapping={"status": "finished", "result_ttl": -1})
    redis_client.hset("rq:job:c", mapping={"status": "queued"})
    redis_client.set("rq:results:gone", 1)
    redis_client.set("rq:results:b", 1)
    assert leaks.keys_without_end(redis_client) == ["rq:job:a", "rq:results:gone"]
    redis_client.delete("rq:results:gone")
    redis_client.expire("rq:job:a", 60)
    redis_client.set("rq:results:a", 1)
    assert leaks.keys_without_end(redis_client) == ["rq:results:a"]
    redis_client.flushdb()
