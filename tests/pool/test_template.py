"""The template: what is loaded once, how processes are forked from it, what happens when it fails."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import psutil
import pytest
import redis

from farm_worker.pool import template_process
from farm_worker.pool.reasons import Phase, Reason
from farm_worker.pool.starter import Spawner
from farm_worker.pool.template import Template
from tests.pool.conftest import Watched, ready, until
from tests.support.own_pool import OwnPool, run

FACTS = """
@app.preload
def tables(process):
    process.userdata["rows"] = ["a row"]
    process.userdata["loaded_in"] = os.getpid()

def facts():
    import random
    userdata = farm.current_process().userdata
    return {"pid": os.getpid(), "parent": os.getppid(), "group": os.getpgid(0), "number": farm.current_process().number,
            "userdata": userdata, "random": random.random(), "stdin": os.readlink("/proc/self/fd/0"),
            "sockets": sum(1 for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}") and
                           os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"))}
"""


@pytest.fixture
def own(redis_client: redis.Redis, redis_url: str, tmp_path: Path) -> OwnPool:
    own = OwnPool(redis_client, redis_url, tmp_path)
    own.write(FACTS)
    return own


def template_pid(watched: Watched) -> int:
    (pid,) = watched.pool.helper_pids
    return pid


async def reserve_pid(watched: Watched) -> int:
    """Of the process that was forked in advance, once it is a child of the host and can be asked for."""

    def are_there() -> bool:
        pids = watched.pool.reserve_pids
        return bool(pids) and all(psutil.Process(pid).ppid() == os.getpid() for pid in pids)

    await until(are_there, "a process was forked in advance")
    (pid,) = watched.pool.reserve_pids
    return pid


def test_processes_share_what_the_template_loaded_and_are_children_of_the_host(own: OwnPool) -> None:
    async def scene() -> None:
        async with own.pool(slots=2) as watched:
            await ready(watched, 2)
            seen = [await run(own, watched, "facts")]
            os.kill(seen[0]["pid"], signal.SIGKILL)
            await until(lambda: watched.ends, "one has ended")
            await ready(watched, 2)
            seen.append(await run(own, watched, "facts"))
            seen.append(await run(own, watched, "facts"))

            for fact in seen:
                assert fact["userdata"] == {"rows": ["a row"], "loaded_in": template_pid(watched)}
                assert fact["parent"] == os.getpid()
                assert fact["group"] == fact["pid"]
                assert fact["stdin"] == "/dev/null"
                assert fact["sockets"] == 2, "its stream and its control line"
            assert len({fact["random"] for fact in seen}) == 3

    asyncio.run(scene())


def test_a_process_that_is_killed_is_waited_for_and_tells_its_signal(own: OwnPool) -> None:
    async def scene() -> None:
        async with own.pool(slots=3) as watched:
            await ready(watched, 3)
            pids = watched.pids()
            begun = asyncio.get_running_loop().time()
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            await until(lambda: len(watched.ends) == 3 and watched.pool.ready == 3, "the pool is full again")

            assert asyncio.get_running_loop().time() - begun < 5
            assert {(end.reason, end.signal, end.phase) for end, _, _ in watched.ends} == {
                (Reason.CRASHED, "SIGKILL", Phase.IDLE)
            }
            assert not [pid for pid in pids if psutil.pid_exists(pid)], "no zombie is left"

    asyncio.run(scene())


def test_an_app_with_threads_is_not_forked_and_the_warning_names_them(
    own: OwnPool, caplog: pytest.LogCaptureFixture
) -> None:
    own.write(FACTS + "threading.Thread(target=time.sleep, args=(600,), name='metrics', daemon=True).start()\n")

    async def scene() -> None:
        async with own.pool() as watched:
            await ready(watched)
            fact = await run(own, watched, "facts")

            assert fact["userdata"]["loaded_in"] == fact["pid"], "preload ran in the process itself"
            assert watched.pool.helper_pids == [], "the template has ended"
            assert "metrics" in caplog.text
            assert "START_METHOD=spawn" in caplog.text

    asyncio.run(scene())


def test_a_thread_that_has_ended_does_not_keep_from_forking(own: OwnPool) -> None:
    own.write(FACTS + "t = threading.Thread(target=time.sleep, args=(0.01,)); t.start(); t.join()\n")

    async def scene() -> None:
        async with own.pool() as watched:
            await ready(watched)
            assert template_pid(watched)

    asyncio.run(scene())


def test_spawned_processes_preload_each_for_itself(own: OwnPool) -> None:
    async def scene() -> None:
        async with own.pool(start_method="spawn") as watched:
            await ready(watched)
            fact = await run(own, watched, "facts")

            assert isinstance(watched.pool._starter, Spawner)
            assert fact["userdata"]["loaded_in"] == fact["pid"]

    asyncio.run(scene())


def test_a_connection_that_preload_opened_is_shared_by_nobody(own: OwnPool) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    own.write(f"""
import socket

@app.preload
async def connect(process):
    process.userdata["connection"] = socket.create_connection(("127.0.0.1", {listener.getsockname()[1]}))

def look():
    connection = farm.current_process().userdata["connection"]
    connection.settimeout(5)
    received = connection.recv(10)
    try:
        connection.send(b"x")
    except BrokenPipeError:
        return [len(received), "broken"]
    return [len(received), "sent"]
""")

    async def scene() -> None:
        async with own.pool() as watched:
            await ready(watched)
            assert await run(own, watched, "look") == [0, "broken"], "as if the server had closed it"

    with listener:
        asyncio.run(scene())


def test_a_temporary_folder_of_the_template_outlives_its_processes(own: OwnPool) -> None:
    own.write("""
import tempfile

@app.preload
def folder(process):
    process.userdata["folder"] = tempfile.TemporaryDirectory()

def is_there():
    return os.path.isdir(farm.current_process().userdata["folder"].name)

def where():
    return farm.current_process().userdata["folder"].name
""")

    async def scene() -> str:
        async with own.pool(max_jobs_per_process=1) as watched:
            for _ in range(3):
                assert await run(own, watched, "is_there") is True
            await until(lambda: len(watched.ends) == 3, "three processes have ended")
            assert {end.reason for end, _, _ in watched.ends} == {Reason.RECYCLED}
            return str(await run(own, watched, "where"))

    folder = asyncio.run(scene())
    assert not os.path.exists(folder), "it goes with the template"


def test_handlers_of_atexit_run_in_each_process(own: OwnPool) -> None:
    own.write(f"""
import atexit
atexit.register(lambda: open({str(own.folder)!r} + f"/ended-{{os.getpid()}}", "w").close())

def pid():
    return os.getpid()
""")

    async def scene() -> int:
        async with own.pool(max_jobs_per_process=1) as watched:
            pid = int(await run(own, watched, "pid"))
            await until(lambda: watched.ends, "its process has ended")
            return pid

    assert (own.folder / f"ended-{asyncio.run(scene())}").exists()


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        pytest.param("raise RuntimeError('no licence')", "no licence", marks=pytest.mark.slow),
        ("@app.preload\ndef rates(process):\n    raise OSError('no rates')", "userapp.rates raised OSError: no rates"),
        pytest.param("@app.preload\ndef rates(process):\n    yield", "yields", marks=pytest.mark.slow),
        pytest.param(
            "@app.preload\nasync def rates(process):\n    raise OSError('no rates')", "no rates", marks=pytest.mark.slow
        ),
        ("@app.preload\ndef rates(process):\n    os._exit(5)", "exit code 5"),
    ],
)
def test_a_template_that_fails_makes_the_host_unhealthy_until_it_is_mended(
    own: OwnPool, app: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm_worker.pool.recycling.FIRST_DELAY_SECONDS", 0.1)
    own.write(app + "\n")

    async def scene() -> None:
        async with own.pool() as watched:
            await until(lambda: watched.pool.unhealthy_reason, "it is unhealthy", timeout=30)
            assert expected in str(watched.pool.unhealthy_reason)
            assert watched.pool.warm_failures >= 3
            own.write("")
            await ready(watched)
            assert watched.pool.unhealthy_reason is None

    asyncio.run(scene())


def test_a_preload_that_takes_too_long_is_killed_and_says_so(own: OwnPool, caplog: pytest.LogCaptureFixture) -> None:
    own.write("@app.preload\ndef rates(process):\n    time.sleep(600)\n")

    async def scene() -> None:
        async with own.pool(preload_timeout=0.5) as watched:
            await until(lambda: watched.pool.warm_failures, "it has failed")
            assert "PRELOAD_TIMEOUT" in caplog.text
            assert not watched.pool.helper_pids

    asyncio.run(scene())


def test_a_template_that_dies_is_replaced_and_its_processes_work_on(
    own: OwnPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm_worker.pool.template.EARLY_DEATH_SECONDS", 0.0)

    async def scene() -> None:
        async with own.pool() as watched:
            await ready(watched)
            killed, pids = template_pid(watched), watched.pids()
            os.kill(killed, signal.SIGKILL)
            assert (await run(own, watched, "facts"))["pid"] in pids
            await until(
                lambda: watched.pool._starter.cheap and killed not in watched.pool.helper_pids, "there is another"
            )
            assert not watched.ends
            os.kill(next(iter(pids)), signal.SIGKILL)
            await until(lambda: watched.ends, "the process has ended")
            await ready(watched)
            assert (await run(own, watched, "facts"))["userdata"]["loaded_in"] == template_pid(watched)

    asyncio.run(scene())


def test_a_template_that_dies_again_and_again_is_held_back(own: OwnPool, monkeypatch: pytest.MonkeyPatch) -> None:
    own.write("""
import signal

@app.preload
def set_up(process):
    signal.signal(signal.SIGALRM, lambda *_: os._exit(9))
    signal.setitimer(signal.ITIMER_REAL, 0.1)
""")

    async def scene() -> None:
        async with own.pool(idle=0) as watched:
            await until(lambda: watched.pool.warm_failures, "it has failed")
            starter = watched.pool._starter
            assert isinstance(starter, Template)
            assert starter._warm_ups.retry_at > 0

    asyncio.run(scene())


@pytest.mark.slow
def test_a_template_that_hangs_is_killed_with_what_it_was_asked_for(
    own: OwnPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template_process, "FORK_SECONDS", 0.3)
    monkeypatch.setattr(template_process, "SUSPECT_SECONDS", 0.1)

    async def scene() -> None:
        async with own.pool() as watched:
            await ready(watched)
            hanging = template_pid(watched)
            await reserve_pid(watched)
            os.killpg(hanging, signal.SIGSTOP)
            os.kill(watched.pids().pop(), signal.SIGKILL)
            await until(lambda: len(watched.ends) == 1 and watched.pool.ready, "that one has replaced the process", 60)
            os.kill(watched.pids().pop(), signal.SIGKILL)
            await until(lambda: len(watched.ends) == 3, "the process, and the one that was asked for, have ended", 60)
            await ready(watched)
            assert hanging not in watched.pool.helper_pids

    asyncio.run(scene())


def test_new_code_is_forked_from_a_new_template_once_that_is_ready(own: OwnPool) -> None:
    version = "def version():\n    return [{}, farm.current_process().number]\n"
    own.write(version.format(1))

    async def scene() -> None:
        async with own.pool(slots=2) as watched:
            await ready(watched, 2)
            old = template_pid(watched)
            own.write("time.sleep(0.5)\n" + version.format(2) + "#" * 50)
            watched.pool.recycle()
            assert (await run(own, watched, "version"))[0] == 1, "the old ones serve meanwhile"
            await until(lambda: len(watched.ends) == 2, "the old ones have ended")
            await ready(watched, 2)
            assert (await run(own, watched, "version"))[0] == 2
            assert {end.reason for end, _, _ in watched.ends} == {Reason.RECYCLED}
            await until(lambda: old not in watched.pool.helper_pids, "so has their template")

    asyncio.run(scene())


def test_new_code_that_is_broken_leaves_the_old_one_serving(own: OwnPool) -> None:
    own.write("def version():\n    return 1\n")

    async def scene() -> None:
        async with own.pool() as watched:
            await ready(watched)
            own.write("def version(:\n")
            watched.pool.recycle()
            starter = watched.pool._starter
            assert isinstance(starter, Template)
            await until(lambda: starter._warm_ups.failures, "the new one has failed")
            (pid,) = watched.pids()
            os.kill(pid, signal.SIGKILL)
            await until(lambda: watched.ends, "the process has ended")
            assert await run(own, watched, "version") == 1
            assert watched.pool.unhealthy_reason is None

    asyncio.run(scene())


def test_closing_the_pool_leaves_neither_template_nor_processes(own: OwnPool) -> None:
    async def scene() -> list[int]:
        async with own.pool(slots=4) as watched:
            await until(lambda: watched.pool.starting, "processes are being forked")
            return [*watched.pool.helper_pids, *(pid for pid in watched.pids() if pid)]

    pids = asyncio.run(scene())
    assert not [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]


def test_the_next_process_is_forked_before_it_is_asked_for(own: OwnPool) -> None:
    async def scene() -> None:
        async with own.pool(slots=2, idle=1) as watched:
            await ready(watched)
            reserve = await reserve_pid(watched)
            assert reserve not in watched.pids()
            watched.pool.idle_target = 2
            await until(lambda: reserve in watched.pids(), "it is the one that was asked for")
            await until(lambda: set(watched.pool.reserve_pids) - {reserve}, "there is another")

    asyncio.run(scene())


def test_a_reserve_that_is_killed_is_replaced(own: OwnPool) -> None:
    async def scene() -> None:
        async with own.pool(slots=2, idle=1) as watched:
            await ready(watched)
            killed = await reserve_pid(watched)
            os.kill(killed, signal.SIGKILL)
            await until(lambda: set(watched.pool.reserve_pids) - {killed}, "there is another")
            watched.pool.idle_target = 2
            await until(lambda: watched.pool.ready == 2, "it serves")
            assert not watched.ends
            os.waitpid(killed, 0)  # a host's look for orphans does that

    asyncio.run(scene())


def test_a_template_that_dies_takes_its_reserve_along(own: OwnPool) -> None:
    async def scene() -> None:
        async with own.pool() as watched:
            await ready(watched)
            reserve = await reserve_pid(watched)
            os.kill(template_pid(watched), signal.SIGKILL)
            await until(lambda: not psutil.pid_exists(reserve), "it has ended and was waited for")

    asyncio.run(scene())


def test_a_system_without_room_for_a_process_is_no_end_of_the_template(own: OwnPool) -> None:
    own.write("""
FORK, failures = os.fork, iter(range(4))

def fork():
    if next(failures, None) is not None: raise BlockingIOError(11, "Resource temporarily unavailable")
    return FORK()

os.fork = fork

def pid(): return os.getpid()
""")

    async def scene() -> None:
        async with own.pool() as watched:
            template = asyncio.create_task(until(lambda: watched.pool.helper_pids, "there is a template"))
            await until(lambda: watched.ends, "the first was refused")
            assert "the template can't fork: [Errno 11] Resource temporarily unavailable" in watched.ends[0][0].error
            await template
            serving = template_pid(watched)
            await ready(watched)
            assert template_pid(watched) == serving
            assert await run(own, watched, "pid") in watched.pids()

    asyncio.run(scene())
