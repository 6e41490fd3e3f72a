"""Which Redis a command uses, in which order, and when the address of a `farm up` counts."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from farm.errors import SettingsError
from farm.store.address import Address, find_state_folder, left_for_others, resolve


@dataclass(frozen=True)
class Setting:
    url: str | None = None


NO_HOME = {"HOME": "/nowhere"}


def test_the_setting_comes_before_everything(tmp_path: Path) -> None:
    with left_for_others("unix:///up.sock", tmp_path):
        address = resolve(Setting("redis://flag/1"), {"RQ_REDIS_URL": "redis://rq/0"}, tmp_path)
    assert address == Address("redis://flag/1", "redis_url")


def test_the_source_names_the_variable_that_the_setting_came_from() -> None:
    assert resolve(Setting("redis://a/0"), {"FARM_REDIS_URL": "redis://a/0"}).source == "FARM_REDIS_URL"


def test_the_variable_of_rq_comes_before_a_running_farm_up(tmp_path: Path) -> None:
    with left_for_others("unix:///up.sock", tmp_path):
        assert resolve(Setting(), {"RQ_REDIS_URL": "redis://rq/0"}, tmp_path) == Address("redis://rq/0", "RQ_REDIS_URL")


def test_a_running_farm_up_comes_before_the_default_and_only_while_it_runs(tmp_path: Path) -> None:
    with left_for_others("unix:///up.sock", tmp_path):
        assert resolve(Setting(), {}, tmp_path) == Address("unix:///up.sock", "farm up")
    assert resolve(Setting(), {}, tmp_path) == Address("redis://localhost:6379/0", "default")
    assert list(tmp_path.iterdir()) == []


def test_the_address_is_readable_by_its_user_alone(tmp_path: Path) -> None:
    with left_for_others("redis://:secret@127.0.0.1:1/0", tmp_path / "state"):
        assert (tmp_path / "state" / "address.json").stat().st_mode & 0o077 == 0


def test_the_address_of_a_process_that_was_killed_is_ignored_and_removed(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, signal, sys; from farm.store.address import left_for_others\n"
        "with left_for_others('unix:///up.sock', pathlib.Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script, tmp_path], check=False).returncode == -9
    assert (tmp_path / "address.json").exists()
    assert resolve(Setting(), {}, tmp_path).source == "default"
    assert list(tmp_path.iterdir()) == []


def test_the_address_of_a_process_whose_id_was_used_again_is_ignored_and_removed(tmp_path: Path) -> None:
    started_before = psutil.Process().create_time() - 1000
    path = tmp_path / "address.json"
    path.write_text(json.dumps({"url": "unix:///up.sock", "pid": os.getpid(), "started_at": started_before}))
    assert resolve(Setting(), {}, tmp_path).source == "default"
    assert not path.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', '{"url": "x"}', "\xff"])
def test_an_address_file_that_cannot_be_read_is_ignored(tmp_path: Path, content: str) -> None:
    (tmp_path / "address.json").write_bytes(content.encode("latin-1"))
    assert resolve(Setting(), {}, tmp_path).source == "default"


def test_the_end_of_one_farm_up_leaves_the_address_of_another(tmp_path: Path) -> None:
    other = {"url": "unix:///other.sock", "pid": os.getpid(), "started_at": psutil.Process().create_time()}
    with left_for_others("unix:///up.sock", tmp_path):
        (tmp_path / "address.json").write_text(json.dumps(other))
    assert resolve(Setting(), {}, tmp_path).url == "unix:///other.sock"


def test_the_state_folder_follows_xdg_and_ignores_a_relative_one() -> None:
    assert find_state_folder({"XDG_STATE_HOME": "/state"}) == Path("/state/rq-farm")
    assert find_state_folder({"XDG_STATE_HOME": "state", "HOME": "/h"}) == Path("/h/.local/state/rq-farm")


def test_a_user_without_home_is_told_what_to_set_and_still_gets_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(SettingsError, match="XDG_STATE_HOME"):
        find_state_folder({})
    assert resolve(Setting(), {}).source == "default"


def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(SettingsError, match=r"file/state cannot be written"),
        left_for_others("x", tmp_path / "file/state"),
    ):
        pass
