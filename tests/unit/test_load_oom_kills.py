"""Kills for want of memory: counted where the kernel counts them for us."""

from pathlib import Path

import pytest

from farm_worker.load.oom_kills import OomKills
from tests.support.kernel_files import machine, version_2, write

COUNTER = "oom_kill_disable 0\nunder_oom 0\noom_kill {}"


def test_kills_of_our_cgroup_are_news_until_they_are_noted(tmp_path: Path) -> None:
    file = "sys/fs/cgroup/app/memory.events"
    write(tmp_path, machine() | version_2() | {file: "low 0\noom 3\noom_kill 2"})
    kills = OomKills(tmp_path)
    assert kills.news() == 0

    write(tmp_path, {file: "low 0\noom 4\noom_kill 3", "proc/vmstat": "oom_kill 99"})
    assert kills.news() == 1
    kills.note()
    assert kills.news() == 0


def test_version_1_counts_in_another_file(tmp_path: Path) -> None:
    mount = "36 32 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
    own = {"proc/self/cgroup": "4:memory:/app", "proc/self/mountinfo": mount}
    file = "sys/fs/cgroup/memory/app/memory.oom_control"
    write(tmp_path, machine() | own | {file: COUNTER.format(0)})
    kills = OomKills(tmp_path)

    write(tmp_path, {file: COUNTER.format(2)})
    assert kills.news() == 2


@pytest.mark.parametrize(("before", "after", "news"), [("nr_free 1\noom_kill 5", "oom_kill 6", 1), ("", "", 0)])
def test_without_a_cgroup_the_machine_counts_or_nobody_does(tmp_path: Path, before: str, after: str, news: int) -> None:
    write(tmp_path, machine() | {"proc/vmstat": before})
    kills = OomKills(tmp_path)

    write(tmp_path, {"proc/vmstat": after})
    assert kills.news() == news
