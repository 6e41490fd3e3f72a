"""`RQ_JOB_ID`: which job runs, for its code, for C code in its process and for the programs that it starts."""

import asyncio
import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from farm_worker.pool.job_variable import NAME, ROOM, JobVariable
from tests.pool.conftest import ready
from tests.support.own_pool import OwnPool, run

JOBS = """
import ctypes, subprocess

def seen():
    get = ctypes.CDLL(None).getenv
    get.restype = ctypes.c_char_p
    program = subprocess.run("printf %s \\"$RQ_JOB_ID\\"", shell=True, capture_output=True, text=True, check=True)
    found = {os.environ["RQ_JOB_ID"], get(b"RQ_JOB_ID").decode(), program.stdout}
    return found == {farm.current_job().id}

def delete():
    del os.environ["RQ_JOB_ID"]

def change():
    os.environ["RQ_JOB_ID"] = "mine"

def clear():
    os.environ.clear()
"""


@pytest.fixture
def variable() -> Iterator[JobVariable]:
    yield JobVariable()
    os.environb.pop(NAME, None)


def seen_by_c() -> bytes | None:
    get = ctypes.CDLL(None).getenv
    get.restype = ctypes.c_char_p
    found: bytes | None = get(NAME)
    return found


def seen_by_a_program() -> bytes:
    return subprocess.run(["sh", "-c", 'printf %s "$RQ_JOB_ID"'], capture_output=True, check=True).stdout


def test_ids_of_any_length_and_any_bytes_are_seen_by_all_one_after_the_other(variable: JobVariable) -> None:
    lengths = (1, 36, ROOM - 1, ROOM, ROOM + 1, 2000, 2, ROOM - 1, 0, 5)
    for job_id in [*(b"x" * length for length in lengths), "ü€".encode(), b"\xff\xfe", b"a=b", b" "]:
        variable.set(job_id)
        assert (os.environb[NAME], seen_by_c(), seen_by_a_program()) == (job_id, job_id, job_id)


def test_a_job_whose_id_has_a_zero_byte_does_not_see_that_of_another(variable: JobVariable) -> None:
    variable.set(b"before")
    variable.set(b"a\0b")
    assert (os.environb.get(NAME), seen_by_c()) == (None, None)
    variable.set(b"after")
    assert (os.environb.get(NAME), seen_by_c()) == (b"after", b"after")


@pytest.mark.parametrize("name", ["RQ_JOB_ID", "RQ_JOB_ID2", "RQ_JOB"])
def test_what_somebody_else_sets_is_not_written_over_elsewhere(
    variable: JobVariable, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    variable.set(b"first")
    monkeypatch.setenv(name, "theirs")
    variable.set(b"second")
    assert seen_by_c() == os.environb[NAME] == b"second"
    assert name == "RQ_JOB_ID" or os.environ[name] == "theirs"


def test_memory_does_not_grow_with_the_number_of_jobs(variable: JobVariable) -> None:
    for number in range(1000):
        variable.set(b"%036d" % number)
    before = psutil.Process().memory_info().rss
    for number in range(100_000):
        variable.set(b"%036d" % number)

    assert psutil.Process().memory_info().rss - before < 2_000_000, "each value kept would be 6 MB"


def test_each_job_of_a_process_sees_its_own_whatever_the_one_before_made_of_it(
    redis_client: redis.Redis, redis_url: str, user_folder: Path
) -> None:
    own = OwnPool(redis_client, redis_url, user_folder)
    own.write(JOBS)

    async def scene() -> None:
        async with own.pool() as watched:
            await ready(watched)
            for before in ("seen", "delete", "change", "clear"):
                await run(own, watched, before)
                assert await run(own, watched, "seen") is True, f"after {before}"

    asyncio.run(scene())
