"""Outcomes that Redis can't be told outlive their host, in a file that a torn end and a full disk do no harm."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.ending import Ending
from farm.store.execution import FinishBatch
from farm.store.hosts import Registration
from farm_worker.outcomes import Outcomes
from farm_worker.spool import LeftSpool, Spool, left_spools, spool_folder
from tests.support import outcomes

WHO = Registration("one", "3-abc")


def ending(name: str, **values: Any) -> Ending:
    return outcomes.ending(name.encode(), f"token of {name}", queue="default", **values)


def left(folder: Path) -> list[LeftSpool]:
    found = list(left_spools(folder, batch_size=2))
    for one in found:
        one.release()
    return found


def ids(batches: Sequence[FinishBatch]) -> list[list[bytes]]:
    return [[one.job_id for one in batch.endings] for batch in batches]


def test_what_a_host_could_not_deliver_is_found_when_it_is_gone(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "new" / "folder")
    given = ending("a", result=b"\x00\xff", seconds=0.5, host_fields=[b"\xfe"], recorded=True)
    spool.keep(WHO, FinishBatch(7, "batch", [given]), [ending("b")])
    spool.keep(WHO, None, [ending("b"), ending("c"), ending("d")])
    spool.close()

    (found,) = left(tmp_path / "new" / "folder")

    assert found.who == WHO
    assert ids(found.batches) == [[b"a"], [b"b", b"c"], [b"d"]], "the batch that was under way keeps its name"
    assert (found.batches[0].number, found.batches[0].name) == (7, "batch")
    assert found.batches[0].endings == [given]
    assert (found.path.stat().st_mode & 0o777, found.path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_the_file_of_a_host_that_lives_is_left_alone(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.keep(WHO, None, [ending("a")])
    assert left(tmp_path) == []
    spool.close()
    assert len(left(tmp_path)) == 1


def test_delivered_outcomes_leave_no_file(tmp_path: Path) -> None:
    kept = Outcomes(Spool(tmp_path))
    kept.add(ending("a"))
    kept.next_batch()
    kept.add(ending("b"))
    kept.keep(WHO)
    kept.answered()
    assert len(list(tmp_path.iterdir())) == 1, "one is still to be told"
    kept.next_batch()
    kept.answered()
    assert (list(tmp_path.iterdir()), len(kept)) == ([], 0)


def test_a_host_that_settled_removes_what_was_left(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.keep(WHO, None, [ending("a")])
    spool.close()
    (found,) = left_spools(tmp_path, 100)
    found.remove()
    assert list(tmp_path.iterdir()) == []


@given(cut=st.integers(min_value=1, max_value=400))
def test_a_file_with_a_torn_end_gives_all_that_was_whole(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder)
    for name in "abc":
        spool.keep(WHO, None, [ending(name)])
    spool.close()
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: max(len(whole) - cut, len(whole) // 10)])

    found = [one.job_id for each in left(folder) for batch in each.batches for one in batch.endings]

    assert found == [b"a", b"b", b"c"][: len(found)]
    assert len(found) < 3


def test_a_file_of_something_else_is_named_and_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "one-1-a.spool").write_bytes(b"something else, and long enough for a head")
    assert left(tmp_path) == []
    assert "one-1-a.spool" in caplog.text


def test_a_spool_that_is_full_says_so_once_and_keeps_what_it_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path, limit=1000)
    for name in "abcdef":
        spool.keep(WHO, None, [ending(name, result=b"x" * 500)])
    spool.close()
    (found,) = left(tmp_path)
    assert ids(found.batches) == [[b"a"]]
    assert caplog.text.count("stay in memory") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no device that is always full")
def test_a_full_disk_costs_nothing_but_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = os.open
    monkeypatch.setattr(
        os,
        "open",
        lambda path, *rest: real("/dev/full", os.O_WRONLY) if str(path).endswith(".new") else real(path, *rest),
    )
    kept = Outcomes(Spool(tmp_path))
    kept.add(ending("a"))
    kept.keep(WHO)
    assert "No space left on device" in caplog.text
    assert [one.job_id for one in kept.give_up()] == [b"a"]


def test_without_a_folder_outcomes_stay_in_memory(caplog: pytest.LogCaptureFixture) -> None:
    kept = Outcomes(Spool(None))
    kept.add(ending("a"))
    kept.keep(WHO)
    assert "XDG_STATE_HOME" in caplog.text
    assert len(kept) == 1


def test_farms_of_other_servers_and_prefixes_have_folders_of_their_own(tmp_path: Path) -> None:
    folders = {
        spool_folder(tmp_path, address, prefix)
        for address in ("redis://a:6379/0", "redis://b:6379/0")
        for prefix in ("farm", "x")
    }
    assert len(folders) == 4
